"""libSQL in a file, for the contract that every adapter passes."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from mastra_libsql import LibSQLStore, LibSQLVector


class Factory:
    """Makes independent stores on one file, in this process and in others."""

    def __init__(self, path: Path) -> None:
        self.url = f"file:{path}"

    def __call__(self) -> LibSQLStore:
        return LibSQLStore(id="conformance", url=self.url)

    def empty(self) -> Factory:
        """The same on a new file."""
        return Factory(Path(self.url.removeprefix("file:")).with_name(f"{uuid4().hex}.db"))


@pytest.fixture(scope="session")
def storage_factory(tmp_path_factory):
    """Stores on a file of this run."""
    return Factory(tmp_path_factory.mktemp("conformance") / "mastra.db")


class VectorFactory(Factory):
    """The same for vectors."""

    def __call__(self) -> LibSQLVector:
        return LibSQLVector(id="conformance", url=self.url)

    def empty(self) -> VectorFactory:
        """The same on a new file."""
        return VectorFactory(Path(super().empty().url.removeprefix("file:")))


@pytest.fixture(scope="session")
def vector_factory(tmp_path_factory):
    """Vector stores on a file of this run."""
    return VectorFactory(tmp_path_factory.mktemp("conformance") / "vectors.db")
