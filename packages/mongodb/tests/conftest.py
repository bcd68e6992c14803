"""MongoDB as tests use it: a database of its own for each factory, a log of requests, a line to cut."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from uuid import uuid4

import bson
import pytest
from pymongo import AsyncMongoClient, MongoClient
from pymongo.monitoring import CommandListener

from mastra_mongodb import MongoDBStore

# Sent by the driver on its own: they end sessions and cursors, and nobody waits for them.
UNASKED = {"endSessions", "killCursors", "hello", "ismaster", "ping"}


REAL = {url for name, url in os.environ.items() if name.startswith("MASTRA_MONGODB")}
SIMPLE = "the servers of these tests read all rows of an index prefix before they sort them"


class Factory:
    """Makes independent stores on one database, in this process and in others."""

    def __init__(self, server: str, db_name: str) -> None:
        self.server = server
        # They stand in for mongod: what a request costs there is for ``test_requests`` to show.
        self.costs_differ = "" if server in REAL else SIMPLE
        self.db_name = db_name
        self.url = f"{server.rpartition('/')[0]}/{db_name}"

    def __call__(self, **options) -> MongoDBStore:
        return MongoDBStore(id="conformance", **{"url": self.url, **options})

    def empty(self) -> Factory:
        """The same on a new database."""
        return Factory(self.server, name())

    @contextlib.contextmanager
    def database(self) -> Iterator:
        """The database by the bare driver."""
        with MongoClient(self.url) as client:
            yield client[self.db_name]


def name() -> str:
    """A name of a database that nobody else has."""
    return f"mastra_{uuid4().hex}"


class Log(CommandListener):
    """The commands that a client sent."""

    def __init__(self) -> None:
        self.commands: list[dict] = []

    def started(self, event) -> None:
        if event.command_name not in UNASKED:
            self.commands.append(dict(event.command))

    def succeeded(self, event) -> None:
        """Nothing is made of answers."""

    def failed(self, event) -> None:
        """Nor of errors."""

    @property
    def sent(self) -> list[str]:
        """The commands with their collections, in order, and none that is left behind."""
        found = [" ".join(map(str, next(iter(c.items())))) for c in self.commands]
        self.commands.clear()
        return [text.removesuffix(" 1") for text in found]


class Line:
    """A TCP proxy to a server: at a command that is named it cuts, before it is sent or behind.

    ``cuts`` has pairs of a command's name and ``"before"`` or ``"behind"``, in the order in which they
    are to happen; ``seen`` has the names of all commands that were sent.
    """

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("mongodb://").partition("/")[0].partition(":")
        self.target = (host, int(port))
        self.cuts: list[tuple[str, str]] = []
        self.seen: list[str] = []
        self._tasks: set[asyncio.Task] = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def url(self, db_name: str) -> str:
        """The database through this line, without asking the server where else it is."""
        return f"mongodb://127.0.0.1:{self.port}/{db_name}?directConnection=true"

    async def _connected(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        far_reader, far_writer = await asyncio.open_connection(*self.target)
        deaf = asyncio.Event()
        answers = asyncio.create_task(self._answers(far_reader, writer, deaf))
        try:
            while True:
                head = await reader.readexactly(4)
                body = await reader.readexactly(int.from_bytes(head, "little") - 4)
                command = _command(body)
                self.seen.append(command)
                cut = self.cuts.pop(0)[1] if self.cuts and self.cuts[0][0] == command else None
                if cut == "before":
                    break
                if cut == "behind":
                    deaf.set()
                far_writer.write(head + body)
                await far_writer.drain()
                if cut == "behind":
                    await answers
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            # The end of the line itself; as an error of this task the loop would complain of it.
            pass
        finally:
            answers.cancel()
            far_writer.transport.abort()
            writer.transport.abort()
            self._tasks.discard(task)

    async def _answers(self, reader, writer, deaf):
        """Pass answers on; what is not to be heard is waited for, so that it was done."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readexactly(4)
                body = await reader.readexactly(int.from_bytes(head, "little") - 4)
                if deaf.is_set():
                    return
                writer.write(head + body)


def _command(body: bytes) -> str:
    """The name of the command in a message (OP_MSG; what is older is a greeting)."""
    if int.from_bytes(body[8:12], "little") != 2013:
        return "hello"
    start = 17
    length = int.from_bytes(body[start : start + 4], "little")
    return next(iter(bson.decode(body[start : start + length])))


@pytest.fixture(scope="session")
def conformance_share(request):
    """A tenth of the sizes, since the servers are programs of Python; all of them for a report."""
    return 1.0 if request.config.getoption("--conformance-report") else 0.1


@pytest.fixture(scope="session")
def storage_factory(mongodb):
    """Stores on a replica set."""
    return Factory(mongodb.url, name())


@pytest.fixture(scope="session")
def standalone_stores(mongodb_standalone):
    """Stores on a server without transactions."""
    return Factory(mongodb_standalone.url, name())


@pytest.fixture(scope="session")
def mongoeco_stores(mongoeco):
    """Stores on mongoeco."""
    return Factory(mongoeco.url, name())


@pytest.fixture
def log():
    """A log of what a client sends; ``logged`` makes such a client."""
    return Log()


@pytest.fixture
def logged(log):
    """Makes a client that keeps the log."""
    return lambda url: AsyncMongoClient(url, event_listeners=[log])


@pytest.fixture
def line():
    """Makes a line to a server, which cuts where a test says."""
    return Line


@pytest.fixture
def replica_set(mongodb):
    """A factory on a new database of the replica set."""
    return Factory(mongodb.url, name())


@pytest.fixture
def standalone(mongodb_standalone):
    """A factory on a new database of the server without transactions."""
    return Factory(mongodb_standalone.url, name())


@pytest.fixture(params=["mongodb", "mongodb_standalone", "mongoeco"])
def anywhere(request):
    """A factory on a new database of each server in turn."""
    return Factory(request.getfixturevalue(request.param).url, name())
