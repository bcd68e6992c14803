"""What the contract says of vectors, on MongoDB with every search along the search index.

Without its searches among thousands of vectors, of which the server of these tests takes seconds for each;
those of ``test_vector`` are smaller.
"""

from __future__ import annotations

import pytest

from mastra_conformance.vectors import (
    TestChangedVectors,
    TestComparisons,
    TestDeletedVectors,
    TestLogic,
    TestNearest,
    TestVectorPrograms,
    TestVectorScores,
)

from .conftest import name
from .vector_kinds import SearchFactory, conformance_share

__all__ = [
    "TestChangedVectors",
    "TestComparisons",
    "TestDeletedVectors",
    "TestLogic",
    "TestNearest",
    "TestVectorPrograms",
    "TestVectorScores",
    "conformance_share",
]


@pytest.fixture(scope="session")
def vector_factory(mongoeco):
    """Vector stores on a database of this run."""
    return SearchFactory(f"{mongoeco.url.rpartition('/')[0]}/{name()}")
