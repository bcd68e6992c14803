"""The contract of vector stores, on MongoDB."""

import pytest

from mastra_conformance.vectors import *  # noqa: F403

from .conftest import name
from .vector_kinds import VectorFactory


@pytest.fixture(scope="session")
def vector_factory(mongoeco):
    """Vector stores on a database of this run."""
    return VectorFactory(f"{mongoeco.url.rpartition('/')[0]}/{name()}")
