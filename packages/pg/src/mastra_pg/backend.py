"""PostgreSQL by psycopg: statements on pooled connections, retried where that is safe."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final, TypeVar

import psycopg
from psycopg import errors
from psycopg_pool import AsyncConnectionPool

from mastra_core.errors import (
    AuthenticationError,
    ConflictError,
    InvalidArgumentError,
    LimitExceededError,
    SchemaError,
    StorageError,
    UnavailableError,
)
from mastra_core.storage.loops import PerLoop, pauses
from mastra_core.storage.schema import Change, Put, Row, Table, Where
from mastra_core.storage.sql import Statement
from mastra_core.storage.sqlbackend import SETUP_ATTEMPTS, SqlBackend
from mastra_pg.dialect import TWICE, PostgresDialect
from mastra_pg.install import Installation
from mastra_pg.loading import load, loadable
from mastra_pg.pool import Connection, connect, give, leave, pipelined, sent, shared, take
from mastra_pg.schema import PostgresSchema
from mastra_pg.settings import PostgresOptions, Settings, schema_name, settings

T = TypeVar("T")
# Text conditions on JSON need a test that came with this version; before, core applies them.
TESTS_INPUT: Final = 160000
# How many seconds a write that the server undid is tried again, and a query is over its time.
PATIENCE: Final = 5.0
GRACE: Final = 5.0
UNDONE: Final = (errors.SerializationFailure, errors.DeadlockDetected)
# What those get who make the same table or index at the same time.
MADE_TWICE: Final = (
    *UNDONE,
    errors.UniqueViolation,
    errors.DuplicateTable,
    errors.DuplicateObject,
    errors.DuplicateColumn,
)

# By the code of the error, or as much of its beginning as says it.
CODES: Final[Sequence[tuple[str, type[StorageError], str]]] = (
    ("23505", ConflictError, "a row with this key is stored"),
    ("40", UnavailableError, "others changed the same rows for too long; try again"),
    ("57014", UnavailableError, "it took longer than statement_timeout; nothing was written"),
    ("57", UnavailableError, "the server is shutting down or starting; try again"),
    ("08", UnavailableError, "the connection broke; try again"),
    ("53", UnavailableError, "the server has no room or no connection left; try again later"),
    ("55P03", UnavailableError, "others hold a lock for too long; try again"),
    ("28", AuthenticationError, "check user and password"),
    ("3D000", StorageError, "there is no such database; create it first"),
    ("42501", StorageError, "the user lacks the right; grant it"),
    ("25006", StorageError, "the database can only be read"),
    ("42P01", SchemaError, "the tables are not there; call init()"),
    ("42703", SchemaError, "the table lacks a column; call init()"),
    ("3F000", SchemaError, "the schema is not there; call init()"),
    ("26000", StorageError, "behind a pooler use prepared_statements=False"),
    ("42P05", StorageError, "behind a pooler use prepared_statements=False"),
    ("54", LimitExceededError, "a value is larger than PostgreSQL takes; nothing was written"),
    ("22", InvalidArgumentError, "PostgreSQL does not take a value; nothing was written"),
)
# What refuses a connection has no code, only the server's words.
REFUSED: Final[Sequence[tuple[str, type[StorageError], str]]] = (
    (
        r"authentication failed|no password supplied|no pg_hba\.conf entry|role .* does not exist",
        AuthenticationError,
        "check user and password",
    ),
    (r"database .* does not exist", StorageError, "there is no such database; create it first"),
    (
        r"startup parameter",
        StorageError,
        "behind a transaction-mode pooler use prepared_statements=False",
    ),
    (r"SSL|certificate", UnavailableError, "check ssl"),
    (r"too many|remaining connection slots", UnavailableError, "the server has no connection left"),
)


def open_backend(options: PostgresOptions) -> PostgresBackend:
    """The backend of some options; nothing is opened before the first operation."""
    return PostgresBackend(
        settings(options),
        schema_name(options),
        pool=options.get("pool"),
        default_indexes=options.get("default_indexes", True),
    )


class PostgresBackend(SqlBackend):
    """A schema of a PostgreSQL database.

    A write is one statement where its changes are of different tables, and otherwise one pipeline,
    which the server takes as one transaction: a round trip in any case. What a write expects is
    checked inside of it. Reads are repeated once if their connection breaks; writes only if nothing
    was sent, or the server undid them for the sake of others.
    """

    name: ClassVar[str] = "PostgreSQL"

    def __init__(
        self,
        settings: Settings,
        schema: str = "public",
        *,
        pool: AsyncConnectionPool[Any] | None = None,
        default_indexes: bool = True,
    ) -> None:
        self.dialect: PostgresDialect
        super().__init__(PostgresDialect(schema))
        self.place = settings.place
        self._settings = settings
        self._given = pool
        self._default_indexes = default_indexes
        self._bound = settings.pool_timeout + settings.statement_timeout + GRACE
        self._version = 0
        self._shared = PerLoop(lambda: shared(settings, self))

    def __repr__(self) -> str:
        return f"PostgresBackend({self.place!r}, schema={self.dialect.schema!r})"

    async def _fetch(self, statement: Statement) -> Sequence[Any]:
        async def read(connection: Connection) -> Sequence[Any]:
            return await (await sent(connection, statement)).fetchall()

        return await self._reading(read)

    async def _fetch_many(self, statements: Sequence[Statement]) -> list[Sequence[Any]]:
        async def read(connection: Connection) -> list[Sequence[Any]]:
            cursors = await pipelined(connection, statements)
            return [await cursor.fetchall() for cursor in cursors]

        return await self._reading(read)

    async def _sweep(self, table: Table, limit: int, after: Row | None) -> list[Row]:
        rows = await self._fetch(self.dialect.swept(table, limit, after))
        return self.dialect.rows(table, (), rows)

    async def _write(self, changes: Sequence[Change]) -> list[int]:
        put = changes[0] if len(changes) == 1 else None
        if isinstance(put, Put) and loadable(put):
            try:
                return [await self._undisturbed(lambda to: load(to, self.dialect, put))]
            except errors.UniqueViolation:
                # Some are there, and nothing was written: the INSERT tells which.
                pass
        return await super()._write(changes)

    async def _execute(self, statements: Sequence[Statement]) -> list[int]:
        if len(statements) == 1 and (statements[0].expect is None or statements[0].one):

            async def write(connection: Connection) -> list[int]:
                count = (await sent(connection, statements[0])).rowcount
                self.check(statements[0], count)
                return [count]

        else:
            parts = [self.dialect.combined(group) for group in _groups(statements)]

            async def write(connection: Connection) -> list[int]:
                if len(parts) == 1:
                    cursors = [await sent(connection, parts[0])]
                else:
                    cursors = await pipelined(connection, parts)
                answers = [await cursor.fetchone() for cursor in cursors]
                return [count for answer in answers for count in answer or ()]

        return await self._undisturbed(write)

    async def _reading(self, do: Callable[[Connection], Awaitable[T]]) -> T:
        """Do what only reads; once more if the connection breaks meanwhile."""
        used: list[Connection] = []

        async def read(connection: Connection) -> T:
            used.append(connection)
            return await do(connection)

        try:
            return await self._undisturbed(read)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            if not used or not used[-1].closed:
                raise
            return await self._undisturbed(read)

    async def _undisturbed(self, do: Callable[[Connection], Awaitable[T]]) -> T:
        """Do it again while the server undoes it for the sake of others."""
        try:
            return await self._connected(do)
        except UNDONE as undone:
            error: Exception = undone
        async for _ in pauses(PATIENCE):
            try:
                return await self._connected(do)
            except UNDONE as undone:
                error = undone
        raise error

    async def _connected(self, do: Callable[[Connection], Awaitable[T]]) -> T:
        """Do it on a connection, within the time that there is."""
        async with asyncio.timeout(self._bound):
            pool = self._given or await self._shared.get().opened()
            connection = await take(pool, self._settings)
            try:
                self._version = self._version or connection.info.server_version
                return await do(connection)
            finally:
                await give(pool, connection)

    async def _setup(self, tables: Sequence[Table]) -> None:
        """Look what is there and add what is not, so that nobody is kept from writing for long."""
        schema = PostgresSchema(self.dialect, default_indexes=self._default_indexes)
        for attempt in range(1, SETUP_ATTEMPTS + 1):
            try:
                await self._install(Installation(schema, tables))
            except MADE_TWICE:
                # Others made the same at the same time.
                if attempt == SETUP_ATTEMPTS:
                    raise
            else:
                return

    async def _lacking(self, tables: Sequence[Table]) -> Sequence[str] | None:
        schema = PostgresSchema(self.dialect, default_indexes=self._default_indexes)
        missing = await self._connected(Installation(schema, tables).missing)
        return [statement.sql for statement in missing]

    async def _install(self, installation: Installation) -> None:
        if not await self._connected(installation.missing):
            return
        late = await self._connected(installation.make)
        if not late:
            return
        if self._given is not None:
            connection = await take(self._given, self._settings)
            try:
                await installation.index(connection, late, lasting=self._settings.prepared)
            finally:
                await give(self._given, connection)
            return
        # A connection of its own: it may take hours, and has no bound on time.
        async with await connect(self._settings) as connection:
            await installation.index(connection, late, lasting=self._settings.prepared)

    def _pushes(self, table: Table, where: Where) -> bool:
        if where.path and table.column(where.column).type != "json":
            return self._version >= TESTS_INPUT
        twice = where.path and (table.name, where.column) in TWICE
        return not twice and super()._pushes(table, where)

    def _translate(self, error: Exception, doing: str) -> Exception:
        if isinstance(error, TimeoutError):
            advice = f"there was no answer within {self._bound:g} s"
            return UnavailableError(f"{self!r} could not {doing}: {advice}")
        if not isinstance(error, psycopg.Error):
            return super()._translate(error, doing)
        said = error.diag.message_primary or str(error) or type(error).__name__
        guard = re.search(r'"guard (\d+)"', said)
        if guard is not None and error.sqlstate == "22P02":
            return self.unmet(Statement("", change=int(guard[1])))
        code = error.sqlstate or ""
        kind, advice = StorageError, type(error).__name__
        if code:
            kind, advice = next((r[1:] for r in CODES if code.startswith(r[0])), (kind, advice))
        elif isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
            away = (UnavailableError, "the database cannot be reached; try again")
            kind, advice = next((r[1:] for r in REFUSED if re.search(r[0], said)), away)
        return kind(f"{self!r} could not {doing}: {advice} ({said})")

    async def _close(self) -> None:
        if self._shared.pop() is not None:
            await leave(self._settings, self)


def _groups(statements: Sequence[Statement]) -> list[list[Statement]]:
    """Statements in runs that one statement can do: of different tables, whatever their order.

    All parts of a statement see what was stored when it began. That is enough for rows that are
    inserted, and for what must be there; but what deletes or changes whatever it finds must also
    see what was committed while the part before it waited for a lock.
    """
    groups: list[list[Statement]] = []
    tables: set[str] = set()
    for statement in statements:
        joins = statement.expect is not None or statement.inserts
        if not groups or statement.table in tables or not joins:
            groups.append([])
            tables = set()
        groups[-1].append(statement)
        tables.add(statement.table)
    return groups
