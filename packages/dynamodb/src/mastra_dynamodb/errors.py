"""What the service and the driver complain of, as this library's errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mastra_core.errors import (
    AuthenticationError,
    LimitExceededError,
    SchemaError,
    StorageError,
    UnavailableError,
)
from mastra_core.storage.codec import json_object

BUSY: Final = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
REFUSED: Final = frozenset(
    {
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "UnrecognizedClientException",
    }
)
MISSING: Final = "ResourceNotFoundException"
CANCELED: Final = "TransactionCanceledException"
CONDITION: Final = "ConditionalCheckFailed"


class Refused(Exception):  # noqa: N818 (an event, not an error)
    """Conditions of a transaction did not hold, and nothing was written; ``at`` says which."""

    def __init__(self, at: Sequence[int]) -> None:
        super().__init__(f"{len(at)} conditions did not hold")
        self.at = tuple(at)


def code_of(error: Exception) -> str:
    """The service's name of an error; empty if the error is not the service's."""
    return str(_response_of(error).get("Error", {}).get("Code", ""))


def _response_of(error: Exception) -> Mapping[str, Any]:
    """What the service answered; empty if it is not an answer of the service that was raised."""
    return json_object(getattr(error, "response", None))


def reasons_of(error: Exception) -> list[str]:
    """Why each operation of a transaction was canceled, as codes; empty for other errors."""
    if code_of(error) != CANCELED:
        return []
    reasons = _response_of(error).get("CancellationReasons", ())
    return [str(reason.get("Code", "None")) for reason in reasons]


def is_busy(error: Exception) -> bool:
    """Whether the same request may succeed a moment later; it did nothing."""
    reasons = set(reasons_of(error)) - {"None"}
    return code_of(error) in BUSY or (bool(reasons) and reasons <= BUSY)


def translated(error: Exception, table: str, doing: str) -> StorageError | None:
    """The error of the driver as one of ours; ``None`` if it is not the driver's."""
    code = code_of(error)
    what = f"DynamoDB could not {doing} (table {table!r})"
    if code in REFUSED:
        return AuthenticationError(f"{what}: {code}; check the credentials and what they may do")
    if code == MISSING:
        return SchemaError(
            f"{what}: there is no such table; create it first, or give create_table=True"
        )
    told = str(_response_of(error).get("Error", {}).get("Message", ""))
    if "size" in told.lower() and "exceeded" in told.lower():
        return LimitExceededError(f"{what}: {told}")
    if is_busy(error):
        return UnavailableError(f"{what}: {code or 'busy'}; try again, or allow it more capacity")
    if code:
        return StorageError(f"{what}: {code}: {told}")
    return _from_driver(error, what)


def _from_driver(error: Exception, what: str) -> StorageError | None:
    if type(error).__module__.partition(".")[0] not in {"boto3", "botocore", "urllib3"}:
        return None
    name = type(error).__name__
    if "Credential" in name or "Token" in name or "Profile" in name:
        return AuthenticationError(f"{what}: {error}; give credentials, or configure them for AWS")
    if "Region" in name:
        return StorageError(f"{what}: no region is known; give region_name")
    if "Endpoint" in name:
        # Where it was looked for, without a user that may stand before the host.
        address = re.search(r"https?://(?:[^/@\s\"]*@)?([^/\s\"]+)", str(error))
        name = f"{name}, nothing answers at {address[1]}" if address else name
    return UnavailableError(f"{what}: {name}; try again")
