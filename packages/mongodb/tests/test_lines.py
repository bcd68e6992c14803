"""Lines that are cut and servers that refuse: what is safe to repeat is repeated, and nothing is doubled."""

from __future__ import annotations

import asyncio

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from mastra_core import Message, Thread
from mastra_core.errors import ConflictError, StorageError, UnavailableError
from mastra_core.storage.schema import Put, Update, Where
from mastra_core.storage.tables import MESSAGES, THREADS

from .rows import AT, message, rows_of, thread

pytestmark = pytest.mark.asyncio
TEXT = {"format": 2, "parts": [{"type": "text", "text": "hi"}]}


def said(count: int) -> list[Message]:
    return [
        Message(id=f"m{n}", thread_id="t", resource_id="r", role="user", content=TEXT)
        for n in range(count)
    ]


async def opened(factory, way):
    """A store through a line; all tables are there, so that what follows is the call alone."""
    # Closed at once: of a client that is collected open, the sockets would be closed behind the loop's back.
    async with factory():
        pass
    store = factory(url=way.url(factory.db_name))
    await store.memory.save_thread(Thread(id="t", resource_id="r", title="0", created_at=AT))
    way.seen.clear()
    return store


async def test_a_change_of_one_row_whose_answer_was_lost_is_done_once(replica_set, line):
    """The server knows the statement again by its number."""
    async with line(replica_set.server) as way:
        store = await opened(replica_set, way)
        found = await store.memory.get_thread_by_id("t")
        way.seen.clear()
        way.cuts = [("update", "behind")]
        await store.memory.update_thread("t", metadata={"k": 1})
        again = await store.memory.get_thread_by_id("t")
        assert (found.updated_at < again.updated_at, again.metadata) == (True, {"k": 1})
        assert way.seen.count("update") == 2
        await store.close()


@pytest.mark.parametrize(
    "cut",
    [
        ("update", "before"),
        ("update", "behind"),
        ("commitTransaction", "before"),
        ("commitTransaction", "behind"),
    ],
)
async def test_a_transaction_that_was_cut_is_done_once(replica_set, line, cut):
    async with line(replica_set.server) as way:
        store = await opened(replica_set, way)
        way.cuts = [cut]
        await store.memory.save_messages(said(3))
        assert way.cuts == []
        assert [m.id for m in (await store.memory.list_messages("t")).messages] == [
            "m0",
            "m1",
            "m2",
        ]
        await store.close()


async def test_without_transactions_a_lost_answer_is_an_error_and_nothing_is_repeated(
    standalone, line
):
    """The write was done; a caller that repeats it does not double it."""
    async with line(standalone.server) as way:
        store = await opened(standalone, way)
        found = await store.memory.get_thread_by_id("t")
        change = Update(THREADS, (Where("id", "eq", "t"),), {"title": "1"}, expect=1)
        way.seen.clear()
        way.cuts = [("update", "behind")]
        with pytest.raises(UnavailableError, match="write mastra_threads"):
            await store.backend.write(change)
        assert way.seen.count("update") == 1
        assert (await store.memory.get_thread_by_id("t")).title == "1"
        assert found.title == "0"
        await store.close()


async def test_a_cut_in_the_middle_of_an_ordered_write_is_taken_back(standalone, line, monkeypatch):
    async with line(standalone.server) as way:
        store = await opened(standalone, way)
        before = await rows_of(store, THREADS)
        change = Update(THREADS, (Where("id", "eq", "t"),), {"title": "1"}, expect=1)
        run = type(store.backend)._send

        async def cutting(self, step, operations, session):
            # The guard, which goes first, is done; the messages are not sent.
            if step.change.table is MESSAGES:
                way.cuts = [("insert", "before")]
            return await run(self, step, operations, session)

        monkeypatch.setattr(type(store.backend), "_send", cutting)
        with pytest.raises(UnavailableError):
            await store.backend.write(Put(MESSAGES, [message("m", "t"), message("n", "t")]), change)
        assert await rows_of(store, MESSAGES) == []
        assert await rows_of(store, THREADS) == before
        await store.close()


async def test_reads_are_repeated(anywhere, line):
    async with line(anywhere.server) as way:
        store = await opened(anywhere, way)
        way.cuts = [("find", "behind")]
        assert (await store.memory.get_thread_by_id("t")).title == "0"
        await store.close()


