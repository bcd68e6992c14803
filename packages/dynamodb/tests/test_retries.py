"""A service that is busy, leaves work undone, or cannot be reached; and what is sent again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mastra_core.errors import (
    AuthenticationError,
    ConflictError,
    LimitExceededError,
    SchemaError,
    StorageError,
    UnavailableError,
)
from mastra_core.records import Message, Thread
from mastra_core.storage.schema import Put
from mastra_core.storage.tables import EXPERIMENT_RESULTS
from mastra_dynamodb import DynamoDBStore

pytestmark = pytest.mark.asyncio

THREAD = Thread(id="t", resource_id="r")
CANCELED = "TransactionCanceledException"


def message(number: int) -> Message:
    content = {"format": 2, "parts": [{"type": "text", "text": "hello"}]}
    return Message(
        id=f"m-{number:04}",
        thread_id="t",
        resource_id="r",
        role="user",
        content=content,
        created_at=datetime(2024, 3, 1, tzinfo=UTC) + timedelta(milliseconds=number),
    )


def canceled(*codes: str) -> dict[str, Any]:
    return {"CancellationReasons": [{"Code": code} for code in codes]}


@pytest.mark.parametrize(
    ("code", "more"),
    [
        ("ProvisionedThroughputExceededException", {}),
        ("ThrottlingException", {}),
        ("RequestLimitExceeded", {}),
        ("InternalServerError", {}),
        ("TransactionInProgressException", {}),
        (CANCELED, canceled("None", "TransactionConflict")),
        (CANCELED, canceled("ThrottlingError", "None")),
        (CANCELED, canceled("ProvisionedThroughputExceeded")),
    ],
)
async def test_a_busy_service_is_asked_again(open_store, log, code: str, more: Any) -> None:
    memory = open_store().memory
    await memory.save_thread(THREAD)
    log.clear()
    log.refuse("TransactWriteItems", code, 3, **more)
    await memory.save_messages([message(1)])
    assert log.requests.count("TransactWriteItems") == 4
    tokens = {b["ClientRequestToken"] for b in log.bodies if "ClientRequestToken" in b}
    assert len(tokens) == 1, "it is the same write each time"
    assert (await memory.list_messages("t")).messages == [message(1)]


@pytest.mark.parametrize("operation", ["GetItem", "Query", "BatchGetItem"])
async def test_reads_are_asked_again_too(open_store, log, operation: str) -> None:
    memory = open_store().memory
    await memory.save_messages([message(n) for n in range(3)], create=THREAD)
    log.refuse(operation, "ProvisionedThroughputExceededException", 2)
    assert await memory.get_thread_by_id("t") is not None
    assert (await memory.list_messages("t")).total == 3
    assert len(await memory.list_messages_by_id(["m-0000", "m-0001"])) == 2


async def test_patience_has_an_end_and_nothing_was_written(open_store, log, items) -> None:
    store = open_store(timeout=0.2)
    await store.memory.save_thread(THREAD)
    before = items()
    log.refuse("TransactWriteItems", "ThrottlingException", 10_000)
    with pytest.raises(UnavailableError, match="ThrottlingException; try again"):
        await store.memory.save_messages([message(1)])
    assert items() == before


async def test_what_a_batch_left_undone_is_done(open_store, log, items) -> None:
    memory = open_store().memory
    messages = [message(n) for n in range(30)]
    await memory.save_messages(messages, create=THREAD)
    stored = {(item["pk"]["S"], item["sk"]["S"]): item for item in items()}
    answered = [11, 0, 5]

    def undone(operation: str, body: Any) -> Any:
        """The first answers have some, or none, of what was asked for."""
        if operation != "BatchGetItem" or not answered:
            return None
        ((name, asked),) = body["RequestItems"].items()
        count = answered.pop()
        keys = [(key["pk"]["S"], key["sk"]["S"]) for key in asked["Keys"][:count]]
        rest = {name: {**asked, "Keys": asked["Keys"][count:]}}
        found = {name: [stored[key] for key in keys]}
        return 200, {"Responses": found, "UnprocessedKeys": rest}

    log.clear()
    log.answers.append(undone)
    assert await memory.list_messages_by_id([m.id for m in messages]) == messages
    asked = [len(keys["Keys"]) for b in log.bodies for keys in b["RequestItems"].values()]
    assert asked == [30, 25, 25, 14]


async def test_chunks_that_were_left_undone_are_written(open_store, log) -> None:
    workflows = open_store().workflows
    snapshot = {"context": {"input": "x" * 2_000_000}}
    left = [3, 6]

    def undone(operation: str, body: Any) -> Any:
        if operation != "BatchWriteItem" or not left:
            return None
        # The first requests are not done at all; the ones behind them neither.
        left.pop()
        return 200, {"UnprocessedItems": body["RequestItems"]}

    log.answers.append(undone)
    await workflows.persist_workflow_snapshot(workflow_name="w", run_id="r", snapshot=snapshot)
    assert await workflows.load_workflow_snapshot(workflow_name="w", run_id="r") == snapshot
    assert log.requests.count("BatchWriteItem") == 3


async def test_a_batch_that_is_never_done_is_unavailable(open_store, log, items) -> None:
    store = open_store(timeout=0.2)
    await store.memory.save_thread(THREAD)
    before = items()

    def nothing(operation: str, body: Any) -> Any:
        undone = operation == "BatchWriteItem"
        return (200, {"UnprocessedItems": body["RequestItems"]}) if undone else None

    log.answers.append(nothing)
    snapshot = {"context": {"input": "x" * 500_000}}
    with pytest.raises(UnavailableError, match="writes of a batch undone"):
        await store.workflows.persist_workflow_snapshot(
            workflow_name="w", run_id="r", snapshot=snapshot
        )
    assert items() == before


async def test_a_conflict_is_no_busy_service(open_store, log) -> None:
    backend = open_store().backend
    from mastra_conformance.rows import result

    await backend.write(Put(EXPERIMENT_RESULTS, [result("run", "a")]))
    log.clear()
    with pytest.raises(ConflictError):
        await backend.write(Put(EXPERIMENT_RESULTS, [result("run", "a")], "fail"))
    # The write that takes the row for new, then the read that tells that it is not.
    assert log.requests == ["TransactWriteItems", "GetItem"]


@pytest.mark.parametrize(
    ("code", "told", "kind"),
    [
        ("AccessDeniedException", "check the credentials", AuthenticationError),
        ("UnrecognizedClientException", "check the credentials", AuthenticationError),
        ("ExpiredTokenException", "check the credentials", AuthenticationError),
        ("ResourceNotFoundException", "create it first", SchemaError),
        ("ValidationException", "ValidationException: told so", StorageError),
        ("RequestLimitExceeded", "try again", UnavailableError),
    ],
)
async def test_errors_say_what_happened_and_what_to_do(open_store, log, code, told, kind) -> None:
    store = open_store(timeout=0.1)
    await store.memory.save_thread(THREAD)
    log.refuse("GetItem", code, 1000)
    with pytest.raises(kind, match=told) as caught:
        await store.memory.get_thread_by_id("t")
    assert store.backend.place in str(caught.value)


async def test_an_item_that_is_too_large_after_all_is_a_limit(open_store, log) -> None:
    memory = open_store().memory
    await memory.save_thread(THREAD)
    reason = "Item size has exceeded the maximum allowed size"
    log.refuse("TransactWriteItems", "ValidationException", message=reason)
    with pytest.raises(LimitExceededError, match="Item size"):
        await memory.save_messages([message(1)])


class Line:
    """A line to the server that a test cuts: before a request is passed on, or before its answer."""

    def __init__(self, endpoint: str) -> None:
        self.server = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
        self.cut = ""
        self.marker = b""
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(near,), daemon=True).start()

    def _pass(self, near: socket.socket) -> None:
        with near, socket.create_connection(self.server) as far:
            while True:
                request = _read(near)
                if not request:
                    return
                marked = bool(self.marker) and self.marker in request
                if marked and self.cut == "request":
                    self.cuts += 1
                    self.marker = b""
                    return
                far.sendall(request)
                answer = _read(far)
                if marked and self.cut == "answer":
                    self.cuts += 1
                    self.marker = b""
                    return
                near.sendall(answer)

    def close(self) -> None:
        self._listener.close()


def _read(connection: socket.socket) -> bytes:
    """One whole HTTP message."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def line(endpoint: str) -> Iterator[Line]:
    made = Line(endpoint)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("cut", ["request", "answer"])
