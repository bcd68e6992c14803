"""The words of the waist: tables, queries and changes, as data without behaviour of their own.

A row is a tuple of values in the order of the columns asked for (of the table's columns where none
were named). JSON columns cross the waist as JSON text, timestamps as aware UTC datetimes with
millisecond precision, booleans as ``bool``; ``None`` is the absent value.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Literal, TypeAlias

import msgspec

from mastra_core.errors import InvalidArgumentError

Value: TypeAlias = str | int | float | bool | datetime | None
Row: TypeAlias = tuple[Value, ...]
ColumnType: TypeAlias = Literal[
    "text", "timestamp", "json", "integer", "bigint", "float", "boolean"
]
Direction: TypeAlias = Literal["asc", "desc"]
Order: TypeAlias = tuple[tuple[str, Direction], ...]
Operator: TypeAlias = Literal[
    "eq", "ne", "lt", "lte", "gt", "gte", "in", "has_all", "has_any", "icontains"
]
# What happens to one column when a row with the same key is already stored:
#   keep      the stored value stays
#   coalesce  a new ``None`` leaves the stored value in place
#   advance   the later of the new value and the stored value plus one millisecond
#   match     the stored value must equal the new one, else the whole write fails
Merge: TypeAlias = Literal["keep", "coalesce", "advance", "match"]


class Column(msgspec.Struct, frozen=True):
    """One column: ``nullable`` is ``None`` where the original leaves it unset (databases differ)."""

    name: str
    type: ColumnType
    nullable: bool | None = None


class Index(msgspec.Struct, frozen=True):
    """An ordered index; reads use a prefix of equalities, then a range or the order of the next."""

    name: str
    columns: tuple[str, ...]


class Table(msgspec.Struct, frozen=True, eq=False, dict=True):
    """One table: its columns, the key that makes a row unique, and the indexes that reads rely on.

    ``primary`` says that the original declares the key as PRIMARY KEY rather than as unique.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    indexes: tuple[Index, ...] = ()
    primary: bool = True

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The column names in order: the shape of a full row."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def types(self) -> tuple[ColumnType, ...]:
        """The column types in order."""
        return tuple(column.type for column in self.columns)

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """Each column by its name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """Where each column stands in a full row."""
        return {column.name: i for i, column in enumerate(self.columns)}

    def column(self, name: str) -> Column:
        """The column of this name; an unknown name is an ``InvalidArgumentError``."""
        found = self.by_name.get(name)
        if found is None:
            raise InvalidArgumentError(f"table {self.name} has no column {name!r}")
        return found


class Where(msgspec.Struct, frozen=True):
    """One condition on one column; several are joined by AND.

    ``path`` names a key inside a JSON column (or a text column that holds JSON), one step a name;
    the comparison is then of the JSON value and strict about its type: ``1``, ``"1"`` and ``true``
    differ, and an absent key equals nothing. Without a path ``eq`` to ``None`` means absent and
    ``ne`` is true of absent values too; ranges never match an absent value. ``in`` takes a list.
    ``has_all`` and ``has_any`` take a list of strings and look into a JSON array; ``icontains`` is a
    case-insensitive substring.
    """

    column: str
    op: Operator
    value: Value | tuple[Value, ...]
    path: tuple[str, ...] = ()


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows, in which order: ``after`` continues behind the row with these order values.

    Backends complete ``order`` with the table's key, so that no two rows are ever tied; ``after``
    has one value for each column of that completed order. Absent values sort as the greatest.
    ``limit`` ``None`` is all rows; ``columns`` ``()`` is all columns.
    """

    where: tuple[Where, ...] = ()
    order: Order = ()
    limit: int | None = None
    offset: int = 0
    after: Row | None = None
    columns: tuple[str, ...] = ()


class Advance(msgspec.Struct, frozen=True):
    """In an update: the later of ``at`` and the stored value plus one millisecond."""

    at: datetime


class Put(msgspec.Struct, frozen=True):
    """Insert full rows; ``on_conflict`` says what becomes of rows whose key is stored already.

    ``replace`` overwrites the table's columns, except as ``merge`` says; columns that this version
    does not know keep their stored values. ``skip`` leaves the stored row; ``fail`` is a
    ``ConflictError``. A row refused by a ``match`` is a ``ConflictError`` for the whole write.
    ``fresh`` says that the keys are usually new, which a backend may use or not.
    """

    table: Table
    rows: Sequence[Row]
    on_conflict: Literal["replace", "fail", "skip"] = "replace"
    merge: Mapping[str, Merge] = {}
    fresh: bool = False

    def halves(self) -> tuple[Put, Put]:
        """The same as two, of which each has half of the rows."""
        middle = len(self.rows) // 2
        replace = msgspec.structs.replace
        return replace(self, rows=self.rows[:middle]), replace(self, rows=self.rows[middle:])

    def settled(self) -> Put:
        """The same of one row, with each ``coalesce`` decided: the column is kept, or replaced."""
        row, at = self.rows[0], self.table.positions
        merge: dict[str, Merge] = {}
        for name, rule in self.merge.items():
            if rule != "coalesce":
                merge[name] = rule
            elif row[at[name]] is None:
                merge[name] = "keep"
        return msgspec.structs.replace(self, merge=merge)

    def rounds(self) -> list[Put]:
        """The same as many as a key occurs: statements that take a key only once."""
        at = [self.table.positions[name] for name in self.table.key]
        parts: list[dict[tuple[Value, ...], Row]] = [{}]
        for row in self.rows:
            key = tuple([row[i] for i in at])
            free = next((part for part in parts if key not in part), None)
            if free is None:
                parts.append(free := {})
            free[key] = row
        if len(parts) == 1:
            return [self]
        return [msgspec.structs.replace(self, rows=list(part.values())) for part in parts]


class Update(msgspec.Struct, frozen=True):
    """Set columns of all rows that match; ``expect`` rows must, else the whole write fails."""

    table: Table
    where: tuple[Where, ...]
    values: Mapping[str, Value | Advance]
    expect: int | None = None


class Delete(msgspec.Struct, frozen=True):
    """Delete all rows that match; ``expect`` rows must, else the whole write fails."""

    table: Table
    where: tuple[Where, ...]
    expect: int | None = None


Change: TypeAlias = Put | Update | Delete


@functools.lru_cache(maxsize=1024)
def complete(table: Table, order: Order) -> Order:
    """The order followed by the key columns it lacks, in the direction of its last column."""
    direction: Direction = order[-1][1] if order else "asc"
    named = {name for name, _ in order}
    return (*order, *((name, direction) for name in table.key if name not in named))
