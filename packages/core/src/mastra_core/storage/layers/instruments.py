"""The backend that tells OpenTelemetry what is done; needs its API, and imports nothing else of it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar, cast

from opentelemetry import metrics, trace
from opentelemetry.context import (
    _SUPPRESS_INSTRUMENTATION_KEY,  # pyright: ignore[reportPrivateUsage] (as the exporters of its SDK)
    get_value,
)
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

from mastra_core.storage.backend import Backend
from mastra_core.storage.layers.base import LayerBackend, Operation

T = TypeVar("T")
# Names of the conventions for databases. (They are a package of their own, and some still change.)
SYSTEM: Final = "db.system.name"
OPERATION: Final = "db.operation.name"
COLLECTION: Final = "db.collection.name"
BATCH_SIZE: Final = "db.operation.batch.size"
ROWS: Final = "db.response.returned_rows"
ERROR: Final = "error.type"
DURATION: Final = "db.client.operation.duration"
RETURNED: Final = "db.client.response.returned_rows"
# What the conventions call the databases of our adapters; others are called as they call themselves.
SYSTEMS: Final[Mapping[str, str]] = {
    "Cloudflare D1": "cloudflare.d1",
    "Cloudflare Durable Objects": "cloudflare.durable_objects",
    "ClickHouse": "clickhouse",
    "DynamoDB": "aws.dynamodb",
    "MongoDB": "mongodb",
    "PostgreSQL": "postgresql",
    "Redis": "redis",
    "SQL Server": "microsoft.sql_server",
    "Upstash": "redis",
}
SECONDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
COUNTS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


class TelemetryBackend(LayerBackend):
    """A backend of whose operations OpenTelemetry is told."""

    def __init__(
        self,
        inner: Backend,
        *,
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
        system: str | None,
    ) -> None:
        super().__init__(inner)
        self._system = system or SYSTEMS.get(inner.name) or inner.name.lower().replace(" ", "_")
        self._tracer = trace.get_tracer("mastra_core.storage", tracer_provider=tracer_provider)
        meter = metrics.get_meter("mastra_core.storage", meter_provider=meter_provider)
        self._duration = meter.create_histogram(
            DURATION,
            "s",
            "Duration of database client operations.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._returned = meter.create_histogram(
            RETURNED,
            "{row}",
            "The actual number of records returned by the database operation.",
            explicit_bucket_boundaries_advisory=COUNTS,
        )

    async def _through(self, operation: Operation, do: Callable[[], Awaitable[T]]) -> T:
        # What an exporter of telemetry stores is not to be told of: it would be stored in turn.
        if get_value(_SUPPRESS_INSTRUMENTATION_KEY):
            return await do()
        kind, tables = operation.kind, operation.tables
        told: dict[str, Any] = {SYSTEM: self._system, OPERATION: kind}
        name: str = kind
        if len(tables) == 1:
            told[COLLECTION], name = tables[0], f"{kind} {tables[0]}"
        started = time.perf_counter()
        with self._tracer.start_as_current_span(
            name,
            kind=SpanKind.CLIENT,
            attributes={**told, BATCH_SIZE: operation.size} if operation.size > 1 else told,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                found = await do()
            except BaseException as error:
                # Only the class: the text of an error may have ids or values in it.
                told[ERROR] = type(error).__name__
                span.set_attribute(ERROR, told[ERROR])
                span.set_status(Status(StatusCode.ERROR))
                raise
            else:
                self._count_rows(kind, found, told, span)
                return found
            finally:
                self._duration.record(time.perf_counter() - started, told)

    def _count_rows(self, kind: str, found: object, told: Mapping[str, Any], span: Span) -> None:
        if kind not in {"find", "find_many"}:
            return
        rows = cast("list[Any]", found)
        count = len(rows) if kind == "find" else sum(map(len, rows))
        span.set_attribute(ROWS, count)
        self._returned.record(count, told)
