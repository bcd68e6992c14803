"""The store in memory with telemetry, for the contract."""

from __future__ import annotations

import pytest

from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.layers import Telemetry
from mastra_core.storage.store import BackendStore


@pytest.fixture(scope="session")
def storage_factory():
    """Instances that share one memory, each with a layer of its own."""
    backend = InMemoryBackend()
    layer = Telemetry()
    return lambda: BackendStore(backend, id="conformance").with_layers(layer)
