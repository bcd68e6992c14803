"""PostgreSQL as tests use it: a schema of its own for each factory, and a line that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit, urlunsplit
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


class Line:
    """A TCP proxy to a server, whose connections a test cuts when it likes.

    ``cut_after`` is how many bytes from clients pass before all is cut, ``deaf`` that answers of
    the server no longer pass.
    """

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.cut_after: int | None = None
        self.deaf = False
        self.cuts = 0
        self.opened = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task] = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def url(self, url: str) -> str:
        """The URL of the server through this line."""
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{self.port}"))

    def cut(self) -> None:
        """Cut all connections."""
        self.cuts += 1
        for writer in list(self._writers):
            writer.transport.abort()

    async def _connected(self, reader, writer):
        self.opened += 1
        far_reader, far_writer = await asyncio.open_connection(*self.target)
        self._writers |= {writer, far_writer}
        for source, sink, ours in ((reader, far_writer, True), (far_reader, writer, False)):
            task = asyncio.create_task(self._copy(source, sink, from_client=ours))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _copy(self, source, sink, *, from_client):
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if from_client and self.cut_after is not None:
                    part = data[: self.cut_after]
                    self.cut_after -= len(part)
                    sink.write(part)
                    await sink.drain()
                    if self.cut_after == 0:
                        self.cut_after = None
                        # What passed arrives; what would come after it does not.
                        await asyncio.sleep(0.05)
                        self.cut()
                        return
                elif from_client or not self.deaf:
                    sink.write(data)
                    await sink.drain()
        sink.transport.abort()


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
    parts = urlsplit(postgres.url)
    return Line(parts.hostname, parts.port)


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
