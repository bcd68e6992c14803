"""OpenTelemetry: spans of any instrumented program, stored as traces (``mastra-core[otel]``)."""

from mastra_core.otel.buffer import Exported
from mastra_core.otel.conversion import span_of
from mastra_core.otel.exporter import MastraSpanExporter

__all__ = ["Exported", "MastraSpanExporter", "span_of"]
