"""Busy deployments, conflicts between mutations and lost answers: nothing is doubled, and nothing hidden."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from backends import Address

from mastra_convex import ConvexStore
from mastra_core.errors import StorageError, UnavailableError
from mastra_core.records import Message, Thread

from .wire import AFTER, BEFORE, Answer, Cut, Wire

UNDONE = [
    Answer(503, "OptimisticConcurrencyControlFailure"),
    Answer(503, "TooManyConcurrentRequests", "Too many concurrent requests, see the limits"),
    Answer(503, "ExpiredInQueue"),
    Answer(429, "RateLimited"),
    Answer(429, ""),
]
UNCLEAR = [Answer(500, "InternalServerError"), Answer(502, ""), Answer(504, ""), BEFORE, AFTER]


def message(thread_id: str) -> Message:
    content = {"format": 2, "parts": [{"type": "text", "text": "hello"}]}
    return Message(thread_id=thread_id, resource_id="r", role="user", content=content)


@pytest.fixture
def wire() -> Wire:
    """What a test lets happen to requests."""
    return Wire()


@pytest_asyncio.fixture
async def store(convex: Address, wire: Wire) -> AsyncIterator[ConvexStore]:
    """A store on a deployment of its own, with a thread ``t``."""
    url = f"{convex.url}/d/{uuid4().hex}"
    async with httpx.AsyncClient(transport=wire) as client:
        made = ConvexStore(id="t", deployment_url=url, client=client, patience=1, **convex.options)
        await made.memory.save_thread(Thread(id="t", resource_id="r"))
        wire.kinds.clear()
        yield made
        assert not client.is_closed
        await made.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", UNDONE, ids=str)
async def test_what_was_not_done_is_sent_again(
    store: ConvexStore, wire: Wire, answer: Answer
) -> None:
    wire.faults.extend([answer, answer])
    saved = await store.memory.save_messages([message("t"), message("t")])
    assert wire.kinds == ["mutation"] * 3
    assert (await store.memory.list_messages("t")).messages == saved


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", UNDONE, ids=str)
async def test_patience_ends_and_the_error_says_that_nothing_was_done(
    store: ConvexStore, wire: Wire, answer: Answer
) -> None:
    wire.faults.extend([answer] * 1000)
    with pytest.raises(UnavailableError, match="nothing was done; try again"):
        await store.memory.save_messages([message("t")])
    assert len(wire.kinds) > 10
    wire.faults.clear()
    assert (await store.memory.list_messages("t")).total == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", UNCLEAR, ids=str)
async def test_a_write_that_may_have_been_done_is_sent_once(
    store: ConvexStore, wire: Wire, fault: Answer | Cut
) -> None:
    wire.faults.append(fault)
    with pytest.raises(UnavailableError, match="may have been done or not; look before"):
        await store.memory.save_messages([message("t")])
    assert wire.kinds == ["mutation"]
    assert (await store.memory.list_messages("t")).total == (1 if fault == AFTER else 0)


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", UNCLEAR, ids=str)
async def test_a_read_is_sent_again(store: ConvexStore, wire: Wire, fault: Answer | Cut) -> None:
    wire.faults.append(fault)
    found = await store.memory.get_thread_by_id("t")
    assert found is not None
    assert wire.kinds == ["query", "query"]


@pytest.mark.asyncio
async def test_what_a_function_threw_is_not_sent_again(store: ConvexStore, wire: Wire) -> None:
    wire.faults.append(Answer(560, "Error", "Uncaught Error: of your own"))
    with pytest.raises(StorageError, match="of your own"):
        await store.memory.get_thread_by_id("t")
    assert wire.kinds == ["query"]


@pytest.mark.asyncio
async def test_counters_under_conflicts_lose_no_update(store: ConvexStore, wire: Wire) -> None:
    """A compare-and-set that Convex itself refuses is decided by what is stored when it is done."""
    conflict = Answer(503, "OptimisticConcurrencyControlFailure")
    wire.faults.extend([None, conflict] * 10)
    changes = [store.memory.update_thread("t", metadata={f"k{n}": n}) for n in range(8)]
    await asyncio.gather(*changes)
    found = await store.memory.get_thread_by_id("t")
    assert found is not None
    assert found.metadata == {f"k{n}": n for n in range(8)}


def test_one_store_serves_several_event_loops_in_turn(convex: Address) -> None:
    url = f"{convex.url}/d/{uuid4().hex}"
    store = ConvexStore(id="t", deployment_url=url, **convex.options)

    async def append(number: int) -> int:
        if number == 0:
            await store.memory.save_thread(Thread(id="t", resource_id="r"))
        await store.memory.save_messages([message("t") for _ in range(2)])
        return (await store.memory.list_messages("t")).total

    assert [asyncio.run(append(number)) for number in range(3)] == [2, 4, 6]
    with asyncio.Runner() as first, asyncio.Runner() as second:
        totals = [runner.run(append(n)) for n, runner in enumerate([first, second, first], start=3)]
    assert totals == [8, 10, 12]
    asyncio.run(store.close())
