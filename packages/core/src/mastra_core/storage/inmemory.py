"""The reference backend: rows in dictionaries and sorted lists, gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import ClassVar, TypeAlias

from mastra_core.storage.backend import Backend
from mastra_core.storage.changes import merged, miscounted, taken, updated
from mastra_core.storage.rows import Key, SortedRows
from mastra_core.storage.schema import (
    Change,
    Delete,
    Put,
    Query,
    Row,
    Table,
    Where,
)

_Undo: TypeAlias = list[tuple[SortedRows, dict[Key, Row | None]]]


class InMemoryBackend(Backend):
    """Every table a dictionary of rows by key, and a sorted list for each declared index.

    Operations never wait, so that on one event loop each is atomic by itself; the lock is for
    programs with several. A write that fails is undone from what it replaced.
    """

    name: ClassVar[str] = "memory"

    def __init__(self) -> None:
        super().__init__()
        self._tables: dict[str, SortedRows] = {}
        self._lock = threading.Lock()

    async def _setup(self, tables: Sequence[Table]) -> None:
        with self._lock:
            for table in tables:
                stored = self._tables.get(table.name)
                if stored is None or stored.table is not table:
                    self._tables[table.name] = SortedRows(table, stored.by_key if stored else {})

    async def _find(self, table: Table, query: Query) -> list[Row]:
        with self._lock:
            rows = self._rows(table).find(query)
        if not query.columns:
            return rows
        wanted = [table.positions[name] for name in query.columns]
        return [tuple([row[i] for i in wanted]) for row in rows]

    async def _count(self, table: Table, where: Sequence[Where]) -> int:
        with self._lock:
            return len(self._rows(table).find(Query(where=tuple(where))))

    async def _write(self, changes: Sequence[Change]) -> list[int]:
        undo: _Undo = []
        with self._lock:
            try:
                return [self._apply(change, i, undo) for i, change in enumerate(changes)]
            except BaseException:
                for rows, old in reversed(undo):
                    rows.store(old)
                raise

    def _rows(self, table: Table) -> SortedRows:
        return self._tables.get(table.name) or self._tables.setdefault(
            table.name, SortedRows(table)
        )

    def _apply(self, change: Change, position: int, undo: _Undo) -> int:
        rows = self._rows(change.table)
        new: dict[Key, Row | None]
        if isinstance(change, Put):
            new = _put(rows, change, position)
            count = len(new)
        else:
            found = rows.find(Query(where=change.where))
            new = dict.fromkeys(map(rows.key, found))
            count = len(found)
            if change.expect is not None and count != change.expect:
                raise miscounted(change.table, count, change.expect, position)
            if not isinstance(change, Delete):
                for name in change.values:
                    change.table.column(name)
                for row in found:
                    new[rows.key(row)] = updated(change.table, row, change.values)
        undo.append((rows, {key: rows.by_key.get(key) for key in new}))
        rows.store(new)
        return count


def _put(rows: SortedRows, put: Put, position: int) -> dict[Key, Row | None]:
    new: dict[Key, Row | None] = {}
    for row in put.rows:
        key = rows.key(row)
        stored = rows.by_key.get(key)
        if stored is None:
            new[key] = row
        elif put.on_conflict == "fail":
            raise taken(put, key, position)
        elif put.on_conflict == "replace":
            new[key] = merged(put, row, stored, position)
    return new
