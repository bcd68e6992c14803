"""Rows as versions: what counts is the latest one, whether the server has merged them or not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mastra_clickhouse import ClickhouseStore, ObservabilityStorageClickhouse
from mastra_core import Thread
from mastra_core.clock import now
from mastra_core.errors import InvalidArgumentError, SchemaError
from mastra_core.records import Message
from mastra_core.storage.schema import Delete, Put, Query, Update, Where
from mastra_core.storage.tables import MESSAGES, SPANS, THREADS

pytestmark = pytest.mark.asyncio

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
# The tables as ``@mastra/clickhouse`` 1.16 makes them.
ORIGINAL = """CREATE TABLE {name} ("id" String, "resourceId" String, "title" String,
"metadata" Nullable(String) DEFAULT '{{}}', "createdAt" DateTime64(3), "updatedAt" DateTime64(3))
ENGINE = ReplacingMergeTree() PRIMARY KEY (createdAt, id) ORDER BY (createdAt, id)
SETTINGS index_granularity = 8192"""


def thread(name: str, resource: str = "u", title: str = "") -> tuple[Any, ...]:
    return (name, resource, title, None, NOON, NOON)


def span(trace: str, name: str, at: datetime) -> dict[str, Any]:
    return {
        "trace_id": trace,
        "span_id": name,
        "name": name,
        "span_type": "agent_run",
        "started_at": at,
    }


async def ask(store: Any, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a SELECT; ``<threads>`` stands for the name of the table of threads."""
    backend = store.backend
    text = sql.replace("<threads>", backend.schema.name(THREADS.name))
    return list(zip(*await backend._wire.fetch(text, {}), strict=True))


async def run(store: Any, sql: str) -> None:
    await store.backend._wire.command(
        sql.replace("<threads>", store.backend.schema.name(THREADS.name))
    )


async def titles(store: ClickhouseStore, *where: Where) -> list[tuple[Any, ...]]:
    query = Query(where=where, columns=("id", "title"), order=(("id", "asc"),))
    return await store.backend.find(THREADS, query)


async def test_reads_do_not_wait_for_merges(open_store) -> None:
    async with open_store() as store:
        await store.init()
        await run(store, "SYSTEM STOP MERGES <threads>")
        for n in range(5):
            await store.backend.write(Put(THREADS, [thread("a", title=str(n)), thread("b")]))
        await store.backend.write(Delete(THREADS, (Where("id", "eq", "b"),)))
        # Five versions of one row; the other did not change before it was deleted.
        assert await ask(store, "SELECT count() FROM <threads>") == [(7,)]
        assert await titles(store) == [("a", "4")]
        assert await store.backend.count(THREADS) == 1
        # What a version said that no longer counts is no match.
        assert await titles(store, Where("title", "eq", "3")) == []
        await run(store, "SYSTEM START MERGES <threads>")
        await store.optimize_table("mastra_threads")
        assert await titles(store) == [("a", "4")]
        assert await ask(store, "SELECT id FROM <threads> FINAL") == [("a",)]


async def test_a_row_that_moves_is_at_its_new_place_only(open_store) -> None:
    async with open_store() as store:
        await store.backend.write(Put(THREADS, [thread("a", "u")]))
        moved = Update(THREADS, (Where("id", "eq", "a"),), {"resourceId": "v"}, expect=1)
        await store.backend.write(moved)
        assert await titles(store, Where("resourceId", "eq", "u")) == []
        assert await titles(store, Where("resourceId", "eq", "v")) == [("a", "")]
        assert await ask(store, "SELECT id, resourceId FROM <threads> FINAL") == [("a", "v")]


async def test_the_original_inserts_beside_us_and_the_later_one_counts(open_store) -> None:
    async with open_store() as store:
        await store.backend.write(Put(THREADS, [thread("a", title="ours")]))
        names = "(id, resourceId, title, createdAt, updatedAt)"
        await run(store, f"INSERT INTO <threads> {names} VALUES ('a', 'u', 'theirs', now(), now())")
        assert await titles(store) == [("a", "theirs")]
        await store.memory.update_thread("a", title="ours again")
        assert await titles(store) == [("a", "ours again")]


async def test_columns_that_this_version_does_not_know_keep_their_values(open_store) -> None:
    async with open_store() as first:
        await first.backend.write(Put(THREADS, [thread("a")]))
        await run(
            first, "ALTER TABLE <threads> ADD COLUMN colour String, ADD COLUMN sizes Array(UInt8)"
        )
        await run(first, "ALTER TABLE <threads> UPDATE colour = 'red', sizes = [1, 2] WHERE 1 "
                         "SETTINGS mutations_sync = 2")  # fmt: skip
    async with open_store() as second:
        await second.memory.update_thread("a", title="new")
        await second.memory.save_thread(Thread(id="b", resource_id="u", title="other"))
        assert await ask(
            second, "SELECT id, title, colour, sizes FROM <threads> FINAL ORDER BY id"
        ) == [
            ("a", "new", "red", [1, 2]),
            ("b", "other", "", []),
        ]


