"""What the tests of vectors in Qdrant share: one client of its local mode, which has no server."""

from uuid import uuid4

import pytest
from qdrant_client import AsyncQdrantClient

from mastra_qdrant import QdrantVector


@pytest.fixture(scope="session")
def client():
    return AsyncQdrantClient(location=":memory:")


@pytest.fixture(scope="session")
def vector_factory(client):
    """Stores on one set of collections, as clients of one server are."""
    return lambda: QdrantVector(id=f"q-{uuid4().hex}", client=client)


@pytest.fixture(scope="session")
def conformance_share() -> float:
    """The local mode looks at every point, in Python."""
    return 0.2
