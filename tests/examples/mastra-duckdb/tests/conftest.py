"""DuckDB in a file, for the contract that every adapter passes."""

from pathlib import Path
from uuid import uuid4

import pytest
from mastra_duckdb.store import DuckDBStore


class Factory:
    """Makes independent stores on one file; ``url`` is how other processes make them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"duckdb:{folder / uuid4().hex}.duckdb"

    def __call__(self) -> DuckDBStore:
        return DuckDBStore(id="conformance", url=self.url)

    def empty(self) -> "Factory":
        """The same on a new file."""
        return Factory(self.folder)


@pytest.fixture(scope="session")
def storage_factory(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """Stores on a file of this run."""
    return Factory(tmp_path_factory.mktemp("conformance"))
