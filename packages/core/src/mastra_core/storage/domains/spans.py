"""Spans as the observability domain stores, shortens and filters them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypedDict

import msgspec
from msgspec import UNSET

from mastra_core.clock import now
from mastra_core.errors import CorruptDataError, InvalidArgumentError
from mastra_core.records import Json, JsonObject, Page, Record, Span
from mastra_core.storage.codec import (
    Codec,
    check_id,
    clean_text,
    column_name,
    from_json,
    json_array,
    json_object,
    to_json,
)
from mastra_core.storage.paging import DateRange, metadata_conditions, options
from mastra_core.storage.schema import Table, Where
from mastra_core.storage.tables import SPANS

SPAN: Final = Codec(SPANS, Span)
Status = Literal["error", "running", "success"]
PREVIEW_LENGTH = 100
BRANCH_TYPES: Final = (
    "agent_run",
    "workflow_run",
    "processor_run",
    "scorer_run",
    "rag_ingestion",
    "tool_call",
    "mcp_tool_call",
    "mcp_server_request",
    "provider_tool_call",
)


class LightSpan(Record, frozen=True, kw_only=True):
    """What a timeline shows of a span: its place, times and outcome, without what it carried."""

    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    name: str
    span_type: str
    is_event: bool = False
    started_at: datetime
    ended_at: datetime | None = None
    error: Json = None
    entity_type: str | None = None
    entity_id: str | None = None
    entity_name: str | None = None
    created_at: datetime
    updated_at: datetime | None = None

    @property
    def status(self) -> Status:
        """``error`` where there is one, else ``running`` until it has ended, else ``success``."""
        if self.error is not None:
            return "error"
        return "running" if self.ended_at is None else "success"


class TracePreview(LightSpan, frozen=True, kw_only=True):
    """What a list of traces shows of a root span: also its metadata and how its input begins."""

    metadata: JsonObject | None = None
    input_preview: str | None = None


class LightTrace(Record, frozen=True, kw_only=True):
    """The shortened spans of one trace, in order of their start."""

    trace_id: str
    spans: list[LightSpan]


class TracePreviewPage(Page, frozen=True, kw_only=True):
    """A page of shortened root spans; each stands for its trace."""

    spans: list[TracePreview]


class BranchPage(Page, frozen=True, kw_only=True):
    """A page of spans that are runs of their own: of agents, workflows, tools …, root or not."""

    branches: list[Span]


class TracingStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """How an exporter may hand over spans, and how it best does."""

    preferred: str
    supported: tuple[str, ...]


class SpanUpdate(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What to set of one span."""

    trace_id: str
    span_id: str
    updates: dict[str, Any]


class SpanFilters(TypedDict, total=False):
    """Conditions on one span; all that are given (and not ``None``) must hold.

    ``tags`` must all be there; ``metadata`` and ``scope`` must have these values at these keys.
    """

    trace_id: str | None
    span_type: str | None
    status: Status | None
    started_at: DateRange | Mapping[str, Any] | None
    ended_at: DateRange | Mapping[str, Any] | None
    tags: Sequence[str] | None
    metadata: Mapping[str, Any] | None
    scope: Mapping[str, Any] | None
    entity_type: str | None
    entity_id: str | None
    entity_name: str | None
    entity_version_id: str | None
    parent_entity_type: str | None
    parent_entity_id: str | None
    parent_entity_name: str | None
    parent_entity_version_id: str | None
    root_entity_type: str | None
    root_entity_id: str | None
    root_entity_name: str | None
    root_entity_version_id: str | None
    user_id: str | None
    organization_id: str | None
    resource_id: str | None
    run_id: str | None
    session_id: str | None
    thread_id: str | None
    request_id: str | None
    environment: str | None
    service_name: str | None
    source: str | None
    experiment_id: str | None


class TraceFilters(SpanFilters, total=False):
    """Conditions on a trace: on its root span, and on whether any of its spans has an error."""

    has_child_error: bool | None


EXACT: Final = frozenset({"trace_id", "organization_id", "resource_id"})
SPECIAL: Final = frozenset({"status", "started_at", "ended_at", "tags", "metadata", "scope"})
STATUSES: Final[Mapping[str, tuple[Where, ...]]] = {
    "error": (Where("error", "ne", None),),
    "running": (Where("error", "eq", None), Where("endedAt", "eq", None)),
    "success": (Where("error", "eq", None), Where("endedAt", "ne", None)),
}


def conditions(filters: Mapping[str, Any]) -> tuple[Where, ...]:
    """The filters as conditions; a name or value that cannot be is an ``InvalidArgumentError``."""
    unknown = sorted(set(filters) - SpanFilters.__annotations__.keys())
    if unknown:
        raise InvalidArgumentError(f"traces cannot be filtered by {', '.join(unknown)}")
    where: list[Where] = []
    for name, value in filters.items():
        if value is None:
            continue
        where += _special(name, value) if name in SPECIAL else [_equal(name, value)]
    return tuple(where)


