"""A store of traces that can be down, and a tracer whose spans go to an exporter."""

from __future__ import annotations

import asyncio
import threading

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from mastra_core import LimitExceededError, UnavailableError
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.store import BackendStore

RESOURCE = Resource({"service.name": "shop", "deployment.environment": "test", "host.id": "h1"})


class Store(BackendStore):
    """A store in memory, which can be down or refuse what is too big, and can be waited for."""

    def __init__(self) -> None:
        self.rows = Backend()
        super().__init__(self.rows, id="traces")


class Backend(InMemoryBackend):
    """Fails as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.down = threading.Event()
        self.tried = threading.Event()
        self.attempts = 0

    async def _write(self, changes):
        self.attempts += 1
        self.tried.set()
        if self.down.is_set():
            raise UnavailableError("the database does not answer")
        if "too big" in repr(changes):
            raise LimitExceededError("a row is too big")
        return await super()._write(changes)


def traced(exporter, *, batch=False):
    """A provider whose spans go to this exporter."""
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor((BatchSpanProcessor if batch else SimpleSpanProcessor)(exporter))
    return provider


def stored(store):
    """All spans of the only trace."""
    page = asyncio.run(store.observability.list_traces())
    assert page.total == 1
    return asyncio.run(store.observability.get_trace(page.spans[0].trace_id)).spans
