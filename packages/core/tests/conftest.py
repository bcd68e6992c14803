"""The stores in memory, for the contract that every adapter passes."""

from __future__ import annotations

import pytest

from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.store import BackendStore
from mastra_core.vector import InMemoryVector


@pytest.fixture(scope="session")
def storage_factory():
    """Instances that share one memory, as those of a database share it."""
    backend = InMemoryBackend()
    return lambda: BackendStore(backend, id="conformance")


@pytest.fixture(scope="session")
def vector_factory():
    """The same for vectors."""
    shared = InMemoryVector()

    def make() -> InMemoryVector:
        made = InMemoryVector(id="conformance")
        made._stored = shared._stored
        return made

    return make


@pytest.fixture
def store():
    """A store of traces that can be told to fail."""
    # (OpenTelemetry comes with it, which other tests need not wait for.)
    from .spans import Store

    return Store()


@pytest.fixture
def exporter(store):
    """An exporter that hands over what it has every few milliseconds."""
    from mastra_core.otel import MastraSpanExporter

    made = MastraSpanExporter(store, schedule_delay=0.05)
    yield made
    made.shutdown()
