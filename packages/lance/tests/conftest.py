"""LanceDB in a folder, for the contract that every adapter passes."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from mastra_lance import LanceStore, LanceVector


class Factory:
    """Makes independent stores on one folder, in this process and in others."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"lance:{path}"

    def __call__(self) -> LanceStore:
        return LanceStore(self.path, id="conformance")

    def empty(self) -> Factory:
        """The same on a new folder."""
        return Factory(self.path.with_name(uuid4().hex))


@pytest.fixture(scope="session")
def storage_factory(tmp_path_factory):
    """Stores on a folder of this run."""
    return Factory(tmp_path_factory.mktemp("conformance") / "database")


@pytest.fixture(scope="session")
def conformance_share() -> float:
    """A part of the sizes, since a commit takes some milliseconds whatever is in it."""
    return 0.05


class VectorFactory(Factory):
    """The same for vectors."""

    def __call__(self) -> LanceVector:
        return LanceVector(self.path, id="conformance")

    def empty(self) -> VectorFactory:
        """The same on a new folder."""
        return VectorFactory(self.path.with_name(uuid4().hex))


@pytest.fixture(scope="session")
def vector_factory(tmp_path_factory):
    """Vector stores on a folder of this run."""
    return VectorFactory(tmp_path_factory.mktemp("conformance") / "vectors")
