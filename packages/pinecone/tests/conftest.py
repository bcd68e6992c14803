"""What the tests of vectors in Pinecone share: one project, a double's or a real one."""

from uuid import uuid4

import pytest

from mastra_pinecone import PineconeVector

TOO_LONG = (
    "Pinecone takes 40 KB of metadata for each vector; more is refused before anything is sent"
)


@pytest.fixture(scope="session")
def options(pinecone, tmp_path_factory):
    """How the project is reached."""
    with pytest.MonkeyPatch.context() as patch:
        if "double" in pinecone.extra:
            # Each client reads all trusted certificates anew, for longer than a test takes; the double has none.
            patch.setenv("SSL_CERT_DIR", str(tmp_path_factory.mktemp("no-certificates")))
        yield {**pinecone.options, "host": pinecone.url or None}


@pytest.fixture(scope="session")
def vector_factory(options):
    """Stores in one project."""
    return lambda: PineconeVector(id=f"p-{uuid4().hex}", **options)


@pytest.fixture(scope="session")
def conformance_gaps():
    return {"TestVectorValues::test_long_texts_are_whole": TOO_LONG}


@pytest.fixture(scope="session")
def conformance_share() -> float:
    """The requests are what is another's here."""
    return 0.05
