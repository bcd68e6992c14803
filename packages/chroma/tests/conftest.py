"""What the tests of vectors in Chroma share: one folder, which has no server."""

from uuid import uuid4

import pytest

from mastra_chroma import ChromaVector


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder that stays open: opening it takes Chroma longer than most tests."""
    import chromadb
    from chromadb.config import Settings

    path = tmp_path_factory.mktemp("chroma")
    client = chromadb.PersistentClient(str(path), Settings(anonymized_telemetry=False))
    yield path
    client.close()


@pytest.fixture(scope="session")
def vector_factory(folder):
    """Stores on one folder, in one process."""
    return lambda: ChromaVector(id=f"c-{uuid4().hex}", path=folder)


@pytest.fixture(scope="session")
def conformance_share() -> float:
    """Most of the time is Chroma's own."""
    return 0.05
