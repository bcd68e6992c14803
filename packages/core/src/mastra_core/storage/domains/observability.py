"""The observability domain: spans, and the traces and branches that they make up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Unpack, cast

from mastra_core.clock import now
from mastra_core.errors import ConflictError, InvalidArgumentError, NotFoundError
from mastra_core.records import Span, SpanPage, TraceSpans
from mastra_core.storage.codec import check_id
from mastra_core.storage.domain import StorageDomain
from mastra_core.storage.domains.spans import (
    BRANCH_TYPES,
    LIGHT,
    LIGHT_COLUMNS,
    PREVIEW,
    PREVIEW_COLUMNS,
    SPAN,
    BranchPage,
    LightTrace,
    SpanFilters,
    SpanUpdate,
    TraceFilters,
    TracePreviewPage,
    TracingStrategy,
    checked,
    conditions,
    owned_by,
    updated_values,
)
from mastra_core.storage.paging import OrderBy, Window, options, order, window
from mastra_core.storage.scan import scan, sift
from mastra_core.storage.schema import (
    Advance,
    Delete,
    Merge,
    Order,
    Put,
    Query,
    Row,
    Table,
    Update,
    Where,
)
from mastra_core.storage.tables import SPANS

ORDERS: Final = {"startedAt": "startedAt", "endedAt": "endedAt"}
OLDEST: Final[Order] = (("startedAt", "asc"),)
MERGE: Final[Mapping[str, Merge]] = {"createdAt": "keep"}
ROOT: Final = Where("parentSpanId", "eq", None)
MOST_ROWS = 100
MOST_TRACES = 1000
PUT_ROWS = 500


class ObservabilityStorage(StorageDomain):
    """Spans by their trace and id; a span without a parent stands for its trace.

    Where ``organization_id`` or ``resource_id`` is given, spans of others (and of nobody) are as
    not there. Lists are pages of at most 100, newest first, by ``startedAt`` or ``endedAt``, where
    what still runs counts as the latest.
    """

    name: ClassVar[str] = "observability"
    tables: ClassVar[tuple[Table, ...]] = (SPANS,)
    retention: ClassVar[Mapping[str, tuple[Table, str]]] = {"spans": (SPANS, "startedAt")}

    @property
    def observability_strategy(self) -> TracingStrategy:
        """How an exporter may hand over spans, and how it best does."""
        return TracingStrategy(
            preferred="batch-with-updates",
            supported=("realtime", "batch-with-updates", "insert-only"),
        )

    @property
    def tracing_strategy(self) -> TracingStrategy:
        """The original's older name of ``observability_strategy``."""
        return self.observability_strategy

    async def create_span(self, span: Span | Mapping[str, Any]) -> None:
        """Store a span, over the one with its ids if there is one (whose ``created_at`` it keeps)."""
        await self.batch_create_spans([span])

    async def batch_create_spans(self, spans: Sequence[Span | Mapping[str, Any]]) -> None:
        """Store spans, all or none; of two with the same ids the later one counts."""
        unique = {(span.trace_id, span.span_id): span for span in map(checked, spans)}
        rows = [SPAN.row(span) for span in unique.values()]
        if rows:
            await self.backend.write(
                *(
                    Put(SPANS, rows[i : i + PUT_ROWS], "replace", MERGE)
                    for i in range(0, len(rows), PUT_ROWS)
                )
            )

    async def update_span(
        self,
        trace_id: str,
        *,
        span_id: str,
        updates: Mapping[str, Any],
        organization_id: str | None = None,
        resource_id: str | None = None,
    ) -> None:
        """Set fields of a span, the others stay; an unknown span is a ``NotFoundError``.

        ``updates`` names fields of ``Span`` in snake or camel case; ``None`` empties a field.
        """
        update = {"trace_id": trace_id, "span_id": span_id, "updates": updates}
        await self.batch_update_spans(
            [update], organization_id=organization_id, resource_id=resource_id
        )

    async def batch_update_spans(
        self,
        records: Sequence[SpanUpdate | Mapping[str, Any]],
        *,
        organization_id: str | None = None,
        resource_id: str | None = None,
    ) -> None:
        """Set fields of several spans, all or none: an unknown span is a ``NotFoundError``.

        Each record has ``trace_id``, ``span_id`` and ``updates``; see ``update_span``.
        """
        given = [options(SpanUpdate, record, "update of a span") for record in records]
        whose = owned_by(organization_id, resource_id)
        at = Advance(now())
        changes = [
            Update(
                SPANS,
                (*_span(update.trace_id, update.span_id), *whose),
                {**updated_values(update.updates), "updatedAt": at},
                expect=1,
            )
            for update in given
        ]
        if not changes:
            return
        try:
            await self.backend.write(*changes)
        except ConflictError as error:
            missing = given[0 if len(given) == 1 else error.change or 0]
            exact = len(given) == 1 or error.change is not None
            which = f"Span {missing.span_id!r} of trace {missing.trace_id!r}" if exact else "A span"
            raise NotFoundError(f"{which} not found for update; nothing was changed") from None

    async def batch_delete_traces(
        self,
        trace_ids: Sequence[str],
        *,
        organization_id: str | None = None,
        resource_id: str | None = None,
    ) -> None:
        """Delete the spans of at most 1,000 traces; unknown ids are no error.

        With ``organization_id`` or ``resource_id`` only their spans go, whatever else is in a
        trace.
        """
        ids = _unique(trace_ids, "trace_ids")
        if len(ids) > MOST_TRACES:
            raise InvalidArgumentError(f"trace_ids has {len(ids):,} ids; at most {MOST_TRACES:,}")
        if ids:
            where = (Where("traceId", "in", ids), *owned_by(organization_id, resource_id))
            await self.backend.write(Delete(SPANS, where))

    async def get_span(
        self,
        trace_id: str,
        *,
        span_id: str,
        organization_id: str | None = None,
        resource_id: str | None = None,
    ) -> Span | None:
        """The span, or ``None``."""
        where = (*_span(trace_id, span_id), *owned_by(organization_id, resource_id))
        return SPAN.record(await self.backend.find(SPANS, Query(where=where, limit=1)))

    async def get_spans(
        self,
        trace_id: str,
        *,
        span_ids: Sequence[str],
        organization_id: str | None = None,
        resource_id: str | None = None,
    ) -> TraceSpans:
        """The spans of a trace with these ids, in order of their start; unknown ids are left out."""
        ids = _unique(span_ids, "span_ids")
        where = (*_trace(trace_id, organization_id, resource_id), Where("spanId", "in", ids))
        rows = await self.backend.find(SPANS, Query(where=where, order=OLDEST)) if ids else []
        return TraceSpans(trace_id=trace_id, spans=SPAN.records(rows))

    async def get_root_span(
        self,
        trace_id: str,
        *,
        organization_id: str | None = None,
        resource_id: str | None = None,
    ) -> Span | None:
        """The span of a trace that has no parent, or ``None``."""
        where = (*_trace(trace_id, organization_id, resource_id), ROOT)
        query = Query(where=where, order=OLDEST, limit=1)
        return SPAN.record(await self.backend.find(SPANS, query))

    async def get_trace(
        self,
        trace_id: str,
        *,
        organization_id: str | None = None,
        resource_id: str | None = None,
    ) -> TraceSpans | None:
        """All spans of a trace in order of their start, or ``None`` where there are none."""
        where = _trace(trace_id, organization_id, resource_id)
        rows = await self.backend.find(SPANS, Query(where=where, order=OLDEST))
        return TraceSpans(trace_id=trace_id, spans=SPAN.records(rows)) if rows else None

    async def get_trace_light(
        self,
        trace_id: str,
        *,
        organization_id: str | None = None,
        resource_id: str | None = None,
    ) -> LightTrace | None:
        """A trace without what its spans carried: only what a timeline shows is read."""
        where = _trace(trace_id, organization_id, resource_id)
        query = Query(where=where, order=OLDEST, columns=LIGHT_COLUMNS)
        rows = await self.backend.find(SPANS, query)
        return LightTrace(trace_id=trace_id, spans=LIGHT.records(rows)) if rows else None

    async def get_branch(
        self,
        trace_id: str,
        *,
        span_id: str,
        depth: int | None = None,
        organization_id: str | None = None,
        resource_id: str | None = None,
    ) -> TraceSpans | None:
        """A span and what is below it (``depth`` levels at most), or ``None`` if it is not there."""
        if depth is not None and (isinstance(depth, bool) or depth < 0):
            raise InvalidArgumentError(f"depth must be >= 0, not {depth!r}")
        check_id(span_id, "span_id")
        where = _trace(trace_id, organization_id, resource_id)
        query = Query(where=where, columns=("spanId", "parentSpanId"))
        ids = _below(span_id, await self.backend.find(SPANS, query), depth)
        if not ids:
            return None
        return await self.get_spans(
            trace_id, span_ids=ids, organization_id=organization_id, resource_id=resource_id
        )

    async def list_traces(
        self,
        *,
        page: int = 0,
        per_page: int = 10,
        order_by: OrderBy | Mapping[str, Any] | None = None,
        with_total: bool = True,
        **filters: Unpack[TraceFilters],
    ) -> SpanPage:
        """A page of root spans, newest first; see ``TraceFilters`` for the conditions.

        ``has_child_error`` is a condition on other spans: traces are then read until the page is
        full, and with a total to the end.
        """
        asked = window(page, per_page, most=MOST_ROWS)
        rows, total, more = await self._roots(filters, asked, order_by, with_total=with_total)
        return SpanPage(
            spans=SPAN.records(rows), total=total, page=page, per_page=per_page, has_more=more
        )

    async def list_traces_light(
        self,
        *,
        page: int = 0,
        per_page: int = 10,
        order_by: OrderBy | Mapping[str, Any] | None = None,
        with_total: bool = True,
        **filters: Unpack[TraceFilters],
    ) -> TracePreviewPage:
        """As ``list_traces``, but only what a list shows, with the beginning of the input."""
        asked = window(page, per_page, most=MOST_ROWS)
        rows, total, more = await self._roots(
            filters, asked, order_by, with_total=with_total, columns=PREVIEW_COLUMNS
        )
        spans = PREVIEW.records(rows)
        return TracePreviewPage(
            spans=spans, total=total, page=page, per_page=per_page, has_more=more
        )

    async def list_branches(
        self,
        *,
        page: int = 0,
        per_page: int = 10,
        order_by: OrderBy | Mapping[str, Any] | None = None,
        with_total: bool = True,
        **filters: Unpack[SpanFilters],
    ) -> BranchPage:
        """A page of the spans that are runs of agents, workflows, tools …, wherever in a trace.

        Filters apply to those spans themselves; ``get_branch`` gives what is below one.
        """
        asked = window(page, per_page, most=MOST_ROWS)
        ordered = order(order_by, ORDERS, "desc", field="startedAt")
        where = conditions(filters)
        if filters.get("span_type") is None:
            where = (Where("spanType", "in", BRANCH_TYPES), *where)
        elif filters.get("span_type") not in BRANCH_TYPES:
            where = (Where("spanType", "in", ()), *where)
        rows, total, more = await self._page(SPANS, where, ordered, asked, with_total=with_total)
        branches = SPAN.records(rows)
        return BranchPage(
            branches=branches, total=total, page=page, per_page=per_page, has_more=more
        )

    async def _roots(
        self,
        filters: TraceFilters,
        asked: Window,
        order_by: OrderBy | Mapping[str, Any] | None,
        *,
        with_total: bool,
        columns: tuple[str, ...] = (),
    ) -> tuple[list[Row], int | None, bool]:
        given = dict(filters)
        has_child_error = given.pop("has_child_error", None)
        ordered = order(order_by, ORDERS, "desc", field="startedAt")
        where = (ROOT, *conditions(given))
        if has_child_error is None:
            return await self._page(
                SPANS, where, ordered, asked, with_total=with_total, columns=columns
            )
        keys = (ordered[0][0], "traceId", "spanId")
        pages = scan(self.backend, SPANS, where, ordered, columns=keys, size=MOST_ROWS)

        async def keep(rows: Sequence[Row]) -> Sequence[Row]:
            failed = await self._failed([row[1] for row in rows])
            return [row for row in rows if (row[1] in failed) is bool(has_child_error)]

        found, total, more = await sift(pages, keep, asked, with_total=with_total)
        return await self._by_keys([row[1:] for row in found], columns), total, more

    async def _failed(self, trace_ids: Sequence[Any]) -> set[Any]:
        """Those of the traces in which any span has an error."""
        where = (Where("traceId", "in", tuple(trace_ids)), Where("error", "ne", None))
        query = Query(where=where, columns=("traceId",))
        return {row[0] for row in await self.backend.find(SPANS, query)}

    async def _by_keys(self, keys: Sequence[Row], columns: tuple[str, ...]) -> list[Row]:
        """The rows with these (trace id, span id), in this order; those gone since are left out."""
        if not keys:
            return []
        traces, spans = (tuple(dict.fromkeys(part)) for part in zip(*keys, strict=True))
        where = (Where("traceId", "in", traces), Where("spanId", "in", spans))
        rows = await self.backend.find(SPANS, Query(where=where, columns=columns))
        names = columns or SPANS.names
        at = (names.index("traceId"), names.index("spanId"))
        by_key = {(row[at[0]], row[at[1]]): row for row in rows}
        return [by_key[key] for key in cast("Sequence[Any]", keys) if key in by_key]


