"""Requests to the service: the only module that imports the driver."""

from __future__ import annotations

import importlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from mastra_core.errors import UnavailableError
from mastra_core.storage.portions import portions
from mastra_dynamodb.entities import Item
from mastra_dynamodb.errors import CONDITION, Refused, is_busy, reasons_of
from mastra_dynamodb.sources import Source, Span

Key: TypeAlias = tuple[str, str]
Operation: TypeAlias = dict[str, Any]

# What one request takes.
GET_KEYS: Final = 100
WRITE_ITEMS: Final = 25
TRANSACTION_ITEMS: Final = 100
# Of the limits of 4 and 16 MB, what leaves room for how they are counted.
TRANSACTION_BYTES: Final = 3_800_000
REQUEST_BYTES: Final = 15_000_000
KEY_BYTES: Final = 3_100

# Threads with these names send our requests.
THREADS: Final = "mastra-dynamodb"
# The driver's loggers that tell all of a request, an answer, or its signature.
TALKATIVE: Final = ("botocore.auth", "botocore.endpoint", "botocore.parsers")


class Page(msgspec.Struct, frozen=True):
    """The items of one request, and where the next one goes on, if there are more."""

    items: list[Item]
    last: Item | None = None


def pauses(seconds: float) -> Iterator[float]:
    """Waits in this thread between attempts, longer each time, until so many seconds have passed."""
    deadline, pause = time.monotonic() + seconds, 0.002
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, random.uniform(pause / 4, pause)))  # noqa: S311 (no secret)
        pause = min(pause * 1.7, 1.0)
        yield left


class Wire:
    """One table by one client, which is made by the first request.

    Requests block. A service that is busy is asked again, for ``patience`` seconds; so is what it
    left undone of a batch.
    """

    def __init__(self, make: Callable[[], Any], table: str, patience: float) -> None:
        self.table = table
        self.patience = patience
        self._make = make
        self._client: Any = None
        self._lock = threading.Lock()

    @property
    def client(self) -> Any:
        """The client of the driver."""
        with self._lock:
            if self._client is None:
                self._client = self._make()
            return self._client

    def forget(self) -> Any:
        """Let go of the client, so that the next request makes one; the client, if there was one."""
        with self._lock:
            client, self._client = self._client, None
            return client

    def call(self, operation: str, **arguments: Any) -> Any:
        """The answer to one request."""
        waits = pauses(self.patience)
        while True:
            try:
                return getattr(self.client, operation)(**arguments)
            except Exception as error:
                if not is_busy(error) or next(waits, None) is None:
                    raise

    def query(
        self,
        source: Source,
        span: Span,
        *,
        limit: int,
        down: bool,
        start: Item | None,
        only: Sequence[str] = (),
    ) -> Page:
        """At most so many items of a part of a partition, or fewer where they are large."""
        partition, sort = ("pk", "sk") if source.index is None else _keys_of(source.index)
        condition, values = "#p = :p", {":p": {"S": span.partition}}
        names = {"#p": partition}
        if span.low is not None or span.high is not None:
            names["#s"] = sort
            if span.low is not None and span.high is not None:
                condition += " AND #s BETWEEN :l AND :h"
            else:
                condition += " AND #s >= :l" if span.low is not None else " AND #s <= :h"
            bounds = {":l": span.low, ":h": span.high}
            values |= {name: {"S": text} for name, text in bounds.items() if text is not None}
        more: dict[str, Any] = {} if source.index is None else {"IndexName": source.index}
        if start is not None:
            more["ExclusiveStartKey"] = start
        if only:
            marks = {f"#o{i}": name for i, name in enumerate(only)}
            names |= marks
            more["ProjectionExpression"] = ", ".join(marks)
        answer = self.call(
            "query",
            TableName=self.table,
            KeyConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
            ScanIndexForward=not down,
            ConsistentRead=source.index is None,
            Limit=limit,
            **more,
        )
        return Page(answer["Items"], answer.get("LastEvaluatedKey"))

    def scan(self, entity: str, start: Item | None, limit: int | None = None) -> Page:
        """Some of the rows of an entity, found by reading the whole table: at most so many items of it."""
        more: dict[str, Any] = {} if start is None else {"ExclusiveStartKey": start}
        if limit is not None:
            more["Limit"] = limit
        answer = self.call(
            "scan",
            TableName=self.table,
            FilterExpression="#e = :e",
            ExpressionAttributeNames={"#e": "__edb_e__"},
            ExpressionAttributeValues={":e": {"S": entity}},
            ConsistentRead=True,
            **more,
        )
        return Page(answer["Items"], answer.get("LastEvaluatedKey"))

    def get(self, keys: Sequence[Key]) -> list[Item]:
        """The items that are there of at most ``GET_KEYS`` different keys."""
        if len(keys) == 1:
            answer = self.call(
                "get_item", TableName=self.table, Key=item_key(keys[0]), ConsistentRead=True
            )
            return [answer["Item"]] if "Item" in answer else []
        wanted: list[Item] = [item_key(key) for key in keys]
        found: list[Item] = []
        waits = pauses(self.patience)
        while wanted:
            asked = {self.table: {"Keys": wanted, "ConsistentRead": True}}
            answer = self.call("batch_get_item", RequestItems=asked)
            items = answer["Responses"].get(self.table, [])
            found += items
            wanted = answer.get("UnprocessedKeys", {}).get(self.table, {}).get("Keys", [])
            if items:
                waits = pauses(self.patience)
            elif wanted and next(waits, None) is None:
                raise UnavailableError(f"DynamoDB left {len(wanted)} reads of a batch undone")
        return found

    def batch(self, puts: Sequence[Item], deletes: Sequence[Key] = ()) -> None:
        """Put and delete items one by one, without conditions; for what nothing refers to."""
        requests: list[Operation] = [{"PutRequest": {"Item": item}} for item in puts]
        requests += [{"DeleteRequest": {"Key": item_key(key)}} for key in deletes]
        sizes = [size_of(item) for item in puts] + [KEY_BYTES] * len(deletes)
        for chunk in portions(requests, sizes, WRITE_ITEMS, REQUEST_BYTES):
            left, waits = list(chunk), pauses(self.patience)
            while left:
                answer = self.call("batch_write_item", RequestItems={self.table: left})
                undone = answer.get("UnprocessedItems", {}).get(self.table, [])
                if len(undone) == len(left) and next(waits, None) is None:
                    raise UnavailableError(f"DynamoDB left {len(undone)} writes of a batch undone")
                left = undone

    def transact(self, operations: Sequence[Operation], token: str) -> None:
        """Apply all operations or none; conditions that do not hold are ``Refused``.

        The token makes repeating safe: the service does a transaction of one token once.
        """
        try:
            self.call("transact_write_items", TransactItems=operations, ClientRequestToken=token)
        except Exception as error:
            failed = [i for i, reason in enumerate(reasons_of(error)) if reason == CONDITION]
            if failed:
                raise Refused(failed) from None
            raise

    def put(self, item: Item, condition: Operation) -> Operation:
        """The operation that stores an item."""
        return {"Put": {"TableName": self.table, "Item": item, **condition}}

    def delete(self, key: Key, condition: Operation) -> Operation:
        """The operation that removes an item."""
        return {"Delete": {"TableName": self.table, "Key": item_key(key), **condition}}

    def check(self, key: Key, condition: Operation) -> Operation:
        """The operation that looks at an item."""
        return {"ConditionCheck": {"TableName": self.table, "Key": item_key(key), **condition}}

    def update(self, key: Key, expression: str, condition: Operation) -> Operation:
        """The operation that changes attributes of an item."""
        found = {"TableName": self.table, "Key": item_key(key), "UpdateExpression": expression}
        return {"Update": {**found, **condition}}


