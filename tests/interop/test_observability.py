"""Spans and traces: what one side recorded, the other reads, updates, lists and deletes."""

from __future__ import annotations

import msgspec
import pytest

from mastra_core.records import Span

from .answers import span_seen, span_value_seen
from .plain import at, page_of, plain, plains

pytestmark = pytest.mark.asyncio

SPAN = {
    "traceId": "trace-1",
    "spanId": "span-1",
    "name": "agent run: “tea”",
    "spanType": "agent_run",
    "isEvent": False,
    "startedAt": at(0),
    "endedAt": at(9),
    "parentSpanId": "span-0",
    "entityType": "agent",
    "entityId": "agent-1",
    "entityName": "Agent",
    "parentEntityType": "workflow_run",
    "parentEntityId": "workflow-1",
    "parentEntityName": "Workflow",
    "rootEntityType": "workflow_run",
    "rootEntityId": "workflow-0",
    "rootEntityName": "Root",
    "userId": "user-1",
    "organizationId": "organization-1",
    "resourceId": "resource-1",
    "runId": "run-1",
    "sessionId": "session-1",
    "threadId": "thread-1",
    "requestId": "request-1",
    "environment": "production",
    "serviceName": "service",
    "scope": {"version": "1.2", "deep": {"a": [None]}},
    "entityVersionId": "v1",
    "parentEntityVersionId": "v2",
    "rootEntityVersionId": "v3",
    "experimentId": "experiment-1",
    "source": "local",
    "metadata": {"text": "x", "deep": {"nothing": None}},
    "tags": ["a", "“b”"],
    "attributes": {"model": "m", "usage": {"inputTokens": 12}, "unknown": [None]},
    "links": [{"traceId": "trace-0", "spanId": "span-9"}],
    "input": [{"role": "user", "content": "🦆"}],
    "output": {"text": "yes", "nothing": None},
    "error": {"message": "boom", "id": "E", "details": {"a": None}},
    "requestContext": {"locale": "da"},
    "createdAt": at(10),
    "updatedAt": at(11),
}
REQUIRED = ("traceId", "spanId", "name", "spanType", "isEvent", "startedAt")
# The original stamps spans itself, whatever it is given.
STAMPED = {"createdAt", "updatedAt"}


def span(number: int, **changes) -> dict:
    """A root span without an error; its number is its place in time, and part of its ids."""
    sample = {name: value for name, value in SPAN.items() if name not in {"parentSpanId", "error"}}
    own = {"traceId": f"trace-{number}", "spanId": f"span-{number}"}
    return {**sample, **own, "startedAt": at(number), "endedAt": at(100 - number), **changes}


def unstamped(sample: dict) -> dict:
    return {name: value for name, value in sample.items() if name not in STAMPED}


async def create_ours(ours, *samples: dict) -> None:
    await ours.observability.batch_create_spans([msgspec.convert(s, Span) for s in samples])


async def test_we_read_a_span_of_the_original(ours, theirs, database):
    await theirs.observability.createSpan(span=unstamped(SPAN))

    mine = plain(await ours.observability.get_span("trace-1", span_id="span-1"))
    assert unstamped(mine) == unstamped(SPAN)
    found = await theirs.observability.getSpan(traceId="trace-1", spanId="span-1")
    assert span_seen(database, mine) == plain(found["span"])


async def test_the_original_reads_a_span_of_ours(ours, theirs, database):
    await ours.observability.create_span(msgspec.convert(SPAN, Span))

    found = await theirs.observability.getSpan(traceId="trace-1", spanId="span-1")
    assert unstamped(plain(found["span"])) == span_seen(database, unstamped(SPAN))
    mine = plain(await ours.observability.get_span("trace-1", span_id="span-1"))
    assert span_seen(database, mine) == plain(found["span"])


async def test_a_span_with_nothing_but_what_it_needs_goes_both_ways(ours, theirs):
    bare = {name: SPAN[name] for name in REQUIRED}
    await theirs.observability.batchCreateSpans(records=[bare])
    await create_ours(ours, {**bare, "traceId": "trace-2"})

    for trace in ("trace-1", "trace-2"):
        mine = plain(await ours.observability.get_root_span(trace))
        assert unstamped(mine) == {**bare, "traceId": trace}
        original = plain((await theirs.observability.getRootSpan(traceId=trace))["span"])
        assert unstamped(original) == unstamped(mine)


@pytest.mark.parametrize("value", ["text", "123", "null", '{"a":1}', "", 0, False, [], {}, 1.5])
async def test_any_json_value_goes_both_ways(ours, theirs, database, value):
    values = {"input": value, "output": value}
    await theirs.observability.createSpan(span=unstamped(span(1, **values)))
    await create_ours(ours, span(2, **values))

    for number in (1, 2):
        mine = await ours.observability.get_root_span(f"trace-{number}")
        original = (await theirs.observability.getRootSpan(traceId=f"trace-{number}"))["span"]
        assert [mine.input, mine.output] == [value, value]
        assert [original["input"], original["output"]] == [span_value_seen(database, value)] * 2