async def test_tables_of_the_original_are_refused_until_they_are_adopted(open_store) -> None:
    store = open_store()
    name = store.backend.schema.name(THREADS.name)
    await store.backend._wire.command(store.backend.schema.create_database())
    await run(store, ORIGINAL.format(name=name))
    rows = [("a", "old", 1), ("b", "x", 1)], [("a", "new", 2)]
    for batch in rows:
        values = ", ".join(f"('{i}', 'u', '{t}', {n}, {n})" for i, t, n in batch)
        await run(
            store,
            f"INSERT INTO {name} (id, resourceId, title, createdAt, updatedAt) VALUES {values}",
        )
    with pytest.raises(SchemaError, match="adopt"):
        await store.memory.get_thread_by_id("a")
    assert await store.adopt() == ["mastra_threads"]
    assert await titles(store) == [("a", "new"), ("b", "x")]
    assert await store.adopt() == []
    kept = name.replace(THREADS.name, f"{THREADS.name}_before_adoption")
    assert await ask(store, f"SELECT count() FROM {kept}") == [(3,)]
    await store.memory.update_thread("b", title="y")
    assert await titles(store) == [("a", "new"), ("b", "y")]
    await store.close()


async def test_scores_of_the_original_have_its_word_for_absent_texts(open_store) -> None:
    async with open_store() as store:
        await store.init()
        table = store.backend.schema.name("mastra_scorers")
        await run(
            store,
            f"INSERT INTO {table} (id, scorerId, runId, scorer, score, input, output, reason, "
            "entityId, source, createdAt, updatedAt) SELECT 's', 'q', 'r', '{\"id\":\"q\"}', "
            "0.5, 'plain words', '[1]', '_null_', 'e', 'LIVE', now(), now()",
        )
        found = await store.scores.get_score_by_id("s")
        assert found is not None
        assert (found.reason, found.input, found.output, found.score) == (
            None,
            "plain words",
            [1],
            0.5,
        )


async def test_old_spans_are_not_found_whether_the_server_removed_them_or_not(
    open_store, place
) -> None:
    prefix = open_store().backend.options.prefix
    async with open_store() as store:
        for name, days in (("old", 31), ("new", 29)):
            at = now() - timedelta(days=days)
            await store.observability.create_span(span(name, "s", at))
        assert (await store.observability.list_traces()).total == 2
    domain = ObservabilityStorageClickhouse(
        url=place, table_prefix=prefix, retention={"spans": "30d"}
    )
    found = (await domain.list_traces()).spans
    assert [one.trace_id for one in found] == ["new"]
    assert await domain.get_trace("old") is None
    sql = f"SELECT create_table_query FROM system.tables WHERE name = '{prefix}{SPANS.name}'"
    assert "TTL toDateTime(startedAt) + toIntervalSecond(2592000)" in (await ask(domain, sql))[0][0]
    await domain.close()


async def test_a_client_of_the_callers_is_used_and_never_closed(open_store, place) -> None:
    async with open_store() as store:
        await store.memory.save_thread(Thread(id="a", resource_id="u"))
        options = store.backend.options
        client = await store.backend._wire._connect()
        client.database = options.database
        other = ClickhouseStore(id="x", client=client, table_prefix=options.prefix)
        assert await other.memory.get_thread_by_id("a") is not None
        await other.memory.update_thread("a", title="t")
        await other.close()
        assert (await client.query("SELECT 1")).result_rows == [(1,)]
        await client.close()


async def test_the_newest_messages_of_a_thread_are_read_in_order_of_the_table(
    open_store,
) -> None:
    async with open_store() as store:
        await store.memory.save_thread(Thread(id="a", resource_id="u"))
        content = {"format": 2, "parts": []}
        await store.memory.save_messages(
            [Message(thread_id="a", resource_id="u", role="user", content=content)]
        )
        where = (Where("thread_id", "eq", "a"),)
        query = Query(where=where, order=(("createdAt", "desc"), ("id", "desc")), limit=40)
        statement = store.backend.dialect.select(MESSAGES, query)
        params = {f"p{i}": value for i, value in enumerate(statement.params)}
        plan = await store.backend._wire.fetch(f"EXPLAIN actions = 1 {statement.sql}", params)
        assert any("InReverseOrder" in line for line in plan[0])


async def test_an_unknown_table_cannot_be_optimized(open_store) -> None:
    with pytest.raises(InvalidArgumentError, match="no table 'x'"):
        await open_store().optimize_table("x")
