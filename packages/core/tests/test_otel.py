"""What becomes of OpenTelemetry's spans: fields, attributes, errors, whoever made them."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry.trace import Link, SpanKind
from pydantic_ai import Agent
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.models.test import TestModel as ModelForTests

from mastra_core.otel import MastraSpanExporter

from .spans import Store, stored, traced


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def exporter(store):
    made = MastraSpanExporter(store, schedule_delay=0.05)
    yield made
    made.shutdown()


@pytest.mark.parametrize("batch", [False, True])
def test_a_trace_is_stored_as_it_was(exporter, store, batch):
    provider = traced(exporter, batch=batch)
    tracer = provider.get_tracer("shop.orders", "1.2")
    with tracer.start_as_current_span("POST /orders", kind=SpanKind.SERVER) as root:
        root.set_attributes({"http.route": "/orders", "retries": [1, 2], "ratio": float("nan")})
        root.add_event("accepted", {"n": 1})
        with tracer.start_as_current_span("INSERT", links=[Link(root.get_span_context())]):
            pass
    provider.force_flush()
    assert exporter.force_flush()

    by_name = {span.name: span for span in stored(store)}
    first, second = by_name["POST /orders"], by_name["INSERT"]
    context = root.get_span_context()
    assert first.trace_id == second.trace_id == f"{context.trace_id:032x}"
    assert first.span_id == second.parent_span_id == f"{context.span_id:016x}"
    assert (first.name, first.span_type, first.status) == ("POST /orders", "generic", "success")
    assert (first.service_name, first.environment) == ("shop", "test")
    assert first.attributes == {"http.route": "/orders", "retries": [1, 2], "ratio": "nan"}
    assert first.scope == {"name": "shop.orders", "version": "1.2"}
    assert first.metadata["kind"] == "server"
    assert first.metadata["resource"]["host.id"] == "h1"
    assert [(e["name"], e["attributes"]) for e in first.metadata["events"]] == [
        ("accepted", {"n": 1})
    ]
    assert first.started_at <= second.started_at <= second.ended_at <= first.ended_at
    assert second.links == [{"traceId": first.trace_id, "spanId": first.span_id}]
    assert (exporter.counts.stored, exporter.counts.dropped) == (2, 0)


def test_an_exception_is_the_error_of_its_span(exporter, store):
    tracer = traced(exporter).get_tracer("t")
    with pytest.raises(ValueError, match="no such"), tracer.start_as_current_span("pay"):
        raise ValueError("no such card")
    assert exporter.force_flush()
    (span,) = stored(store)
    assert span.status == "error"
    assert span.error["message"] == "ValueError: no such card"
    assert span.error["name"] == "ValueError"
    assert "no such card" in span.error["stack"]


@pytest.mark.parametrize(
    ("attributes", "fields"),
    [
        (
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "m-1",
                "gen_ai.response.model": "m-1-0613",
                "gen_ai.request.temperature": 0.5,
                "gen_ai.usage.input_tokens": 12,
                "gen_ai.usage.output_tokens": 3,
                "gen_ai.input.messages": '[{"role": "user"}]',
                "gen_ai.output.messages": "not JSON",
                "gen_ai.conversation.id": "t1",
                "user.id": "ada",
            },
            {
                "span_type": "model_generation",
                "thread_id": "t1",
                "user_id": "ada",
                "input": [{"role": "user"}],
                "output": "not JSON",
                "attributes": {
                    "model": "m-1-0613",
                    "provider": "openai",
                    "usage": {"inputTokens": 12, "outputTokens": 3},
                    "parameters": {"temperature": 0.5},
                    "gen_ai.request.model": "m-1",
                },
            },
        ),
        (
            {"openinference.span.kind": "TOOL", "tool.name": "weather", "input.value": "Oslo"},
            {
                "span_type": "tool_call",
                "entity_type": "tool",
                "entity_name": "weather",
                "input": "Oslo",
                "attributes": None,
            },
        ),
        (
            {"traceloop.span.kind": "agent", "traceloop.entity.name": "clerk"},
            {"span_type": "agent_run", "entity_type": "agent", "entity_name": "clerk"},
        ),
        (
            {
                "mastra.span.type": "rag_ingestion",
                "mastra.resource_id": "r1",
                "mastra.organization_id": "o1",
                "mastra.tags": ["a", "b"],
                "openinference.span.kind": "CHAIN",
            },
            {
                "span_type": "rag_ingestion",
                "resource_id": "r1",
                "organization_id": "o1",
                "tags": ["a", "b"],
                "attributes": {"openinference.span.kind": "CHAIN"},
            },
        ),
    ],
    ids=["a model's call", "a tool", "an agent", "named for this store"],
)
def test_what_conventions_name_becomes_a_field(exporter, store, attributes, fields):
    with traced(exporter).get_tracer("t").start_as_current_span("one", attributes=attributes):
        pass
    assert exporter.force_flush()
    (span,) = stored(store)
    assert {name: getattr(span, name) for name in fields} == fields


def test_an_agent_of_pydantic_ai_is_found_as_one(exporter, store):
    provider = traced(exporter)
    agent = Agent(
        ModelForTests(call_tools=["weather"], custom_output_text="Rain."),
        name="forecaster",
    )

    @agent.tool_plain
    def weather(city: str) -> str:
        return f"rain in {city}"

    agent.instrument = InstrumentationSettings(tracer_provider=provider)
    asyncio.run(agent.run("Will it rain?"))
    assert exporter.force_flush()

    spans = stored(store)
    kinds = [span.span_type for span in spans]
    assert kinds.count("agent_run") == kinds.count("tool_call") == 1
    assert kinds.count("model_generation") == 2
    found = {span.span_type: span for span in spans}
    assert found["agent_run"].entity_name == "forecaster"
    assert found["tool_call"].entity_name == "weather"
    assert found["tool_call"].output == "rain in a"
    assert found["model_generation"].attributes["model"] == "test"
    assert found["model_generation"].attributes["usage"]["inputTokens"] > 0
