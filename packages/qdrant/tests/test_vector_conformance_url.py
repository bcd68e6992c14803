"""The contract of vector stores, on Qdrant by its REST API."""

from uuid import uuid4

import pytest

from mastra_conformance.vectors import *  # noqa: F403
from mastra_qdrant import QdrantVector


@pytest.fixture(scope="session")
def conformance_share() -> float:
    """The requests are what is another's here."""
    return 0.05


@pytest.fixture(scope="session")
def vector_factory(qdrant):
    """Stores on one server."""
    return lambda: QdrantVector(id=f"q-{uuid4().hex}", url=qdrant.url, **qdrant.options)
