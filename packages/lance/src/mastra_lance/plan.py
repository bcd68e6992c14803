"""What a write makes of the rows it finds: computed here, before anything is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from mastra_core.storage.changes import merged, miscounted, taken, updated
from mastra_core.storage.matching import matches
from mastra_core.storage.schema import Change, Delete, Put, Row, Table, Update
from mastra_lance.conditions import conditions, keys_among, pushes
from mastra_lance.layout import Layout
from mastra_lance.reading import Reader

# So many keys a filter: longer ones take LanceDB more than their share to read.
KEYS: Final = 1000


class Part:
    """One table's part of a write: its rows as they were found, and as they shall be.

    Rows are full ones (see ``Layout``). ``doubled`` are keys of which the table holds several rows,
    which somebody stored who does not look for the first. ``whole`` is the filter of a deletion of
    which the rows were not read, because nothing else happens to them.
    """

    def __init__(self, handle: Any, layout: Layout, version: int) -> None:
        self.handle = handle
        self.layout = layout
        self.version = version
        self.stored: dict[Row, Row | None] = {}
        self.now: dict[Row, Row | None] = {}
        self.doubled: set[Row] = set()
        self.whole = ""

    @property
    def gone(self) -> list[Row]:
        """Keys whose rows are deleted, or stored several times."""
        return [
            key
            for key, row in self.now.items()
            if (row is None and self.stored[key] is not None) or key in self.doubled
        ]

    @property
    def new(self) -> list[Row]:
        """Rows whose key is not stored."""
        return [
            row
            for key, row in self.now.items()
            if row is not None and (self.stored[key] is None or key in self.doubled)
        ]

    @property
    def changed(self) -> list[Row]:
        """Rows that replace a stored one."""
        return [
            row
            for key, row in self.now.items()
            if row is not None
            and key not in self.doubled
            and self.stored[key] is not None
            and self.stored[key] != row
        ]

    @property
    def filters(self) -> list[str]:
        """Filters of all rows that the write may touch."""
        if self.whole:
            return [self.whole]
        keys = list(self.now)
        table = self.layout.table
        return [keys_among(table, keys[i : i + KEYS]) for i in range(0, len(keys), KEYS)]


class Plan:
    """A write being computed: all changes one after another, on what the ones before made."""

    def __init__(self, reader: Reader, open_part: Callable[[Table], Awaitable[Part]]) -> None:
        self._reader = reader
        self._open = open_part
        self.parts: dict[str, Part] = {}

    async def apply(self, changes: Sequence[Change]) -> list[int]:
        """The numbers of rows that each change inserts, changes or deletes."""
        tables = [change.table.name for change in changes]
        counts: list[int] = []
        for position, change in enumerate(changes):
            alone = tables.count(change.table.name) == 1
            counts.append(await self._apply(change, position, alone=alone))
        return counts

    async def _apply(self, change: Change, position: int, *, alone: bool) -> int:
        part = self.parts.get(change.table.name)
        if part is None:
            part = self.parts[change.table.name] = await self._open(change.table)
        if isinstance(change, Put):
            return await self._put(part, change, position)
        if isinstance(change, Update):
            for name in change.values:
                change.table.column(name)
        elif alone and all(pushes(where) for where in change.where):
            return await self._delete_all(part, change, position)
        return await self._change(part, change, position)

    async def _put(self, part: Part, put: Put, position: int) -> int:
        layout = part.layout
        extra = (None,) * (len(layout.names) - len(put.table.names))
        keys = [layout.key(row) for row in put.rows]
        unknown = [key for key in dict.fromkeys(keys) if key not in part.now]
        await self._load(part, unknown, fresh=put.fresh)
        touched: set[Row] = set()
        before = {key: part.now[key] for key in keys}
        for key, row in zip(keys, put.rows, strict=True):
            stored = before[key]
            if stored is None:
                part.now[key] = (*row, *extra)
            elif put.on_conflict == "fail":
                raise taken(put, key, position)
            elif put.on_conflict == "replace":
                width = len(row)
                part.now[key] = (*merged(put, row, stored[:width], position), *stored[width:])
            else:
                continue
            touched.add(key)
        return len(touched)

    async def _change(self, part: Part, change: Update | Delete, position: int) -> int:
        table, width = change.table, len(change.table.names)
        pushed = [where for where in change.where if pushes(where)]
        filters = conditions(table, pushed)
        found = await self._reader.all(part.handle, part.layout, filters, part.layout.names)
        self._remember(part, [row for row in found if matches(table, change.where, (), row)])
        keys = [
            key
            for key, row in part.now.items()
            if row is not None and matches(table, change.where, (), row[:width])
        ]
        if change.expect is not None and len(keys) != change.expect:
            raise miscounted(table, len(keys), change.expect, position)
        for key in keys:
            row = part.now[key]
            if row is None or isinstance(change, Delete):
                part.now[key] = None
            else:
                part.now[key] = (*updated(table, row[:width], change.values), *row[width:])
        return len(keys)

    async def _delete_all(self, part: Part, delete: Delete, position: int) -> int:
        """A deletion by a condition, of a table to which nothing else happens: rows stay unread."""
        part.whole = conditions(delete.table, delete.where) or "true"
        count = int(await part.handle.count_rows(part.whole))
        if delete.expect is not None and count != delete.expect:
            raise miscounted(delete.table, count, delete.expect, position)
        if not count:
            part.whole = ""
        return count

    async def _load(self, part: Part, keys: Sequence[Row], *, fresh: bool) -> None:
        """Read the rows with these keys, and know of the others that they are not there.

        Where they are probably new it is asked first whether there is any: a third of the effort.
        """
        wanted = set(keys)
        for i in range(0, len(keys), KEYS):
            filters = keys_among(part.layout.table, keys[i : i + KEYS])
            if fresh and not await part.handle.count_rows(filters):
                continue
            rows = await self._reader.all(part.handle, part.layout, filters, part.layout.names)
            self._remember(part, [row for row in rows if part.layout.key(row) in wanted])
        for key in keys:
            if key not in part.now:
                part.now[key] = part.stored[key] = None

    def _remember(self, part: Part, rows: Sequence[Row]) -> None:
        """Take note of rows that were read, unless this write has changed them already."""
        known = set(part.now)
        for row in rows:
            key = part.layout.key(row)
            if key in known:
                continue
            other = part.stored.get(key)
            if other is not None:
                part.doubled.add(key)
                row = max(row, other, key=lambda r: newest(part.layout.table, r))  # noqa: PLW2901
            part.now[key] = part.stored[key] = row


def newest(table: Table, row: Row) -> str:
    """What is greater of the row that was stored later."""
    return max([str(row[table.positions[name]] or "") for name in _times(table)], default="")


def _times(table: Table) -> list[str]:
    return [name for name in ("updatedAt", "createdAt") if name in table.positions][:1]
