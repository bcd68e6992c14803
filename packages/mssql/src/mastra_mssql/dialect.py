"""T-SQL: pages by OFFSET and FETCH, rows put by MERGE from one JSON parameter."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, cast

import msgspec

from mastra_core.errors import LimitExceededError
from mastra_core.storage.schema import (
    Advance,
    Column,
    ColumnType,
    Put,
    Query,
    Row,
    Table,
    Update,
    Value,
)
from mastra_core.storage.sql import Decoder, Statement
from mastra_mssql.columns import TYPES, Stored, marked, units, unmarked
from mastra_mssql.conditions import TransactConditions

# What an index may hold of a row, in bytes (two for each UTF-16 unit of text).
INDEX_BYTES: Final = 1700
_BYTES: Final[Mapping[ColumnType, int]] = {
    "timestamp": 8,
    "integer": 4,
    "bigint": 8,
    "float": 8,
    "boolean": 1,
}
# Absent JSON where the original forbids it: it writes an empty text there, which is no JSON.
ABSENT: Final = ""


def _in_utc(values: Sequence[datetime | None]) -> Sequence[datetime | None]:
    return [None if value is None else value.replace(tzinfo=UTC) for value in values]


def _unmarked(values: Sequence[Any]) -> Sequence[Any]:
    return [unmarked(value) for value in values]


def _present(values: Sequence[Any]) -> Sequence[Any]:
    return [None if value == ABSENT else value for value in values]


@functools.cache
def _required(table: Table) -> tuple[int, ...]:
    """The JSON columns of a table that must not be absent, by position."""
    kinds = enumerate(table.columns)
    return tuple(i for i, c in kinds if c.type == "json" and not c.nullable)


@functools.cache
def _narrow(table: Table) -> tuple[tuple[int, Column], ...]:
    """The text columns of a table, by position."""
    return tuple((i, c) for i, c in enumerate(table.columns) if c.type == "text")


class MSSQLDialect(TransactConditions):
    """SQL Server's SQL, for tables of one schema (2016 or newer, compatibility level 130)."""

    clock: ClassVar[str] = "SELECT SYSUTCDATETIME()"
    version: ClassVar[str] = (
        "SELECT CONCAT(N'Microsoft SQL Server ', CAST(SERVERPROPERTY('ProductVersion') AS "
        "NVARCHAR(128)))"
    )
    types: ClassVar[Mapping[ColumnType, str]] = TYPES
    decoders: ClassVar[Mapping[ColumnType, Decoder]] = {"timestamp": _in_utc}
    # A parameter may be 2 GB; a quarter of it is sent at once.
    bound_bytes: ClassVar[int | None] = 2**28
    loose: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, schema: str = "dbo") -> None:
        super().__init__()
        self.schema = schema
        self._texts: dict[tuple[object, ...], str] = {}

    def learn(self, found: Mapping[tuple[str, str], Stored]) -> None:
        """Take note of text columns that are otherwise than this version would make them."""
        if found == self.found:
            return
        self.found = dict(found)
        for cache in (self._shapes, self._orders, self._decoded, self._texts):
            cache.clear()

    def name(self, table: Table) -> str:
        """The name of a table in its schema."""
        return f"[{self.schema}].[{table.name}]"

    def limited(self, table: Table, query: Query, params: list[Any]) -> str:
        """The end of a SELECT; one without an order finds one row at most."""
        if query.limit is None or not query.order:
            return ""
        first, rows = self.bound(params, query.offset), self.bound(params, query.limit)
        return f" OFFSET {first} ROWS FETCH NEXT {rows} ROWS ONLY"

    def ordering(self, table: Table, name: str, direction: str) -> str:
        """One term of ORDER BY; absent values count as the greatest, here they are the least."""
        column, way = table.column(name), "DESC" if direction == "desc" else "ASC"
        term = f"{self.sortable(table, column)} {way}"
        if not column.nullable:
            return term
        return f"CASE WHEN [{name}] IS NULL THEN 1 ELSE 0 END {way}, {term}"

    def beyond(self, table: Table, query: Query, params: list[Any]) -> str:
        """The condition that a row comes behind the last one seen.

        Rows are not compared as a whole; the first column by itself is what an index begins at.
        """
        last = cast("Row", query.after)
        (name, direction), value = query.order[0], last[0]
        column = table.column(name)
        if column.nullable or value is None:
            return self.alternatives(table, query.order, last, params)
        bound = self.bind(params, self.placed(table, column, value), column.type)
        sign = "<=" if direction == "desc" else ">="
        first = f"{self.sortable(table, column)} {sign} {bound}"
        return f"{first} AND {self.alternatives(table, query.order, last, params)}"

    def further(
        self, table: Table, column: Column, value: Value, params: list[Any], *, down: bool
    ) -> str:
        """The condition that one column's value comes behind another, absent ones last."""
        placed = self.placed(table, column, value)
        if down or column.nullable or value is None:
            return super().further(table, column, placed, params, down=down)
        return f"{self.sortable(table, column)} > {self.bind(params, placed, column.type)}"

    def placed(self, table: Table, column: Column, value: Value) -> Value:
        """A value as it is ordered in its column."""
        narrow = isinstance(value, str) and self.stored(table, column).width is not None
        return marked(value) if narrow and isinstance(value, str) else value

    def decoder(self, table: Table, column: Column) -> Decoder | None:
        """How a column's values become those of the waist."""
        if column.type == "json" and not column.nullable:
            return _present
        if column.type == "text" and self.stored(table, column).width is not None:
            return _unmarked
        return super().decoder(table, column)

    def put(self, put: Put, position: int) -> list[Statement]:
        """One MERGE (or INSERT) for all rows, as often as a key occurs in them."""
        if not put.rows:
            return []
        single = put.on_conflict == "fail" or len(put.rows) == 1
        parts = [put] if single else put.rounds()
        return [s for part in parts for s in self.inserting(part, position)]

    def inserting(self, put: Put, position: int) -> list[Statement]:
        """The statements of rows that are bound as one JSON array each."""
        table = put.table
        text = msgspec.json.encode(self.storable(table, put.rows))
        if self.bound_bytes is not None and len(text) > self.bound_bytes and len(put.rows) > 1:
            return [s for half in put.halves() for s in self.inserting(half, position)]
        key = (table, put.on_conflict, *put.merge.items())
        sql = self._texts.get(key)
        if sql is None:
            sql = self._texts[key] = self.merging(put)
        expect = len(put.rows) if "match" in put.merge.values() else None
        return [Statement(sql, [text.decode()], position, expect, table.name, inserts=True)]

    def storable(self, table: Table, rows: Sequence[Row]) -> list[list[Any]]:
        """Rows as the database stores them; text that does not fit is refused."""
        encoded = self.encoded(table.types, rows)
        for i in _required(table):
            for row in encoded:
                row[i] = ABSENT if row[i] is None else row[i]
        for i, column in _narrow(table):
            width = self.stored(table, column).width
            if width is None:
                continue
            for row in encoded:
                if row[i] is not None:
                    row[i] = self.fitting(table, column, row[i], width)
        for index in table.indexes:
            self.check_index(table, index.columns, encoded)
        return encoded

    def fitting(self, table: Table, column: Column, text: str, width: int) -> str:
        """Text that fits into its column, as it is stored there."""
        text = marked(text)
        if len(text) * 2 > width and units(text) > width:
            raise LimitExceededError(
                f"{column.name} of {table.name} has {units(text)} characters; this column of SQL "
                f"Server takes at most {width}. Nothing was written"
            )
        return text

    def check_index(self, table: Table, columns: Sequence[str], rows: Sequence[Any]) -> None:
        """Refuse rows that an index could not hold."""
        parts = [table.column(name) for name in columns]
        texts = [table.positions[c.name] for c in parts if c.type == "text"]
        fixed = sum(_BYTES.get(c.type, 0) for c in parts)
        widths = [self.stored(table, c).width for c in parts if c.type == "text"]
        if fixed + 2 * sum(width or 0 for width in widths) <= INDEX_BYTES:
            return
        for row in rows:
            size = fixed + 2 * sum(units(row[i]) for i in texts if row[i] is not None)
            if size > INDEX_BYTES:
                raise LimitExceededError(
                    f"{', '.join(columns)} of {table.name} have {size:,} bytes together; an index "
                    f"of SQL Server takes at most {INDEX_BYTES:,}. Nothing was written"
                )

    def source(self, table: Table) -> str:
        """The rows in a bound JSON array of arrays, as a table of the columns' own types."""
        kinds = [
            self.stored(table, c).type if c.type in {"text", "json"} else TYPES[c.type]
            for c in table.columns
        ]
        # Text without an index is as long as it is: OPENJSON would cut it without a word.
        columns = [
            f"[{c.name}] {k} N'$[{i}]'"
            for i, (c, k) in enumerate(zip(table.columns, kinds, strict=True))
        ]
        return f"OPENJSON(?) WITH ({', '.join(columns)})"

    def merging(self, put: Put) -> str:
        """The text that puts rows: MERGE, which holds the range of a key from looking to writing."""
        table = put.table
        names = ", ".join([f"[{name}]" for name in table.names])
        new = ", ".join([f"n.[{name}]" for name in table.names])
        if put.on_conflict == "fail":
            head = f"INSERT INTO {self.name(table)} ({names})"
            return f"{head} SELECT {new} FROM {self.source(table)} AS n"
        keys = " AND ".join([f"t.[{n}] = {self.given(table, n)}" for n in table.key])
        matched = "" if put.on_conflict == "skip" else self.replacing(put)
        return (
            f"MERGE INTO {self.name(table)} WITH (HOLDLOCK) AS t "
            f"USING (SELECT {names} FROM {self.source(table)}) AS n ON {keys}{matched} "
            f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({new});"
        )

    def given(self, table: Table, name: str) -> str:
        """A new value in the collation of its column: two collations cannot be compared."""
        column = table.column(name)
        if column.type not in {"text", "json"}:
            return f"n.[{name}]"
        return f"n.[{name}] COLLATE {self.stored(table, column).collation}"

    def replacing(self, put: Put) -> str:
        """What becomes of a row that is stored already."""
        table, rules = put.table, put.merge
        kept = {name for name, rule in rules.items() if rule in {"keep", "match"}}
        changed = [n for n in table.names if n not in table.key and n not in kept]
        tests = [self.same(f"t.[{n}]", self.given(table, n)) for n in rules if rules[n] == "match"]
        # (A row that stays as it is counts, too.)
        sets = [self.replaced(table, n, rules.get(n)) for n in changed]
        sets = sets or [f"t.[{table.key[0]}] = t.[{table.key[0]}]"]
        condition = "".join([f" AND {test}" for test in tests])
        return f" WHEN MATCHED{condition} THEN UPDATE SET {', '.join(sets)}"

    def replaced(self, table: Table, name: str, rule: str | None) -> str:
        """What sets a column of a row that is stored already."""
        new, stored = f"n.[{name}]", f"t.[{name}]"
        if rule == "coalesce":
            column = table.column(name)
            if column.type in {"text", "json"}:
                new = self.given(table, name)
            new = f"COALESCE({new}, {stored})"
        elif rule == "advance":
            new = self.later(new, new, stored)
        return f"{stored} = {new}"

    def later(self, new: str, again: str, stored: str) -> str:
        """The later of a new time (which is bound twice) and the stored one plus a millisecond."""
        moved = f"DATEADD(MILLISECOND, 1, {stored})"
        return f"CASE WHEN {moved} > {new} THEN {moved} ELSE {again} END"

    def update(self, update: Update, position: int) -> Statement:
        """One UPDATE."""
        return self.spelt(update, position)

    def spelt(self, update: Update, position: int) -> Statement:
        """One UPDATE."""
        table = update.table
        params: list[Any] = []
        sets: list[str] = []
        for name, value in update.values.items():
            column = table.column(name)
            if isinstance(value, Advance):
                new = self.bind(params, value.at, column.type)
                again = self.bind(params, value.at, column.type)
                sets.append(f"[{name}] = {self.later(new, again, f'[{name}]')}")
                continue
            width = self.stored(table, column).width
            if isinstance(value, str) and width is not None:
                value = self.fitting(table, column, value, width)  # noqa: PLW2901
            sets.append(f"[{name}] = {self.bind(params, value, column.type)}")
        where = self.where(table, update.where, params)
        sql = f"UPDATE {self.name(table)} SET {', '.join(sets)}"
        sql += f" WHERE {where}" if where else ""
        return Statement(sql, params, position, update.expect, table.name)
