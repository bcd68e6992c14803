"""The store in memory, for the contract that every adapter passes."""

from __future__ import annotations

import pytest

from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.store import BackendStore


@pytest.fixture(scope="session")
def storage_factory():
    """Instances that share one memory, as those of a database share it."""
    backend = InMemoryBackend()
    return lambda: BackendStore(backend, id="conformance")
