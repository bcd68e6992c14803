"""Spans and metrics of OpenTelemetry for each operation: what, on which table, how long, how many."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import msgspec

from mastra_core.errors import ConfigurationError
from mastra_core.storage.backend import Backend

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from mastra_core.storage.layers.instruments import TelemetryBackend


class Telemetry(msgspec.Struct, frozen=True, kw_only=True):
    """Tells OpenTelemetry of each operation, by the conventions for databases.

    A span is called ``find mastra_messages``; it and the metrics have the names of the operation
    and the table, the number of changes or rows, and the class of an error. Nothing of what is
    stored, asked for or said by an error is told. Without providers, the program's are used.
    ``system`` is ``db.system.name`` where the one that follows from the backend is not wanted.
    """

    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None
    system: str | None = None

    def over(self, backend: Backend) -> TelemetryBackend:
        """The backend with its operations told of."""
        try:
            importlib.import_module("opentelemetry.metrics")
        except ImportError as error:
            raise ConfigurationError(
                "Telemetry needs OpenTelemetry: pip install 'mastra-core[otel]'"
            ) from error
        from mastra_core.storage.layers.instruments import TelemetryBackend  # noqa: PLC0415

        return TelemetryBackend(
            backend,
            tracer_provider=self.tracer_provider,
            meter_provider=self.meter_provider,
            system=self.system,
        )
