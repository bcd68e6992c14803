"""Writes: changes applied to what is stored, in memory, and the rows that they leave to be stored."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from mastra_clickhouse.journal import Block, lines
from mastra_clickhouse.layout import DELETED, FILLERS, VERSION, Layout, default_of
from mastra_clickhouse.times import Times
from mastra_core.clock import iso
from mastra_core.errors import InvalidArgumentError
from mastra_core.storage.changes import merged, miscounted, taken, updated
from mastra_core.storage.conditions import INT64
from mastra_core.storage.matching import matches
from mastra_core.storage.schema import (
    Change,
    Column,
    ColumnType,
    Delete,
    Put,
    Row,
    Table,
    Update,
    Value,
    Where,
)

# The rows of a table that meet conditions, followed by the values of columns that are not known
# here; or only the place and key of each, the rest absent.
TEXTS: Final = frozenset({"text", "json"})
Part: TypeAlias = Literal["rows", "places"]
Load: TypeAlias = Callable[[Layout, tuple[Where, ...], Part], Awaitable[Sequence[Row]]]


class Draft:
    """One row in a write: as it is stored (if it is), and as it is to be (if it is)."""

    __slots__ = ("extra", "plain", "row", "stored")

    def __init__(self, stored: Row | None, extra: Row) -> None:
        self.stored = stored
        self.row = stored
        self.plain: list[Any] = []
        self.extra = extra


class Drafts:
    """The rows of one table that a write has to do with, by their keys."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.by_key: dict[Row, Draft] = {}
        self._undo: list[tuple[Row, Draft | None, Row | None, list[Any]]] = []

    def add(self, rows: Sequence[Row]) -> list[Draft]:
        """Stored rows as they were read, so far as they are not known yet."""
        width, found = self.layout.width, list[Draft]()
        for row in rows:
            key = self.layout.key_of(row)
            if key not in self.by_key:
                found.append(self._keep(key, Draft(row[:width], row[width:])))
        return found

    def new(self, key: Row) -> Draft:
        """A row that is not stored."""
        return self._keep(key, Draft(None, ()))

    def _keep(self, key: Row, draft: Draft) -> Draft:
        self._undo.append((key, None, None, []))
        self.by_key[key] = draft
        return draft

    def set(self, draft: Draft, row: Row | None) -> None:
        """Have a row replaced, or removed."""
        # What cannot be stored is noticed here: once it is in the journal it has to be.
        plain = [] if row is None else _plain(self.layout, row)
        self._undo.append(((), draft, draft.row, draft.plain))
        draft.row, draft.plain = row, plain

    def settle(self) -> None:
        """Let what was done so far stand."""
        self._undo.clear()

    def undo(self) -> None:
        """Take back what was done since it was settled; what was read has to be read again."""
        while self._undo:
            key, draft, row, plain = self._undo.pop()
            if draft is None:
                del self.by_key[key]
            else:
                draft.row, draft.plain = row, plain

    def block(self, position: int) -> Block | None:
        """What is to be inserted: new versions of rows, deletions at places that rows left."""
        layout = self.layout
        names = [*layout.table.names, *(name for name, _ in layout.extra), DELETED, VERSION]
        rows = [[*row, position] for draft in self.by_key.values() for row in self._versions(draft)]
        return Block(layout.table.name, names, lines(rows)) if rows else None

    def _versions(self, draft: Draft) -> list[list[Any]]:
        stored, row, layout = draft.stored, draft.row, self.layout
        found: list[list[Any]] = []
        if row == stored:
            return found
        extra = list(draft.extra) or [default_of(kind) for _, kind in layout.extra]
        if stored is not None and (row is None or layout.place_of(row) != layout.place_of(stored)):
            found.append([*_plain(layout, _emptied(layout, stored)), *extra, 1])
        if row is not None:
            found.append([*draft.plain, *extra, 0])
        return found


