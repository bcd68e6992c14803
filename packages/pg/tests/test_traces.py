"""Lists of traces read the index of root spans from its end, whatever they are filtered by."""

from __future__ import annotations

import pytest

from mastra_core.storage.tables import SPANS

pytestmark = pytest.mark.asyncio

TRACES = 20_000
# Every tenth trace is of service-7, every seventh failed.
FILL = """INSERT INTO "{schema}".mastra_ai_spans
("traceId", "spanId", "name", "spanType", "isEvent", "parentSpanId", "serviceName", "error",
 "startedAt", "startedAtZ", "createdAt", "createdAtZ")
SELECT 't' || lpad(n::text, 6, '0'), span, 'run', 'agent_run', FALSE, parent, 'service-' || n % 10,
 CASE WHEN n % 7 = 0 AND parent IS NULL THEN '{{"message": "no"}}'::jsonb END,
 at AT TIME ZONE 'UTC', at, at AT TIME ZONE 'UTC', at
FROM generate_series(1, {count}) n, (VALUES ('a', NULL), ('b', 'a'), ('c', 'a')) s (span, parent),
LATERAL (SELECT TIMESTAMPTZ '2026-03-01 12:00Z' + n * INTERVAL '1 second' AS at) t"""


async def test_a_filtered_page_of_traces_is_not_sorted(factory, session, monkeypatch) -> None:
    async with factory() as store:
        await store.init()
        await session.execute(FILL.format(schema=factory.schema, count=TRACES))
        await session.execute(f'VACUUM ANALYZE "{factory.schema}".{SPANS.name}')
        sent = []
        fetch = store.backend._fetch

        async def watched(statement):
            sent.append(statement)
            return await fetch(statement)

        monkeypatch.setattr(store.backend, "_fetch", watched)
        page = await store.observability.list_traces(
            per_page=20, with_total=False, status="error", service_name="service-7"
        )
        wanted = [f"t{n:06}" for n in range(TRACES, 0, -1) if n % 70 == 7]
        assert [span.trace_id for span in page.spans] == wanted[:20]
        sql = sent[0].sql.replace("$1", "'service-7'").replace("$2", "21")
        rows = await (await session.execute(f"EXPLAIN {sql}")).fetchall()
        plan = "\n".join(row[0] for row in rows)
        assert "Index Scan Backward using mastra_ai_spans_by_parent_started" in plan, plan
        assert "Sort" not in plan


async def test_the_indexes_of_traces_are_of_root_spans_alone(factory, session) -> None:
    async with factory() as store:
        await store.init()
        query = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = %s"
        rows = await (await session.execute(query, [factory.schema])).fetchall()
        found = dict(rows)
        for name in ("mastra_ai_spans_by_parent_started", "mastra_ai_spans_by_parent_ended"):
            assert found[name].endswith('WHERE ("parentSpanId" IS NULL)')
            assert '("parentSpanId"' not in found[name].partition(" WHERE ")[0]
