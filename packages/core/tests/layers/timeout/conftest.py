"""The store in memory with a bound, for the contract."""

from __future__ import annotations

import pytest

from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.layers import Timeout
from mastra_core.storage.store import BackendStore


@pytest.fixture(scope="session")
def storage_factory():
    """Instances that share one memory, each with a layer of its own."""
    backend = InMemoryBackend()
    layer = Timeout(seconds=60)
    return lambda: BackendStore(backend, id="conformance").with_layers(layer)
