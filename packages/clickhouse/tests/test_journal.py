"""The journal: of several writers one comes behind an entry, and nothing of a write is lost or twice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from mastra_clickhouse import ClickhouseStore
from mastra_clickhouse.journal import APPLIED, ENTRY, Block, Journal, Progress, lines
from mastra_clickhouse.schema import HOUR, JOURNAL
from mastra_core import Thread
from mastra_core.errors import ConflictError, InvalidArgumentError, SchemaError, UnavailableError
from mastra_core.storage.schema import Put, Query, Update, Where
from mastra_core.storage.tables import THREADS

pytestmark = pytest.mark.asyncio

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


def thread(name: str, title: str = "") -> tuple[Any, ...]:
    return (name, "u", title, None, NOON, NOON)


def another(store: ClickhouseStore) -> Journal:
    """The journal as another process knows it."""
    backend: Any = store.backend
    return Journal(backend._wire, backend.schema, Progress())


def _row(name: str, version: int) -> bytes:
    return lines([(name, "u", "", "2024-03-01T12:00:00Z", "2024-03-01T12:00:00Z", version)])


async def entries(store: ClickhouseStore, kind: int = ENTRY) -> list[tuple[int, int]]:
    """Predecessor and position of each entry, in order."""
    backend: Any = store.backend
    table = backend.schema.name(JOURNAL)
    sql = f"SELECT previous, position FROM {table} WHERE kind = {{k:UInt8}} ORDER BY position"
    return list(zip(*await backend._wire.fetch(sql, {"k": kind}), strict=True))


async def titles(store: ClickhouseStore) -> dict[Any, Any]:
    query = Query(columns=("id", "title"))
    return dict(await store.backend.find(THREADS, query))  # type: ignore[arg-type]


async def test_of_writers_behind_one_entry_one_wins(open_store) -> None:
    async with open_store() as store:
        await store.backend.write(Put(THREADS, [thread("a")]))
        journals = [another(store) for _ in range(5)]
        head = await journals[0].head()
        position = journals[0].position(head)
        names = ("id", "resourceId", "title", "createdAt", "updatedAt", "_version")
        won = await asyncio.gather(
            *(
                journal.commit(head, at, [Block("mastra_threads", names, _row(str(at), at))])
                for at, journal in enumerate(journals, position)
            )
        )
        assert sum(won) == 1
        ((previous, at),) = (await entries(store))[-1:]
        assert (previous, at) == (head, position + won.index(True))
        await journals[0].repair(previous, at)
        assert sorted(await titles(store)) == [str(at), "a"]


async def test_entries_are_one_chain(open_store) -> None:
    stores = [open_store() for _ in range(3)]
    await asyncio.gather(
        *(
            store.memory.save_thread(Thread(id=f"{n}-{i}", resource_id="u"))
            for i, store in enumerate(stores)
            for n in range(4)
        )
    )
    found = await entries(stores[0])
    assert [previous for previous, _ in found] == [0, *(position for _, position in found[:-1])]
    assert len(await titles(stores[0])) == 12
    for store in stores:
        await store.close()


async def test_a_writer_that_dies_behind_its_entry_is_finished_by_the_next(
    open_store, log, monkeypatch
) -> None:
    monkeypatch.setattr("mastra_clickhouse.journal.INSISTS", 0.0)
    async with open_store() as store:
        await store.backend.write(Put(THREADS, [thread("a", "old"), thread("b", "old")]))
        log.fail = lambda what: OSError("gone") if what.endswith("mastra_threads") else None
        with pytest.raises(UnavailableError, match="in its journal"):
            await store.backend.write(Put(THREADS, [thread("a", "new"), thread("c", "new")]))
        assert await titles(store) == {"a": "old", "b": "old"}
        log.fail = lambda _: None
        await store.backend.write(Put(THREADS, [thread("d")]))
        assert await titles(store) == {"a": "new", "b": "old", "c": "new", "d": ""}


async def test_an_answer_that_is_lost_makes_nothing_twice(open_store, log) -> None:
    async with open_store() as store:
        await store.backend.write(Put(THREADS, [thread("a")]))
        before = len(await entries(store))
        lost = [OSError("cut")]
        log.lose = lambda what: lost.pop() if lost and what.endswith(JOURNAL) else None
        counts = await store.backend.write(Put(THREADS, [thread("a"), thread("b")], "skip"))
        assert (counts, lost) == ([1], [])
        assert len(await entries(store)) == before + 1


async def test_who_opens_the_database_finishes_what_a_dead_writer_left(
    open_store, log, monkeypatch
) -> None:
    monkeypatch.setattr("mastra_clickhouse.journal.INSISTS", 0.0)
    async with open_store() as store:
        await store.backend.write(Put(THREADS, [thread("a")]))
        log.fail = lambda what: OSError("gone") if what.endswith("mastra_threads") else None
        with pytest.raises(UnavailableError):
            await store.backend.write(Put(THREADS, [thread("b")]))
        log.fail = lambda _: None
        async with open_store() as other:
            assert sorted(await titles(other)) == ["a", "b"]


async def test_an_entry_is_put_into_the_tables_however_often_that_is_cut(open_store, log) -> None:
    async with open_store() as store:
        await store.backend.write(Put(THREADS, [thread("a")]))
        cut = [OSError("cut")] * 3
        log.fail = lambda what: cut.pop() if cut and what.endswith("mastra_threads") else None
        assert await store.backend.write(Put(THREADS, [thread("b")], "fail")) == [1]
        assert (sorted(await titles(store)), cut) == (["a", "b"], [])


async def test_a_write_that_was_not_sent_is_sent_again(open_store, log) -> None:
    async with open_store() as store:
        await store.backend.write(Put(THREADS, [thread("a")]))
        cut = [OSError("cut")]
        log.fail = lambda what: cut.pop() if cut and what.endswith(JOURNAL) else None
        assert await store.backend.write(Put(THREADS, [thread("b")], "fail")) == [1]
        assert sorted(await titles(store)) == ["a", "b"]


async def test_an_entry_that_is_applied_again_changes_nothing(open_store) -> None:
    async with open_store() as store:
        await store.backend.write(Put(THREADS, [thread("a", "first")]))
        ((previous, position),) = (await entries(store))[-1:]
        await store.backend.write(Put(THREADS, [thread("a", "second")]))
        await another(store).repair(previous, position)
        assert await titles(store) == {"a": "second"}
        assert await store.backend.count(THREADS) == 1


async def test_writes_that_wait_are_one_entry_and_fail_by_themselves(open_store) -> None:
    async with open_store() as store:
        await store.backend.write(Put(THREADS, [thread("taken")]))
        before = len(await entries(store))
        calls = [
            store.backend.write(
                Put(THREADS, [thread("taken" if n == 3 else f"t{n}", str(n))], "fail")
            )
            for n in range(20)
        ]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(o) for n, o in enumerate(outcomes) if n == 3] == [ConflictError]
        assert [o for n, o in enumerate(outcomes) if n != 3] == [[1]] * 19
        assert len(await entries(store)) - before <= 2
        assert len(await titles(store)) == 20


async def test_a_write_of_what_no_column_takes_is_refused_before_it_is_an_entry(
    open_store,
) -> None:
    async with open_store() as store:
        await store.backend.write(Put(THREADS, [thread("a")]))
        before = await entries(store)
        with pytest.raises(InvalidArgumentError, match="title of mastra_threads"):
            await store.backend.write(Put(THREADS, [("b", "u", 5, None, NOON, NOON)]))
        assert await entries(store) == before


async def test_a_quiet_journal_is_marked(open_store) -> None:
    store = open_store()
    await store.backend.write(Put(THREADS, [thread("a")]))
    await store.close()
    async with open_store() as other:
        assert (await entries(other))[-1] == (await entries(other, APPLIED))[-1]


async def test_a_cancelled_write_that_waits_is_not_done(open_store) -> None:
    async with open_store() as store:
        await store.backend.write(Put(THREADS, [thread("a")]))
        first = asyncio.create_task(store.backend.write(Put(THREADS, [thread("b")])))
        await asyncio.sleep(0)
        second = asyncio.create_task(store.backend.write(Put(THREADS, [thread("c")])))
        await asyncio.sleep(0)
        second.cancel()
        assert await first == [1]
        with pytest.raises(asyncio.CancelledError):
            await second
        update = Update(THREADS, (Where("id", "eq", "c"),), {"title": "x"})
        assert await store.backend.write(update) == [0]


async def test_old_parts_of_the_journal_are_dropped_and_the_newest_entry_is_not(
    open_store,
) -> None:
    async with open_store() as store:
        backend: Any = store.backend
        await store.init()
        table = backend.schema.name(JOURNAL)
        names = ("previous", "position", "kind", "token", "name", "data")
        old = [(n * HOUR, (n + 1) * HOUR, APPLIED, "", "", "") for n in range(1, 4)]
        await backend._wire.insert(table, names, lines(old), "old")
        await store.backend.write(Put(THREADS, [thread("a")]))
        journal = another(store)
        await journal._clean()
        left = await entries(store, APPLIED)
        assert [pair for pair in left if pair[0] < 3 * HOUR] == []
        assert [pair[0] for pair in await entries(store)] == [4 * HOUR]


async def test_a_server_that_forgets_tokens_is_refused(open_store, monkeypatch) -> None:
    async with open_store() as store:
        await store.init()
        backend: Any = store.backend
        monkeypatch.setitem(backend._wire._inserts, "insert_deduplicate", 0)
        monkeypatch.setitem(backend._wire._inserts, "deduplicate_insert", "disable")
        with pytest.raises(SchemaError, match="stores an insert"):
            await another(store).probe()
