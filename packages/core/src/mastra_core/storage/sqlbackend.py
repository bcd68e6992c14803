"""The backend of every SQL database: what the dialect writes, run by two methods of the adapter."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from mastra_core.clock import from_iso
from mastra_core.errors import ConflictError, LimitExceededError, MastraError
from mastra_core.storage.backend import Backend
from mastra_core.storage.ddl import SqliteSchema
from mastra_core.storage.schema import Change, Query, Row, Table, Where
from mastra_core.storage.sql import Dialect, Statement

SETUP_ATTEMPTS = 5
# Of the parameters of a statement: what a condition binds at most, and what others need.
OF_A_CONDITION, OF_OTHERS = 4, 20


class SqlBackend(Backend):
    """What an adapter of a SQL database extends.

    It gives ``_fetch`` (the rows of one SELECT) and ``_execute`` (statements as one transaction,
    the affected rows of each), and where the protocol has it ``_fetch_many``.

    ``_execute`` calls ``self.check(statement, affected)`` before it commits, or where the protocol
    takes a whole transaction at once, sends ``dialect.guard(statement)`` behind each statement
    that expects a number of rows.
    """

    schema: ClassVar[type[SqliteSchema]] = SqliteSchema

    def __init__(self, dialect: Dialect | None = None) -> None:
        super().__init__()
        self.dialect = dialect or Dialect()

    @abstractmethod
    async def _fetch(self, statement: Statement) -> Sequence[Any]: ...

    @abstractmethod
    async def _execute(self, statements: Sequence[Statement]) -> list[int]: ...

    async def _fetch_many(self, statements: Sequence[Statement]) -> list[Sequence[Any]]:
        return [await self._fetch(statement) for statement in statements]

    async def fetch(self, statement: Statement) -> Sequence[Any]:
        """The driver's rows of a SELECT beyond the waist (vectors, say); its errors are ours."""
        try:
            return await self._fetch(statement)
        except MastraError:
            raise
        except Exception as error:
            raise self._translate(error, "read") from error

    async def fetch_many(self, statements: Sequence[Statement]) -> list[Sequence[Any]]:
        """The same for several, in one round trip where the protocol has it."""
        try:
            return await self._fetch_many(statements)
        except MastraError:
            raise
        except Exception as error:
            raise self._translate(error, "read") from error

    async def execute(self, statements: Sequence[Statement]) -> list[int]:
        """Statements beyond the waist as one transaction; the affected rows of each."""
        try:
            return await self._execute(statements)
        except MastraError:
            raise
        except Exception as error:
            raise self._translate(error, "write") from error

    def check(self, statement: Statement, affected: int) -> None:
        """Raise the ``ConflictError`` of a statement that affected other than ``expect`` rows."""
        if statement.expect is not None and affected != statement.expect:
            raise self.unmet(statement)

    def unmet(self, statement: Statement) -> ConflictError:
        """The error of a statement whose expectation did not hold."""
        return ConflictError(
            f"{statement.table}: the stored rows are not as the write expects (change "
            f"{statement.change}); nothing was written",
            change=statement.change,
        )

    async def server(self) -> str:
        """The name and version that the database gives itself."""
        try:
            return str((await self._fetch(Statement(self.dialect.version)))[0][0])
        except MastraError:
            raise
        except Exception as error:
            raise self._translate(error, "ask for the version") from error

    async def clock(self) -> datetime | None:
        """What time it is for the database."""
        try:
            return from_iso(str((await self._fetch(Statement(self.dialect.clock)))[0][0]))
        except Exception as error:
            raise self._translate(error, "ask for the time") from error

    async def _lacking(self, tables: Sequence[Table]) -> Sequence[str] | None:
        schema = self.schema(self.dialect)
        columns, indexes = await self._fetch_many(schema.catalogue())
        return [s.sql for s in schema.missing(tables, schema.existing(columns, indexes))]

    async def _find(self, table: Table, query: Query) -> list[Row]:
        rows = await self._fetch(self.dialect.select(table, query))
        return self.dialect.rows(table, query.columns, rows)

    async def _find_many(self, table: Table, queries: Sequence[Query]) -> list[list[Row]]:
        answers = await self._fetch_many([self.dialect.select(table, query) for query in queries])
        return [
            self.dialect.rows(table, query.columns, rows)
            for query, rows in zip(queries, answers, strict=True)
        ]

    async def _count(self, table: Table, where: Sequence[Where]) -> int:
        params: list[Any] = []
        sql = f"SELECT COUNT(*) FROM {self.dialect.name(table)}"
        condition = self.dialect.where(table, where, params)
        rows = await self._fetch(
            Statement(f"{sql} WHERE {condition}" if condition else sql, params)
        )
        return int(rows[0][0])

    async def _write(self, changes: Sequence[Change]) -> list[int]:
        statements = self.dialect.statements(changes)
        counts = [0] * len(changes)
        if statements:
            affected = await self._execute(statements)
            for statement, number in zip(statements, affected, strict=True):
                counts[statement.change] += number
        return counts

    async def _setup(self, tables: Sequence[Table]) -> None:
        """Look what is there and add what is not; again if another process did so meanwhile."""
        schema = self.schema(self.dialect)
        for attempt in range(1, SETUP_ATTEMPTS + 1):
            columns, indexes = await self._fetch_many(schema.catalogue())
            statements = schema.missing(tables, schema.existing(columns, indexes))
            if not statements:
                return
            try:
                await self._execute(statements)
            except MastraError:
                raise
            except Exception:
                if attempt == SETUP_ATTEMPTS:
                    raise
            else:
                return

    def _pushes(self, table: Table, where: Where) -> bool:
        return where.op != "icontains"

    def _split(
        self, table: Table, where: tuple[Where, ...]
    ) -> tuple[tuple[Where, ...], tuple[Where, ...]]:
        """Conditions beyond what one statement may bind are applied to pages, as others are."""
        pushed, residual = super()._split(table, where)
        bound = self.limits.parameters
        room = len(pushed) if bound is None else (bound - OF_OTHERS) // OF_A_CONDITION
        return pushed[:room], (*residual, *pushed[room:])

    def _check_statements(self, statements: Sequence[Statement]) -> None:
        """Refuse what is longer, or binds more, than the database takes."""
        parameters, length = self.limits.parameters, self.limits.statement_bytes
        for statement in statements:
            if parameters is not None and len(statement.params) > parameters:
                raise LimitExceededError(
                    f"a statement for {statement.table} binds {len(statement.params)} values; "
                    f"{self.name} takes at most {parameters}: give fewer conditions"
                )
            if length is not None and len(statement.sql.encode()) > length:
                raise LimitExceededError(
                    f"a statement for {statement.table} is longer than the {length:,} bytes that "
                    f"{self.name} takes"
                )


