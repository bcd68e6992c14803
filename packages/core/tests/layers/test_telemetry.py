"""What OpenTelemetry is told of storage, and what it is never told."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from mastra_conformance.rows import at, row
from mastra_conformance.wrappers import Faulty
from mastra_core import ConflictError, InMemoryStore, Message, Thread, UnavailableError
from mastra_core.otel import MastraSpanExporter
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.layers import Retry, Telemetry
from mastra_core.storage.schema import Put, Query, Where
from mastra_core.storage.store import BackendStore
from mastra_core.storage.tables import MESSAGES, THREADS

SECRET = "the-secret-of-ada"


class Told:
    """A program's telemetry: what it was told."""

    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.tracing = TracerProvider()
        self.tracing.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.metering = MeterProvider([self.reader])
        self.layer = Telemetry(tracer_provider=self.tracing, meter_provider=self.metering)

    @property
    def spans(self):
        return self.exporter.get_finished_spans()

    def points(self, name):
        """The data points of a metric, and its unit."""
        data = self.reader.get_metrics_data()
        scopes = [] if data is None else data.resource_metrics[0].scope_metrics
        (metric,) = [m for scope in scopes for m in scope.metrics if m.name == name]
        return metric.data.data_points, metric.unit


@pytest.fixture
def told():
    return Told()


def thread(name, **values):
    given = {"resourceId": "r", "title": SECRET, "createdAt": at(0), "updatedAt": at(0)}
    return row(THREADS, **{**given, "id": name, **values})


@pytest.mark.asyncio
async def test_each_operation_is_a_span_with_the_names_of_the_conventions(told):
    backend = told.layer.over(InMemoryBackend())
    await backend.write(Put(THREADS, [thread("a"), thread("b")]))
    query = Query(limit=10)
    await backend.find(THREADS, query)
    await backend.find_many(THREADS, [query, query])
    await backend.count(THREADS)
    await backend.write(Put(THREADS, []), Put(MESSAGES, []))
    base = {"db.system.name": "memory"}
    threads = {**base, "db.collection.name": "mastra_threads"}
    assert [(span.name, dict(span.attributes)) for span in told.spans] == [
        ("setup mastra_threads", {**threads, "db.operation.name": "setup"}),
        ("write mastra_threads", {**threads, "db.operation.name": "write"}),
        (
            "find mastra_threads",
            {**threads, "db.operation.name": "find", "db.response.returned_rows": 2},
        ),
        (
            "find_many mastra_threads",
            {
                **threads,
                "db.operation.name": "find_many",
                "db.operation.batch.size": 2,
                "db.response.returned_rows": 4,
            },
        ),
        ("count mastra_threads", {**threads, "db.operation.name": "count"}),
        ("write", {**base, "db.operation.name": "write", "db.operation.batch.size": 2}),
    ]
    assert {span.kind for span in told.spans} == {SpanKind.CLIENT}
    assert {span.status.status_code for span in told.spans} == {StatusCode.UNSET}


