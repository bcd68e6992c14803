"""ClickHouse for the tests: the engine, or the server that is named, a database for each need."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest

from mastra_core.plugins import open_storage
from mastra_core.storage.store import MastraStorage


class Factory:
    """Makes independent stores on one database, in this process and in others."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self) -> MastraStorage:
        return open_storage(self.url, id="conformance")

    def empty(self) -> Factory:
        """The same on a new database."""
        database = f"mastra_{uuid4().hex}"
        return Factory(re.sub(r"(?<=[\w\]])/\w*(?=\?|$)", f"/{database}", self.url, count=1))


@pytest.fixture(scope="session")
def conformance_share() -> float:
    """Every write is several inserts, of which the engine takes some hundred in a second."""
    return 0.02


@pytest.fixture(scope="session")
def storage_factory(clickhouse):
    """Stores on a database of this run."""
    return Factory(clickhouse.url).empty()
