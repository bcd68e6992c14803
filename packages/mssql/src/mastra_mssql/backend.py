"""SQL Server by DB-API in threads: a read or a write is one batch, one round trip."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, TypeVar, cast

from mastra_core.errors import ConflictError, LimitExceededError, StorageError
from mastra_core.storage.backend import Limits
from mastra_core.storage.loops import Once, pauses
from mastra_core.storage.schema import Change, Query, Row, Table, Where
from mastra_core.storage.sql import Statement
from mastra_core.storage.sqlbackend import SETUP_ATTEMPTS, SqlBackend
from mastra_mssql.batch import UNMET, transaction
from mastra_mssql.conditions import EXACT
from mastra_mssql.dialect import MSSQLDialect
from mastra_mssql.driver import (
    NUMBERS,
    STATES,
    ServerError,
    broken,
    made_twice,
    raised_by_a_driver,
    said,
    undone,
)
from mastra_mssql.pool import Pool, leave, shared
from mastra_mssql.schema import MSSQLSchema
from mastra_mssql.settings import MSSQLOptions, Settings, schema_name, settings

T = TypeVar("T")
# A request may have 2,100 parameters, of which the drivers use some.
PARAMETERS: Final = 2000
# How many seconds what the server undid for the sake of others is tried again.
PATIENCE: Final = 5.0
# Who sets up tables waits for others who do.
_LOCK: Final = (
    "DECLARE @held INT; EXEC @held = sp_getapplock @Resource = N'mastra tables', "
    "@LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 60000; "
    "IF @held < 0 THROW 51001, N'others set up the same tables for a minute', 1;"
)


def open_backend(options: MSSQLOptions) -> MSSQLBackend:
    """The backend of some options; nothing is opened before the first operation."""
    return MSSQLBackend(
        settings(options),
        schema_name(options),
        connection=options.get("connection"),
        default_indexes=options.get("default_indexes", True),
    )


class MSSQLBackend(SqlBackend):
    """A schema of a SQL Server database.

    A write is one batch, which the server takes as one transaction; what it expects is checked
    inside of it. Reads are repeated once if their connection breaks; writes only if the server
    undid them for the sake of others.
    """

    name: ClassVar[str] = "SQL Server"
    # Text of 2 GB, in two bytes for each character.
    limits: ClassVar[Limits] = Limits(value_bytes=10**9, parameters=PARAMETERS)

    def __init__(
        self,
        settings: Settings,
        schema: str = "dbo",
        *,
        connection: Any = None,
        default_indexes: bool = True,
    ) -> None:
        self.dialect: MSSQLDialect
        super().__init__(MSSQLDialect(schema))
        self.place = settings.place
        self._settings = settings
        self._given = None if connection is None else Pool(settings, connection)
        self._schema = MSSQLSchema(self.dialect, default_indexes=default_indexes)
        self._looked = Once()

    def __repr__(self) -> str:
        return f"MSSQLBackend({self.place!r}, schema={self.dialect.schema!r})"

    async def _find(self, table: Table, query: Query) -> list[Row]:
        await self._looked.run(self._look)
        return await super()._find(table, query)

    async def _find_many(self, table: Table, queries: Sequence[Query]) -> list[list[Row]]:
        await self._looked.run(self._look)
        return await super()._find_many(table, queries)

    async def _count(self, table: Table, where: Sequence[Where]) -> int:
        await self._looked.run(self._look)
        return await super()._count(table, where)

    async def _write(self, changes: Sequence[Change]) -> list[int]:
        await self._looked.run(self._look)
        return await super()._write(changes)

    async def _fetch(self, statement: Statement) -> Sequence[Any]:
        return (await self._fetch_many([statement]))[0]

    async def _fetch_many(self, statements: Sequence[Statement]) -> list[Sequence[Any]]:
        groups = _groups(statements)
        answers = [await self._reading(group) for group in groups]
        return [rows for answer in answers for rows in answer]

    async def _reading(self, statements: Sequence[Statement]) -> list[Sequence[Any]]:
        """The rows of some SELECTs; once more if the connection breaks meanwhile."""
        sql = "; ".join([statement.sql for statement in statements])
        params = [value for statement in statements for value in statement.params]

        def read(connection: Any) -> list[Sequence[Any]]:
            return _read(connection, sql, params, len(statements))

        try:
            return await self._undisturbed(read)
        except Exception as error:
            if not broken(error):
                raise
        return await self._undisturbed(read)

    async def _execute(self, statements: Sequence[Statement]) -> list[int]:
        self._check_statements(statements)
        groups = _groups(statements)

        def write(connection: Any) -> list[int]:
            if len(groups) == 1:
                return _written(connection, groups[0], own=True)
            # More than one request takes: a transaction of several.
            with _transaction(connection):
                return [n for group in groups for n in _written(connection, group, own=False)]

        return await self._undisturbed(write, writes=True)

    async def _undisturbed(self, do: Callable[[Any], T], *, writes: bool = False) -> T:
        """Do it again while the server undoes it for the sake of others."""
        waits = pauses(PATIENCE)
        while True:
            try:
                return await self._pool().run(do, writes=writes)
            except Exception as error:
                if not undone(error) or await anext(waits, True) is True:  # noqa: FBT003
                    raise

    def _pool(self) -> Pool:
        return self._given or shared(self._settings, self)

    async def _look(self) -> None:
        """See how the columns are that are there: others may have made them otherwise."""
        columns = (await self._fetch_many([self._schema.catalogue()[0]]))[0]
        tables = tuple(self._declared.values())
        self.dialect.learn(self._schema.found(tables, columns))

    async def _lacking(self, tables: Sequence[Table]) -> Sequence[str] | None:
        columns, indexes = await self._fetch_many(self._schema.catalogue())
        existing = self._schema.existing(columns, indexes)
        return [statement.sql for statement in self._schema.missing(tables, existing)]

    async def _setup(self, tables: Sequence[Table]) -> None:
        """Look what is there and add what is not; again if others did so meanwhile."""
        columns, indexes = await self._fetch_many(self._schema.catalogue())
        if self._schema.missing(tables, self._schema.existing(columns, indexes)):
            for attempt in range(1, SETUP_ATTEMPTS + 1):
                try:
                    await self._undisturbed(lambda connection: self._make(connection, tables))
                except Exception as error:
                    if attempt == SETUP_ATTEMPTS or not made_twice(error):
                        raise
                else:
                    break
        self._looked.done = False
        await self._looked.run(self._look)

    def _make(self, connection: Any, tables: Sequence[Table]) -> None:
        """Make what is missing, while nobody else does."""
        schema = self.dialect.schema
        with _transaction(connection):
            _run(connection, _LOCK)
            _run(connection, f"IF SCHEMA_ID(N'{schema}') IS NULL EXEC(N'CREATE SCHEMA [{schema}]')")
            columns, indexes = [
                _read(connection, each.sql, each.params, 1)[0] for each in self._schema.catalogue()
            ]
            existing = self._schema.existing(columns, indexes)
            for statement in self._schema.missing(tables, existing):
                _run(connection, statement.sql)

    def _pushes(self, table: Table, where: Where) -> bool:
        number = isinstance(where.value, (int, float)) and not isinstance(where.value, bool)
        if where.path and number and abs(float(where.value)) >= EXACT:  # type: ignore[arg-type]
            return False
        return super()._pushes(table, where)

    def _translate(self, error: Exception, doing: str) -> Exception:
        if isinstance(error, ServerError):
            return self._meaning(error, doing)
        if not raised_by_a_driver(error):
            return super()._translate(error, doing)
        text = said(error)
        seen = f"{error.args[0] if error.args else ''} {text} {error}".replace(self.place, "")
        kind, advice = next(
            ((kind, advice) for words, kind, advice in STATES if re.search(words, seen)),
            (StorageError, type(error).__name__),
        )
        return kind(f"{self!r} could not {doing}: {advice} ({text})")

    def _meaning(self, error: ServerError, doing: str) -> Exception:
        """What an error means that undid a batch."""
        if error.number == UNMET:
            return self.unmet(error.statement)
        kind, advice = NUMBERS.get(error.number, (StorageError, f"error {error.number}"))
        text = f"{self!r} could not {doing}: {advice}"
        if kind is ConflictError:
            # The server's text has the key in it, and so has what the caller gave.
            return ConflictError(text, change=error.statement.change)
        if kind is LimitExceededError:
            # The server's text has the beginning of what is too long.
            return LimitExceededError(f"{text} ({error.statement.table})")
        return kind(f"{text} ({error})")

    async def _close(self) -> None:
        self._looked.done = False
        if self._given is not None:
            await self._given.close()
        else:
            await leave(self._settings, self)


class _transaction:  # noqa: N801 (used as a function)
    """A transaction of several requests, undone unless all of it is done."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def __enter__(self) -> None:
        self.connection.autocommit = False

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.connection.commit()
            else:
                self.connection.rollback()
        finally:
            self.connection.autocommit = True


