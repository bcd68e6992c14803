"""A write tried in memory on the rows that it is about, and what it did as guarded changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.rows import Key, SortedRows
from mastra_core.storage.schema import Change, Delete, Put, Row, Table, Update, Value, Where

# Table and key of a row.
Place: TypeAlias = tuple[str, Key]


class Trial(InMemoryBackend):
    """The rows that a write is about, opened; the write is played on them by the reference's rules."""

    def load(self, table: Table, rows: Mapping[Key, Row]) -> None:
        """Take the rows of one table."""
        self._rows(table).store(rows)

    def play(self, changes: Sequence[Change]) -> tuple[list[int], set[Place]]:
        """The numbers of rows that the changes affected, and which rows those were.

        What does not hold is the ``ConflictError`` that the write itself would raise.
        """
        done: list[tuple[SortedRows, dict[Key, Row | None]]] = []
        counts = [self._apply(change, i, done) for i, change in enumerate(changes)]
        return counts, {(rows.table.name, key) for rows, old in done for key in old}

    def row(self, table: Table, key: Key) -> Row | None:
        """A row as the write left it."""
        return self._rows(table).by_key.get(key)


def looked_at(table: Table, changes: Iterable[Change]) -> list[str]:
    """The columns, beside the key, on which the outcome of the changes of a table depends."""
    names: set[str] = set()
    for change in changes:
        if change.table.name != table.name:
            continue
        if isinstance(change, Put):
            names.update(change.merge)
        else:
            names.update(where.column for where in change.where)
        if isinstance(change, Update):
            names.update(change.values)
    return [name for name in table.names if name in names and name not in table.key]


def guarded(
    table: Table, stored: Row, values: Mapping[str, Value] | None, columns: Sequence[str]
) -> Change:
    """The change of one stored row to these values (``None``: delete it), if it is still as read."""
    at = table.positions
    where = tuple([Where(name, "eq", stored[at[name]]) for name in (*table.key, *columns)])
    if values is None:
        return Delete(table, where, expect=1)
    if not values:
        # Nothing changes, but that it is still as it was has to be seen.
        name = next(n for n in (*columns, *table.names) if n not in table.key)
        values = {name: stored[at[name]]}
    return Update(table, where, values, expect=1)