def _unique(ids: Sequence[str], what: str) -> tuple[str, ...]:
    if isinstance(ids, str):
        raise InvalidArgumentError(f"{what} must be a list of ids, not one text")
    return tuple(dict.fromkeys(check_id(one, what) for one in ids))


def _trace(
    trace_id: str, organization_id: str | None, resource_id: str | None
) -> tuple[Where, ...]:
    own = Where("traceId", "eq", check_id(trace_id, "trace_id"))
    return (own, *owned_by(organization_id, resource_id))


def _span(trace_id: str, span_id: str) -> tuple[Where, ...]:
    return (
        Where("traceId", "eq", check_id(trace_id, "trace_id")),
        Where("spanId", "eq", check_id(span_id, "span_id")),
    )


def _below(span_id: str, rows: Sequence[Row], depth: int | None) -> list[str]:
    """The ids of a span and its descendants; parents that form a circle are walked once."""
    children: dict[str | None, list[str]] = {}
    for child, parent in cast("Sequence[tuple[str, str | None]]", rows):
        children.setdefault(parent, []).append(child)
    if all(row[0] != span_id for row in rows):
        return []
    found = {span_id: None}
    level = [span_id]
    while level and (depth is None or depth > 0):
        level = [c for parent in level for c in children.get(parent, ()) if c not in found]
        found.update(dict.fromkeys(level))
        depth = None if depth is None else depth - 1
    return list(found)
