"""Writes: changes applied to what is stored, in memory, and the rows that they leave to be stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

from mastra_clickhouse.dialect import milliseconds_of
from mastra_clickhouse.journal import Block
from mastra_clickhouse.layout import DELETED, FILLERS, Layout, default_of
from mastra_core.errors import InvalidArgumentError
from mastra_core.storage.changes import merged, miscounted, taken, updated
from mastra_core.storage.conditions import INT64
from mastra_core.storage.matching import matches
from mastra_core.storage.schema import (
    Change,
    Column,
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
Load: TypeAlias = Callable[[Layout, tuple[Where, ...], bool], Awaitable[Sequence[Row]]]


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
        self._undo: list[tuple[Row, Draft | None, Row | None]] = []

    def add(self, row: Row) -> Draft:
        """A stored row, as it was read."""
        width = self.layout.width
        draft = Draft(row[:width], row[width:])
        return self._keep(self.layout.key_of(draft.stored or ()), draft)

    def new(self, key: Row) -> Draft:
        """A row that is not stored."""
        return self._keep(key, Draft(None, ()))

    def _keep(self, key: Row, draft: Draft) -> Draft:
        self._undo.append((key, None, None))
        self.by_key[key] = draft
        return draft

    def set(self, draft: Draft, row: Row | None) -> None:
        """Have a row replaced, or removed."""
        # What cannot be stored is noticed here: once it is in the journal it has to be.
        plain = [] if row is None else _plain(self.layout, row)
        self._undo.append(((), draft, draft.row))
        draft.row, draft.plain = row, plain

    def settle(self) -> None:
        """Let what was done so far stand."""
        self._undo.clear()

    def undo(self) -> None:
        """Take back what was done since it was settled; what was read has to be read again."""
        while self._undo:
            key, draft, row = self._undo.pop()
            if draft is None:
                del self.by_key[key]
            else:
                draft.row = row
                draft.plain = [] if row is None else _plain(self.layout, row)

    def block(self) -> Block:
        """What is to be inserted: new versions of rows, deletions at places that rows left."""
        layout = self.layout
        kinds = [layout.type(column) for column in layout.table.columns]
        return Block(
            layout.table.name,
            [*layout.table.names, *(name for name, _ in layout.extra), DELETED],
            [*kinds, *(kind for _, kind in layout.extra), "UInt8"],
            [row for draft in self.by_key.values() for row in self._versions(draft)],
        )

    def _versions(self, draft: Draft) -> list[list[Any]]:
        stored, row, layout = draft.stored, draft.row, self.layout
        found: list[list[Any]] = []
        if row == stored:
            return found
        extra = list(draft.extra) or [default_of(kind) for _, kind in layout.extra]
        if stored is not None and (
            row is None or layout.place_of(row) != layout.place_of(stored)
        ):
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

    async def apply(self, changes: Sequence[Change]) -> list[int]:
        """Apply the changes of one write, or none of them; how many rows each is about."""
        try:
            counts = [await self._apply(change, i) for i, change in enumerate(changes)]
        except BaseException:
            for drafts in self._tables.values():
                drafts.undo()
            raise
        for drafts in self._tables.values():
            drafts.settle()
        return counts

    def blocks(self) -> list[Block]:
        """What is to be inserted, for each table into which anything is."""
        return [block for drafts in self._tables.values() if (block := drafts.block()).rows]

    def _drafts(self, table: Table) -> Drafts:
        found = self._tables.get(table.name)
        if found is None:
            found = self._tables[table.name] = Drafts(self._layouts(table))
        return found

    async def _apply(self, change: Change, position: int) -> int:
        drafts = self._drafts(change.table)
        if isinstance(change, Put):
            return await self._put(drafts, change, position)
        if isinstance(change, Update):
            for name in change.values:
                change.table.column(name)
        found = await self._matching(drafts, change)
        if change.expect is not None and len(found) != change.expect:
            raise miscounted(change.table, len(found), change.expect, position)
        for draft, row in found:
            gone = isinstance(change, Delete)
            drafts.set(draft, None if gone else updated(change.table, row, change.values))
        return len(found)

    async def _put(self, drafts: Drafts, put: Put, position: int) -> int:
        new = {drafts.layout.key_of(row): row for row in put.rows}
        await self._read(drafts, [key for key in new if key not in drafts.by_key])
        count = 0
        for key, row in new.items():
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

    async def _read(self, drafts: Drafts, keys: Sequence[Row]) -> None:
        """Have the stored rows with these keys among the drafts."""
        if not keys:
            return
        columns = [tuple(dict.fromkeys(values)) for values in zip(*keys, strict=True)]
        names = drafts.layout.table.key
        where = tuple([Where(n, "in", v) for n, v in zip(names, columns, strict=True)])
        wanted = set(keys)
        for row in await self._load(drafts.layout, where, True):
            if drafts.layout.key_of(row) in wanted:
                drafts.add(row)

    async def _matching(
        self, drafts: Drafts, change: Update | Delete
    ) -> list[tuple[Draft, Row]]:
        """The rows that a change is about, as they are within this write."""
        table = change.table
        found = [
            (draft, draft.row)
            for draft in drafts.by_key.values()
            if draft.row is not None and matches(table, change.where, (), draft.row)
        ]
        whole = isinstance(change, Update)
        for row in await self._load(drafts.layout, change.where, whole):
            if drafts.layout.key_of(row) not in drafts.by_key:
                draft = drafts.add(row)
                found.append((draft, draft.stored or ()))
        return found


def _plain(layout: Layout, row: Row) -> list[Any]:
    """A row as its columns take it, times as milliseconds; what they do not take is refused."""
    return [
        value if isinstance(value, str) and column.type in TEXTS else _stored(layout, column, value)
        for column, value in zip(layout.table.columns, row, strict=True)
    ]


def _stored(layout: Layout, column: Column, value: Value) -> Any:
    kind = column.type
    if value is None:
        if column.nullable:
            return None
    elif kind == "timestamp":
        if isinstance(value, datetime):
            return milliseconds_of(value)
    elif kind == "float":
        if isinstance(value, (int, float)):
            return float(value)
    elif kind == "boolean":
        if isinstance(value, (bool, int)):
            return bool(value)
    elif kind not in TEXTS and isinstance(value, (int, float)) and value == int(value):
        if -INT64 <= value < INT64:
            return int(value)
    raise InvalidArgumentError(
        f"{column.name} of {layout.table.name} cannot be {value!r} on ClickHouse: it is "
        f"{layout.type(column)}"
    )


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
