"""Observability: spans, traces and branches."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.records import TEXTS, span
from mastra_conformance.rows import NOON, at
from mastra_conformance.tiers import area, base
from mastra_core.errors import InvalidArgumentError, NotFoundError
from mastra_core.records import Span


def whole(trace: str) -> Span:
    """A root span with every field."""
    texts: dict[str, Any] = {name: fresh(name) for name in TEXTS}
    return span(
        trace,
        **texts,
        scope={"package": "p"},
        metadata={"m": {"n": [1]}},
        tags=["a", "b"],
        attributes={"x": None},
        links=[{"traceId": "t"}],
        input={"messages": []},
        output="text",
        error={"message": "m", "details": {}},
        request_context={"r": 1},
        is_event=True,
    )


@area("observability")
@pytest.mark.asyncio(loop_scope="function")
class TestSpans:
    """Spans and traces."""

    @base
    async def test_a_span_is_read_back(self, lab: Lab) -> None:
        """Every field; a running span has no end; unknown ones are ``None``."""
        observability, trace = lab.store.observability, fresh("trace")
        given, child = whole(trace), span(trace, 1, ended_at=None)
        await observability.create_span(given)
        await observability.create_span(child)
        assert await observability.get_span(trace, span_id=given.span_id) == given
        found = await observability.get_span(trace, span_id=child.span_id)
        assert found == child
        assert found is not None
        assert (found.status, given.status) == ("running", "error")
        assert await observability.get_span(trace, span_id="unknown") is None
        assert await observability.get_trace(fresh("trace")) is None
        assert await observability.get_root_span(fresh("trace")) is None

    async def test_inputs_and_outputs_keep_their_type(self, lab: Lab) -> None:
        """Plain text, numbers, ``null`` and text that is JSON; absent stays absent."""
        observability, trace = lab.store.observability, fresh("trace")
        values: list[Any] = [
            "text",
            "123",
            '{"a":1}',
            1,
            0.5,
            False,
            None,
            [],
            {},
            "",
            msgspec.UNSET,
        ]
        spans = [span(trace, n, input=value, output=value) for n, value in enumerate(values)]
        await observability.batch_create_spans(spans)
        found = await observability.get_trace(trace)
        assert found is not None
        for given, kept in zip(values, found.spans, strict=True):
            assert kept.input is given if given is msgspec.UNSET else kept.input == given
            assert type(kept.output) is type(given)

    async def test_a_trace_is_its_spans_in_order_of_their_start(self, lab: Lab) -> None:
        """Ties by span id; all spans of it and of no other."""
        observability, trace = lab.store.observability, fresh("trace")
        spans = [span(trace, n, started_at=at(n // 2)) for n in range(6)]
        await observability.batch_create_spans([*spans[::-1], span(fresh("trace"))])
        found = await observability.get_trace(trace)
        assert found is not None
        assert found.spans == spans
        assert await observability.get_root_span(trace) == spans[0]
        some = await observability.get_spans(trace, span_ids=["s0004", "nobody", "s0001"])
        assert some.spans == [spans[1], spans[4]]

    async def test_a_light_trace_leaves_out_what_spans_carried(self, lab: Lab) -> None:
        """Place, times and outcome are there; input, output, attributes and the like are not."""
        observability, trace = lab.store.observability, fresh("trace")
        given = whole(trace)
        await observability.batch_create_spans([span(trace, 1), given])
        found = await observability.get_trace_light(trace)
        assert found is not None
        assert [light.span_id for light in found.spans] == ["s0000", "s0001"]
        light = msgspec.to_builtins(found.spans[0])
        assert not set(light) & {"input", "output", "attributes", "metadata", "tags", "links"}
        assert light["entityName"] == given.entity_name
        assert light["error"] == given.error
        assert await observability.get_trace_light(fresh("trace")) is None

    async def test_creating_a_span_again_makes_no_second_one(self, lab: Lab) -> None:
        """An exporter may send it twice: the later one counts, the time of creation stays."""
        observability, trace = lab.store.observability, fresh("trace")
        await observability.create_span(span(trace, name="one"))
        again = span(trace, name="two", created_at=at(9))
        await observability.batch_create_spans([span(trace, name="between"), again])
        found = await observability.get_trace(trace)
        assert found is not None
        assert [(s.name, s.created_at) for s in found.spans] == [("two", NOON)]
        await observability.batch_create_spans([])

    async def test_batches_are_stored_whole_or_not_at_all(self, lab: Lab) -> None:
        """One bad span at the end leaves none of its batch."""
        observability, trace = lab.store.observability, fresh("trace")
        good = [span(trace, n) for n in range(30)]
        for wrong in (span(""), span(trace, 99, span_id=""), span(trace, 99, input=object())):
            with pytest.raises(InvalidArgumentError):
                await observability.batch_create_spans([*good, wrong])
            assert await observability.get_trace(trace) is None

    async def test_an_update_sets_the_given_fields(self, lab: Lab) -> None:
        """Others stay, ``None`` empties; the time of the update is kept."""
        observability, trace = lab.store.observability, fresh("trace")
        given = whole(trace)
        await observability.create_span(given)
        updates: dict[str, Any] = {
            "name": "new",
            "endedAt": at(99),
            "output": {"a": 1},
            "error": None,
            "tags": [],
        }
        await observability.update_span(trace, span_id=given.span_id, updates=updates)
        found = await observability.get_span(trace, span_id=given.span_id)
        assert found is not None
        assert found.updated_at is not None
        wanted = msgspec.structs.replace(
            given,
            name="new",
            ended_at=at(99),
            output={"a": 1},
            error=None,
            tags=[],
            updated_at=found.updated_at,
        )
        assert found == wanted

    async def test_updates_of_unknown_spans_are_errors_and_change_nothing(self, lab: Lab) -> None:
        """Silently losing an end is how spans run for ever; a batch is all or none."""
        observability, trace = lab.store.observability, fresh("trace")
        await observability.create_span(span(trace, name="old"))
        records = [
            {"traceId": trace, "spanId": "s0000", "updates": {"name": "new"}},
            {"traceId": trace, "spanId": "unknown", "updates": {"name": "new"}},
        ]
        with pytest.raises(NotFoundError, match="unknown"):
            await observability.batch_update_spans(records)
        found = await observability.get_trace(trace)
        assert found is not None
        assert [s.name for s in found.spans] == ["old"]
        await observability.batch_update_spans(records[:1])
        await observability.batch_update_spans([])
        renamed = await observability.get_root_span(trace)
        assert renamed is not None
        assert renamed.name == "new"
        for updates in ({"traceId": "x"}, {"unknown": 1}, {"created_at": at(0)}):
            with pytest.raises(InvalidArgumentError):
                await observability.update_span(trace, span_id="s0000", updates=updates)

    async def test_traces_are_deleted(self, lab: Lab) -> None:
        """All their spans; unknown ids and an empty list are no error, too many are refused."""
        observability, traces = lab.store.observability, [fresh("trace") for _ in range(3)]
        for trace in traces:
            await observability.batch_create_spans([span(trace, n) for n in range(3)])
        await observability.batch_delete_traces([*traces[:2], fresh("trace")])
        await observability.batch_delete_traces([])
        assert await observability.get_trace(traces[0]) is None
        assert await observability.get_trace(traces[1]) is None
        kept = await observability.get_trace(traces[2])
        assert kept is not None
        assert len(kept.spans) == 3
        with pytest.raises(InvalidArgumentError):
            await observability.batch_delete_traces([fresh() for _ in range(1001)])

    async def test_a_branch_is_a_span_and_what_is_below_it(self, lab: Lab) -> None:
        """As deep as asked for; parents in a circle do not hang it."""
        observability, trace = lab.store.observability, fresh("trace")
        parents = {1: 0, 2: 0, 3: 1, 4: 3, 5: 2, 6: 7, 7: 6}
        spans = [span(trace)] + [
            span(trace, n, parent_span_id=f"s{parent:04}") for n, parent in parents.items()
        ]
        await observability.batch_create_spans(spans)

        async def branch(n: int, depth: int | None = None) -> list[str]:
            found = await observability.get_branch(trace, span_id=f"s{n:04}", depth=depth)
            return [] if found is None else [s.span_id[-1] for s in found.spans]

        assert await branch(0) == list("012345")
        assert await branch(1) == list("134")
        assert await branch(1, 0) == ["1"]
        assert await branch(1, 1) == list("13")
        assert await branch(6) == list("67")
        assert await branch(99) == []
        with pytest.raises(InvalidArgumentError):
            await branch(0, -1)