async def test_an_event_goes_both_ways(ours, theirs):
    event = span(1, isEvent=True, endedAt=at(1))
    await theirs.observability.createSpan(span=unstamped(event))
    await create_ours(ours, {**event, "traceId": "trace-2"})

    assert (await ours.observability.get_root_span("trace-1")).is_event is True
    original = (await theirs.observability.getRootSpan(traceId="trace-2"))["span"]
    assert original["isEvent"] is True


UPDATES = {
    "name": "renamed",
    "endedAt": at(20),
    "output": "done",
    "error": None,
    "metadata": {"new": True},
    "attributes": {"usage": None},
}


async def test_we_update_a_span_of_the_original(ours, theirs, database):
    await theirs.observability.createSpan(span=unstamped(SPAN))
    await ours.observability.update_span("trace-1", span_id="span-1", updates=UPDATES)

    found = await theirs.observability.getSpan(traceId="trace-1", spanId="span-1")
    expected = plain({**unstamped(SPAN), **UPDATES})
    assert unstamped(plain(found["span"])) == span_seen(database, expected)
    assert found["span"]["updatedAt"] > found["span"]["createdAt"]


async def test_the_original_updates_a_span_of_ours(ours, theirs):
    await ours.observability.create_span(msgspec.convert(SPAN, Span))
    before = plain(await ours.observability.get_span("trace-1", span_id="span-1"))
    await theirs.observability.batchUpdateSpans(
        records=[{"traceId": "trace-1", "spanId": "span-1", "updates": UPDATES}]
    )

    mine = plain(await ours.observability.get_span("trace-1", span_id="span-1"))
    assert unstamped(mine) == plain({**unstamped(SPAN), **UPDATES})
    assert mine["createdAt"] == before["createdAt"]
    assert mine["updatedAt"] > before["updatedAt"]


async def test_a_trace_of_both_sides_is_one_trace(ours, theirs, database):
    samples = [span(number, traceId="trace-1") for number in range(4)]
    for number, sample in enumerate(samples[1:], 1):
        sample["parentSpanId"] = f"span-{number - 1}"
    await theirs.observability.batchCreateSpans(
        records=[unstamped(samples[0]), unstamped(samples[2])]
    )
    await create_ours(ours, samples[3], samples[1])

    mine = await ours.observability.get_trace("trace-1")
    original = await theirs.observability.getTrace(traceId="trace-1")
    seen = [span_seen(database, one) for one in plains(mine.spans)]
    assert seen == plains(original["spans"])
    assert [s.span_id for s in mine.spans] == ["span-0", "span-1", "span-2", "span-3"]
    root = (await theirs.observability.getRootSpan(traceId="trace-1"))["span"]
    mine = plain(await ours.observability.get_root_span("trace-1"))
    assert span_seen(database, mine) == plain(root)


async def test_both_sides_shorten_a_trace_to_the_same_fields(ours, theirs):
    await theirs.observability.createSpan(span=unstamped(SPAN))

    mine = plain((await ours.observability.get_trace_light("trace-1")).spans[0])
    original = (await theirs.observability.getTraceLight(traceId="trace-1"))["spans"][0]
    assert mine == {name: plain(original)[name] for name in mine}
    assert not {"input", "output", "attributes", "metadata", "tags", "links"} & mine.keys()
    assert {"traceId", "spanId", "parentSpanId", "error", "startedAt", "endedAt"} <= mine.keys()


@pytest.mark.parametrize("depth", [None, 0, 1])
async def test_both_sides_find_the_same_branch(ours, theirs, database, depth):
    samples = [span(number, traceId="trace-1") for number in range(6)]
    for number, sample in enumerate(samples[1:], 1):
        sample["parentSpanId"] = f"span-{(number - 1) // 2}"
    await create_ours(ours, *samples)

    limit = {} if depth is None else {"depth": depth}
    mine = await ours.observability.get_branch("trace-1", span_id="span-1", **limit)
    original = await theirs.observability.getBranch(traceId="trace-1", spanId="span-1", **limit)
    seen = [span_seen(database, one) for one in plains(mine.spans)]
    assert seen == plains(original["spans"])
    numbers = ["span-1"] if depth == 0 else ["span-1", "span-3", "span-4"]
    assert [s.span_id for s in mine.spans] == numbers


INPUTS = {
    "text": "hello " * 30,
    "text of an object": '{"messages":[{"role":"user","content":"within"}]}',
    "messages": [
        {"role": "system", "content": "rules"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "no"},
        {"role": "user", "content": [{"type": "text", "text": "second"}, {"type": "file"}]},
    ],
    "an object of messages": {"messages": [{"role": "user", "content": "inside"}]},
    "no messages": {"a": 1, "nothing": None},
    "nothing said": [{"role": "assistant", "content": "x"}],
    "a number": 7,
    "an empty text": "",
}


