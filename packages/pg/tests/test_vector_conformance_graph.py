"""The contract of vector stores, on PostgreSQL with every search along the graph."""

from uuid import uuid4

import pytest

from mastra_conformance.vectors import *  # noqa: F403

from .conftest import VectorFactory
from .vector_kinds import ByGraph


class Factory(VectorFactory):
    """Makes these."""

    kind = ByGraph


@pytest.fixture(scope="session")
def vector_factory(postgres):
    """Vector stores on a schema of this run."""
    return Factory(postgres.url, f"s{uuid4().hex}")
