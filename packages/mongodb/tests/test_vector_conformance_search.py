"""The contract of vector stores, on MongoDB with every search along the search index."""

import pytest

from mastra_conformance.vectors import *  # noqa: F403

from .conftest import name
from .vector_kinds import SearchFactory, conformance_share  # noqa: F401 (a fixture)


@pytest.fixture(scope="session")
def vector_factory(mongoeco):
    """Vector stores on a database of this run."""
    return SearchFactory(f"{mongoeco.url.rpartition('/')[0]}/{name()}")
