"""SQL Server as tests use it: a schema of its own for each factory."""

from __future__ import annotations

from uuid import uuid4

import pytest

from mastra_mssql import MSSQLStore


class Factory:
    """Makes independent stores on one schema, in this process and in others."""

    def __init__(self, server: str, schema: str, **options) -> None:
        self.server = server
        self.schema = schema
        self.options = options

    def __call__(self, **options) -> MSSQLStore:
        given = {"connection_string": self.server, "schema_name": self.schema, **self.options}
        return MSSQLStore(id="conformance", **{**given, **options})

    def empty(self) -> Factory:
        """The same on a new schema."""
        return Factory(self.server, f"s{uuid4().hex[:8]}", **self.options)


@pytest.fixture(scope="session")
def storage_factory(mssql):
    """Stores on a schema of this run."""
    return Factory(mssql.url, f"s{uuid4().hex[:8]}")


@pytest.fixture
def factory(mssql):
    """Stores on a schema of this test."""
    return Factory(mssql.url, f"s{uuid4().hex[:8]}")
