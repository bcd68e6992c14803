"""What all storage domains share: tables on a backend, set-up, and the retry of lost races."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar, Self, TypeVar

from mastra_core.errors import ConflictError
from mastra_core.storage.backend import Backend
from mastra_core.storage.layers.base import Layer, layered
from mastra_core.storage.paging import Window
from mastra_core.storage.schema import Order, Query, Row, Table, Where, complete

T = TypeVar("T")
V = TypeVar("V")
ATTEMPTS = 200


class StorageDomain:
    """One domain over one backend; every rule is here or in a subclass, none in an adapter.

    ``retention`` names the tables that may be pruned by age, with the column that gives the age.
    ``guests`` are those of its tables that are another domain's.
    """

    name: ClassVar[str]
    tables: ClassVar[tuple[Table, ...]]
    guests: ClassVar[tuple[Table, ...]] = ()
    retention: ClassVar[Mapping[str, tuple[Table, str]]] = {}

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        backend.declare(*self.tables)

    def over(self, backend: Backend) -> Self:
        """The same domain over another backend, which is told of its tables."""
        other = copy.copy(self)
        other.backend = backend
        backend.declare(*self.tables)
        return other

    def with_layers(self, *layers: Layer) -> Self:
        """The same domain with layers around its backend, the first nearest to the caller."""
        return self.over(layered(self.backend, layers))

    @classmethod
    def own(cls) -> tuple[Table, ...]:
        """The tables that are this domain's, and no other's."""
        return tuple([table for table in cls.tables if table not in cls.guests])

    async def _page(
        self,
        table: Table,
        where: tuple[Where, ...],
        order: Order,
        asked: Window,
        *,
        with_total: bool = True,
        columns: tuple[str, ...] = (),
    ) -> tuple[list[Row], int | None, bool]:
        """The rows of a page, the number of rows in all (if asked for), and whether more follow.

        One row more than the page is read: it answers what follows, and where it is not there the
        total is known without counting.
        """
        limit = asked.limit
        query = Query(
            where=where,
            order=complete(table, order),
            limit=None if limit is None else limit + 1,
            offset=asked.offset,
            columns=columns,
        )
        rows = await self.backend.find(table, query) if limit != 0 else []
        more = limit is not None and len(rows) > limit
        rows = rows[:limit] if more else rows
        if not with_total:
            return rows, None, more
        if not more and limit != 0 and (rows or asked.page == 0):
            return rows, asked.offset + len(rows), False
        total = await self.backend.count(table, where)
        return rows, total, asked.offset + len(rows) < total

    async def init(self) -> None:
        """Create what is missing of the domain's tables; otherwise done by the first operation."""
        await self.backend.setup(self.tables)

    async def close(self) -> None:
        """Release what the backend opened; using the domain again opens it again."""
        await self.backend.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.backend!r})"


async def until_applied(attempt: Callable[[], Awaitable[T]]) -> T:
    """Read, change and write again until no other writer came in between.

    ``attempt`` reads, and writes on condition of what it read. The waits are random and grow, so
    that many writers of one row all get their turn.
    """
    for number in range(1, ATTEMPTS):
        try:
            return await attempt()
        except ConflictError:
            await _pause(number)
    return await attempt()


async def until_changed(
    read: Callable[[], Awaitable[tuple[V, Callable[[V], Awaitable[T]]]]], change: Callable[[V], V]
) -> T:
    """Read a value, change it as the caller says, and write it; again until no other came between.

    ``read`` gives the value and what writes the changed one on condition of what was read. What
    ``change`` raises reaches the caller at once, a ``ConflictError`` too: it is no lost race.
    """
    for number in range(1, ATTEMPTS):
        value, write = await read()
        changed = change(value)
        try:
            return await write(changed)
        except ConflictError:
            await _pause(number)
    value, write = await read()
    return await write(change(value))


async def _pause(number: int) -> None:
    """Wait at random, and the longer the more attempts were lost."""
    await asyncio.sleep(random.uniform(0, min(0.05, 0.001 * number)))  # noqa: S311
