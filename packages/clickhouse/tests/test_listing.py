"""The newest traces are found by a listing of roots, whatever became of the rows that it names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mastra_core.storage.backend import Limits
from mastra_core.storage.schema import Delete, Put, Query, Update, Where
from mastra_core.storage.tables import SPANS

pytestmark = pytest.mark.asyncio

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
MONTHS = timedelta(days=31)


def span(trace: str, second: int, **rest: Any) -> dict[str, Any]:
    return {
        "trace_id": trace,
        "span_id": "s",
        "name": "run",
        "span_type": "agent_run",
        "started_at": NOON + timedelta(seconds=second),
        **rest,
    }


async def fill(store: Any, count: int = 30) -> None:
    """Traces t00, t01 … of two spans each, every one newer than those before."""
    roots = [span(f"t{n:02}", n) for n in range(count)]
    below = [span(f"t{n:02}", n, span_id="b", parent_span_id="s") for n in range(count)]
    await store.observability.batch_create_spans([*roots, *below])


async def newest(store: Any, per_page: int = 3, **filters: Any) -> list[str]:
    page = await store.observability.list_traces(per_page=per_page, with_total=False, **filters)
    assert all(one.parent_span_id is None for one in page.spans)
    return [one.trace_id for one in page.spans]


async def run(store: Any, sql: str) -> None:
    """A statement; ``<spans>``, ``<roots>`` and ``<feed>`` stand for the names of the tables."""
    named = sql.replace("<spans>", store.backend.schema.name(SPANS.name))
    named = named.replace("<roots>", store.backend.schema.name(f"{SPANS.name}_roots"))
    named = named.replace("<feed>", store.backend.schema.name(f"{SPANS.name}_roots_feed"))
    await store.backend._wire.command(named)


async def test_the_listing_names_places_and_the_table_has_the_rows(open_store, log) -> None:
    async with open_store() as store:
        await fill(store)
        log.clear()
        assert await newest(store) == ["t29", "t28", "t27"]
        first, second = log.requests
        assert "_roots" in first
        assert "`output`" not in first
        assert "_roots" not in second
        assert "`output`" in second
        log.clear()
        since = {"start": NOON + timedelta(seconds=28)}
        assert await newest(store, started_at=since) == ["t29", "t28"]
        assert "_roots" in log.requests[0]
        # In an order that the listing does not have they are looked for among all.
        log.clear()
        assert len(await newest(store, order_by={"field": "endedAt"})) == 3
        assert not any("_roots" in what for what in log.requests)


async def test_the_listing_knows_conditions_and_the_table_whether_they_are_met(
    open_store, log
) -> None:
    async with open_store() as store:
        rest = [
            {"service_name": f"s{n % 2}", "metadata": {"plan": n % 3}, "tags": [f"g{n % 5}"]}
            for n in range(30)
        ]
        await store.observability.batch_create_spans(
            [span(f"t{n:02}", n, **rest[n]) for n in range(30)]
        )
        changes = [
            ("t29", {"service_name": "s0"}),
            ("t24", {"service_name": "s1"}),
            ("t27", {"error": {"message": "no"}}),
        ]
        for trace, updates in changes:
            await store.observability.update_span(trace, span_id="s", updates=updates)
        log.clear()
        assert await newest(store, service_name="s1") == ["t27", "t25", "t24"]
        assert await newest(store, service_name="s0") == ["t29", "t28", "t26"]
        assert await newest(store, status="error") == ["t27"]
        assert await newest(store, metadata={"plan": 2}, service_name="s0") == ["t29", "t26", "t20"]
        assert await newest(store, tags=["g4"]) == ["t29", "t24", "t19"]
        assert await newest(store, service_name="s2") == []
        of_spans = [what for what in log.requests if "_ai_spans" in what]
        assert all("_roots" in what or "arrayZip" in what for what in of_spans)


async def test_later_pages_are_read_by_the_listing_too(open_store, log) -> None:
    async with open_store() as store:
        await fill(store)
        await store.backend.write(Delete(SPANS, (Where("traceId", "in", ("t29", "t22")),)))
        log.clear()
        pages = [await newest(store, page=n, per_page=4) for n in range(3)]
        assert [one for page in pages for one in page] == [
            f"t{n:02}" for n in (28, 27, 26, 25, 24, 23, 21, 20, 19, 18, 17, 16)
        ]
        last = await newest(store, page=6, per_page=4)
        assert last == ["t03", "t02", "t01", "t00"]
        of_spans = [what for what in log.requests if "_ai_spans" in what]
        assert all("_roots" in what or "arrayZip" in what for what in of_spans)


async def test_what_a_late_page_passes_over_is_left_to_the_server(
    open_store, log, monkeypatch
) -> None:
    async with open_store() as store:
        await fill(store, 12)
        monkeypatch.setattr(type(store.backend), "limits", Limits(page_rows=5))
        log.clear()
        assert await newest(store, page=2) == ["t05", "t04", "t03"]
        of_spans = [what for what in log.requests if "_ai_spans" in what]
        assert not any("_roots" in what for what in of_spans)
        assert "OFFSET" in of_spans[0]


async def test_the_listing_is_read_from_its_end(open_store) -> None:
    async with open_store() as store:
        await fill(store)
        backend = store.backend
        query_order = tuple((name, "desc") for name in ("startedAt", "traceId", "spanId"))
        query = Query(where=(Where("parentSpanId", "eq", None),), order=query_order, limit=3)
        statement = backend.dialect.listed_places(SPANS, query, 3)
        params = {f"p{i}": value for i, value in enumerate(statement.params)}
        plan = await backend._wire.fetch(f"EXPLAIN actions = 1 {statement.sql}", params)
        assert any("InReverseOrder" in line for line in plan[0])


async def test_traces_that_went_are_passed_over(open_store, log) -> None:
    async with open_store() as store:
        await fill(store)
        await store.backend.write(Delete(SPANS, (Where("traceId", "eq", "t29"),)))
        root_no_more = Update(
            SPANS,
            (Where("traceId", "eq", "t28"), Where("spanId", "eq", "s")),
            {"parentSpanId": "other"},
            expect=1,
        )
        await store.backend.write(root_no_more)
        # As the original deletes: the listing is not told.
        await run(store, "DELETE FROM <spans> WHERE traceId = 't27'")
        log.clear()
        assert await newest(store) == ["t26", "t25", "t24"]
        selects = [what for what in log.requests if what.startswith("fetch")]
        assert ["_roots" in what for what in selects] == [True, False, False]


async def test_more_traces_than_are_passed_over_in_steps_went(open_store, log, monkeypatch) -> None:
    monkeypatch.setattr("mastra_clickhouse.backend.ATTEMPTS", 1)
    async with open_store() as store:
        await fill(store)
        await run(store, "DELETE FROM <spans> WHERE startedAt > '2024-03-01 12:00:04'")
        log.clear()
        assert await newest(store, per_page=2) == ["t04", "t03"]
        of_spans = [what for what in log.requests if "_ai_spans" in what]
        assert ["_roots" in what for what in of_spans] == [True, False, False, False, False]


async def test_a_span_becomes_a_root_and_moves(open_store) -> None:
    async with open_store() as store:
        await fill(store, 5)
        which = (Where("traceId", "eq", "t04"),)
        roots = Update(
            SPANS, (*which, Where("spanId", "eq", "b")), {"parentSpanId": None}, expect=1
        )
        await store.backend.write(roots)
        assert await newest(store) == ["t04", "t04", "t03"]
        later = Update(SPANS, which, {"startedAt": NOON - MONTHS}, expect=2)
        await store.backend.write(later)
        assert await newest(store, per_page=9) == ["t03", "t02", "t01", "t00", "t04", "t04"]
        oldest = {"field": "startedAt", "direction": "ASC"}
        assert await newest(store, order_by=oldest) == ["t04", "t04", "t00"]


async def test_a_listing_names_what_was_there_before_it(open_store) -> None:
    async with open_store() as store:
        await fill(store, 5)
        await run(store, "DROP TABLE <feed>")
        await run(store, "DROP TABLE <roots>")
        row = span("t05", 5)
        await store.observability.create_span(row)
    async with open_store() as store:
        assert await newest(store) == ["t05", "t04", "t03"]
        await store.observability.create_span(span("t06", 6))
        assert await newest(store) == ["t06", "t05", "t04"]


async def test_a_listing_that_was_begun_is_completed_by_whoever_comes_next(open_store, log) -> None:
    async with open_store() as store:
        await fill(store, 5)
        await run(store, "TRUNCATE TABLE <roots>")
        await run(store, "ALTER TABLE <roots> MODIFY COMMENT ''")
    async with open_store() as store:
        assert await newest(store) == ["t04", "t03", "t02"]
    log.clear()
    async with open_store() as store:
        assert await newest(store) == ["t04", "t03", "t02"]
        assert not any("INSERT" in what for what in log.requests)


async def test_without_a_look_at_the_tables_traces_are_found_without_a_listing(
    open_store, log
) -> None:
    async with open_store() as store:
        await fill(store, 5)
        await run(store, "DROP TABLE <feed>")
        await run(store, "DROP TABLE <roots>")
    async with open_store(disable_init=True) as store:
        log.clear()
        assert await newest(store) == ["t04", "t03", "t02"]
        assert not any("_roots" in what for what in log.requests)


async def test_puts_of_the_same_row_are_listed_once(open_store) -> None:
    async with open_store() as store:
        await fill(store, 3)
        (row,) = await store.backend.find(SPANS, _one("t02"))
        for _ in range(3):
            await store.backend.write(Put(SPANS, [row]))
        assert await newest(store) == ["t02", "t01", "t00"]


def _one(trace: str) -> Any:
    return Query(where=(Where("traceId", "eq", trace), Where("spanId", "eq", "s")))