class Attempt:
    """One try of some writes: every change applied to what is read, in order."""

    def __init__(self, load: Load, layouts: Callable[[Table], Layout]) -> None:
        self._load = load
        self._layouts = layouts
        self._tables: dict[str, Drafts] = {}
        self._stored: dict[int, Sequence[Row]] = {}

    async def read(self, changes: Sequence[Change]) -> None:
        """Read what changes are about, all of it at once."""
        unread = [change for change in changes if not isinstance(change, Put) or change.rows]
        found = await asyncio.gather(*(self._rows(change) for change in unread))
        self._stored = {id(change): rows for change, rows in zip(unread, found, strict=True)}

    async def _rows(self, change: Change) -> Sequence[Row]:
        layout = self._layouts(change.table)
        if not isinstance(change, Put):
            part: Part = "rows" if isinstance(change, Update) else "places"
            return await self._load(layout, change.where, part)
        keys = {layout.key_of(row) for row in change.rows}
        columns = [tuple(dict.fromkeys(values)) for values in zip(*keys, strict=True)]
        where = tuple([Where(n, "in", v) for n, v in zip(change.table.key, columns, strict=True)])
        rows = await self._load(layout, where, "rows")
        return [row for row in rows if layout.key_of(row) in keys]

    def apply(self, changes: Sequence[Change]) -> list[int]:
        """Apply the changes of one write, or none of them; how many rows each is about."""
        try:
            counts = [self._apply(change, i) for i, change in enumerate(changes)]
        except BaseException:
            for drafts in self._tables.values():
                drafts.undo()
            raise
        for drafts in self._tables.values():
            drafts.settle()
        return counts

    def blocks(self, position: int) -> list[Block]:
        """What is to be inserted as versions of this number, for each table into which anything is."""
        found = [drafts.block(position) for drafts in self._tables.values()]
        return [block for block in found if block is not None]

    def _drafts(self, table: Table) -> Drafts:
        found = self._tables.get(table.name)
        if found is None:
            found = self._tables[table.name] = Drafts(self._layouts(table))
        return found

    def _apply(self, change: Change, position: int) -> int:
        drafts = self._drafts(change.table)
        stored = self._stored.get(id(change), ())
        fresh = drafts.add(stored)
        if isinstance(change, Put):
            return _put(drafts, change, position)
        if isinstance(change, Update):
            for name in change.values:
                change.table.column(name)
        found = _matching(drafts, change, fresh)
        if change.expect is not None and len(found) != change.expect:
            raise miscounted(change.table, len(found), change.expect, position)
        for draft, row in found:
            if isinstance(change, Update):
                drafts.set(draft, updated(change.table, row, change.values))
            else:
                drafts.set(draft, None)
        return len(found)


def _put(drafts: Drafts, put: Put, position: int) -> int:
    count = 0
    for key, row in {drafts.layout.key_of(row): row for row in put.rows}.items():
        draft = drafts.by_key.get(key) or drafts.new(key)
        if draft.row is None:
            drafts.set(draft, row)
        elif put.on_conflict == "fail":
            raise taken(put, key, position)
        elif put.on_conflict == "skip":
            continue
        else:
            drafts.set(draft, merged(put, row, draft.row, position))
        count += 1
    return count


def _matching(
    drafts: Drafts, change: Update | Delete, fresh: Sequence[Draft]
) -> list[tuple[Draft, Row]]:
    """The rows that a change is about, as they are within this write.

    Those that were read for it and by nothing before match: the database said so.
    """
    new = set(map(id, fresh))
    return [
        (draft, draft.row)
        for draft in drafts.by_key.values()
        if draft.row is not None
        and (id(draft) in new or matches(change.table, change.where, (), draft.row))
    ]


def _plain(layout: Layout, row: Row) -> list[Any]:
    """A row as its columns take it, times as texts; what they do not take is refused."""
    return [
        value if isinstance(value, str) and column.type in TEXTS else _stored(layout, column, value)
        for column, value in zip(layout.table.columns, row, strict=True)
    ]


def _stored(layout: Layout, column: Column, value: Value) -> Any:
    """A value as its column takes it."""
    if value is None and column.nullable:
        return None
    try:
        return TAKEN[column.type](layout.times, value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidArgumentError(
            f"{column.name} of {layout.table.name} cannot be {value!r} on ClickHouse: it is "
            f"{layout.type(column)}"
        ) from None


def _text(_: Times, value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError


def _time(times: Times, value: Any) -> str:
    if isinstance(value, datetime):
        return iso(times.kept(value))
    raise TypeError


def _integer(_: Times, value: Any) -> int:
    if value == int(value) and -INT64 <= value < INT64:
        return int(value)
    raise ValueError


def _float(_: Times, value: Any) -> float:
    if math.isfinite(value):
        return float(value)
    raise ValueError


def _boolean(_: Times, value: Any) -> bool:
    if value in {0, 1}:
        return bool(value)
    raise ValueError


# What columns make of values; what they do not take is an error of Python.
TAKEN: Final[Mapping[ColumnType, Callable[[Times, Any], Any]]] = {
    "text": _text,
    "json": _text,
    "timestamp": _time,
    "integer": _integer,
    "bigint": _integer,
    "float": _float,
    "boolean": _boolean,
}


def _emptied(layout: Layout, row: Row) -> Row:
    """What is left of a deleted row: its place."""
    return tuple(
        [
            value
            if column.name in layout.place
            else (None if column.nullable else FILLERS[column.type])
            for column, value in zip(layout.table.columns, row, strict=True)
        ]
    )
