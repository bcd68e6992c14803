"""All rows of a table one after the other, as a copy reads them: the table is read once, not per page."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from mastra_core.storage.schema import Delete, Put, Row, Where
from mastra_core.storage.tables import THREADS
from mastra_dynamodb import DynamoDBStore, definition

pytestmark = pytest.mark.asyncio

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
# One value of this many characters is an item of its own or several; a page of the service has 1 MB.
LARGE, LARGER = 10_000, 500_000


def thread(name: str, title: str = "A title") -> Row:
    return (name, "user", title, None, NOON, NOON)


async def swept(store: DynamoDBStore, limit: int) -> list[list[str]]:
    """The ids of all threads, page by page."""
    pages: list[list[str]] = []
    last: Row | None = None
    while page := await store.backend.sweep(THREADS, limit=limit, after=last):
        pages.append([str(row[0]) for row in page])
        last = (page[-1][0],)
    return pages


async def test_each_page_goes_on_where_the_last_one_ended(open_store, log) -> None:
    store = open_store()
    rows = [thread(f"thread-{n:03}", "x" * LARGE) for n in range(300)]
    await store.backend.write(Put(THREADS, rows))
    log.clear()
    assert sum(map(len, await swept(store, 1_000))) == 300
    once = log.read
    log.clear()
    pages = await swept(store, 50)
    assert sorted([one for page in pages for one in page]) == [row[0] for row in rows]
    assert [len(page) for page in pages] == [50] * 6
    scans = [body for operation, body in zip(log.requests, log.bodies, strict=True)]
    assert set(log.requests) == {"Scan"}
    assert "ExclusiveStartKey" not in scans[0]
    assert all("ExclusiveStartKey" in body for body in scans[1:])
    # Of a page of the service that is larger than was asked for the rest is read again.
    assert log.read < 4 * once


async def test_a_row_that_is_replaced_meanwhile_keeps_its_turn(open_store, log) -> None:
    store = open_store()
    rows = [thread(f"thread-{n}", "x" * LARGER) for n in range(6)]
    await store.backend.write(Put(THREADS, rows))
    (wanted,) = await swept(store, 10)
    other, replaced = open_store(), list[str]()

    def replace(operation: str, answer: Any) -> None:
        if operation == "Scan" and not replaced:
            replaced.append(wanted[0])
            asyncio.run(other.backend.write(Put(THREADS, [thread(wanted[0], "y" * LARGER)])))

    log.after.append(replace)
    assert await swept(store, 2) == [wanted[:2], wanted[2:4], wanted[4:]]
    assert replaced == wanted[:1]


async def test_a_shared_table_is_read_on_behind_either_place_of_an_id(
    log, table, open_store
) -> None:
    log.client.create_table(**definition(table, shared=True))
    store = open_store()
    # The second of two ids that differ in capitals alone has a place of its own.
    names = [f"{name}-{n}" for n in range(8) for name in ("thread", "Thread")]
    for name in names:
        await store.backend.write(Put(THREADS, [thread(name)]))
    pages = await swept(store, 3)
    assert sorted([one for page in pages for one in page]) == sorted(names)


async def test_a_row_that_is_gone_from_a_shared_table_has_it_read_anew(
    log, table, open_store
) -> None:
    log.client.create_table(**definition(table, shared=True))
    store = open_store()
    names = [f"Thread-{n}" for n in range(6)]
    await store.backend.write(Put(THREADS, [thread(name) for name in names]))
    first = [str(row[0]) for row in await store.backend.sweep(THREADS, limit=2)]
    await store.backend.write(Delete(THREADS, (Where("id", "eq", first[-1]),)))
    again = await store.backend.sweep(THREADS, limit=10, after=(first[-1],))
    assert sorted(str(row[0]) for row in again) == sorted(set(names) - {first[-1]})
