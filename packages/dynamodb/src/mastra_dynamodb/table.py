"""The DynamoDB table itself: what it must look like, and its creation where that is asked for."""

from __future__ import annotations

import time
from typing import Any, Final

from mastra_core.errors import SchemaError, UnavailableError
from mastra_dynamodb.errors import MISSING, code_of
from mastra_dynamodb.foreign import INDEXES
from mastra_dynamodb.wire import Wire

KEYS: Final = (("pk", "HASH"), ("sk", "RANGE"))
IN_USE: Final = "ResourceInUseException"
CREATION_SECONDS: Final = 120.0


def is_shared(wire: Wire, *, create: bool, shared: bool | None) -> bool:
    """Whether the table has the original's indexes; it is created first if that is allowed.

    A table that is not there, or does not fit, is a ``SchemaError``.
    """
    found = described(wire)
    if found is None:
        if not create:
            raise SchemaError(
                f"there is no DynamoDB table {wire.table!r}; create it (see the README), or give "
                "create_table=True"
            )
        _create(wire, shared=bool(shared))
    found = _active(wire)
    keys = tuple((key["AttributeName"], key["KeyType"]) for key in found["KeySchema"])
    if keys != KEYS:
        raise SchemaError(
            f"the DynamoDB table {wire.table!r} has the keys {keys}; it must have a partition key "
            "pk and a sort key sk, both strings"
        )
    present = {index["IndexName"] for index in found.get("GlobalSecondaryIndexes", ())}
    missing = [index for index in INDEXES if index not in present]
    if shared and missing:
        raise SchemaError(
            f"the DynamoDB table {wire.table!r} lacks the indexes {', '.join(missing)} of the "
            "TypeScript framework, which shared=True needs"
        )
    return not missing if shared is None else shared


def described(wire: Wire) -> dict[str, Any] | None:
    """What the service says of the table; ``None`` where there is none."""
    try:
        answer = wire.call("describe_table", TableName=wire.table)
    except Exception as error:
        if code_of(error) == MISSING:
            return None
        raise
    return dict(answer["Table"])


def _active(wire: Wire) -> dict[str, Any]:
    """The table once it can be used."""
    deadline = time.monotonic() + CREATION_SECONDS
    while time.monotonic() < deadline:
        found = described(wire)
        if found is not None and found["TableStatus"] in {"ACTIVE", "UPDATING"}:
            return found
        time.sleep(0.2)
    raise UnavailableError(f"the DynamoDB table {wire.table!r} did not become active")


def _create(wire: Wire, *, shared: bool) -> None:
    """Create the table, paid for by request; somebody else may do so at the same time."""
    try:
        wire.call("create_table", **definition(wire.table, shared=shared))
    except Exception as error:
        if code_of(error) != IN_USE:
            raise


def definition(table_name: str, *, shared: bool = False) -> dict[str, Any]:
    """The arguments of boto3's ``create_table`` for a table that a ``DynamoDBStore`` can use.

    ``shared`` adds the indexes of the TypeScript framework's ``@mastra/dynamodb``.
    """
    indexes = INDEXES if shared else ()
    names = ["pk", "sk", *(f"{index}{key}" for index in indexes for key in ("pk", "sk"))]
    found: dict[str, Any] = {
        "TableName": table_name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": n, "AttributeType": "S"} for n in names],
        "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind in KEYS],
    }
    if shared:
        found["GlobalSecondaryIndexes"] = [
            {
                "IndexName": index,
                "KeySchema": [
                    {"AttributeName": f"{index}pk", "KeyType": "HASH"},
                    {"AttributeName": f"{index}sk", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
            for index in indexes
        ]
    return found