def refusing(monkeypatch, backend, errors):
    """Have the transactions of a backend fail with these errors, one after the other."""
    transact = type(backend)._transact
    given = iter(errors)

    async def failing(self, made, *, look):
        error = next(given, None)
        if error is not None:
            raise error
        return await transact(self, made, look=look)

    monkeypatch.setattr(type(backend), "_transact", failing)


def conflict(label: str = "TransientTransactionError") -> OperationFailure:
    return OperationFailure("WriteConflict", 112, {"errmsg": "conflict", "errorLabels": [label]})


async def test_a_transaction_that_met_another_is_tried_again(replica_set, monkeypatch):
    async with replica_set() as s:
        await s.memory.save_thread(Thread(id="t", resource_id="r"))
        refusing(monkeypatch, s.backend, [conflict(), conflict(), conflict()])
        await s.memory.save_messages(said(2))
        assert (await s.memory.list_messages("t")).total == 2


async def test_attempts_are_bounded_and_the_error_says_that_others_were_in_the_way(
    replica_set, monkeypatch
):
    async with replica_set(retry_seconds=0.05) as s:
        await s.memory.save_thread(Thread(id="t", resource_id="r"))
        refusing(monkeypatch, s.backend, [conflict() for _ in range(10_000)])
        with pytest.raises(UnavailableError, match="others changed the same rows for too long"):
            await s.memory.save_messages(said(2))
        assert (await s.memory.list_messages("t")).total == 0


async def left_open(factory, client) -> None:
    """Have a transaction that changed a thread, and that nobody ever ends."""
    session = client.start_session()
    await session.start_transaction()
    change = {"$set": {"title": "half"}}
    await client[factory.db_name][THREADS.name].update_one({"id": "t"}, change, session=session)


async def test_a_transaction_of_a_killed_process_is_waited_for_but_not_for_ever(replica_set):
    """The server aborts it some time later, and then others go on."""
    async with replica_set(retry_seconds=0.01) as hasty, replica_set(retry_seconds=60) as patient:
        await hasty.memory.save_thread(Thread(id="t", resource_id="r", title="whole"))
        dead = AsyncMongoClient(replica_set.url)
        await left_open(replica_set, dead)
        with pytest.raises(UnavailableError, match="write mastra_threads"):
            await hasty.memory.update_thread("t", title="now")
        with pytest.raises(UnavailableError, match="others changed the same rows for too long"):
            await hasty.memory.save_messages(said(2))
        assert (await patient.memory.get_thread_by_id("t")).title == "whole"
        await patient.memory.update_thread("t", title="later")
        assert (await patient.memory.get_thread_by_id("t")).title == "later"
        await dead.close()


async def test_other_refusals_are_not_repeated(replica_set, monkeypatch):
    async with replica_set() as s:
        await s.memory.save_thread(Thread(id="t", resource_id="r"))
        refused = OperationFailure("no", 121, {"errmsg": "Document failed validation"})
        refusing(monkeypatch, s.backend, [refused])
        with pytest.raises(StorageError, match="Document failed validation") as caught:
            await s.memory.save_messages(said(2))
        assert not isinstance(caught.value, (UnavailableError, ConflictError))


async def test_writers_of_the_same_rows_all_get_their_turn(anywhere):
    """Whatever the server says to those who come second."""
    stores = [anywhere() for _ in range(3)]
    await stores[0].memory.save_thread(Thread(id="t", resource_id="r"))

    async def write(n: int) -> None:
        await stores[n % 3].memory.save_messages(
            [
                Message(id=f"{n}/{i}", thread_id="t", resource_id="r", role="user", content=TEXT)
                for i in range(3)
            ]
        )

    await asyncio.gather(*(write(n) for n in range(12)))
    assert (await stores[0].memory.list_messages("t")).total == 36
    for store in stores:
        await store.close()


async def test_a_new_row_that_somebody_else_inserts_first_is_changed(anywhere):
    """Both see no row and insert it; the unique index lets one, and the other comes again."""
    stores = [anywhere() for _ in range(4)]
    await stores[0].init()
    for turn in range(5):
        rows = [[thread(f"{turn}", title=str(n))] for n in range(4)]
        counts = await asyncio.gather(
            *(s.backend.write(Put(THREADS, r)) for s, r in zip(stores, rows, strict=True))
        )
        assert counts == [[1]] * 4
    assert len(await rows_of(stores[0], THREADS)) == 5
    for store in stores:
        await store.close()
