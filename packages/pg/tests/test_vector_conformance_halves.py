"""The contract of vector stores, on PostgreSQL with numbers in 16 bits."""

from uuid import uuid4

import pytest

from mastra_conformance.vectors import *  # noqa: F403

from .conftest import VectorFactory
from .vector_kinds import Halves


class Factory(VectorFactory):
    """Makes these."""

    kind = Halves


@pytest.fixture(scope="session")
def vector_factory(postgres):
    """Vector stores on a schema of this run."""
    return Factory(postgres.url, f"s{uuid4().hex}")