class BatchBackend(SqlBackend):
    """A SQL database whose protocol takes a whole transaction in one request.

    An adapter gives ``_batch``: statements as one transaction, the rows and the number of affected
    rows of each. What a write expects is checked inside of it, by ``dialect.guard``.
    """

    @abstractmethod
    async def _batch(
        self, statements: Sequence[Statement]
    ) -> Sequence[tuple[Sequence[Any], int]]: ...

    async def _fetch(self, statement: Statement) -> Sequence[Any]:
        return (await self._batch([statement]))[0][0]

    async def _fetch_many(self, statements: Sequence[Statement]) -> list[Sequence[Any]]:
        return [rows for rows, _ in await self._batch(statements)]

    async def _execute(self, statements: Sequence[Statement]) -> list[int]:
        sent: list[Statement] = []
        positions: list[int] = []
        for statement in statements:
            positions.append(len(sent))
            sent.append(statement)
            if statement.expect is not None:
                sent.append(self.dialect.guard(statement))
        results = await self._batch(sent)
        return [results[i][1] for i in positions]

    def _translate(self, error: Exception, doing: str) -> Exception:
        guard = re.search(r"guard (\d+)", str(error))
        if guard is None:
            return super()._translate(error, doing)
        return self.unmet(Statement("", change=int(guard[1])))
