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
