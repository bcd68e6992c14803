"""The reference backend: rows in dictionaries, exact about the waist, gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import ClassVar

from mastra_core.errors import ConflictError
from mastra_core.storage.backend import Backend, advanced
from mastra_core.storage.matching import after, matches, sort_key
from mastra_core.storage.schema import Advance, Change, Delete, Put, Query, Row, Table, Where

Rows = dict[tuple[object, ...], Row]


class InMemoryBackend(Backend):
    """Every table a dictionary from key to row; a write works on copies and then replaces them.

    Operations never wait, so that on one event loop each is atomic by itself; the lock is for
    programs with several.
    """

    name: ClassVar[str] = "memory"

    def __init__(self) -> None:
        super().__init__()
        self._tables: dict[str, Rows] = {}
        self._lock = threading.Lock()

    async def _setup(self, tables: Sequence[Table]) -> None:
        for table in tables:
            self._tables.setdefault(table.name, {})

    async def _find(self, table: Table, query: Query) -> list[Row]:
        rows = self._matching(self._tables.get(table.name, {}), table, query.where)
        for name, direction in reversed(query.order):
            at = table.positions[name]
            rows.sort(key=lambda row: sort_key(row[at]), reverse=direction == "desc")
        if query.after is not None:
            positions = [table.positions[name] for name, _ in query.order]
            down = [direction == "desc" for _, direction in query.order]
            last = query.after
            rows = [row for row in rows if after([row[i] for i in positions], last, down)]
        end = None if query.limit is None else query.offset + query.limit
        rows = rows[query.offset : end]
        if query.columns:
            wanted = [table.positions[name] for name in query.columns]
            return [tuple([row[i] for i in wanted]) for row in rows]
        return rows

    async def _count(self, table: Table, where: Sequence[Where]) -> int:
        return len(self._matching(self._tables.get(table.name, {}), table, where))

    async def _write(self, changes: Sequence[Change]) -> list[int]:
        with self._lock:
            work = {
                change.table.name: dict(self._tables.get(change.table.name, {}))
                for change in changes
            }
            counts: list[int] = []
            for i, change in enumerate(changes):
                rows = work[change.table.name]
                counts.append(
                    _put(rows, change, i) if isinstance(change, Put) else self._change(rows, change)
                )
                expected = None if isinstance(change, Put) else change.expect
                if expected is not None and counts[-1] != expected:
                    raise ConflictError(
                        f"{counts[-1]} rows of {change.table.name} matched, {expected} should",
                        change=i,
                    )
            self._tables.update(work)
            return counts

    def _change(self, rows: Rows, change: Change) -> int:
        assert not isinstance(change, Put)
        table = change.table
        matching = self._matching(rows, table, change.where)
        for row in matching:
            key = _key(table, row)
            del rows[key]
            if not isinstance(change, Delete):
                new = tuple(
                    advanced(change.values[name], stored) if name in change.values else stored
                    for name, stored in zip(table.names, row, strict=True)
                )
                rows[_key(table, new)] = new
        return len(matching)

    @staticmethod
    def _matching(rows: Rows, table: Table, where: Sequence[Where]) -> list[Row]:
        return [row for row in rows.values() if matches(table, where, (), row)]


def _key(table: Table, row: Row) -> tuple[object, ...]:
    return tuple([row[table.positions[name]] for name in table.key])


def _put(rows: Rows, put: Put, position: int) -> int:
    count = 0
    for row in put.rows:
        key = _key(put.table, row)
        stored = rows.get(key)
        if stored is None:
            rows[key] = row
        elif put.on_conflict == "skip":
            continue
        elif put.on_conflict == "fail":
            raise ConflictError(
                f"{put.table.name} has a row with the key {key} already", change=position
            )
        else:
            rows[key] = _merged(put, row, stored, position)
        count += 1
    return count


def _merged(put: Put, row: Row, stored: Row, position: int) -> Row:
    merged = list(row)
    for name, rule in put.merge.items():
        i = put.table.positions[name]
        if rule == "match" and row[i] != stored[i]:
            raise ConflictError(
                f"{put.table.name} has a row with this key and another {name}", change=position
            )
        if rule == "keep" or (rule == "coalesce" and row[i] is None):
            merged[i] = stored[i]
        elif rule == "advance":
            value = row[i]
            assert not isinstance(value, (str, int, float, type(None)))
            merged[i] = advanced(Advance(value), stored[i])
    return tuple(merged)
