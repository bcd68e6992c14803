"""MongoDB for the contract that every adapter passes."""

from __future__ import annotations

from uuid import uuid4

import pytest

from mastra_mongodb import MongoDBStore


class Factory:
    """Makes independent stores on one database, in this process and in others."""

    def __init__(self, server: str, db_name: str) -> None:
        self.server = server
        self.db_name = db_name
        self.url = f"{server.rpartition('/')[0]}/{db_name}"

    def __call__(self) -> MongoDBStore:
        return MongoDBStore(id="conformance", url=self.url)

    def empty(self) -> Factory:
        """The same on a new database."""
        return Factory(self.server, f"mastra_{uuid4().hex}")


def factory(url: str) -> Factory:
    """Stores on a database of this run."""
    return Factory(url, f"mastra_{uuid4().hex}")


@pytest.fixture(scope="session")
def storage_factory(mongodb):
    """Stores on a replica set."""
    return factory(mongodb.url)