@pytest.mark.parametrize("case", INPUTS)
async def test_both_sides_preview_the_input_of_a_trace_alike(ours, theirs, case):
    await create_ours(ours, span(1, input=INPUTS[case]))

    mine = plain((await ours.observability.list_traces_light()).spans[0])
    original = await theirs.observability.listTracesLight()
    assert mine == {name: plain(original["spans"][0]).get(name) for name in mine}
    assert mine.get("inputPreview") == original["spans"][0].get("inputPreview")
    assert "input" not in mine


FILTERS = {
    "nothing": {},
    "span type": {"span_type": "tool_call"},
    "entity": {"entity_type": "agent", "entity_id": "agent-1", "entity_name": "Agent"},
    "user": {"user_id": "user-1"},
    "owner": {"organization_id": "organization-1", "resource_id": "resource-1"},
    "run": {"run_id": "run-1"},
    "session": {"session_id": "session-1"},
    "thread": {"thread_id": "thread-1"},
    "request": {"request_id": "request-1"},
    "place": {"environment": "production", "source": "local", "service_name": "service"},
    "metadata": {"metadata": {"text": "odd"}},
    "scope": {"scope": {"version": "1.2"}},
    "one tag": {"tags": ["a"]},
    "all tags": {"tags": ["a", "third"]},
    "failed": {"status": "error"},
    "running": {"status": "running"},
    "successful": {"status": "success"},
    "failed below": {"has_child_error": True},
    "nothing failed": {"has_child_error": False},
    "started": {"started_at": {"start": at(2), "end": at(5)}},
    "ended": {"ended_at": {"start": at(93), "end": at(97)}},
    "nobody": {"user_id": "nobody"},
}


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


async def recorded(ours, theirs) -> None:
    """Record nine traces, every other by the original, that differ in what can be asked for."""
    for number in range(9):
        sample = span(
            number,
            metadata={"text": ("even", "odd")[number % 2]},
            tags=["a", *(["third"] if number % 3 == 0 else [])],
            spanType="tool_call" if number == 2 else "agent_run",
        )
        if number == 4:
            sample["error"] = SPAN["error"]
        if number in {5, 6}:
            sample["endedAt"] = None
        child = {**SPAN, "traceId": sample["traceId"], "parentSpanId": sample["spanId"]}
        samples = [sample, *([{**child, "spanId": "child"}] if number == 7 else [])]
        if number % 2:
            await theirs.observability.batchCreateSpans(records=[unstamped(s) for s in samples])
        else:
            await create_ours(ours, *samples)


async def test_both_sides_filter_traces_alike(ours, theirs, database):
    await recorded(ours, theirs)

    for name, filters in FILTERS.items():
        mine = await ours.observability.list_traces(**filters, per_page=20)
        original = await theirs.observability.listTraces(
            filters={camel(key): value for key, value in filters.items()},
            pagination={"page": 0, "perPage": 20},
        )
        expected = [{k: v for k, v in s.items() if k != "status"} for s in original["spans"]]
        seen = [span_seen(database, one) for one in plains(mine.spans)]
        assert seen == plains(expected), name
        assert [s.status for s in mine.spans] == [s["status"] for s in original["spans"]], name
        assert page_of(mine) == page_of(original), name
        assert len(mine.spans) > 0 or name == "nobody", name


@pytest.mark.parametrize("field", ["startedAt", "endedAt"])
@pytest.mark.parametrize("direction", ["ASC", "DESC"])
async def test_both_sides_page_through_traces_alike(ours, theirs, field, direction):
    await recorded(ours, theirs)
    # One running trace only: the order of two would be a tie.
    await theirs.observability.updateSpan(
        traceId="trace-6", spanId="span-6", updates={"endedAt": at(94)}
    )

    order = {"field": field, "direction": direction}
    for page in range(4):
        mine = await ours.observability.list_traces(order_by=order, page=page, per_page=3)
        original = await theirs.observability.listTraces(
            orderBy=order, pagination={"page": page, "perPage": 3}
        )
        assert [s.trace_id for s in mine.spans] == [s["traceId"] for s in original["spans"]]
        assert page_of(mine) == page_of(original)


async def test_a_deleted_trace_is_gone_for_the_other_side(ours, theirs):
    await recorded(ours, theirs)
    await ours.observability.batch_delete_traces(["trace-1", "trace-7", "unknown"])
    await theirs.observability.batchDeleteTraces(traceIds=["trace-2", "unknown"])

    assert await theirs.observability.getTrace(traceId="trace-7") is None
    assert await ours.observability.get_trace("trace-2") is None
    mine = await ours.observability.list_traces(per_page=20)
    assert {s.trace_id for s in mine.spans} == {f"trace-{n}" for n in (0, 3, 4, 5, 6, 8)}
