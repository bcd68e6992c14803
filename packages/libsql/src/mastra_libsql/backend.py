"""libSQL by its embedded engine and by its servers: the only module that imports the drivers."""

from __future__ import annotations

import asyncio
import importlib
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, TypedDict, TypeVar, Unpack
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from mastra_core.errors import (
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    CorruptDataError,
    StorageError,
    UnavailableError,
)
from mastra_core.storage.loops import PerLoop, at_end_of_loop, pauses
from mastra_core.storage.schema import Column, ColumnType, Query, Row, Table
from mastra_core.storage.settings import only_known
from mastra_core.storage.sql import Decoder, Dialect, Statement
from mastra_core.storage.sqlbackend import BatchBackend, SqlBackend

T = TypeVar("T")
REMOTE: Final = ("libsql", "http", "https", "ws", "wss")
PLAIN: Final = ("http", "ws")
REMOTE_MODULES: Final = ("libsql_client", "aiohttp")
# A server takes one writer at a time and refuses those who come meanwhile; a few hide the way there.
WRITERS: Final = 4
LONG_PAGE: Final = 100
BUSY: Final = ("database is locked", "database table is locked", "database schema is locked")

# The drivers raise one class for everything, so that only the text tells what happened.
MESSAGES: Final[Sequence[tuple[str, type[StorageError], str]]] = (
    (r"is locked|SQLITE_BUSY", UnavailableError, "other writers held it for too long; try again"),
    (r"(UNIQUE|PRIMARY KEY) constraint failed", ConflictError, "a row with this key is stored"),
    (
        r"not a database",
        AuthenticationError,
        "it is no libSQL database, or its encryption_key differs",
    ),
    (r"malformed|corrupt", CorruptDataError, "the file is damaged; restore it from a backup"),
    (r"disk is full|SQLITE_FULL", UnavailableError, "the disk is full; nothing was written"),
    (r"readonly|read-only", StorageError, "the file or its folder cannot be written to"),
    (r"unable to open|Unable to open", UnavailableError, "the file could not be opened"),
    (
        r"\b40[13]\b|[Uu]nauthori[sz]ed|[Ff]orbidden|BLOCKED|JWT",
        AuthenticationError,
        "check auth_token",
    ),
    (r"no such (table|column)", StorageError, "the tables are not there; call init()"),
    (r"Cannot connect|[Cc]onnect|[Tt]imed? ?out|stream|closed", UnavailableError, "try again"),
)


class LibSQLOptions(TypedDict, total=False):
    """How a database is opened.

    ``auth_token`` is for servers that ask for one, ``encryption_key`` encrypts a file.
    ``busy_timeout`` is how many seconds an operation waits for other writers, or for the server
    (5). ``synchronous="FULL"`` makes each write of a file survive a loss of power, ``"NORMAL"``
    (the default) a crash of the process.
    """

    auth_token: str | None
    encryption_key: str | None
    busy_timeout: float
    synchronous: str


def open_backend(url: str, **options: Unpack[LibSQLOptions]) -> SqlBackend:
    """The backend for a URL; nothing is opened before the first operation."""
    auth_token, encryption_key = options.get("auth_token"), options.get("encryption_key")
    busy_timeout, synchronous = (
        options.get("busy_timeout", 5.0),
        options.get("synchronous", "NORMAL"),
    )
    only_known("libSQL", options, LibSQLOptions.__annotations__)
    if not isinstance(url, str) or not url:
        raise ConfigurationError("url must be file:path, :memory:, or a server's address")
    scheme, _, rest = url.partition(":")
    if scheme in REMOTE:
        if encryption_key is not None:
            raise ConfigurationError("encryption_key is for files; a server encrypts by itself")
        return LibSQLRemoteBackend(url, auth_token=auth_token, timeout=busy_timeout)
    if url != ":memory:" and scheme != "file":
        raise ConfigurationError(
            f"libSQL has no {scheme!r} URLs; use file:path, :memory:, libsql://, http(s):// or ws(s)://"
        )
    if auth_token is not None:
        raise ConfigurationError("auth_token is for servers; a file is protected by encryption_key")
    if synchronous.upper() not in {"NORMAL", "FULL", "EXTRA", "OFF"}:
        raise ConfigurationError(
            f"synchronous must be NORMAL, FULL, EXTRA or OFF, not {synchronous!r}"
        )
    path = ":memory:" if url == ":memory:" or rest == ":memory:" else _path(rest)
    return LibSQLBackend(
        path, encryption_key=encryption_key, busy_timeout=busy_timeout, synchronous=synchronous
    )


