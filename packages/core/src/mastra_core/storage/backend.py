"""The narrow waist: the four operations on rows that an adapter implements, and all that is common."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime
from typing import ClassVar, Self

import msgspec

from mastra_core.errors import LimitExceededError, MastraError
from mastra_core.storage.driver_errors import DriverErrors
from mastra_core.storage.loops import Once
from mastra_core.storage.matching import matches
from mastra_core.storage.schema import (
    Advance,
    Change,
    Put,
    Query,
    Row,
    Table,
    Update,
    Value,
    Where,
    complete,
)


class Capability(enum.Enum):
    """What a backend may or may not promise; an undeclared one raises ``UnsupportedError``."""

    ATOMIC_WRITE = "a write of several changes is applied whole or not at all"
    COMPARE_AND_SET = "an update applies only to rows that still match, and says how many did"
    ORDERED_FIND = "rows come back in the order asked for, page after page"
    CONSISTENT_READ = "a read sees every write that was acknowledged before it began"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of a database: rows a read, bytes a value, changed rows a write (None: no bound).

    ``row_bytes`` is of all texts of a row that is put; ``parameters`` (bound) and ``statement_bytes``
    are of one SQL statement.
    """

    page_rows: int = 1000
    value_bytes: int | None = None
    row_bytes: int | None = None
    write_rows: int | None = None
    parameters: int | None = None
    statement_bytes: int | None = None


