"""Reading tables: handles that never show half a write, and queries that read no more than needed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from mastra_core.storage.schema import Order, Query, Row, Table, Where
from mastra_lance.conditions import all_of, behind, conditions
from mastra_lance.driver import ColumnOrdering
from mastra_lance.layout import Layout
from mastra_lance.ledger import Ledger

ROW_ID: Final = "_rowid"
# From so many rows on long columns are read of the rows that are returned only.
MANY: Final = 2000
REMEMBERED: Final = 4096


class Handles:
    """Handles of tables. One that was opened stays at its version, so that each has one reader."""

    def __init__(
        self, connection: Callable[[], Awaitable[Any]], ledger: Ledger, *, wander: bool
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        # A caller's connection may let handles follow what others write.
        self._wander = wander

    async def latest(self, name: str) -> Any:
        """The table as it is now, which may be in the middle of a write: for who has the turn."""
        return await (await self._connection()).open_table(name)

    async def settled(self, name: str) -> Any:
        """The table as the last write that is finished left it."""
        before = await self._ledger.state()
        while True:
            handle = await self.latest(name)
            after = await self._ledger.state()
            if name in after.tables:
                await handle.checkout(after.tables[name].version)
                return handle
            # A write that was noted since, or undone, may have left the handle in its middle.
            if before == after:
                if self._wander:
                    await handle.checkout(await handle.version())
                return handle
            before = after


class Windows:
    """How far the last rows of an order reached, so that the same question reads only so far again.

    LanceDB has no index of two columns: the newest rows of a thread are found by sorting all of the
    thread, unless their time is bounded. A bound that yields too few rows costs a second query, and
    never a row.
    """

    def __init__(self) -> None:
        self._reach: dict[tuple[str, tuple[Where, ...], Order], tuple[datetime, timedelta]] = {}

    def bound(self, table: Table, query: Query) -> Where | None:
        """A condition that probably leaves all rows of the query in, and most others out."""
        reach = self._reach.get((table.name, query.where, query.order))
        if reach is None or not self.fits(table, query):
            return None
        column, direction = query.order[0]
        edge, span = reach
        if query.after is not None:
            seen = query.after[0]
            if not isinstance(seen, datetime):
                return None
            edge = seen - 2 * span if direction == "desc" else seen + 2 * span
        return Where(column, "gte" if direction == "desc" else "lte", edge)

    def learn(self, table: Table, query: Query, rows: Sequence[Row], at: int) -> None:
        """Remember how far rows reached whose column of order stands at ``at``."""
        if not self.fits(table, query) or query.limit is None or len(rows) < query.limit:
            return
        first, last = rows[0][at], rows[-1][at]
        if isinstance(first, datetime) and isinstance(last, datetime):
            if len(self._reach) >= REMEMBERED:
                self._reach.clear()
            key = (table.name, query.where, query.order)
            self._reach[key] = (last, abs(first - last) + timedelta(milliseconds=1))

    def fits(self, table: Table, query: Query) -> bool:
        """Whether the order begins with a time that every row has."""
        if not query.order or query.offset > MANY:
            return False
        column = table.column(query.order[0][0])
        return column.type == "timestamp" and column.nullable is False


class Reader:
    """The queries of one database."""

    def __init__(self) -> None:
        self.windows = Windows()

    async def find(self, handle: Any, layout: Layout, query: Query) -> list[Row]:
        """The rows of a query, whose limit is bounded."""
        if not query.order:
            # By its key: of rows that the original doubled the one that was changed last.
            newest = latest_first(layout.table) if query.limit == 1 else ()
            single = msgspec.structs.replace(query, order=newest)
            rows, _ = await self._find(handle, layout, single, query.where, long=True)
            return self._asked(query, rows)
        bound = self.windows.bound(layout.table, query)
        if bound is not None:
            rows, at = await self._find(handle, layout, query, (*query.where, bound), long=True)
            if len(rows) == query.limit:
                self.windows.learn(layout.table, query, rows, at)
                return self._asked(query, rows)
        many = await handle.count_rows() > MANY
        rows, at = await self._find(handle, layout, query, query.where, long=not many)
        self.windows.learn(layout.table, query, rows, at)
        return self._asked(query, rows)

    async def _find(
        self, handle: Any, layout: Layout, query: Query, where: Sequence[Where], *, long: bool
    ) -> tuple[list[Row], int]:
        """The rows with the first column of the order, and where that stands."""
        wanted = query.columns or layout.table.names
        ordered = [column for column, _ in query.order]
        names = tuple(dict.fromkeys([*wanted, *ordered[:1]]))
        filters = conditions(layout.table, where)
        if query.after is not None:
            filters = all_of([filters, behind(query.order, query.after)])
        asked = _ordered(_filtered(handle.query(), filters), query)
        if long or set(names).issubset(ordered):
            columns = list(dict.fromkeys([*names, *ordered]))
            found = await asked.select(columns).to_arrow()
        else:
            found = await _taken(handle, asked.select(list(dict.fromkeys(ordered))), names)
        at = names.index(ordered[0]) if ordered else 0
        return layout.decoded(found, names), at

    def _asked(self, query: Query, rows: list[Row]) -> list[Row]:
        if not query.columns or len(rows) == 0 or len(rows[0]) == len(query.columns):
            return rows
        return [row[: len(query.columns)] for row in rows]

    async def all(
        self, handle: Any, layout: Layout, filters: str, names: Sequence[str]
    ) -> list[Row]:
        """All rows that meet a filter, in no order: for writes, which change them all."""
        found = await _filtered(handle.query(), filters).select(list(names)).to_arrow()
        return layout.decoded(found, names)


def latest_first(table: Table) -> Order:
    """The order in which the row that was changed last is the first, if the table tells."""
    return (("updatedAt", "desc"),) if "updatedAt" in table.positions else ()


def _filtered(query: Any, filters: str) -> Any:
    return query.where(filters) if filters else query


def _ordered(query: Any, wanted: Query) -> Any:
    if wanted.order:
        query = query.order_by(
            [
                ColumnOrdering(
                    column_name=column,
                    ascending=direction == "asc",
                    nulls_first=direction == "desc",
                )
                for column, direction in wanted.order
            ]
        )
    if wanted.limit is not None:
        query = query.limit(wanted.limit)
    return query.offset(wanted.offset) if wanted.offset else query


async def _taken(handle: Any, asked: Any, names: Sequence[str]) -> Any:
    """The rows of an ordered query in two steps: which they are, and what they hold."""
    ids = (await asked.with_row_id().to_arrow()).column(ROW_ID).to_pylist()
    if not ids:
        return await handle.query().select(list(names)).limit(0).to_arrow()
    taken = await handle.take_row_ids(ids).select(list(names)).with_row_id().to_arrow()
    places: Mapping[int, int] = {row: i for i, row in enumerate(taken.column(ROW_ID).to_pylist())}
    return taken.take([places[row] for row in ids])
