"""Lists of traces and branches, by what their spans are."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.records import TEXTS, span
from mastra_conformance.rows import NOON, at
from mastra_conformance.tiers import area
from mastra_core.errors import InvalidArgumentError
from mastra_core.records import Span


@area("observability")
@pytest.mark.asyncio(loop_scope="function")
class TestTraceLists:
    """Lists of traces and branches, within one organisation of the test's own."""

    async def store(self, lab: Lab, *roots: dict[str, Any]) -> tuple[str, list[str]]:
        """Traces of a fresh organisation, the n-th begun n milliseconds after noon."""
        organisation, traces = fresh("org"), [fresh("trace") for _ in roots]
        owned: list[Span] = []
        for n, (trace, fields) in enumerate(zip(traces, roots, strict=True)):
            given: dict[str, Any] = {"started_at": at(n), "ended_at": at(n + 5), **fields}
            given["organization_id"] = organisation
            owned.append(span(trace, **given))
        await lab.store.observability.batch_create_spans(owned)
        return organisation, traces

    async def found(self, lab: Lab, organisation: str, traces: list[str], **filters: Any) -> str:
        """The numbers of the traces that are listed, in their order."""
        page = await lab.store.observability.list_traces(
            organization_id=organisation, per_page=100, **filters
        )
        assert page.total == len(page.spans)
        return "".join(str(traces.index(s.trace_id)) for s in page.spans)

    async def test_traces_are_listed_by_their_roots_newest_first(self, lab: Lab) -> None:
        """Pages of ten by default, at most a hundred, with a total; ties by the ids."""
        observability = lab.store.observability
        organisation, traces = await self.store(lab, *({"started_at": NOON} for _ in range(12)))
        for trace in traces:
            await observability.create_span(span(trace, 1, organization_id=organisation))
        first = await observability.list_traces(organization_id=organisation)
        second = await observability.list_traces(organization_id=organisation, page=1)
        assert (first.total, first.has_more, len(first.spans)) == (12, True, 10)
        assert (second.total, second.has_more, len(second.spans)) == (12, False, 2)
        listed = [s.trace_id for s in (*first.spans, *second.spans)]
        assert listed == sorted(traces, reverse=True)
        blind = await observability.list_traces(organization_id=organisation, with_total=False)
        assert (blind.total, blind.has_more) == (None, True)
        refused: list[dict[str, Any]] = [
            {"per_page": 0},
            {"per_page": 101},
            {"page": -1},
            {"order_by": {"field": "name"}},
        ]
        for bad in refused:
            with pytest.raises(InvalidArgumentError):
                await observability.list_traces(**bad)

    async def test_every_text_field_of_the_root_is_a_filter(self, lab: Lab) -> None:
        """None is ignored silently: each one alone finds its trace and not the other."""
        names = [name for name in TEXTS if name != "organization_id"] + ["span_type"]
        values = {name: fresh(name) for name in names}
        organisation, traces = await self.store(lab, values, {})
        for name, value in values.items():
            found = await self.found(lab, organisation, traces, **{name: value})
            assert found == "0", name
            nobody = await self.found(lab, organisation, traces, **{name: fresh()})
            assert nobody == "", name
        assert await self.found(lab, organisation, traces, trace_id=traces[1]) == "1"
        with pytest.raises(InvalidArgumentError):
            await self.found(lab, organisation, traces, unknown="x")

    async def test_status_is_derived_from_error_and_end(self, lab: Lab) -> None:
        """An error is an error even while it runs."""
        error = {"error": {"message": "m"}}
        roots: list[dict[str, Any]] = [{}, {"ended_at": None}, error, {**error, "ended_at": None}]
        organisation, traces = await self.store(lab, *roots)
        assert await self.found(lab, organisation, traces, status="success") == "0"
        assert await self.found(lab, organisation, traces, status="running") == "1"
        assert await self.found(lab, organisation, traces, status="error") == "32"

    async def test_times_are_included_unless_said_otherwise(self, lab: Lab) -> None:
        """Of start and end, with open ends; what runs has no end to compare."""
        roots: list[dict[str, Any]] = [*({} for _ in range(5)), {"ended_at": None}]
        organisation, traces = await self.store(lab, *roots)
        ask = {"start": at(2), "end": at(4)}
        assert await self.found(lab, organisation, traces, started_at=ask) == "432"
        exclusive = {**ask, "startExclusive": True, "end_exclusive": True}
        assert await self.found(lab, organisation, traces, started_at=exclusive) == "3"
        assert await self.found(lab, organisation, traces, ended_at={"start": at(8)}) == "43"
        assert await self.found(lab, organisation, traces, started_at={"end": at(0)}) == "0"

    async def test_metadata_scope_and_tags_are_matched_by_their_members(self, lab: Lab) -> None:
        """Exactly by type, numbers and booleans included; all tags must be there."""
        roots: list[dict[str, Any]] = [
            {"metadata": {"k": 1, "j": "x"}, "tags": ["a", "b"]},
            {"metadata": {"k": "1"}, "tags": ["ab"]},
            {"metadata": {"k": True}, "scope": {"k": 1}},
            {"metadata": None, "tags": []},
        ]
        organisation, traces = await self.store(lab, *roots)
        assert await self.found(lab, organisation, traces, metadata={"k": 1}) == "0"
        assert await self.found(lab, organisation, traces, metadata={"k": "1"}) == "1"
        assert await self.found(lab, organisation, traces, metadata={"k": True}) == "2"
        assert await self.found(lab, organisation, traces, metadata={"k": 1, "j": "y"}) == ""
        assert await self.found(lab, organisation, traces, scope={"k": 1}) == "2"
        assert await self.found(lab, organisation, traces, tags=["b", "a"]) == "0"
        assert await self.found(lab, organisation, traces, tags=["a"]) == "0"
        assert await self.found(lab, organisation, traces, tags=[]) == "3210"

    async def test_traces_are_found_by_errors_of_any_span(self, lab: Lab) -> None:
        """``has_child_error`` looks at all spans of a trace, over pages and totals."""
        roots: list[dict[str, Any]] = [{} for _ in range(4)]
        organisation, traces = await self.store(lab, *roots)
        error = {"message": "m"}
        await lab.store.observability.batch_create_spans(
            [span(traces[n], 1, error=error if n in {1, 3} else None) for n in range(4)]
        )
        assert await self.found(lab, organisation, traces, has_child_error=True) == "31"
        assert await self.found(lab, organisation, traces, has_child_error=False) == "20"
        page = await lab.store.observability.list_traces(
            organization_id=organisation, has_child_error=True, per_page=1, page=1
        )
        assert [s.trace_id for s in page.spans] == [traces[1]]
        assert (page.total, page.has_more) == (2, False)

    async def test_what_still_runs_counts_as_the_latest_end(self, lab: Lab) -> None:
        """Ordered by end, running traces come first when descending and last when ascending."""
        organisation, traces = await self.store(
            lab, {"ended_at": at(9)}, {"ended_at": None}, {"ended_at": at(3)}, {"ended_at": None}
        )
        running = sorted("13", key=lambda n: traces[int(n)])
        down = await self.found(lab, organisation, traces, order_by={"field": "endedAt"})
        assert down == "".join([*running[::-1], "0", "2"])
        order = {"field": "ended_at", "direction": "ASC"}
        up = await self.found(lab, organisation, traces, order_by=order)
        assert up == "".join(["2", "0", *running])
        order = {"direction": "ASC"}
        assert await self.found(lab, organisation, traces, order_by=order) == "0123"

    async def test_a_light_list_shows_how_the_input_begins(self, lab: Lab) -> None:
        """The user's words of the first 100 characters, and nothing heavy."""
        words = "word " * 50
        inputs: list[Any] = [
            "plain",
            {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "hi"}]},
            words,
            msgspec.UNSET,
        ]
        organisation, _ = await self.store(lab, *({"input": value} for value in inputs))
        page = await lab.store.observability.list_traces_light(organization_id=organisation)
        shown = [light.input_preview for light in page.spans]
        assert shown == [None, f"{words[:100]}…", "hi", "plain"]
        assert "input" not in msgspec.to_builtins(page.spans[0])

    async def test_branches_are_runs_wherever_in_a_trace(self, lab: Lab) -> None:
        """Spans of the types that are runs; other types are none, even if asked for."""
        observability = lab.store.observability
        organisation, traces = await self.store(lab, {"span_type": "workflow_run"})
        kinds = ["tool_call", "model_step", "mcp_tool_call", "generic"]
        await observability.batch_create_spans(
            [
                span(traces[0], n + 1, span_type=kind, organization_id=organisation)
                for n, kind in enumerate(kinds)
            ]
        )
        page = await observability.list_branches(organization_id=organisation)
        assert [s.span_type for s in page.branches] == [
            "mcp_tool_call",
            "tool_call",
            "workflow_run",
        ]
        assert page.total == 3
        page = await observability.list_branches(
            organization_id=organisation, span_type="tool_call"
        )
        assert [s.span_id for s in page.branches] == ["s0001"]
        page = await observability.list_branches(organization_id=organisation, span_type="generic")
        assert page.branches == []
