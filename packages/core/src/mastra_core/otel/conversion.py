"""A span of OpenTelemetry as a span of the observability domain.

What the conventions for generative AI (``gen_ai.*``) and OpenInference call by a name becomes the
field of that meaning, so that agents, models and tools are found by type, name, thread and user
whoever instrumented them. Every other attribute is kept by its own name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import UNSET
from opentelemetry.trace import SpanContext, StatusCode

from mastra_core.clock import now
from mastra_core.records import Json, Span
from mastra_core.storage.codec import from_json

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.util.types import AttributeValue

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Which attribute says what kind of span it is, and what its values mean.
KINDS: Final[Mapping[str, Mapping[str, str]]] = {
    "gen_ai.operation.name": {
        "chat": "model_generation",
        "text_completion": "model_generation",
        "generate_content": "model_generation",
        "embeddings": "rag_embedding",
        "execute_tool": "tool_call",
        "invoke_agent": "agent_run",
        "create_agent": "agent_run",
        "invoke_workflow": "workflow_run",
        "retrieval": "rag_vector_operation",
    },
    "openinference.span.kind": {
        "LLM": "model_generation",
        "EMBEDDING": "rag_embedding",
        "TOOL": "tool_call",
        "AGENT": "agent_run",
        "RETRIEVER": "rag_vector_operation",
        "RERANKER": "rag_action",
        "EVALUATOR": "scorer_run",
    },
    "traceloop.span.kind": {
        "agent": "agent_run",
        "tool": "tool_call",
        "workflow": "workflow_run",
        "task": "workflow_step",
    },
}
# Fields of a span, and the attributes (of it, else of its resource) that name them, best first.
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "thread_id": ("mastra.thread_id", "gen_ai.conversation.id"),
    "resource_id": ("mastra.resource_id",),
    "user_id": ("mastra.user_id", "user.id", "enduser.id"),
    "session_id": ("mastra.session_id", "session.id"),
    "organization_id": ("mastra.organization_id",),
    "run_id": ("mastra.run_id",),
    "request_id": ("mastra.request_id",),
    "experiment_id": ("mastra.experiment_id",),
    "source": ("mastra.source",),
    "service_name": ("service.name",),
    "environment": ("deployment.environment.name", "deployment.environment"),
}
INPUTS: Final = (
    "gen_ai.input.messages",
    "gen_ai.tool.call.arguments",
    "tool_arguments",
    "pydantic_ai.all_messages",
    "all_messages_events",
    "input.value",
    "traceloop.entity.input",
)
OUTPUTS: Final = (
    "gen_ai.output.messages",
    "gen_ai.tool.call.result",
    "tool_response",
    "final_result",
    "output.value",
    "traceloop.entity.output",
)
# The original's names of what a call of a model was given and came to.
MODEL: Final[Mapping[str, tuple[str, ...]]] = {
    "model": ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name"),
    "provider": ("gen_ai.provider.name", "gen_ai.system", "llm.provider"),
}
USAGE: Final[Mapping[str, tuple[str, ...]]] = {
    "inputTokens": ("gen_ai.usage.input_tokens", "llm.token_count.prompt"),
    "outputTokens": ("gen_ai.usage.output_tokens", "llm.token_count.completion"),
}
PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = {
    "maxOutputTokens": ("gen_ai.request.max_tokens",),
    "temperature": ("gen_ai.request.temperature",),
    "topP": ("gen_ai.request.top_p",),
    "topK": ("gen_ai.request.top_k",),
    "presencePenalty": ("gen_ai.request.presence_penalty",),
    "frequencyPenalty": ("gen_ai.request.frequency_penalty",),
    "stopSequences": ("gen_ai.request.stop_sequences",),
    "seed": ("gen_ai.request.seed",),
}
# What names the entity that a span of a type is about: its type, and where its id and name stand.
ENTITIES: Final[Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]]] = {
    "agent_run": (
        "agent",
        ("gen_ai.agent.id",),
        ("gen_ai.agent.name", "agent_name", "agent.name", "traceloop.entity.name"),
    ),
    "tool_call": (
        "tool",
        (),
        ("gen_ai.tool.name", "tool.name", "traceloop.entity.name"),
    ),
    "workflow_run": (
        "workflow_run",
        (),
        ("gen_ai.workflow.name", "traceloop.workflow.name", "traceloop.entity.name"),
    ),
}
ID_LENGTH = 255


class _Attributes:
    """Attributes of a span and its resource; what is taken is not among those left over."""

    def __init__(
        self,
        own: Mapping[str, AttributeValue] | None,
        shared: Mapping[str, AttributeValue] | None,
    ) -> None:
        self._own = own or {}
        self._shared = shared or {}
        self._taken: set[str] = set()

    def take(self, names: Iterable[str]) -> Any:
        """The value of the first of these that is there, or ``None``."""
        for source in (self._own, self._shared):
            for name in names:
                value = source.get(name)
                if value is not None:
                    self._taken.add(name)
                    return value
        return None

    def text(self, names: Iterable[str]) -> str | None:
        """The same as text, no longer than an id may be."""
        value = self.take(names)
        return None if value is None else str(value)[:ID_LENGTH] or None

    def meaning(self, name: str, meanings: Mapping[str, str]) -> str | None:
        """What the value of the span's own attribute means; one without a meaning is not taken."""
        found = meanings.get(str(self._own.get(name)))
        if found is not None:
            self._taken.add(name)
        return found

    def some(self, names: Mapping[str, tuple[str, ...]]) -> dict[str, Json]:
        """Those that are there, by these names."""
        found = {name: self.take(sources) for name, sources in names.items()}
        return {name: json_value(value) for name, value in found.items() if value is not None}

    def content(self, names: Iterable[str]) -> Any:
        """What went in or came out; JSON text is decoded. ``UNSET`` where nothing was recorded."""
        value = self.take(names)
        if value is None:
            return UNSET
        if not isinstance(value, str) or value[:1] not in ("{", "["):
            return json_value(value)
        try:
            return from_json(value)
        except ValueError:
            return value

    def rest(self) -> dict[str, Json]:
        """The span's own attributes that were not taken."""
        return {k: json_value(v) for k, v in self._own.items() if k not in self._taken}

    def shared(self) -> dict[str, Json]:
        """The resource's attributes that were not taken."""
        return {k: json_value(v) for k, v in self._shared.items() if k not in self._taken}