def key_of(item: Item) -> Key:
    """The keys of an item."""
    return item["pk"]["S"], item["sk"]["S"]


def item_key(key: Key) -> Item:
    """Keys as an item has them."""
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


def _keys_of(index: str) -> Key:
    return f"{index}pk", f"{index}sk"


def size_of(item: Item) -> int:
    """About how many bytes an item takes, rather too many: names, values, and a little for each."""
    size = 100
    for name, attribute in item.items():
        ((kind, value),) = attribute.items()
        size += len(name) + 3
        if kind in {"S", "B"}:
            size += len(value) if kind == "B" or value.isascii() else len(value.encode())
        elif kind == "M":
            size += size_of(value)
        elif kind == "L":
            size += sum([size_of({"": member}) for member in value])
        else:
            size += 21
    return size


def _discreet(record: logging.LogRecord) -> bool:
    """Whether a record of the driver may be logged: what is stored is for nobody's log."""
    return record.levelno >= logging.WARNING or not str(record.threadName).startswith(THREADS)


def keep_discreet() -> None:
    """Have the driver log nothing of what our requests contain; those of others it may."""
    for name in TALKATIVE:
        logging.getLogger(name).addFilter(_discreet)


def make_client(settings: Mapping[str, Any], *, workers: int, timeout: float) -> Any:
    """A client of our own: it tries again with growing waits, and slows down where it must."""
    boto3, config = importlib.import_module("boto3"), importlib.import_module("botocore.config")
    given = {name: value for name, value in settings.items() if value is not None}
    profile = given.pop("profile_name", None)
    session = boto3.session.Session(profile_name=profile)
    return session.client(
        "dynamodb",
        **given,
        config=config.Config(
            retries={"mode": "adaptive", "total_max_attempts": 6},
            connect_timeout=timeout,
            read_timeout=timeout,
            max_pool_connections=workers,
            # What is sent is made here; checking each value again takes as long as the rest.
            parameter_validation=False,
            user_agent_extra="mastra-dynamodb",
        ),
    )