class Backend(DriverErrors, ABC):
    """A database as the domains see it: rows found and written, atomically, by declared indexes.

    Public methods check, complete, page and map errors; an adapter implements their underscored
    twins and gets: a query whose order is complete and whose limit is at most ``limits.page_rows``,
    set up tables, and mapped errors. A backend may be made outside any event loop and used from
    several in turn.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)
    limits: ClassVar[Limits] = Limits()

    def __init__(self) -> None:
        self.auto_setup = True
        self._declared: dict[str, Table] = {}
        self._ready = Once()

    def declare(self, *tables: Table) -> None:
        """Say which tables will be used; they are set up before the first operation."""
        self._declared.update({table.name: table for table in tables})
        self._ready.done = False

    def leave_setup(self) -> None:
        """Set nothing up by itself any more: that is left to an explicit ``setup``."""
        self.auto_setup = False

    async def setup(self, tables: Sequence[Table] = ()) -> None:
        """Create what is missing of the declared tables: tables, columns and indexes.

        Idempotent, safe while others do the same, and never removes anything.
        """
        new = [table for table in tables if table.name not in self._declared]
        if new:
            self.declare(*new)
        await self._ready.run(self._prepare)

    async def _prepare(self) -> None:
        try:
            await self._setup(tuple(self._declared.values()))
        except MastraError:
            raise
        except Exception as error:
            raise self._translate(error, "set up the tables") from error

    async def find(self, table: Table, query: Query) -> list[Row]:
        """The rows of a query, in its order completed by the table's key."""
        if self.auto_setup and not self._ready.done:
            await self.setup((table,))
        limit = query.limit
        pushed, residual = self._split(table, query.where)
        if limit is None or limit > self.limits.page_rows or residual:
            return [
                row async for page in self._pages(table, query, pushed, residual) for row in page
            ]
        if limit == 0:
            return []
        try:
            return await self._find(table, self._completed(table, query))
        except MastraError:
            raise
        except Exception as error:
            raise self._translate(error, f"read {table.name}") from error

    async def find_many(self, table: Table, queries: Sequence[Query]) -> list[list[Row]]:
        """The rows of several queries on one table, in one round trip where the database can."""
        bounded = all(
            query.limit and query.limit <= self.limits.page_rows for query in queries
        ) and not any(self._split(table, query.where)[1] for query in queries)
        if len(queries) < 2 or not bounded:
            return [await self.find(table, query) for query in queries]
        if self.auto_setup and not self._ready.done:
            await self.setup((table,))
        try:
            return await self._find_many(table, [self._completed(table, q) for q in queries])
        except MastraError:
            raise
        except Exception as error:
            raise self._translate(error, f"read {table.name}") from error

    async def sweep(self, table: Table, *, limit: int, after: Row | None = None) -> list[Row]:
        """Rows of a table behind the one with the key ``after``, at most so many; none at the end.

        Going on behind each last row gives every row once, in an order that is the database's own:
        the one that its keys are stored in, so that the last page costs what the first one does.
        """
        if self.auto_setup and not self._ready.done:
            await self.setup((table,))
        try:
            return await self._sweep(table, min(limit, self.limits.page_rows), after)
        except MastraError:
            raise
        except Exception as error:
            raise self._translate(error, f"read {table.name}") from error

    async def count(self, table: Table, where: Sequence[Where] = ()) -> int:
        """How many rows match."""
        if self.auto_setup and not self._ready.done:
            await self.setup((table,))
        pushed, residual = self._split(table, tuple(where))
        if residual:
            needed = tuple({w.column for w in where} | set(table.key))
            query = Query(where=tuple(where), columns=needed)
            pages = self._pages(table, query, pushed, residual)
            return sum([len(page) async for page in pages])
        try:
            return await self._count(table, pushed)
        except MastraError:
            raise
        except Exception as error:
            raise self._translate(error, f"count {table.name}") from error

    async def write(self, *changes: Change) -> list[int]:
        """Apply all changes or none; the numbers of rows that each inserted, changed or deleted.

        A change whose ``expect`` or ``match`` does not hold is a ``ConflictError`` that names its
        position, and nothing is written.
        """
        if self.auto_setup and not self._ready.done:
            await self.setup([change.table for change in changes])
        self._check_size(changes)
        try:
            return await self._write(changes)
        except MastraError:
            raise
        except Exception as error:
            tables = ", ".join(sorted({change.table.name for change in changes}))
            raise self._translate(error, f"write {tables}") from error

    async def server(self) -> str:
        """The name and version that the database gives itself, for reports; empty if it has none."""
        return ""

    async def clock(self) -> datetime | None:
        """What time it is for the database; ``None`` where it cannot be asked."""
        return None

    async def lacking(self) -> Sequence[str] | None:
        """What set-up would still add, in the database's own words; ``None`` where it cannot tell.

        It looks only: nothing is made.
        """
        try:
            return await self._lacking(tuple(self._declared.values()))
        except MastraError:
            raise
        except Exception as error:
            raise self._translate(error, "look at the tables") from error

    async def close(self) -> None:
        """Release what this backend opened; safe to call twice, and use opens it again."""
        try:
            await self._close()
        except MastraError:
            raise
        except Exception as error:
            raise self._translate(error, "close") from error
        finally:
            # What is opened again may be another database: a private one is empty.
            self._ready.done = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _pages(
        self, table: Table, query: Query, pushed: tuple[Where, ...], residual: tuple[Where, ...]
    ) -> AsyncIterator[list[Row]]:
        """The pages of a query of any size, each one bounded read that continues by key."""
        order = complete(table, query.order)
        asked = query.columns or table.names
        needed = [name for name, _ in order] + [where.column for where in residual]
        extra = tuple(dict.fromkeys(name for name in needed if name not in asked))
        columns = (*asked, *extra) if extra else query.columns
        positions = [(columns or table.names).index(name) for name, _ in order]
        skip, left = query.offset, query.limit
        last: Row | None = query.after
        while left is None or left > 0:
            size = self.limits.page_rows
            if left is not None and not residual:
                size = min(size, left)
            offset = 0 if residual else skip
            step = Query(
                where=pushed, order=order, limit=size, offset=offset, after=last, columns=columns
            )
            try:
                rows = await self._find(table, step)
            except MastraError:
                raise
            except Exception as error:
                raise self._translate(error, f"read {table.name}") from error
            fetched = len(rows)
            if rows:
                last = tuple([rows[-1][i] for i in positions])
            if residual:
                rows = [row for row in rows if matches(table, residual, columns, row)]
                rows, skip = rows[skip:], max(0, skip - len(rows))
            else:
                skip = 0
            rows = rows if left is None else rows[:left]
            left = None if left is None else left - len(rows)
            yield [row[: len(asked)] for row in rows] if extra else rows
            if fetched < size:
                return

    def _split(
        self, table: Table, where: tuple[Where, ...]
    ) -> tuple[tuple[Where, ...], tuple[Where, ...]]:
        residual = tuple([w for w in where if not self._pushes(table, w)])
        return (
            (tuple([w for w in where if w not in residual]), residual) if residual else (where, ())
        )

    def _completed(self, table: Table, query: Query) -> Query:
        """The query with a complete order, or with none where it can find one row only."""
        order = complete(table, query.order)
        if query.limit == 1 and query.after is None:
            pinned = {w.column for w in query.where if w.op == "eq" and not w.path}
            order = () if pinned.issuperset(table.key) else order
        if order == query.order:
            return query
        return Query(
            where=query.where,
            order=order,
            limit=query.limit,
            offset=query.offset,
            after=query.after,
            columns=query.columns,
        )

    def _check_size(self, changes: Sequence[Change]) -> None:
        bound = self.limits.value_bytes
        if bound is None:
            return
        for change in changes:
            if isinstance(change, Put) and self.limits.row_bytes is not None:
                self._check_rows(change, self.limits.row_bytes)
            for name, value in _values(change):
                if isinstance(value, str) and len(value) * 4 > bound < len(value.encode()):
                    raise LimitExceededError(
                        f"{name} of {change.table.name} has {len(value.encode()):,} bytes; "
                        f"{self.name} takes at most {bound:,}"
                    )

    def _check_rows(self, put: Put, bound: int) -> None:
        for row in put.rows:
            texts = [value for value in row if isinstance(value, str)]
            # Most rows are far from the limit, and need no encoding to know it.
            if sum(map(len, texts)) * 4 > bound:
                sizes = [len(text.encode()) for text in texts]
                # (One value that is too large by itself is told of by its column.)
                if sum(sizes) > bound >= max(sizes):
                    raise LimitExceededError(
                        f"a row of {put.table.name} has {sum(sizes):,} bytes; {self.name} takes at "
                        f"most {bound:,}"
                    )

    def _pushes(self, table: Table, where: Where) -> bool:
        """Whether the database itself applies this condition; otherwise it is applied to pages."""
        return True

    async def _find_many(self, table: Table, queries: Sequence[Query]) -> list[list[Row]]:
        return [await self._find(table, query) for query in queries]

    async def _sweep(self, table: Table, limit: int, after: Row | None) -> list[Row]:
        return await self._find(table, Query(order=complete(table, ()), limit=limit, after=after))

    @abstractmethod
    async def _setup(self, tables: Sequence[Table]) -> None: ...

    @abstractmethod
    async def _find(self, table: Table, query: Query) -> list[Row]: ...

    @abstractmethod
    async def _count(self, table: Table, where: Sequence[Where]) -> int: ...

    @abstractmethod
    async def _write(self, changes: Sequence[Change]) -> list[int]: ...

    async def _lacking(self, tables: Sequence[Table]) -> Sequence[str] | None:
        return None

    async def _close(self) -> None:
        """Release what was opened; nothing by default."""


def _values(change: Change) -> Iterator[tuple[str, Value | Advance]]:
    if isinstance(change, Put):
        for row in change.rows:
            yield from zip(change.table.names, row, strict=True)
    elif isinstance(change, Update):
        yield from change.values.items()
