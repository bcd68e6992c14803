"""Writes of more than a transaction takes: whole or not there, whenever the writer dies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from mastra_core.errors import ConflictError, UnavailableError
from mastra_core.records import Message, Thread
from mastra_core.storage.schema import Delete, Put, Query, Update, Where
from mastra_core.storage.tables import EXPERIMENT_RESULTS, MESSAGES, THREADS
from mastra_dynamodb import DynamoDBStore, transactions

pytestmark = pytest.mark.asyncio

MARKS = {"_tx", "_next", "_gone", "_new", "state", "keys"}


def message(thread_id: str, number: int, text: str = "hello") -> Message:
    content = {"format": 2, "parts": [{"type": "text", "text": text}]}
    return Message(
        id=f"{thread_id}-{number:03}",
        thread_id=thread_id,
        resource_id="r",
        role="user",
        content=content,
    )


async def filled(store: DynamoDBStore, name: str, count: int = 40) -> list[Message]:
    messages = [message(name, n) for n in range(count)]
    await store.memory.save_messages(messages, create=Thread(id=name, resource_id="r"))
    return messages


async def append(store: DynamoDBStore, name: str) -> None:
    await store.memory.save_messages([message(name, 100 + n) for n in range(60)])


async def replace(store: DynamoDBStore, name: str) -> None:
    again = [message(name, n, "again") for n in range(80)]
    await store.memory.save_messages(again)


async def move(store: DynamoDBStore, name: str) -> None:
    await store.memory.update_thread_resource_id(name, resource_id=f"other-{name}")


async def delete(store: DynamoDBStore, name: str) -> None:
    await store.memory.delete_thread(name)


async def seen(store: DynamoDBStore, name: str) -> Any:
    """What a reader finds: by thread, by resource, by id, and by counting."""
    memory = store.memory
    found = await memory.get_thread_by_id(name)
    page = await memory.list_messages(name, per_page=False)
    of_other = await memory.list_messages_by_resource_id(f"other-{name}", per_page=False)
    ids = [message(name, n).id for n in (0, 79, 100, 159)]
    by_id = await memory.list_messages_by_id(ids)
    where = (Where("thread_id", "eq", name),)
    return (
        found and found.resource_id,
        [(m.id, m.resource_id, m.text) for m in page.messages],
        [m.id for m in of_other.messages],
        [(m.id, m.text) for m in by_id],
        await store.backend.count(MESSAGES, where),
    )


def dies_at(number: int) -> Callable[[str, Any], None]:
    """From its request of this number on a client reaches nobody."""
    sent = 0

    def answer(operation: str, body: Any) -> None:
        nonlocal sent
        sent += 1
        if sent > number:
            raise EndpointConnectionError(endpoint_url="http://nowhere.example")

    return answer


@pytest.mark.parametrize("call", [append, replace, move, delete])
async def test_a_writer_that_dies_at_any_request_leaves_all_or_nothing(
    call: Callable[[DynamoDBStore, str], Awaitable[None]], open_store, log, items, monkeypatch
) -> None:
    local = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    where = {"endpoint_url": log.client.meta.endpoint_url, "region_name": "us-east-1", **local}
    reader, writer = open_store(client=None, **where), open_store()
    await filled(reader, "whole")
    await writer.init()
    log.clear()
    await call(writer, "whole")
    requests = len(log.requests)
    assert requests > 4
    wanted = await seen(reader, "whole")
    unchanged: list[bool] = []
    for number in range(requests):
        name = f"n{number:02}-{call.__name__}"
        await filled(reader, name)
        before = await seen(reader, name)
        log.answers = [dies_at(number)]
        with pytest.raises(UnavailableError):
            await call(writer, name)
        log.answers = []
        found = await seen(reader, name)
        assert str(found) in {str(before), str(wanted).replace("whole", name)}, number
        # Whoever comes across what a dead writer left puts it in order.
        with monkeypatch.context() as patch:
            patch.setattr(transactions, "DEAD_AFTER", -1.0)
            assert await seen(reader, name) == found
            await reader.memory.delete_thread(name)
        unchanged.append(found == before)
    assert unchanged == sorted(unchanged, reverse=True), "what became valid once stays so"
    assert {True, False} == set(unchanged)
    left = [item for item in items() if MARKS & item.keys()]
    assert {item["pk"]["S"].partition("#")[0] for item in left} <= {"mastra_transaction"}


async def test_nobody_sees_a_part_of_a_write(open_store, log) -> None:
    reader, writer = open_store(), open_store()
    await filled(reader, "t", 10)
    looks: list[int] = []

    async def look() -> None:
        page = await reader.memory.list_messages("t", per_page=False)
        assert len({m.text for m in page.messages[:10]}) == 1
        looks.append(len(page.messages))

    loop = asyncio.get_running_loop()
    waiting = True

    def between(operation: str, body: Any) -> None:
        # The writer's thread waits while somebody reads.
        if waiting and operation == "TransactWriteItems":
            asyncio.run_coroutine_threadsafe(look(), loop).result(30)

    log.answers = [between]
    again = [message("t", n, "again") for n in range(80)]
    await writer.memory.save_messages(again)
    waiting = False
    await look()
    assert set(looks) == {10, 80}
    assert looks == sorted(looks)
    assert len(looks) > 5


async def test_who_meets_an_unfinished_write_waits_for_it(open_store, log) -> None:
    slow, quick = open_store(), open_store()
    await filled(quick, "t", 10)
    loop = asyncio.get_running_loop()
    tasks: list[Any] = []

    def meet(operation: str, body: Any) -> None:
        staged = operation == "TransactWriteItems" and len(body["TransactItems"]) == 100
        if staged and not tasks:
            # Begins between two requests of the large write.
            update = quick.memory.update_thread("t", metadata={"quick": True})
            tasks.append(asyncio.run_coroutine_threadsafe(update, loop))

    log.after = [lambda name, parsed: None]
    log.answers = [meet]
    await slow.memory.save_messages([message("t", n) for n in range(200)])
    await asyncio.wrap_future(tasks[0])
    found = await quick.memory.get_thread_by_id("t")
    assert found is not None
    assert found.metadata == {"quick": True}
    assert (await quick.memory.list_messages("t")).total == 200


async def test_a_writer_taken_for_dead_begins_again(open_store, log, items, monkeypatch) -> None:
    slow, quick = open_store(), open_store()
    await filled(quick, "t", 10)
    loop = asyncio.get_running_loop()
    done: list[str] = []

    def meet(operation: str, body: Any) -> None:
        if operation != "TransactWriteItems" or len(body["TransactItems"]) < 90 or done:
            return
        done.append(operation)

    def behind(operation: str, parsed: Any) -> None:
        if done == ["TransactWriteItems"]:
            done.append("met")
            with monkeypatch.context() as patch:
                patch.setattr(transactions, "DEAD_AFTER", -1.0)
                title = quick.memory.update_thread("t", title="quick")
                asyncio.run_coroutine_threadsafe(title, loop).result(30)

    log.answers, log.after = [meet], [behind]
    await slow.memory.save_messages([message("t", n) for n in range(100)])
    assert done == ["TransactWriteItems", "met"]
    found = await quick.memory.get_thread_by_id("t")
    assert found is not None
    assert found.title == "quick"
    assert (await quick.memory.list_messages("t")).total == 100
    assert [item for item in items() if MARKS & item.keys()] == []


async def test_an_answer_that_was_lost_is_looked_up(open_store, log, items) -> None:
    store = open_store()
    await filled(store, "t", 10)
    lost: list[str] = []

    def lose(operation: str, parsed: Any) -> None:
        body = log.bodies[-1]
        states = str(body)
        if operation == "TransactWriteItems" and "'committed'" in states and not lost:
            lost.append(operation)
            raise EndpointConnectionError(endpoint_url="http://nowhere.example")

    log.after = [lose]
    await store.memory.save_messages([message("t", n) for n in range(100)])
    assert lost
    assert (await store.memory.list_messages("t")).total == 100
    assert [item for item in items() if MARKS & item.keys()] == []


async def test_guards_of_a_large_write_hold(open_store, items) -> None:
    from mastra_conformance.rows import result

    backend = open_store().backend
    rows = [result("run", f"{n:03}") for n in range(150)]
    await backend.write(Put(EXPERIMENT_RESULTS, rows))
    whole = (Where("experimentId", "eq", "run"),)
    before = items()
    for change in (
        Update(EXPERIMENT_RESULTS, whole, {"comment": "x"}, expect=149),
        Delete(EXPERIMENT_RESULTS, whole, expect=151),
        Update(THREADS, (Where("id", "eq", "nobody"),), {"title": "x"}, expect=1),
    ):
        with pytest.raises(ConflictError) as caught:
            await backend.write(Update(EXPERIMENT_RESULTS, whole, {"attempt": 1}), change)
        assert caught.value.change == 1
    key = lambda item: (item["pk"]["S"], item["sk"]["S"])  # noqa: E731
    assert sorted(items(), key=key) == sorted(before, key=key)
    unmatched = Update(EXPERIMENT_RESULTS, (*whole, Where("attempt", "eq", 7)), {"attempt": 8}, 0)
    assert await backend.write(unmatched, Put(EXPERIMENT_RESULTS, rows[:1])) == [0, 1]
    assert await backend.write(Delete(EXPERIMENT_RESULTS, whole, expect=150)) == [150]
    assert await backend.find(EXPERIMENT_RESULTS, Query()) == []
    assert items() == []
