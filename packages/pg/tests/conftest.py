"""PostgreSQL as tests use it: a schema of its own for each factory."""

from __future__ import annotations

from uuid import uuid4

import pytest

from mastra_pg import PostgresStore


class Factory:
    """Makes independent stores on one schema, in this process and in others."""

    def __init__(self, server: str, schema: str) -> None:
        self.server = server
        self.schema = schema

    def __call__(self) -> PostgresStore:
        return PostgresStore(
            id="conformance", connection_string=self.server, schema_name=self.schema
        )

    def empty(self) -> Factory:
        """The same on a new schema."""
        return Factory(self.server, f"s{uuid4().hex}")


@pytest.fixture(scope="session")
def storage_factory(postgres):
    """Stores on a schema of this run."""
    return Factory(postgres.url, f"s{uuid4().hex}")
