"""The reference backend: rows in dictionaries and sorted lists, gone with the process."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice, product
from operator import itemgetter
from typing import Any, ClassVar, TypeAlias, cast

from mastra_core.errors import ConflictError
from mastra_core.storage.backend import Backend, advanced
from mastra_core.storage.matching import after, matches, sort_key
from mastra_core.storage.schema import (
    Advance,
    Change,
    Delete,
    Put,
    Query,
    Row,
    Table,
    Value,
    Where,
    complete,
)

_Key: TypeAlias = tuple[Value, ...]
_Sort: TypeAlias = tuple[Any, ...]
_Undo: TypeAlias = "list[tuple[_Rows, dict[_Key, Row | None]]]"
# Sorts behind every value of ``sort_key``: the end of all entries that begin with a prefix.
_END = (2,)
_BULK = 64


class InMemoryBackend(Backend):
    """Every table a dictionary of rows by key, and a sorted list for each declared index.

    Operations never wait, so that on one event loop each is atomic by itself; the lock is for
    programs with several. A write that fails is undone from what it replaced.
    """

    name: ClassVar[str] = "memory"

    def __init__(self) -> None:
        super().__init__()
        self._tables: dict[str, _Rows] = {}
        self._lock = threading.Lock()

    async def _setup(self, tables: Sequence[Table]) -> None:
        with self._lock:
            for table in tables:
                stored = self._tables.get(table.name)
                if stored is None or stored.table is not table:
                    self._tables[table.name] = _Rows(table, stored.by_key if stored else {})

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

    def _rows(self, table: Table) -> _Rows:
        return self._tables.get(table.name) or self._tables.setdefault(table.name, _Rows(table))

    def _apply(self, change: Change, position: int, undo: _Undo) -> int:
        rows = self._rows(change.table)
        if isinstance(change, Put):
            new = _put(rows, change, position)
            count = len(new)
        else:
            found = rows.find(Query(where=change.where))
            new, count = {rows.key(row): None for row in found}, len(found)
            if change.expect is not None and count != change.expect:
                raise ConflictError(
                    f"{count} rows of {change.table.name} matched, {change.expect} should",
                    change=position,
                )
            if not isinstance(change, Delete):
                for name in change.values:
                    change.table.column(name)
                updated = [_updated(change.table, row, change.values) for row in found]
                new |= {rows.key(row): row for row in updated}
        undo.append((rows, {key: rows.by_key.get(key) for key in new}))
        rows.store(new)
        return count


class _Rows:
    """The rows of one table, by key and by each index: pairs of sort keys and row, sorted.

    The sort keys are of the index's columns completed by the table's key, so none are equal.
    """

    def __init__(self, table: Table, stored: Mapping[_Key, Row] | None = None) -> None:
        self.table = table
        self.by_key: dict[_Key, Row] = {}
        self.indexes: dict[tuple[str, ...], list[tuple[_Sort, Row]]] = {}
        for columns in [index.columns for index in table.indexes] + [table.key]:
            order = complete(table, tuple([(name, "asc") for name in columns]))
            self.indexes[tuple([name for name, _ in order])] = []
        self.store(stored or {})

    def key(self, row: Row) -> _Key:
        return tuple([row[self.table.positions[name]] for name in self.table.key])

    def store(self, new: Mapping[_Key, Row | None]) -> None:
        """Set rows by key, or remove them where the row is ``None``."""
        old = [self.by_key[key] for key in new if key in self.by_key]
        fresh = [row for row in new.values() if row is not None]
        for columns, entries in self.indexes.items():
            at = [self.table.positions[name] for name in columns]
            gone = {tuple([sort_key(row[i]) for i in at]) for row in old}
            come = [(tuple([sort_key(row[i]) for i in at]), row) for row in fresh]
            _replace(entries, gone, come)
        for key, row in new.items():
            if row is None:
                self.by_key.pop(key, None)
            else:
                self.by_key[key] = row

    def find(self, query: Query) -> list[Row]:
        """The rows of a query: in order from an index that has it, else sorted here."""
        table, where, seen = self.table, query.where, query.after
        for condition in where:
            table.column(condition.column)
        names = tuple([name for name, _ in query.order])
        down = [direction == "desc" for _, direction in query.order]
        given = {w.column: w.value for w in where if w.op == "eq" and not w.path}
        given |= {w.column: w.value for w in where if w.op == "in" and not w.path}
        index, bound, ordered = self._index(given, names)
        ordered = ordered and len(set(down)) < 2
        last = dict(zip(names, seen, strict=True)) if seen is not None and ordered else {}
        values = [given[name] for name in index[:bound]]
        choices = [set(v) if isinstance(v, tuple) else {v} for v in values]
        rows: Iterator[Row] = (
            row
            for prefix in product(*choices)
            for row in self._slice(index, prefix, where, last, down=ordered and down[:1] == [True])
        )
        rows = (row for row in rows if matches(table, where, (), row))
        if seen is not None:
            at = [table.positions[name] for name in names]
            rows = (row for row in rows if after([row[i] for i in at], seen, down))
        if not ordered:
            found = list(rows)
            for position, reverse in zip(reversed(names), reversed(down), strict=True):
                i = table.positions[position]
                found.sort(key=lambda row: sort_key(row[i]), reverse=reverse)
            rows = iter(found)
        end = None if query.limit is None else query.offset + query.limit
        return list(islice(rows, query.offset, end))

    def _index(
        self, given: Mapping[str, object], names: Sequence[str]
    ) -> tuple[tuple[str, ...], int, bool]:
        """The index with the longest given prefix, how long it is, and whether the order is its."""
        one = {name for name, value in given.items() if not isinstance(value, tuple)}
        wanted = [name for name in names if name not in one]
        best = (self.table.key, 0, False)
        for columns in self.indexes:
            bound = next((i for i, n in enumerate(columns) if n not in given), len(columns))
            rest = [name for name in columns[bound:] if name not in one]
            ordered = rest[: len(wanted)] == wanted and one.issuperset(columns[:bound])
            if (bound, ordered) > best[1:]:
                best = (columns, bound, ordered)
        return best

    def _slice(
        self,
        index: tuple[str, ...],
        prefix: _Key,
        where: Sequence[Where],
        last: Mapping[str, Value],
        *,
        down: bool,
    ) -> Iterator[Row]:
        """The rows whose entries begin with a prefix, within ranges of the column behind it."""
        entries, head = self.indexes[index], tuple([sort_key(value) for value in prefix])
        low: list[_Sort] = [head]
        high: list[_Sort] = [(*head, _END)]
        for w in where:
            if w.column in index[len(prefix) : len(prefix) + 1] and not w.path:
                bound = (*head, sort_key(cast("Value", w.value)))
                low += [bound] if w.op in {"gt", "gte"} else []
                high += [(*bound, _END)] if w.op in {"lt", "lte"} else []
        if last:
            rest = [sort_key(last[name]) for name in index[len(prefix) :] if name in last]
            (high if down else low).append((*head, *rest))
        start = bisect_left(entries, max(low), key=itemgetter(0))
        stop = bisect_right(entries, min(high), key=itemgetter(0))
        for i in range(stop - 1, start - 1, -1) if down else range(start, stop):
            yield entries[i][1]


def _replace(
    entries: list[tuple[_Sort, Row]], gone: set[_Sort], come: list[tuple[_Sort, Row]]
) -> None:
    """Take entries out of a sorted list and put others in; many at once by sorting it anew."""
    if len(gone) > _BULK:
        entries[:] = [entry for entry in entries if entry[0] not in gone]
    else:
        for sort in gone:
            del entries[bisect_left(entries, sort, key=itemgetter(0))]
    if len(come) > _BULK:
        entries.extend(come)
        entries.sort(key=itemgetter(0))
    else:
        for entry in come:
            insort(entries, entry, key=itemgetter(0))


def _updated(table: Table, row: Row, values: Mapping[str, Value | Advance]) -> Row:
    pairs = zip(table.names, row, strict=True)
    return tuple([advanced(values[n], old) if n in values else old for n, old in pairs])


def _put(rows: _Rows, put: Put, position: int) -> dict[_Key, Row | None]:
    new: dict[_Key, Row | None] = {}
    for row in put.rows:
        key = rows.key(row)
        stored = rows.by_key.get(key)
        if stored is None:
            new[key] = row
        elif put.on_conflict == "fail":
            raise ConflictError(
                f"{put.table.name} has a row with the key {key} already", change=position
            )
        elif put.on_conflict == "replace":
            new[key] = _merged(put, row, stored, position)
    return new


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
            merged[i] = advanced(Advance(cast("datetime", row[i])), stored[i])
    return tuple(merged)