def _path(rest: str) -> str:
    path = Path(re.sub(r"^//(?=/)", "", rest).partition("?")[0]).expanduser()
    if not path.name:
        raise ConfigurationError("a file URL names a file, as in file:./mastra.db")
    if path.is_dir():
        raise ConfigurationError(
            f"{path} is a directory; name a file in it, as file:{path}/mastra.db"
        )
    if not path.parent.is_dir():
        raise ConfigurationError(f"the folder {path.parent} does not exist; create it first")
    return str(path)


class BinaryJSON(Exception):  # noqa: N818 (an event, not an error)
    """A row holds JSON in SQLite's binary form."""


def _texts(values: Sequence[Any]) -> Sequence[Any]:
    if bytes in set(map(type, values)):
        raise BinaryJSON
    return values


class LibSQLDialect(Dialect):
    """SQLite's SQL, with JSON that the original stores in SQLite's binary form.

    Ours is text. Taking every JSON column through ``json()`` costs a fifth of a short read, so
    that this is done only once a binary value was seen.
    """

    decoders: ClassVar[Mapping[ColumnType, Decoder]] = {**Dialect.decoders, "json": _texts}


class TextDialect(Dialect):
    """SQLite's SQL for databases in which binary JSON was seen: it is asked for as text."""

    def term(self, table: Table, column: Column) -> str:
        """One column of the select list."""
        if column.type != "json":
            return super().term(table, column)
        return "CASE typeof({0}) WHEN 'blob' THEN json({0}) ELSE {0} END".format(f'"{column.name}"')


class _LibSQL(SqlBackend):
    """What files and servers have in common: binary JSON, errors that only their text tells apart."""

    name: ClassVar[str] = "libSQL"
    texts = MESSAGES

    def __init__(self) -> None:
        super().__init__(LibSQLDialect())

    async def _find(self, table: Table, query: Query) -> list[Row]:
        rows = await self._fetch(self.dialect.select(table, query))
        try:
            return self.dialect.rows(table, query.columns, rows)
        except BinaryJSON:
            self.dialect = TextDialect()
            return await super()._find(table, query)

    async def _find_many(self, table: Table, queries: Sequence[Query]) -> list[list[Row]]:
        try:
            return await super()._find_many(table, queries)
        except BinaryJSON:
            self.dialect = TextDialect()
            return await super()._find_many(table, queries)

    def _driver_raised(self, error: Exception) -> bool:
        module = type(error).__module__.partition(".")[0]
        return isinstance(error, (ValueError, OSError, TimeoutError)) or module in REMOTE_MODULES


def _busy(error: Exception) -> bool:
    return any(text in str(error) for text in BUSY)


