"""The contract of vector stores, on PostgreSQL without an index by nearness."""

from uuid import uuid4

import pytest

from mastra_conformance.vectors import *  # noqa: F403

from .conftest import VectorFactory
from .vector_kinds import Flat


class Factory(VectorFactory):
    """Makes these."""

    kind = Flat


@pytest.fixture(scope="session")
def vector_factory(postgres):
    """Vector stores on a schema of this run."""
    return Factory(postgres.url, f"s{uuid4().hex}")
