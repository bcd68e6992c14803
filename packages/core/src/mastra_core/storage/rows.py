"""Rows by key and by sorted indexes: a table in memory, whose reads cost what they return."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product, takewhile
from operator import itemgetter
from typing import Any, TypeAlias, cast

from mastra_core.storage.matching import after, matches, sort_key
from mastra_core.storage.schema import Query, Row, Table, Value, Where, complete

Key: TypeAlias = tuple[Value, ...]
_Sort: TypeAlias = tuple[Any, ...]
# Sorts behind every value of ``sort_key``: the end of all entries that begin with a prefix.
_END = (2,)
_BULK = 64


class SortedRows:
    """The rows of one table, by key and by each index: pairs of sort keys and row, sorted.

    The sort keys are of the index's columns completed by the table's key, so none are equal.
    """

    def __init__(self, table: Table, stored: Mapping[Key, Row] | None = None) -> None:
        self.table = table
        self.by_key: dict[Key, Row] = {}
        self.indexes: dict[tuple[str, ...], list[tuple[_Sort, Row]]] = {}
        for columns in [index.columns for index in table.indexes] + [table.key]:
            order = complete(table, tuple([(name, "asc") for name in columns]))
            self.indexes[tuple([name for name, _ in order])] = []
        self.store(stored or {})

    def key(self, row: Row) -> Key:
        """The key of a row."""
        return tuple([row[self.table.positions[name]] for name in self.table.key])

    def store(self, new: Mapping[Key, Row | None]) -> None:
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
        if any(given.get(name, value) != value for name, value in last.items()):
            last = {}  # A place that no row has: each is compared with it by itself.
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
        prefix: Key,
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
            # Only as far as the columns follow each other; the caller compares the rest.
            known = takewhile(last.__contains__, index[len(prefix) :])
            seen = (*head, *(sort_key(last[name]) for name in known))
            (high if down else low).append((*seen, _END) if down else seen)
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
