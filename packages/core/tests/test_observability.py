"""The observability domain: spans written in batches, traces found by their roots."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import pytest_asyncio

from mastra_core.errors import InvalidArgumentError, NotFoundError
from mastra_core.records import Span
from mastra_core.storage.domains.observability import ObservabilityStorage
from mastra_core.storage.domains.spans import LightSpan, TracePreview
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.tables import SPANS

pytestmark = pytest.mark.asyncio

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ERROR = {"message": "broke", "id": "E1"}


class Counting(InMemoryBackend):
    """Counts what is asked of it."""

    def __init__(self):
        super().__init__()
        self.reads = self.counts = self.writes = self.rows = 0

    async def _find(self, table, query):
        self.reads += 1
        rows = await super()._find(table, query)
        self.rows += len(rows)
        return rows

    async def _count(self, table, where):
        self.counts += 1
        return await super()._count(table, where)

    async def _write(self, changes):
        self.writes += 1
        return await super()._write(changes)


@pytest.fixture
def backend():
    return Counting()


@pytest.fixture
def spans(backend):
    return ObservabilityStorage(backend)


def span(span_id="a", trace_id="t", parent=None, at=0, **more):
    given = {"name": f"n-{span_id}", "span_type": "generic", "parent_span_id": parent}
    given["started_at"] = T0 + timedelta(0, at)
    return Span(trace_id=trace_id, span_id=span_id, **{**given, **more})


def ids(found):
    return " ".join(s.span_id for s in found)


async def test_a_span_comes_back_as_it_was_created(spans):
    texts = {
        field.name: f"value of {field.name}"
        for field in msgspec.structs.fields(Span)
        if field.type == str | None
    }
    full = span(
        **texts,
        is_event=True,
        ended_at=T0,
        scope={"core": "1"},
        metadata={"a.b": 1},
        tags=["x", "é"],
        attributes={"model": {"n": 1}},
        links=[{"traceId": "u"}],
        input=[{"role": "user", "content": "hi"}],
        output="plain",
        error=ERROR,
        request_context={"k": None},
        updated_at=T0,
    )
    await spans.create_span(full)
    assert await spans.get_span("t", span_id="a") == full
    await spans.create_span(span("b"))
    bare = await spans.get_span("t", span_id="b")
    assert bare == span("b", created_at=bare.created_at)
    assert bare.input is msgspec.UNSET
    assert await spans.get_span("t", span_id="c") is None
    assert await spans.get_span("u", span_id="a") is None


@pytest.mark.parametrize("value", ["plain", 7, 0, False, None, "", [], {}, "null", '{"a":1}'])
async def test_any_json_value_survives_as_input_and_output(spans, value):
    await spans.create_span(span(input=value, output=value))
    found = await spans.get_span("t", span_id="a")
    assert (found.input, found.output) == (value, value)
    assert type(found.input) is type(value)


async def test_a_mapping_is_taken_and_what_cannot_be_a_span_is_refused(spans):
    camel = {"traceId": "t", "spanId": "m", "name": "n", "spanType": "generic", "startedAt": T0}
    await spans.create_span(camel)
    assert (await spans.get_span("t", span_id="m")).started_at == T0
    for bad in (
        {"traceId": ""},
        {"spanId": "a\0"},
        {"startedAt": None},
        {"startedAt": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"name": None},
        {"metadata": "x"},
        {"tags": [1]},
        {"input": object()},
        {"organizationId": "o\0"},
    ):
        with pytest.raises(InvalidArgumentError):
            await spans.batch_create_spans([{**camel, "spanId": "other"}, {**camel, **bad}])
    for bad in (span(started_at="now"), span(name=None), span(resource_id="u\0")):
        with pytest.raises(InvalidArgumentError):
            await spans.create_span(bad)
    assert ids((await spans.get_trace("t")).spans) == "m"


async def test_creating_a_span_again_replaces_it_but_keeps_its_creation(spans):
    await spans.create_span(span(created_at=T0, output=1))
    await spans.create_span(span(created_at=T0 + timedelta(1), name="new"))
    found = await spans.get_span("t", span_id="a")
    assert (found.name, found.output, found.created_at) == ("new", msgspec.UNSET, T0)


async def test_a_batch_is_one_write_and_the_later_of_two_counts(spans, backend):
    await spans.batch_create_spans([])
    assert backend.writes == 0
    many = [span(f"{i:04}", at=i) for i in range(1200)]
    await spans.batch_create_spans([*many, span("0000", name="later")])
    assert backend.writes == 1
    found = (await spans.get_trace("t")).spans
    assert len(found) == 1200
    assert found[0].name == "later"


async def test_an_update_sets_what_is_given_and_nothing_else(spans):
    before = span(metadata={"a": 1}, output="old", error=ERROR, created_at=T0)
    await spans.create_span(before)
    await spans.update_span(
        "t",
        span_id="a",
        updates={"endedAt": T0, "is_event": True, "error": None, "metadata": {"b": 2}},
    )
    found = await spans.get_span("t", span_id="a")
    assert found.updated_at > T0
    assert found == msgspec.structs.replace(
        before,
        ended_at=T0,
        is_event=True,
        error=None,
        metadata={"b": 2},
        updated_at=found.updated_at,
    )
    await spans.update_span("t", span_id="a", updates={"output": msgspec.UNSET, "input": None})
    again = await spans.get_span("t", span_id="a")
    assert (again.output, again.input) == ("old", None)
    assert again.updated_at > found.updated_at


async def test_updates_at_the_same_time_do_not_undo_each_other(spans):
    await spans.create_span(span())
    fields = ("user_id", "run_id", "session_id", "thread_id", "request_id", "source")
    await asyncio.gather(
        *(spans.update_span("t", span_id="a", updates={f: f"value of {f}"}) for f in fields)
    )
    found = await spans.get_span("t", span_id="a")
    assert [getattr(found, f) for f in fields] == [f"value of {f}" for f in fields]


async def test_an_update_that_cannot_be_is_refused(spans):
    await spans.create_span(span())
    for updates in (
        {"span_id": "b"},
        {"createdAt": T0},
        {"nmae": "x"},
        {"name": None},
        {"startedAt": None},
        {"output": object()},
        {"tags": "x"},
    ):
        with pytest.raises(InvalidArgumentError):
            await spans.update_span("t", span_id="a", updates=updates)
    with pytest.raises(InvalidArgumentError):
        await spans.update_span("t", span_id="a", updates="name")
    for unknown in ({"span_id": "b"}, {"span_id": "a", "organization_id": "o"}):
        with pytest.raises(NotFoundError):
            await spans.update_span("t", updates={"name": "x"}, **unknown)
    assert (await spans.get_span("t", span_id="a")).name == "n-a"


async def test_a_batch_of_updates_is_one_write_and_all_or_nothing(spans, backend):
    await spans.batch_create_spans([span("a", "t"), span("b", "u")])
    backend.writes = 0
    await spans.batch_update_spans([])
    assert backend.writes == 0
    await spans.batch_update_spans(
        [
            {"trace_id": "t", "span_id": "a", "updates": {"name": "x"}},
            {"traceId": "u", "spanId": "b", "updates": {"name": "y", "endedAt": T0}},
            {"traceId": "t", "spanId": "a", "updates": {"name": "z"}},
        ]
    )
    assert backend.writes == 1
    assert (await spans.get_span("t", span_id="a")).name == "z"
    assert (await spans.get_span("u", span_id="b")).ended_at == T0
    with pytest.raises(NotFoundError, match="Span 'c' of trace 'u' not found"):
        await spans.batch_update_spans(
            [
                {"trace_id": "t", "span_id": "a", "updates": {"name": "lost"}},
                {"trace_id": "u", "span_id": "c", "updates": {"name": "lost"}},
            ]
        )
    assert (await spans.get_span("t", span_id="a")).name == "z"


@pytest_asyncio.fixture
async def tree(spans):
    """A trace: r over b (over c and d) and e; and a circle that no root leads to."""
    await spans.batch_create_spans(
        [
            span("d", parent="b", at=4, error=ERROR),
            span("r", at=1, input="in", metadata={"m": 1}, entity_type="agent", entity_id="e"),
            span("b", parent="r", at=2, output="out"),
            span("c", parent="b", at=3),
            span("e", parent="r", at=2),
            span("x", parent="y", at=9),
            span("y", parent="x", at=8),
            span("r", "other", at=0),
        ]
    )
    return spans


async def test_a_trace_comes_in_the_order_of_its_starts(tree):
    trace = await tree.get_trace("t")
    assert (trace.trace_id, ids(trace.spans)) == ("t", "r b e c d y x")
    assert trace.spans[0].input == "in"
    assert await tree.get_trace("unknown") is None
    assert await tree.get_trace("t", resource_id="u") is None


async def test_the_light_trace_has_the_times_but_not_the_payload(tree):
    light = await tree.get_trace_light("t")
    assert ids(light.spans) == "r b e c d y x"
    assert (light.spans[0].entity_type, light.spans[0].entity_id) == ("agent", "e")
    assert (light.spans[4].error, light.spans[4].status) == (ERROR, "error")
    assert light.spans[0].status == "running"
    assert set(LightSpan.__struct_fields__).isdisjoint(
        {"input", "output", "attributes", "metadata", "tags", "links"}
    )
    assert await tree.get_trace_light("unknown") is None


async def test_roots_and_spans_by_id(tree):
    assert (await tree.get_root_span("t")).span_id == "r"
    assert await tree.get_root_span("unknown") is None
    await tree.create_span(span("child", "headless", parent="gone"))
    assert await tree.get_root_span("headless") is None
    found = await tree.get_spans("t", span_ids=["c", "r", "zzz", "c"])
    assert (found.trace_id, ids(found.spans)) == ("t", "r c")
    assert (await tree.get_spans("t", span_ids=[])).spans == []
    assert (await tree.get_spans("unknown", span_ids=["r"])).spans == []
    with pytest.raises(InvalidArgumentError):
        await tree.get_spans("t", span_ids="r")


@pytest.mark.parametrize(
    ("span_id", "depth", "expected"),
    [
        ("r", None, "r b e c d"),
        ("r", 0, "r"),
        ("r", 1, "r b e"),
        ("b", None, "b c d"),
        ("b", 9, "b c d"),
        ("d", None, "d"),
        ("x", None, "y x"),
    ],
)
async def test_a_branch_is_a_span_and_what_is_below_it(tree, span_id, depth, expected):
    assert ids((await tree.get_branch("t", span_id=span_id, depth=depth)).spans) == expected


async def test_a_branch_that_is_not_there(tree):
    assert await tree.get_branch("t", span_id="zzz") is None
    assert await tree.get_branch("unknown", span_id="r") is None
    for bad in (-1, True):
        with pytest.raises(InvalidArgumentError):
            await tree.get_branch("t", span_id="r", depth=bad)


async def test_traces_are_deleted_whole_and_unknown_ones_are_no_error(tree):
    await tree.batch_delete_traces([])
    await tree.batch_delete_traces(["unknown", "t", "t"])
    assert await tree.get_trace("t") is None
    assert ids((await tree.get_trace("other")).spans) == "r"
    for bad in ("t", [f"x{i}" for i in range(1001)], [""]):
        with pytest.raises(InvalidArgumentError):
            await tree.batch_delete_traces(bad)


async def test_spans_of_another_tenant_are_as_not_there(spans):
    own, other = {"organization_id": "o", "resource_id": "u"}, {"resource_id": "v"}
    await spans.create_span(span("a", **own))
    await spans.create_span(span("b", parent="a", **own))
    assert await spans.get_span("t", span_id="a", **other) is None
    assert await spans.get_span("t", span_id="a", organization_id="p", resource_id="u") is None
    assert await spans.get_root_span("t", **other) is None
    assert await spans.get_trace_light("t", **other) is None
    assert await spans.get_branch("t", span_id="a", **other) is None
    assert (await spans.get_spans("t", span_ids=["a"], **other)).spans == []
    assert (await spans.list_traces(**other)).spans == []
    await spans.batch_delete_traces(["t"], **other)
    with pytest.raises(NotFoundError):
        await spans.update_span("t", span_id="a", updates={"name": "stolen"}, **other)
    assert ids((await spans.get_trace("t", **own)).spans) == "a b"
    assert ids((await spans.get_branch("t", span_id="a", **own)).spans) == "a b"
    await spans.batch_delete_traces(["t"], **own)
    assert await spans.get_trace("t") is None


@pytest_asyncio.fixture
async def listed(spans):
    """Roots r0 … r5, one second apart; r1 and r4 have an error below them, r2 itself."""
    for i in range(6):
        root = span(
            f"r{i}",
            f"t{i}",
            at=i,
            span_type="agent_run" if i < 3 else "workflow_run",
            ended_at=None if i in {3, 4} else T0 + timedelta(0, 100 - i),
            error=ERROR if i == 2 else None,
            user_id=f"u{i % 2}",
            environment="prod" if i < 2 else None,
            tags=["all", f"tag{i % 2}"],
            metadata={"n": i, "s": str(i), "on": i == 1, "none": None},
            scope={"version": f"{i % 2}"},
            parent_entity_type="agent" if i == 5 else None,
            root_entity_version_id="v5" if i == 5 else None,
            experiment_id="x" if i == 4 else None,
            input={"messages": [{"role": "user", "content": f"hello {i}"}]},
        )
        child = span(f"c{i}", f"t{i}", parent=f"r{i}", at=i, user_id="child", span_type="tool_call")
        failed = {"error": ERROR, "ended_at": T0} if i in {1, 4} else {}
        await spans.batch_create_spans([root, msgspec.structs.replace(child, **failed)])
    return spans


RANGE = {"start": T0 + timedelta(0, 1), "end": T0 + timedelta(0, 4)}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "r5 r4 r3 r2 r1 r0"),
        ({"trace_id": "t2"}, "r2"),
        ({"span_type": "agent_run"}, "r2 r1 r0"),
        ({"user_id": "u1"}, "r5 r3 r1"),
        ({"user_id": "child"}, ""),
        ({"user_id": None}, "r5 r4 r3 r2 r1 r0"),
        ({"environment": "prod", "user_id": "u0"}, "r0"),
        ({"parent_entity_type": "agent"}, "r5"),
        ({"root_entity_version_id": "v5"}, "r5"),
        ({"experiment_id": "x"}, "r4"),
        ({"status": "error"}, "r2"),
        ({"status": "running"}, "r4 r3"),
        ({"status": "success"}, "r5 r1 r0"),
        ({"tags": ["tag1"]}, "r5 r3 r1"),
        ({"tags": ["tag1", "all"]}, "r5 r3 r1"),
        ({"tags": ["tag1", "tag0"]}, ""),
        ({"tags": []}, "r5 r4 r3 r2 r1 r0"),
        ({"metadata": {"n": 3}}, "r3"),
        ({"metadata": {"n": "3"}}, ""),
        ({"metadata": {"s": "3"}}, "r3"),
        ({"metadata": {"on": True}}, "r1"),
        ({"metadata": {"on": 1}}, ""),
        ({"metadata": {"none": None, "n": 0}}, "r0"),
        ({"metadata": {"missing": None}}, ""),
        ({"scope": {"version": "1"}}, "r5 r3 r1"),
        ({"has_child_error": True}, "r4 r2 r1"),
        ({"has_child_error": False}, "r5 r3 r0"),
        ({"has_child_error": True, "status": "running"}, "r4"),
        ({"has_child_error": True, "user_id": "nobody"}, ""),
        ({"started_at": RANGE}, "r4 r3 r2 r1"),
        ({"started_at": {**RANGE, "start_exclusive": True}}, "r4 r3 r2"),
        ({"started_at": {**RANGE, "endExclusive": True}}, "r3 r2 r1"),
        ({"ended_at": {"start": T0 + timedelta(0, 98)}}, "r2 r1 r0"),
        ({"ended_at": {"end": T0 + timedelta(0, 98), "end_exclusive": True}}, "r5"),
        ({"order_by": {"direction": "ASC"}}, "r0 r1 r2 r3 r4 r5"),
        ({"order_by": {"field": "endedAt"}}, "r4 r3 r0 r1 r2 r5"),
        ({"order_by": {"field": "ended_at", "direction": "asc"}}, "r5 r2 r1 r0 r3 r4"),
        ({"order_by": {"field": "endedAt"}, "has_child_error": True}, "r4 r1 r2"),
    ],
)
async def test_traces_are_listed_by_conditions_on_their_roots(listed, filters, expected):
    found = await listed.list_traces(**filters)
    assert (ids(found.spans), found.total) == (expected, len(expected.split()))
    light = await listed.list_traces_light(**filters)
    assert (ids(light.spans), light.total) == (expected, len(expected.split()))


async def test_pages_of_traces(listed):
    for filters, every in (({}, "r5 r4 r3 r2 r1 r0"), ({"has_child_error": True}, "r4 r2 r1")):
        names = every.split()
        for page in range(3):
            part = names[page * 2 : page * 2 + 2]
            found = await listed.list_traces(page=page, per_page=2, **filters)
            assert ids(found.spans).split() == part
            more = len(names) > page * 2 + 2
            assert (found.total, found.has_more) == (len(names), more)
            quick = await listed.list_traces(page=page, per_page=2, with_total=False, **filters)
            assert (quick.spans, quick.total, quick.has_more) == (found.spans, None, more)


async def test_what_traces_cannot_be_listed_by_is_refused(listed):
    for bad in (
        {"per_page": 0},
        {"per_page": 101},
        {"per_page": False},
        {"page": -1},
        {"order_by": {"field": "name"}},
        {"order_by": {"direction": "up"}},
        {"user": "u"},
        {"user_id": 7},
        {"status": "done"},
        {"status": ["error"]},
        {"tags": "tag1"},
        {"tags": 5},
        {"metadata": {"a b": 1}},
        {"metadata": {"n": [1]}},
        {"started_at": {"from": T0}},
        {"trace_id": ""},
        {"organization_id": "o\0"},
    ):
        with pytest.raises(InvalidArgumentError):
            await listed.list_traces(**bad)
    with pytest.raises(InvalidArgumentError):
        await listed.list_branches(has_child_error=True)


async def test_the_condition_on_children_is_read_in_bounded_pages(spans, backend):
    await spans.batch_create_spans(
        [
            span("r", f"t{i:03}", at=i, error=ERROR if i % 3 == 0 else None, input="x")
            for i in range(250)
        ]
    )
    backend.reads = backend.rows = 0
    found = await spans.list_traces(has_child_error=True, per_page=5, with_total=False)
    assert [s.trace_id for s in found.spans] == ["t249", "t246", "t243", "t240", "t237"]
    assert (backend.reads, backend.counts) == (3, 0)
    assert backend.rows < 150
    found = await spans.list_traces(has_child_error=False, page=16, per_page=10)
    assert [s.trace_id for s in found.spans] == ["t008", "t007", "t005", "t004", "t002", "t001"][:6]
    assert (found.total, found.has_more) == (166, False)


async def test_what_a_list_shows_of_a_trace(listed):
    first = (await listed.list_traces_light(per_page=1)).spans[0]
    assert (first.input_preview, first.metadata["n"], first.status) == ("hello 5", 5, "success")
    assert set(TracePreview.__struct_fields__).isdisjoint({"input", "output", "attributes", "tags"})
    shown = msgspec.json.decode(msgspec.json.encode(first))
    assert shown["inputPreview"] == "hello 5"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (msgspec.UNSET, None),
        (None, None),
        ("", None),
        ("  ", None),
        ("plain", "plain"),
        ("x" * 100, "x" * 100),
        ("x" * 101, "x" * 100 + "…"),
        ({"a": [1]}, '{"a":[1]}'),
        (7, "7"),
        ('{"a": 1}', '{"a":1}'),
        ('{"a": ', None),
        ('"quoted"', "quoted"),
        ('"half', '"half'),
        ([{"role": "user", "content": "a"}, {"role": "system", "content": "b"}], "a"),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], "a | b"),
        ([{"role": "user", "content": ["a", {"type": "text", "text": "b"}, {"x": 1}]}], "a b"),
        ([1, "x"], None),
        ({"messages": []}, None),
        ({"messages": "x"}, '{"messages":"x"}'),
    ],
)
async def test_how_an_input_begins(spans, value, shown):
    await spans.create_span(span(input=value))
    assert (await spans.list_traces_light()).spans[0].input_preview == shown


async def test_branches_are_runs_wherever_they_are_in_a_trace(listed):
    found = await listed.list_branches(per_page=100)
    assert found.total == 12
    assert ids(found.branches[:4]) == "r5 c5 r4 c4"
    for filters, expected in (
        ({"span_type": "tool_call"}, "c5 c4 c3 c2 c1 c0"),
        ({"span_type": "generic"}, ""),
        ({"trace_id": "t1"}, "r1 c1"),
        ({"user_id": "child", "status": "error"}, "c4 c1"),
        ({"started_at": {**RANGE, "startExclusive": True}, "span_type": "tool_call"}, "c4 c3 c2"),
        ({"order_by": {"field": "endedAt"}, "status": "success"}, "r0 r1 r5"),
    ):
        found = await listed.list_branches(**filters)
        assert (ids(found.branches), found.total) == (expected, len(expected.split()))
    first, second = [await listed.list_branches(page=n, per_page=8) for n in (0, 1)]
    assert (first.has_more, second.has_more) == (True, False)
    assert len({s.span_id for s in first.branches + second.branches}) == 12


async def test_a_page_of_many_traces_costs_one_read(spans, backend):
    await spans.batch_create_spans([span("r", f"t{i}", at=i) for i in range(300)])
    backend.reads = backend.rows = 0
    found = await spans.list_traces(with_total=False)
    assert (len(found.spans), found.has_more) == (10, True)
    assert (backend.reads, backend.rows, backend.counts) == (1, 11, 0)


async def test_the_strategies_and_what_retention_may_prune(spans):
    strategy = spans.observability_strategy
    assert strategy.preferred == "batch-with-updates"
    assert strategy.supported == ("realtime", "batch-with-updates", "insert-only")
    assert spans.tracing_strategy == strategy
    assert spans.retention == {"spans": (SPANS, "startedAt")}