def span_of(read: ReadableSpan) -> Span:
    """The span as the observability domain stores it.

    ``attributes`` has what the conventions say about a model's call by the original's names
    (``model``, ``provider``, ``usage``, ``parameters``) and every other attribute as it is;
    ``metadata`` has the kind, the events and the resource, ``scope`` the instrumentation.
    A span whose status is an error has its last recorded exception as ``error``.
    """
    given = _Attributes(read.attributes, read.resource.attributes)
    context = read.get_span_context()
    assert context is not None, "a span that ended has a context"
    started, ended = _time(read.start_time), _time(read.end_time)
    kind = _type(given)
    fields: dict[str, Any] = {name: given.text(names) for name, names in FIELDS.items()}
    if kind in ENTITIES:
        entity, ids, names = ENTITIES[kind]
        fields.update(entity_type=entity, entity_id=given.text(ids), entity_name=given.text(names))
    carried, came = given.content(INPUTS), given.content(OUTPUTS)
    attributes = _described(given) if kind == "model_generation" else {}
    return Span(
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        parent_span_id=f"{read.parent.span_id:016x}" if read.parent else None,
        name=read.name,
        span_type=kind,
        started_at=started or ended or now(),
        ended_at=ended or started or now(),
        tags=_texts(given.take(("mastra.tags", "tag.tags"))),
        input=carried,
        output=came,
        error=_error(read),
        attributes={**attributes, **given.rest()} or None,
        metadata=_metadata(read, given),
        scope=_scope(read),
        links=[_linked(link.context, link.attributes) for link in read.links] or None,
        **fields,
    )


def json_value(value: Any) -> Json:
    """An attribute's value as JSON has it: sequences as lists, and what is no number as text."""
    if _several(value):
        return [json_value(one) for one in value]
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        return {str(key): json_value(one) for key, one in members.items()}
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _type(given: _Attributes) -> str:
    chosen = given.text(("mastra.span.type",))
    if chosen is not None:
        return chosen
    for attribute, meanings in KINDS.items():
        kind = given.meaning(attribute, meanings)
        if kind is not None:
            return kind
    return "generic"


def _described(given: _Attributes) -> dict[str, Json]:
    """A model's call by the original's names."""
    found = given.some(MODEL)
    for name, names in (("usage", USAGE), ("parameters", PARAMETERS)):
        values = given.some(names)
        if values:
            found[name] = values
    return found


def _metadata(read: ReadableSpan, given: _Attributes) -> dict[str, Json]:
    found: dict[str, Json] = {"kind": read.kind.name.lower()}
    events = [_event(event) for event in read.events]
    resource = given.shared()
    if events:
        found["events"] = events
    if resource:
        found["resource"] = resource
    return found


def _event(event: Event) -> dict[str, Json]:
    at = _time(event.timestamp) or now()
    written = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"name": event.name, "at": written, "attributes": json_value(event.attributes or {})}


def _scope(read: ReadableSpan) -> dict[str, Json] | None:
    scope = read.instrumentation_scope
    if scope is None:
        return None
    return {"name": scope.name, **({"version": scope.version} if scope.version else {})}


def _error(read: ReadableSpan) -> Json:
    if read.status.status_code is not StatusCode.ERROR:
        return None
    raised = [event.attributes or {} for event in read.events if event.name == "exception"]
    last = raised[-1] if raised else {}
    found = {
        "message": read.status.description or last.get("exception.message") or "error",
        "name": last.get("exception.type"),
        "stack": last.get("exception.stacktrace"),
    }
    return {name: str(value) for name, value in found.items() if value is not None}


def _linked(context: SpanContext, attributes: Mapping[str, AttributeValue] | None) -> Json:
    ids: dict[str, Json] = {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
    }
    return {**ids, "attributes": json_value(attributes)} if attributes else ids


def _texts(value: Any) -> list[str] | None:
    if _several(value):
        return [str(one) for one in value]
    return None if value is None else [str(value)]


def _several(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _time(nanoseconds: int | None) -> datetime | None:
    if nanoseconds is None:
        return None
    return EPOCH + timedelta(microseconds=nanoseconds // 1000)
