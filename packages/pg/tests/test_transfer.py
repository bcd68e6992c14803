"""Copies into PostgreSQL and out of it: by COPY where keys are new, exact whatever the values are."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from mastra_core import InMemoryStore
from mastra_core.storage.schema import Put, Query
from mastra_core.storage.tables import RESOURCES, SCORERS, SPANS, TABLES, THREADS
from mastra_core.transfer import compare, copy
from mastra_pg.loading import LEAST, written

pytestmark = pytest.mark.asyncio
AT = datetime(2026, 3, 1, 12, 30, 15, 123_000, tzinfo=UTC)
TEXTS = [
    "",
    "\\N",
    "\\",
    "a\tb\nc\rd",
    "\\t\\n",
    "'\"",
    "\x01\x7f",
    "ü😀\u2028",
    "null",
    "{}",
    "\\.",
]
JSONS = [
    '{"b":1,"a":[1.50,null,"x\\ty\\\\"]}',
    "null",
    '"null"',
    '"1"',
    "[]",
    "1e3",
    '"\\ud83d\\ude00"',
]


def rows(table, count=LEAST + 60):
    """Rows of a table with awkward values, and absent ones where there may be any."""
    made = []
    for n in range(count):
        row = []
        for i, column in enumerate(table.columns):
            absent = column.nullable and (n + i) % 3 == 0
            value = {
                "text": TEXTS[(n + i) % len(TEXTS)],
                "json": JSONS[(n + i) % len(JSONS)],
                "timestamp": AT + timedelta(milliseconds=n),
                "boolean": n % 2 == 0,
                "float": (0.1, -1e300, math.inf, 3.0)[n % 4],
            }.get(column.type, n)
            row.append(f"Key-{n * 7919 % count:04}é" if column.name in table.key else value)
            row[-1] = None if absent else row[-1]
        made.append(tuple(row))
    return made


@pytest.mark.parametrize("table", [THREADS, RESOURCES, SCORERS, SPANS], ids=lambda t: t.name)
async def test_awkward_values_go_there_and_back_exactly(table, factory):
    source, back = InMemoryStore(), InMemoryStore()
    await source.backend.write(Put(table, rows(table)))
    async with factory() as store:
        found = [one for one in await copy(source, store) if one.table == table.name]
        assert (found[0].new, found[0].verified) == (LEAST + 60, True)
        await copy(store, back)
        assert all(one.equal for one in await compare(source, back))


async def test_rows_that_are_there_are_skipped_and_the_others_come(factory):
    given = rows(THREADS)
    async with factory() as store:
        await store.init()
        mine = [(*row[:2], "mine", *row[3:]) for row in given[:30]]
        assert await store.backend.write(Put(THREADS, mine)) == [30]
        put = Put(THREADS, given, on_conflict="skip", fresh=True)
        assert await store.backend.write(put) == [len(given) - 30]
        assert await store.backend.write(put) == [0]
        stored = await store.backend.find(THREADS, Query(columns=("id", "title")))
        assert dict(stored) == {row[0]: row[2] for row in [*given, *mine]}


async def test_all_rows_are_swept_once_along_the_index_of_the_key(factory, session):
    given = rows(SPANS)
    async with factory() as store:
        await store.backend.write(Put(SPANS, given))
        found, last = [], None
        while page := await store.backend.sweep(SPANS, limit=50, after=last):
            assert len(page) <= 50
            found += page
            last = (page[-1][0], page[-1][1])
        assert sorted(row[:2] for row in found) == sorted(row[:2] for row in given)
        statement = store.backend.dialect.swept(SPANS, 50, last)
        for other in ("seqscan", "bitmapscan", "sort"):
            await session.execute(f"SET enable_{other} = off")
        sql = statement.sql.replace("$1", "'a'").replace("$2", "'b'").replace("$3", "50")
        plan = "\n".join(
            row[0] for row in await (await session.execute(f"EXPLAIN {sql}")).fetchall()
        )
        assert "Sort" not in plan
        assert "Index Cond: (ROW" in plan


async def test_a_database_tells_its_time_and_what_it_lacks(factory):
    async with factory() as store:
        assert await store.backend.lacking() == []
        there = await store.backend.clock()
        assert abs(there - datetime.now(UTC)) < timedelta(seconds=5)
        lacking = await factory.empty()().backend.lacking()
        assert sum("CREATE TABLE" in statement for statement in lacking) == len(TABLES)


async def test_what_is_written_to_copy_is_escaped():
    assert written(["a", "b"]) == ["a", "b"]
    assert written([None, "\\N", None, "x\ty"]) == ["\\N", "\\\\N", "\\N", "x\\ty"]
    assert written([None, None]) == ["\\N", "\\N"]
    assert written([True, False]) == ["True", "False"]
    assert written([1, None, 2.5]) == ["1", "\\N", "2.5"]
    assert written(["a\nb\\n", "\r"]) == ["a\\nb\\\\n", "\\r"]
