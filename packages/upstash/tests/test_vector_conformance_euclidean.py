"""The contract on an index with distances, whose searches see changes later than reads do."""

from __future__ import annotations

import pytest
from backends import Address

from mastra_conformance.vectors import *  # noqa: F403

from .conftest import VectorFactory


@pytest.fixture(scope="session")
def vector_factory(upstash_vector_euclidean: Address) -> VectorFactory:
    """Vector stores on this index."""
    return VectorFactory(upstash_vector_euclidean)


@pytest.fixture(scope="session")
def conformance_share() -> float:
    """Little: only the metric and the waiting differ."""
    return 0.03
