"""The contract of vector stores, on Chroma's server."""

from uuid import uuid4

import pytest

from mastra_chroma import ChromaVector
from mastra_conformance.vectors import *  # noqa: F403


@pytest.fixture(scope="session")
def conformance_share() -> float:
    """The requests are what is another's here."""
    return 0.02


@pytest.fixture(scope="session")
def vector_factory(chroma):
    """Stores on one server."""
    return lambda: ChromaVector(id=f"c-{uuid4().hex}", url=chroma.url, **chroma.options)