class LibSQLBackend(_LibSQL):
    """A file, or private memory, by the embedded engine.

    The engine holds the interpreter for the whole of a call, so a thread would gain nothing: the
    statements run where they are called, each short. The engine itself never waits for a lock;
    the waiting is done here, asynchronously.
    """

    def __init__(
        self, path: str, *, encryption_key: str | None, busy_timeout: float, synchronous: str
    ) -> None:
        super().__init__()
        self.path = self.place = path
        self._key = encryption_key
        self._patience = busy_timeout
        self._synchronous = synchronous.upper()
        self._connection: Any = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"LibSQLBackend({self.path!r})"

    async def _fetch(self, statement: Statement) -> Sequence[Any]:
        try:
            rows = self._read(statement)
        except ValueError as error:
            rows = await self._patiently(error, lambda: self._read(statement))
        if len(rows) >= LONG_PAGE:
            # Nothing here waits for anything, so a long read would let no other task run.
            await asyncio.sleep(0)
        return rows

    async def _execute(self, statements: Sequence[Statement]) -> list[int]:
        try:
            return self._transact(statements)
        except ValueError as error:
            return await self._patiently(error, lambda: self._transact(statements))

    def _read(self, statement: Statement) -> Sequence[Any]:
        with self._lock:
            cursor = (self._connection or self._open()).execute(
                statement.sql, tuple(statement.params)
            )
            rows: Sequence[Any] = cursor.fetchall()
            return rows

    def _transact(self, statements: Sequence[Statement]) -> list[int]:
        with self._lock:
            execute = (self._connection or self._open()).execute
            if len(statements) == 1 and statements[0].expect is None:
                return [self._run(execute, statements[0])]
            execute("BEGIN IMMEDIATE")
            try:
                counts = [self._run(execute, statement) for statement in statements]
                execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    execute("ROLLBACK")
                raise
            return counts

    def _run(self, execute: Callable[..., Any], statement: Statement) -> int:
        params = tuple(statement.params)
        if statement.quick:
            try:
                if count := execute(statement.quick, params).rowcount:
                    return int(count)
            except ValueError as error:
                if "constraint" not in str(error):
                    raise
        count = int(execute(statement.sql, params).rowcount)
        if statement.expect is not None:
            self.check(statement, count)
        return count

    async def _patiently(self, error: ValueError, do: Callable[[], T]) -> T:
        """Do what failed again and again, if it failed because another process has the lock."""
        async for _ in pauses(self._patience):
            if not _busy(error):
                break
            try:
                return do()
            except ValueError as again:
                error = again
        raise error

    def _open(self) -> Any:
        """The connection, opened by the first use."""
        driver = importlib.import_module("libsql")
        options = {} if self._key is None else {"encryption_key": self._key}
        connection = driver.connect(self.path, isolation_level=None, timeout=0, **options)
        for pragma in self._pragmas():
            connection.execute(f"PRAGMA {pragma}").fetchall()
        self._connection = connection
        return connection

    def _pragmas(self) -> tuple[str, ...]:
        shared = ("busy_timeout = 0", "cache_size = -16000", "temp_store = MEMORY")
        if self.path == ":memory:":
            return shared
        return (*shared, "journal_mode = WAL", f"synchronous = {self._synchronous}")

    async def _close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()


class LibSQLRemoteBackend(_LibSQL, BatchBackend):
    """A libSQL server: one request for each read and each write, however many changes it has."""

    def __init__(self, url: str, *, auth_token: str | None, timeout: float) -> None:
        super().__init__()
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        self._token = auth_token or query.pop("authToken", None)
        # A request needs no session: it passes proxies, and a connection that broke breaks no other.
        plain = query.pop("tls", "1") == "0" if parts.scheme == "libsql" else parts.scheme in PLAIN
        scheme = "http" if plain else "https"
        host = parts.netloc.rpartition("@")[2]
        if not host:
            raise ConfigurationError(f"{parts.scheme}:// needs a host, as in libsql://name.example")
        self.url = urlunsplit((scheme, host, parts.path, urlencode(query), ""))
        self.place = host
        self._timeout = timeout
        self._clients = PerLoop(self._client)
        self._writers = PerLoop(lambda: asyncio.Semaphore(WRITERS))

    def __repr__(self) -> str:
        return f"LibSQLRemoteBackend({self.url!r})"

    def _client(self) -> tuple[Any, object]:
        try:
            driver = importlib.import_module("libsql_client")
        except ImportError as error:
            raise ConfigurationError(
                "libSQL servers need the extra: pip install 'mastra-libsql[remote]'"
            ) from error
        client = driver.create_client(self.url, auth_token=self._token or "")
        return client, at_end_of_loop(client.close)

    async def _execute(self, statements: Sequence[Statement]) -> list[int]:
        async with self._writers.get():
            return await super()._execute(statements)

    async def _batch(self, statements: Sequence[Statement]) -> list[tuple[Sequence[Any], int]]:
        """One transaction; again and again while others write, since then nothing was done."""
        sent = [(statement.sql, list(statement.params)) for statement in statements]
        waits = pauses(self._timeout)
        client, _ = self._clients.get()
        async with asyncio.timeout(self._timeout):
            while True:
                try:
                    results = await client.batch(sent)
                except Exception as error:
                    if not _busy(error):
                        raise
                    await anext(waits, None)
                else:
                    return [([tuple(row) for row in r.rows], r.rows_affected) for r in results]

    async def _close(self) -> None:
        opened = self._clients.pop()
        if opened is not None:
            await opened[0].close()
