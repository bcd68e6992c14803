"""Optimizing: in the background after so many commits, by hand, and never under a reader's feet."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from mastra_core.storage.schema import Query, Where
from mastra_core.storage.tables import MESSAGES
from mastra_lance import LanceStore

from .rows import ids, message, raw, thread

pytestmark = pytest.mark.asyncio


async def fragments(path: Path, table: str) -> int:
    """Of how many files a table is made."""
    stats = await (await raw(path, table)).stats()
    return int(stats["fragment_stats"]["num_fragments"])


async def test_small_files_are_joined_in_the_background(tmp_path: Path) -> None:
    """After so many commits; closing waits for it."""
    store = LanceStore(tmp_path, optimize_every=8)
    await store.memory.save_thread(thread())
    for number in range(10):
        await store.memory.save_messages([message(number)])
    await store.close()
    assert await fragments(tmp_path, "mastra_messages") < 8
    assert len(await ids(tmp_path, "mastra_messages")) == 10


async def test_it_can_be_switched_off_and_done_by_hand(tmp_path: Path) -> None:
    """Columns of declared indexes get one where a table is large enough to need it."""
    async with LanceStore(tmp_path, optimize_every=0) as store:
        await store.memory.save_thread(thread())
        for start in range(0, 1200, 100):
            await store.memory.save_messages([message(start + n) for n in range(100)])
        assert await fragments(tmp_path, "mastra_messages") == 12
        await store.optimize()
        assert await fragments(tmp_path, "mastra_messages") == 1
        found = await (await raw(tmp_path, "mastra_messages")).list_indices()
        columns = {column for index in found for column in index.columns}
        assert columns == {"id", "thread_id", "createdAt", "resourceId"}
        assert len((await store.memory.list_messages("t", per_page=False)).messages) == 1200


async def test_readers_go_on_while_a_table_is_optimized(tmp_path: Path) -> None:
    """Old versions stay for a while, and a reader has one."""
    store = LanceStore(tmp_path, optimize_every=0, keep_versions=timedelta(seconds=10))
    await store.memory.save_thread(thread())
    for number in range(6):
        await store.memory.save_messages([message(number)])
    done = asyncio.Event()

    async def read() -> int:
        count = 0
        while not done.is_set():
            page = await store.memory.list_messages("t", per_page=False)
            assert len(page.messages) == 6
            count += 1
        return count

    reading = asyncio.ensure_future(read())
    for _ in range(3):
        await store.optimize()
    done.set()
    assert await reading > 0
    await store.close()


async def test_rows_that_the_original_doubled_are_one_again(tmp_path: Path) -> None:
    """It appends a thread each time it is saved; the one that was changed last stays."""
    async with LanceStore(tmp_path) as store:
        await store.memory.save_thread(thread())
        await store.memory.save_thread(thread("other"))
        table = await raw(tmp_path, "mastra_threads")
        row = (await table.query().where("id = 't'").to_arrow()).to_pylist()[0]
        await table.add([{**row, "title": "later", "updatedAt": row["updatedAt"] + 5}])
        await store.optimize()
        assert await ids(tmp_path, "mastra_threads") == ["other", "t"]
        found = await store.memory.get_thread_by_id("t")
        assert found is not None
        assert found.title == "later"


async def test_of_doubled_rows_the_later_one_is_read_and_changed(tmp_path: Path) -> None:
    """Saving the row leaves one, without waiting for that."""
    async with LanceStore(tmp_path) as store:
        await store.memory.save_thread(thread())
        table = await raw(tmp_path, "mastra_threads")
        row = (await table.query().where("id = 't'").to_arrow()).to_pylist()[0]
        await table.add([{**row, "title": "later", "updatedAt": row["updatedAt"] + 5}])
        changed = await store.memory.update_thread("t", metadata={"a": 1})
        assert (changed.title, changed.metadata) == ("later", {"a": 1})
        assert await store.memory.get_thread_by_id("t") == changed
        await store.memory.save_thread(changed)
        assert await ids(tmp_path, "mastra_threads") == ["t"]


async def test_the_latest_rows_are_the_same_however_they_are_found(tmp_path: Path) -> None:
    """The second time by the time that the first one reached, also when rows came and went."""
    async with LanceStore(tmp_path) as store:
        await store.memory.save_thread(thread())
        for start in range(0, 2400, 400):
            await store.memory.save_messages([message(start + n) for n in range(400)])
        await store.optimize()
        backend = store.backend

        async def last(after: tuple[object, ...] | None = None) -> list[str]:
            query = Query(
                where=(Where("thread_id", "eq", "t"),),
                order=(("createdAt", "desc"),),
                limit=40,
                columns=("id", "createdAt"),
            )
            if after is not None:
                query = Query(
                    where=query.where,
                    order=query.order,
                    limit=40,
                    columns=query.columns,
                    after=after,
                )
            found = await backend.find(MESSAGES, query)
            places.append((found[-1][1], found[-1][0]))
            return [str(row[0]) for row in found]

        places: list[tuple[object, ...]] = []
        wanted = [f"t-{n:05}" for n in range(2399, 2359, -1)]
        assert await last() == wanted
        assert await last() == wanted
        assert await last(places[-1]) == [f"t-{n:05}" for n in range(2359, 2319, -1)]
        assert await last(places[-1]) == [f"t-{n:05}" for n in range(2319, 2279, -1)]
        await store.memory.save_messages([message(2400)])
        assert await last() == ["t-02400", *wanted[:-1]]
        await store.memory.delete_messages(wanted[:30])
        rest = [f"t-{n:05}" for n in range(2369, 2330, -1)]
        assert await last() == ["t-02400", *rest]