@pytest.mark.asyncio
async def test_durations_and_rows_are_measured_by_operation_and_table(told):
    backend = told.layer.over(InMemoryBackend())
    await backend.write(Put(THREADS, [thread(str(n)) for n in range(7)]))
    for limit in (3, 5):
        await backend.find(THREADS, Query(limit=limit))
    points, unit = told.points("db.client.operation.duration")
    counts = {point.attributes["db.operation.name"]: point.count for point in points}
    assert (counts, unit) == ({"setup": 1, "write": 1, "find": 2}, "s")
    assert all(0 < point.sum < 60 for point in points)
    assert points[0].explicit_bounds == (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
    (rows,), unit = told.points("db.client.response.returned_rows")
    assert (rows.count, rows.sum, unit) == (2, 8, "{row}")
    assert dict(rows.attributes) == {
        "db.system.name": "memory",
        "db.operation.name": "find",
        "db.collection.name": "mastra_threads",
    }


@pytest.mark.asyncio
async def test_an_error_is_told_by_its_class_only(told):
    backend = told.layer.over(InMemoryBackend())
    await backend.write(Put(THREADS, [thread(SECRET)]))
    with pytest.raises(ConflictError, match=SECRET):
        await backend.write(Put(THREADS, [thread(SECRET)], "fail"))
    span = told.spans[-1]
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert span.attributes["error.type"] == "ConflictError"
    assert span.events == ()
    points, _ = told.points("db.client.operation.duration")
    assert [p.attributes.get("error.type") for p in points].count("ConflictError") == 1


@pytest.mark.asyncio
async def test_a_cancelled_operation_ends_its_span(told):
    class Waiting(InMemoryBackend):
        async def _find(self, table, query):
            await asyncio.Event().wait()

    backend = told.layer.over(Waiting())
    task = asyncio.create_task(backend.find(THREADS, Query(limit=1)))
    while not told.spans:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told.spans[-1].name == "find mastra_threads"
    assert told.spans[-1].attributes["error.type"] == "CancelledError"


@pytest.mark.asyncio
async def test_nothing_of_what_is_stored_or_asked_for_is_told(told):
    store = InMemoryStore().with_layers(told.layer)
    content = {"format": 2, "parts": [{"type": "text", "text": SECRET}], "metadata": {"k": SECRET}}
    said = Message(thread_id=SECRET, resource_id=SECRET, role="user", content=content)
    thread = Thread(id=SECRET, resource_id=SECRET, title=SECRET, metadata={"k": SECRET})
    await store.memory.save_messages([said], create=thread)
    await store.memory.list_messages(SECRET, resource_id=SECRET, metadata={"k": SECRET})
    with pytest.raises(ConflictError):
        await store.memory.save_thread(Thread(id=SECRET, resource_id="other"))
    assert len(told.spans) >= 4
    assert SECRET not in "".join(span.to_json() for span in told.spans)
    assert SECRET not in told.reader.get_metrics_data().to_json()


@pytest.mark.asyncio
async def test_spans_stand_within_the_callers_and_around_each_attempt(told):
    beneath = Faulty(InMemoryBackend())
    backend = told.layer.over(Retry(first_pause=0.001).over(told.layer.over(beneath)))
    await backend.count(THREADS)
    told.exporter.clear()
    beneath.plan = ["before"]
    with told.tracing.get_tracer("program").start_as_current_span("turn"):
        await backend.find(THREADS, Query(limit=1))
    failed, done, whole, turn = told.spans
    assert (failed.attributes["error.type"], done.status.status_code) == (
        UnavailableError.__name__,
        StatusCode.UNSET,
    )
    assert failed.parent.span_id == done.parent.span_id == whole.context.span_id
    assert whole.parent.span_id == turn.context.span_id


@pytest.mark.asyncio
async def test_nothing_is_told_where_instrumentation_is_suppressed(told):
    backend = told.layer.over(InMemoryBackend())
    token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, value=True))
    try:
        await backend.find(THREADS, Query(limit=1))
    finally:
        detach(token)
    assert told.spans == ()
    assert told.reader.get_metrics_data() is None


def test_an_exporter_does_not_store_the_spans_of_its_own_writes():
    backend = InMemoryBackend()
    provider = TracerProvider()
    layered = BackendStore(backend, id="traces").with_layers(Telemetry(tracer_provider=provider))
    exporter = MastraSpanExporter(layered, schedule_delay=0.01)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for _ in range(3):
        provider.get_tracer("program").start_span("work").end()
        assert exporter.force_flush()
    exporter.shutdown()
    assert (exporter.counts.stored, exporter.counts.waiting) == (3, 0)


@pytest.mark.asyncio
async def test_without_providers_the_programs_own_are_used_and_may_be_none():
    backend = Telemetry().over(InMemoryBackend())
    await backend.write(Put(THREADS, [thread("a")]))
    where = (Where("id", "eq", "a"),)
    assert await backend.count(THREADS, where) == 1
    assert not trace.get_current_span().is_recording()


@pytest.mark.parametrize(
    ("name", "given", "system"),
    [
        ("PostgreSQL", None, "postgresql"),
        ("DynamoDB", None, "aws.dynamodb"),
        ("libSQL", None, "libsql"),
        ("My Store", None, "my_store"),
        ("libSQL", "sqlite", "sqlite"),
    ],
)
@pytest.mark.asyncio
async def test_the_system_has_the_name_of_the_conventions(name, given, system):
    told, backend = Told(), InMemoryBackend()
    backend.name = name
    layer = Telemetry(tracer_provider=told.tracing, system=given)
    await layer.over(backend).count(THREADS)
    assert {span.attributes["db.system.name"] for span in told.spans} == {system}
