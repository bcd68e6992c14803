"""Which writes may be repeated when nobody knows whether they were done, and how to find that out.

A write whose answer was lost may have been done. Repeating it is safe

- where it is **guarded**: something in it fails once it was done, and with it the whole write. That
  is a ``Put`` that refuses stored keys, a ``Delete`` of one row that must be there, and an
  ``Update`` of one row that must be there with a value which it changes;
- where it is **idempotent**: a ``Put`` that replaces or skips, a ``Delete`` without an expectation,
  an ``Update`` that changes nothing that it, or what stands before it in the write, looks at. An
  ``Advance`` moves a time on once more, which costs another writer a race at most.

Everything else is done at most once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mastra_core.errors import CorruptDataError
from mastra_core.storage.backend import Backend
from mastra_core.storage.codec import from_json
from mastra_core.storage.matching import same
from mastra_core.storage.schema import (
    Advance,
    Change,
    Delete,
    Put,
    Query,
    Row,
    Table,
    Update,
    Value,
    Where,
)


class Witness(NamedTuple):
    """A row that only the write itself puts: if it stands, the write was done."""

    table: Table
    row: Row


def repeatable(changes: Sequence[Change], *, atomic: bool) -> bool:
    """Whether a write may be repeated that was perhaps done; ``atomic`` says if it is all or none."""
    if atomic and any(_guards(change, changes) for change in changes):
        return True
    return all(_idempotent(change, changes[i:]) for i, change in enumerate(changes))


def pinned(table: Table, where: Sequence[Where]) -> Mapping[str, object] | None:
    """The value of each column of the key, where the conditions leave one row at most."""
    given = {w.column: w.value for w in where if w.op == "eq" and not w.path}
    if not given.keys() >= set(table.key):
        return None
    return {name: given[name] for name in table.key}


def _apart(a: Change, b: Change) -> bool:
    """Whether two changes are certainly of different rows."""
    if a.table.name != b.table.name:
        return True
    if isinstance(a, Put) or isinstance(b, Put):
        return False
    keys = pinned(a.table, a.where), pinned(b.table, b.where)
    return None not in keys and keys[0] != keys[1]


def _guards(change: Change, changes: Sequence[Change]) -> bool:
    """Whether the change fails where the write that it is part of was done already."""
    if isinstance(change, Put):
        fails = change.on_conflict == "fail" and bool(change.rows)
    else:
        fails = bool(change.expect) and pinned(change.table, change.where) is not None
        fails = fails and (isinstance(change, Delete) or _moves_on(change))
    return fails and not any(_undoes(other, change) for other in changes if other is not change)


def _moves_on(update: Update) -> bool:
    """Whether it changes a value that it looks at."""
    exact = [w for w in update.where if w.op == "eq" and not w.path]
    return any(w.column in update.values and not _steady(update, w) for w in exact)


def _undoes(other: Change, guard: Change) -> bool:
    """Whether another change of the same write might let a guard pass a second time."""
    if _apart(other, guard):
        return False
    if isinstance(other, Put):
        return not isinstance(guard, Put)
    if isinstance(other, Delete):
        return True
    looked_at = guard.table.key if isinstance(guard, Put) else [w.column for w in guard.where]
    return not other.values.keys().isdisjoint(looked_at)


def _steady(update: Update, where: Where) -> bool:
    """Whether a condition on a column that is set still holds afterwards."""
    value = update.values[where.column]
    plain = where.op == "eq" and not where.path and not isinstance(value, Advance)
    return plain and same(value, where.value)


def _idempotent(change: Change, onwards: Sequence[Change]) -> bool:
    """Whether it leaves the same when the write, of which these are the rest, is done again."""
    if isinstance(change, Put):
        return change.on_conflict != "fail" or not change.rows
    looked_at = {where.column for where in change.where}
    for other in onwards:
        if isinstance(other, Delete) or (other is not change and _apart(change, other)):
            continue
        if isinstance(other, Put):
            return False
        changed = looked_at.intersection(other.values)
        if other is not change and changed:
            return False
        if not all(_steady(other, w) for w in change.where if w.column in changed):
            return False
    return True


def witness(changes: Sequence[Change]) -> Witness | None:
    """The row that tells whether a write was done, where it has one."""
    for change in changes:
        if isinstance(change, Put) and change.on_conflict == "fail" and change.rows:
            return Witness(change.table, change.rows[0])
    return None


def known_counts(changes: Sequence[Change]) -> list[int] | None:
    """The numbers of rows that a write affected if it was done, where they follow from itself."""
    counts: list[int] = []
    for change in changes:
        if isinstance(change, Put):
            if change.on_conflict == "skip":
                return None
            counts.append(len(change.rows))
        elif change.expect is None:
            return None
        else:
            counts.append(change.expect)
    return counts


async def counted_again(
    backend: Backend, changes: Sequence[Change], counts: Sequence[int]
) -> list[int]:
    """The counts of a repeated write: rows that stand as they were put count as put by it.

    A ``skip`` that is repeated finds its own rows stored. Of a ``Delete`` it is not known how many
    there were before the first attempt, so it keeps the number that the repetition found.
    """
    found = list(counts)
    for i, change in enumerate(changes):
        if not isinstance(change, Put) or change.on_conflict != "skip":
            continue
        if counts[i] < len(change.rows):
            found[i] = sum([await stands(backend, change.table, row) for row in change.rows])
    return found


async def stands(backend: Backend, table: Table, row: Row) -> bool:
    """Whether exactly this row is stored."""
    where = tuple([Where(name, "eq", row[table.positions[name]]) for name in table.key])
    rows = await backend.find(table, Query(where=where, limit=1))
    return bool(rows) and all(
        _equal(kind, a, b) for kind, a, b in zip(table.types, row, rows[0], strict=True)
    )


def _equal(kind: str, a: Value, b: Value) -> bool:
    """Whether a stored value is what was written; databases may spell JSON otherwise."""
    if kind != "json" or not isinstance(a, str) or not isinstance(b, str) or a == b:
        return a == b
    try:
        return bool(from_json(a) == from_json(b))
    except CorruptDataError:
        return False
