"""SQL Server as tests use it: a schema of its own for each factory."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio

from mastra_mssql import MSSQLStore, backend

ANOTHER = "PostgreSQL is beneath the front of these tests, and plans otherwise than SQL Server"


class Factory:
    """Makes independent stores on one schema, in this process and in others."""

    def __init__(self, server: str, schema: str, **options) -> None:
        self.server = server
        self.schema = schema
        self.options = options
        self.costs_differ = "" if os.environ.get("MASTRA_MSSQL_URL") else ANOTHER

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


@pytest.fixture(scope="session")
def pyodbc_stores(mssql, pyodbc_options):
    """The same over pyodbc."""
    return Factory(mssql.url, f"s{uuid4().hex[:8]}", **pyodbc_options)


@pytest.fixture
def factory(mssql):
    """Stores on a schema of this test."""
    return Factory(mssql.url, f"s{uuid4().hex[:8]}")


@pytest.fixture(scope="session")
def pyodbc_options() -> dict[str, str]:
    """pyodbc with the ODBC driver that mssql-python brings."""
    pytest.importorskip("pyodbc", reason="needs the system's libodbc2", exc_type=ImportError)
    import mssql_python_odbc

    folder = Path(mssql_python_odbc.__file__).parent / "libs"
    (found,) = folder.glob("linux/debian_ubuntu/x86_64/lib/libmsodbcsql-*")
    return {"driver": "pyodbc", "odbc_driver": str(found)}


@pytest.fixture(scope="session")
def conformance_share() -> float:
    """Each call goes through a driver, a translation and a database, on two processors."""
    return 0.05


@pytest.fixture(scope="session")
def beneath(mssql):
    """The PostgreSQL beneath the front, to look from outside at what stores do."""
    url = mssql.extra.get("beneath")
    if url is None:
        pytest.skip("looks at the PostgreSQL beneath the front, and this is a server of yours")
    return url


@pytest_asyncio.fixture
async def session(beneath):
    """A connection to what is beneath the front."""
    async with await psycopg.AsyncConnection.connect(beneath, autocommit=True) as connection:
        yield connection


@pytest_asyncio.fixture
async def other(beneath):
    """Another one."""
    async with await psycopg.AsyncConnection.connect(beneath, autocommit=True) as connection:
        yield connection


@pytest.fixture
def line(mssql):
    """A line to the server, to be entered by the test."""
    from backends.cut_line import Line

    return Line(mssql.url)


@pytest.fixture(scope="session")
def tsql_parser(tmp_path_factory):
    """Microsoft's parser of T-SQL."""
    from backends import UnavailableError
    from backends.tsql_parser import parser

    running = parser(tmp_path_factory.mktemp("parser"))
    try:
        found = running.__enter__()
    except UnavailableError as reason:
        if os.environ.get("MASTRA_REQUIRE_BACKENDS") == "1":
            pytest.fail(f"Microsoft's parser is required here, but {reason}")
        pytest.skip(f"Microsoft's parser cannot run: {reason}")
    try:
        yield found
    finally:
        running.__exit__(None, None, None)


@pytest.fixture(scope="session", autouse=True)
def sent():
    """The statements that were sent to the server, each shape once."""
    shapes = set()
    read, write = backend.MSSQLBackend._reading, backend.transaction

    def note(statements):
        shapes.update([statement.sql for statement in statements])

    async def reading(self, statements):
        note(statements)
        return await read(self, statements)

    def transaction(statements, **how):
        note(statements)
        return write(statements, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend.MSSQLBackend, "_reading", reading)
        patch.setattr(backend, "transaction", transaction)
        yield shapes
