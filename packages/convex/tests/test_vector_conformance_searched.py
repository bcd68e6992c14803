"""The contract where Convex's search is asked for all that it can answer, however small an index is."""

from __future__ import annotations

import pytest
from backends import Address

from mastra_conformance.vectors import *  # noqa: F403

from .conftest import VectorFactory


@pytest.fixture(scope="session")
def vector_factory(convex: Address) -> VectorFactory:
    """Vector stores that look at one vector before they search."""
    return VectorFactory(convex.url, {**convex.options, "scan": 1})


@pytest.fixture(scope="session")
def conformance_share() -> float:
    """Little: only the way of searching differs."""
    return 0.02
