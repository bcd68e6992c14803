"""PostgreSQL as tests use it: a schema of its own for each factory, and a line that can be cut."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio

from mastra_pg import PgVector, PostgresStore


class Factory:
    """Makes independent stores on one schema, in this process and in others."""

    def __init__(self, server: str, schema: str) -> None:
        self.server = server
        self.schema = schema

    def __call__(self, **options) -> PostgresStore:
        given = {"connection_string": self.server, "schema_name": self.schema, **options}
        return PostgresStore(id="conformance", **given)

    def empty(self) -> Factory:
        """The same on a new schema."""
        return Factory(self.server, f"s{uuid4().hex}")


class VectorFactory(Factory):
    """The same for vectors."""

    kind: type[PgVector] = PgVector

    def __call__(self, **options) -> PgVector:
        given = {"connection_string": self.server, "schema_name": self.schema, **options}
        return self.kind(id="conformance", **given)

    def empty(self) -> VectorFactory:
        """The same on a new schema."""
        return type(self)(self.server, f"s{uuid4().hex}")


@pytest.fixture(scope="session")
def storage_factory(postgres):
    """Stores on a schema of this run."""
    return Factory(postgres.url, f"s{uuid4().hex}")


@pytest.fixture(scope="session")
def vector_factory(postgres):
    """Vector stores on a schema of this run."""
    return VectorFactory(postgres.url, f"s{uuid4().hex}")


@pytest.fixture
def factory(postgres):
    """Stores on a schema of this test."""
    return Factory(postgres.url, f"s{uuid4().hex}")


@pytest.fixture
def line(postgres):
    """A line to the server, to be entered by the test."""
    from backends.cut_line import Line

    return Line(postgres.url)


@pytest_asyncio.fixture
async def session(postgres):
    """A connection to look from outside at what stores do."""
    async with await psycopg.AsyncConnection.connect(postgres.url, autocommit=True) as connection:
        yield connection


@pytest_asyncio.fixture
async def other(postgres):
    """Another connection from outside."""
    async with await psycopg.AsyncConnection.connect(postgres.url, autocommit=True) as connection:
        yield connection
