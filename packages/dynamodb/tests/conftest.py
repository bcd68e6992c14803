"""DynamoDB for the tests: an emulator or the table that is named, and a client that is watched."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4
from zlib import crc32

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from mastra_core.plugins import open_storage
from mastra_core.storage.store import MastraStorage
from mastra_dynamodb import DynamoDBStore

READS = {"BatchGetItem", "GetItem", "Query", "Scan"}
WRITES = {"BatchWriteItem", "PutItem", "TransactWriteItems"}


class Factory:
    """Makes independent stores on one table, in this process and in others."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self) -> MastraStorage:
        return open_storage(self.url, id="conformance")

    def empty(self) -> Factory:
        """The same on a new table."""
        table = f"mastra-{uuid4().hex}"
        return Factory(re.sub(r"(?<=[/@])[\w.-]+(?=\?|$)", table, self.url, count=1))


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


class WireLog:
    """A client of boto3 whose requests are written down, with the capacity that they consumed.

    Each of ``answers`` is asked before a request is sent, with its operation and its body. What one
    gives (a status and a body) is the answer, and nothing is sent; what it raises is raised as if
    the network had. Each of ``after`` is told of a request once it was answered.
    """

    def __init__(self, endpoint_url: str) -> None:
        self.client = boto3.client(
            "dynamodb",
            endpoint_url=endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(retries={"total_max_attempts": 1}, max_pool_connections=32),
        )
        self.requests: list[str] = []
        self.bodies: list[Any] = []
        self.read = self.write = 0.0
        self.answers: list[Callable[[str, Any], tuple[int, Any] | None]] = []
        self.after: list[Callable[[str, Any], None]] = []
        events = self.client.meta.events
        events.register("provide-client-params.dynamodb", self._ask)
        events.register("before-send.dynamodb", self._send)
        events.register("after-call.dynamodb", self._answered)

    def clear(self) -> None:
        """Forget what was written down."""
        self.requests.clear()
        self.bodies.clear()
        self.read = self.write = 0.0

    def refuse(self, operation: str, code: str, times: int = 1, **more: Any) -> None:
        """Have the next requests of an operation refused with this error."""
        body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "told so", **more}
        left = [(400, body)] * times
        self.answers.append(lambda op, _: left.pop() if op == operation and left else None)

    def _ask(self, params: Any, model: Any, **_: Any) -> Any:
        counted = model.name in READS | WRITES
        return {**params, "ReturnConsumedCapacity": "TOTAL"} if counted else params

    def _send(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        operation = event_name.rpartition(".")[2]
        body = json.loads(request.body)
        self.requests.append(operation)
        self.bodies.append(body)
        for answer in list(self.answers):
            found = answer(operation, body)
            if found is not None:
                data = json.dumps(found[1]).encode()
                headers = {"x-amz-crc32": str(crc32(data))}
                return AWSResponse(request.url, found[0], headers, _Raw(data))
        return None

    def _answered(self, parsed: Any, model: Any, **_: Any) -> None:
        consumed = parsed.get("ConsumedCapacity", [])
        units = sum(
            c["CapacityUnits"] for c in (consumed if isinstance(consumed, list) else [consumed])
        )
        if model.name in READS:
            self.read += units
        else:
            self.write += units
        for tell in list(self.after):
            tell(model.name, parsed)


@pytest.fixture(scope="session")
def conformance_share() -> float:
    """The emulator takes minutes to be filled with what other databases take seconds for."""
    return 0.05


@pytest.fixture(scope="session")
def storage_factory(dynamodb):
    """Stores on a table of this run."""
    return Factory(dynamodb.url)


@pytest.fixture(scope="session")
def endpoint(dynamodb) -> str:
    """The address of the emulator: tests of faults and of items are not for a real service."""
    found = dynamodb.extra.get("endpoint_url")
    if found is None:
        pytest.skip("MASTRA_DYNAMODB_URL names a real table; this test needs the emulator")
    return found


@pytest.fixture
def table() -> str:
    """A name that no table has."""
    return f"mastra-{uuid4().hex}"


@pytest.fixture
def log(endpoint: str) -> Iterator[WireLog]:
    """A client that writes down what it sends."""
    made = WireLog(endpoint)
    yield made
    made.client.close()


@pytest.fixture
def open_store(log: WireLog, table: str) -> Callable[..., DynamoDBStore]:
    """Makes stores on one new table, over the client of ``log`` unless others are given."""

    def make(**options: Any) -> DynamoDBStore:
        given = {"client": log.client, "create_table": True, "table_name": table, **options}
        return DynamoDBStore(id="test", **given)

    return make


@pytest.fixture
def items(log: WireLog, table: str) -> Callable[[], list[Any]]:
    """Gives all items of the table as they are, by a client of its own."""
    other = boto3.client(
        "dynamodb",
        endpoint_url=log.client.meta.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )

    def scan() -> list[Any]:
        pages = other.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    return scan