def _run(connection: Any, sql: str) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute(sql)
    finally:
        cursor.close()


def _read(connection: Any, sql: str, params: Sequence[Any], sets: int) -> list[Sequence[Any]]:
    """The rows of so many SELECTs in one request."""
    cursor = connection.cursor()
    try:
        cursor.execute(sql, *([tuple(params)] if params else []))
        answers = [[tuple(row) for row in cursor.fetchall()]]
        while len(answers) < sets and cursor.nextset():
            answers.append([tuple(row) for row in cursor.fetchall()])
        return list(answers)
    finally:
        cursor.close()


def _written(connection: Any, statements: Sequence[Statement], *, own: bool) -> list[int]:
    """How many rows each statement of a batch affected; what undid it is a ``ServerError``."""
    batch = transaction(statements, own=own)
    number, *rest = cast("tuple[Any, ...]", _read(connection, batch.sql, batch.params, 1)[0][0])
    if number:
        raise ServerError(number, str(rest[0]), statements[int(rest[1])])
    return [int(count) for count in rest[1:]]


def _groups(statements: Sequence[Statement]) -> list[list[Statement]]:
    """Statements in runs that one request takes."""
    groups: list[list[Statement]] = []
    size = 0
    for statement in statements:
        if not groups or size + len(statement.params) > PARAMETERS:
            groups.append([])
            size = 0
        groups[-1].append(statement)
        size += len(statement.params)
    return groups
