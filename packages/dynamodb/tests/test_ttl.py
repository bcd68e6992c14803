"""Time to live: when items expire, and that what has expired is not there."""

from __future__ import annotations

import time

import pytest

from mastra_core.errors import NotFoundError
from mastra_core.records import Message, Thread
from mastra_dynamodb import rows

pytestmark = pytest.mark.asyncio

TTL = {
    "thread": {"default_ttl_seconds": 3600},
    "message": {"default_ttl_seconds": 60, "attribute_name": "expiresAt"},
    "workflow_snapshot": {"default_ttl_seconds": 60, "attribute_name": "dies"},
    "resource": {"default_ttl_seconds": 60, "enabled": False},
}
RUN = {"workflow_name": "w", "run_id": "r"}


def message(number: int) -> Message:
    content = {"format": 2, "parts": [{"type": "text", "text": "hello"}]}
    return Message(id=f"m-{number}", thread_id="t", resource_id="r", role="user", content=content)


class Clock:
    """The time as the reading of rows takes it."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def time(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(rows, "time", made)
    return made


async def test_all_items_of_a_row_say_when_they_expire(open_store, items) -> None:
    store = open_store(ttl=TTL)
    before = int(time.time())
    await store.memory.save_messages([message(1)], create=Thread(id="t", resource_id="r"))
    await store.memory.update_resource("r", working_memory="w")
    snapshot = {"context": {"input": "x" * 500_000}}
    await store.workflows.persist_workflow_snapshot(**RUN, snapshot=snapshot)
    ends = {
        name: [int(item[name]["N"]) - before for item in items() if name in item]
        for name in ("ttl", "expiresAt", "dies")
    }
    # The row and its index items, and for the snapshot two chunks as well.
    assert {name: len(found) for name, found in ends.items()} == {
        "ttl": 4,
        "expiresAt": 3,
        "dies": 7,
    }
    assert all(3600 <= end <= 3630 for end in ends["ttl"])
    assert all(60 <= end <= 90 for end in (*ends["expiresAt"], *ends["dies"]))
    assert len(items()) == 4 + 3 + 7 + 1


async def test_what_has_expired_is_not_there_although_the_service_still_has_it(
    open_store, items, clock
) -> None:
    store = open_store(ttl=TTL)
    memory = store.memory
    await memory.save_messages([message(1), message(2)], create=Thread(id="t", resource_id="r"))
    await store.workflows.persist_workflow_snapshot(**RUN, snapshot={"context": {}})
    stored = len(items())
    clock.ahead = 120
    page = await memory.list_messages("t")
    assert (page.messages, page.total) == ([], 0)
    assert (await memory.list_messages_by_resource_id("r")).messages == []
    assert await memory.list_messages_by_id(["m-1"]) == []
    assert await store.workflows.load_workflow_snapshot(**RUN) is None
    assert (await store.workflows.list_workflow_runs()).total == 0
    assert await memory.get_thread_by_id("t") is not None
    clock.ahead = 7200
    assert await memory.get_thread_by_id("t") is None
    assert (await memory.list_threads(resource_id="r")).total == 0
    with pytest.raises(NotFoundError):
        await memory.save_messages([message(3)])
    with pytest.raises(NotFoundError):
        await memory.update_thread("t", title="x")
    assert len(items()) == stored


async def test_expired_rows_give_way_to_new_ones(open_store, items, clock) -> None:
    store = open_store(ttl=TTL)
    memory = store.memory
    first = Thread(id="t", resource_id="first", title="first")
    await memory.save_thread(first)
    clock.ahead = 7200
    second = Thread(id="t", resource_id="second", title="second")
    # Were the expired one there, this would be a conflict: it belonged to somebody else.
    assert await memory.save_thread(second) == second
    clock.ahead = 0
    assert await memory.get_thread_by_id("t") == second
    assert (await memory.list_threads(resource_id="first")).threads == []
    assert (await memory.list_threads()).threads == [second]
    assert len(items()) == 4


async def test_changing_a_row_does_not_renew_it_and_saving_it_does(
    open_store, items, monkeypatch
) -> None:
    store = open_store(ttl=TTL)
    thread = Thread(id="t", resource_id="r")

    def end() -> int:
        (found,) = {int(item["ttl"]["N"]) for item in items() if "ttl" in item}
        return found

    await store.memory.save_thread(thread)
    saved = end()
    monkeypatch.setattr("mastra_dynamodb.writes.time.time", lambda now=time.time: now() + 1000)
    await store.memory.save_messages([message(1)])
    await store.memory.update_thread("t", title="new")
    assert end() == saved
    await store.memory.save_thread(thread)
    assert end() >= saved + 999


async def test_a_store_without_ttl_reads_what_expires_too(open_store, clock) -> None:
    """The attributes of the original, ``ttl`` and ``expiresAt``, are looked at by everybody."""
    await open_store(ttl=TTL).memory.save_thread(Thread(id="t", resource_id="r"))
    plain = open_store().memory
    assert await plain.get_thread_by_id("t") is not None
    clock.ahead = 7200
    assert await plain.get_thread_by_id("t") is None
    assert (await plain.list_threads()).threads == []