@pytest.mark.parametrize("count", [1, 60], ids=["one transaction", "a large write"])
async def test_a_connection_that_is_cut_doubles_nothing(
    endpoint, table, cut: str, count: int
) -> None:
    with line(endpoint) as wire:
        store = DynamoDBStore(
            id="cut",
            table_name=table,
            endpoint_url=wire.url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            create_table=True,
        )
        async with store:
            await store.memory.save_thread(THREAD)
            batch = [message(n) for n in range(count)]
            wire.cut, wire.marker = cut, b"TransactWriteItems"
            await store.memory.save_messages(batch)
            assert wire.cuts == 1
            assert (await store.memory.list_messages("t", per_page=False)).messages == batch
            # Had the second sending found the first one, this would be a conflict.
            wire.marker = b"TransactWriteItems"
            await store.memory.clone_thread("t", new_thread_id="clone")
            assert wire.cuts == 2
            assert (await store.memory.list_messages("clone", per_page=False)).total == count


async def test_a_server_that_is_not_there_is_unavailable(table) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    store = DynamoDBStore(
        id="nowhere",
        table_name=table,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="hunter2-secret",
        timeout=0.5,
    )
    with pytest.raises(
        UnavailableError,
        match=rf"EndpointConnectionError, nothing answers at 127.0.0.1:{port}; try again",
    ) as caught:
        await store.memory.get_thread_by_id("t")
    # Looking whether it is there is no answer out of the client's own settings.
    with pytest.raises(UnavailableError, match="DynamoDB could not answer"):
        await store.backend.server()
    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r}"