def _equal(name: str, value: Any) -> Where:
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{name} must be text, not {type(value).__name__}")
    wanted = check_id(value, name) if name in EXACT else clean_text(value)
    return Where(column_name(SPANS, name), "eq", wanted)


def _special(name: str, value: Any) -> Sequence[Where]:
    match name:
        case "status":
            if not isinstance(value, str) or value not in STATUSES:
                raise InvalidArgumentError(
                    f"status must be one of {', '.join(STATUSES)}, not {value!r}"
                )
            return STATUSES[value]
        case "started_at" | "ended_at":
            between: DateRange = options(DateRange, value, name)
            return between.conditions(column_name(SPANS, name))
        case "tags":
            tags = _texts(value, name)
            return [Where("tags", "has_all", tags)] if tags else []
        case _:
            return metadata_conditions(name, value)


def _texts(value: Any, what: str) -> tuple[str, ...]:
    try:
        return tuple(map(clean_text, msgspec.convert(value, list[str])))
    except msgspec.ValidationError as error:
        raise InvalidArgumentError(f"{what} must be a list of texts: {error}") from error


def owned_by(organization_id: str | None, resource_id: str | None) -> tuple[Where, ...]:
    """Conditions on whose a span is."""
    given = {"organization_id": organization_id, "resource_id": resource_id}
    return tuple([_equal(name, value) for name, value in given.items() if value is not None])


def checked(given: Span | Mapping[str, Any]) -> Span:
    """The span, if it can be stored."""
    span = options(Span, given, "span")
    for name in ("name", "span_type"):
        if not isinstance(getattr(span, name), str):
            raise InvalidArgumentError(f"{name} of a span must be text")
    if not isinstance(span.started_at, datetime):
        raise InvalidArgumentError("started_at of a span must be a datetime")
    owned_by(span.organization_id or None, span.resource_id or None)
    return span


REQUIRED: Final[Mapping[str, Any]] = {
    "traceId": "-",
    "spanId": "-",
    "name": "-",
    "spanType": "-",
    "startedAt": now(),
}
FIXED: Final = frozenset({"trace_id", "span_id", "created_at", "updated_at"})
FIELDS: Final = {field.name: field.encode_name for field in msgspec.structs.fields(Span)}
NAMES: Final = {encoded: name for name, encoded in FIELDS.items()}


def updated_values(updates: Mapping[str, Any]) -> dict[str, Any]:
    """The column values of an update: snake-case or camel-case names, checked as a span's are."""
    given = {NAMES.get(key, key): value for key, value in updates.items() if value is not UNSET}
    refused = sorted(name for name in given if name not in FIELDS or name in FIXED)
    if refused:
        raise InvalidArgumentError(f"updates of a span cannot set {', '.join(refused)}")
    probe = {**REQUIRED, **{FIELDS[name]: value for name, value in given.items()}}
    span = checked(probe)
    return SPAN.values({name: getattr(span, name) for name in given})


def preview(text: str | None) -> str | None:
    """How the input of a span begins: what the users said, else its text, else its JSON."""
    value: Any = None if text is None else from_json(text)
    first = value.lstrip()[:1] if isinstance(value, str) else ""
    if first in {"{", "[", '"'}:
        try:
            value = from_json(value)
        except CorruptDataError:
            value = value if first == '"' else None
    messages = json_array(json_object(value).get("messages", value))
    if messages is not None:
        shown = " | ".join(filter(None, map(_said, messages)))
    elif isinstance(value, str):
        shown = value
    else:
        shown = "" if value is None else to_json(value)
    if not shown.strip():
        return None
    return f"{shown[:PREVIEW_LENGTH]}…" if len(shown) > PREVIEW_LENGTH else shown


def _said(message: Any) -> str:
    """The text of a message, if it is a user's."""
    message = json_object(message)
    if message.get("role") != "user":
        return ""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return " ".join(filter(None, map(_part, json_array(content) or ())))


def _part(part: Any) -> str:
    if not isinstance(part, str):
        part = json_object(part)
        part = part.get("text") if part.get("type") == "text" else None
    return part if isinstance(part, str) else ""


LIGHT_COLUMNS: Final = tuple(column_name(SPANS, name) for name in LightSpan.__struct_fields__)
PREVIEW_COLUMNS: Final = (*LIGHT_COLUMNS, "metadata", "input")


def _columns(names: Sequence[str], **renamed: str) -> Table:
    """The spans' table as far as these columns go; ``input`` may stand under another name."""
    columns = [msgspec.structs.replace(SPANS.column(n), name=renamed.get(n, n)) for n in names]
    return Table(SPANS.name, tuple(columns), SPANS.key)


LIGHT: Final = Codec(_columns(LIGHT_COLUMNS), LightSpan)
PREVIEW: Final = Codec(
    _columns(PREVIEW_COLUMNS, input="inputPreview"),
    TracePreview,
    {"input_preview": (to_json, preview)},
)
