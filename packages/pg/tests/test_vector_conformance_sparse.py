"""The contract of vector stores, on PostgreSQL with vectors of the numbers that are not 0."""

from uuid import uuid4

import pytest

from mastra_conformance.vectors import *  # noqa: F403

from .conftest import VectorFactory
from .vector_kinds import Sparse


class Factory(VectorFactory):
    """Makes these."""

    kind = Sparse


@pytest.fixture(scope="session")
def vector_factory(postgres):
    """Vector stores on a schema of this run."""
    return Factory(postgres.url, f"s{uuid4().hex}")


@pytest.fixture(scope="session")
def conformance_gaps():
    """What pgvector's graph does not take."""
    return {
        "TestVectorValues::test_numbers_are_kept_in_32_bits": (
            "a graph takes sparse vectors of at most 1,000 numbers that are not 0, and these have 1,536"
        )
    }
