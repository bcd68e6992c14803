"""Conditions as SQL: what a query's ``where`` becomes, with its values bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, cast

from mastra_core.clock import iso
from mastra_core.errors import InvalidArgumentError
from mastra_core.storage.codec import to_json
from mastra_core.storage.schema import Column, ColumnType, Table, Value, Where
from mastra_core.storage.tables import DATASET_ITEMS

INT32 = 2**31
INT64 = 2**63
ISO = "%Y-%m-%dT%H:%M:%fZ"


class Conditions:
    """The conditions of SQLite's SQL, which other dialects override."""

    types: ClassVar[Mapping[ColumnType, str]] = {
        "text": "TEXT",
        "timestamp": "TEXT",
        "json": "TEXT",
        "integer": "INTEGER",
        "bigint": "INTEGER",
        "float": "REAL",
        "boolean": "INTEGER",
    }
    encoders: ClassVar[Mapping[ColumnType, Callable[[Any], Any]]] = {
        "timestamp": iso,
        "boolean": int,
    }
    # The longest text that can be bound, in bytes; lists are bound as texts, several if need be.
    bound_bytes: ClassVar[int | None] = None
    # Tables whose key is not unique: the original's libSQL has no key there, and writes the same
    # tombstone twice.
    loose: ClassVar[frozenset[str]] = frozenset({DATASET_ITEMS.name})
    # Equal and different, where absent equals absent.
    sames: ClassVar[tuple[str, str]] = ("IS", "IS NOT")
    comparisons: ClassVar[Mapping[str, str]] = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}

    def bound(self, params: list[Any], value: Any) -> str:
        """Bind what the driver takes as it is; the text that stands for it in the statement."""
        params.append(value)
        return "?"

    def bind(self, params: list[Any], value: Value, kind: ColumnType = "text") -> str:
        """Bind a value of the waist; the text that stands for it in the statement."""
        if value is None or isinstance(value, str):
            return self.bound(params, value)
        encode = self.encoders.get(kind)
        if encode is not None:
            value = encode(value)
        if isinstance(value, int) and not -INT32 <= value < INT32:
            if not -INT64 <= value < INT64:
                raise InvalidArgumentError(f"the integer {value} needs more than 64 bits")
            # Drivers that pass numbers as doubles would round it.
            return f"CAST({self.bound(params, str(value))} AS {self.types['bigint']})"
        return self.bound(params, value)

    def term(self, table: Table, column: Column) -> str:
        """One column of the select list."""
        return f'"{column.name}"'

    def operand(self, table: Table, column: Column) -> str:
        """One column as conditions compare it."""
        return f'"{column.name}"'

    def sortable(self, table: Table, column: Column) -> str:
        """One column as it is ordered, and compared with what comes before or behind."""
        return self.operand(table, column)

    def where(self, table: Table, conditions: Sequence[Where], params: list[Any]) -> str:
        """All conditions joined by AND; empty where there are none."""
        return " AND ".join([self.condition(table, where, params) for where in conditions])

    def condition(self, table: Table, where: Where, params: list[Any]) -> str:
        """One condition as SQL."""
        column = table.column(where.column)
        name = self.operand(table, column)
        if where.path:
            return self.json_condition(table, where, params)
        if where.op == "in":
            return self.is_member(name, column, cast("tuple[Value, ...]", where.value), params)
        if where.op in {"has_all", "has_any"}:
            return self.has_members(name, where, params)
        value = cast("Value", where.value)
        if where.op in {"eq", "ne"} and value is None:
            return f"{name} IS NULL" if where.op == "eq" else f"{name} IS NOT NULL"
        bound = self.bind(params, value, column.type)
        if where.op == "eq":
            return self.equals(table, column, bound)
        if where.op == "ne":
            return self.differs(name, bound)
        return f"{self.sortable(table, column)} {self.comparisons[where.op]} {bound}"

    def equals(self, table: Table, column: Column, bound: str) -> str:
        """Equal to a value as it was read: foreign times and JSON may be spelt otherwise."""
        name = self.operand(table, column)
        if column.type == "timestamp":
            other = f"substr({name}, 1, 23) || 'Z', strftime('{ISO}', {name})"
            return f"{bound} IN ({name}, {other})"
        return f"{name if column.type != 'json' else self.term(table, column)} = {bound}"

    def differs(self, name: str, bound: str) -> str:
        """Not equal, where absent differs from everything."""
        return f"{name} {self.sames[1]} {bound}"

    def is_member(
        self, name: str, column: Column, values: Sequence[Value], params: list[Any]
    ) -> str:
        """The column's value is one of a list, bound as one parameter if that is not too long."""
        array = self.array(column, values)
        if self.bound_bytes is not None and len(array.encode()) > self.bound_bytes:
            middle = len(values) // 2
            halves = (values[:middle], values[middle:])
            found = " OR ".join([self.is_member(name, column, half, params) for half in halves])
            return f"({found})"
        listed = self.bound(params, array)
        return f"{name} IN (SELECT value FROM json_each({listed}))"

    def array(self, column: Column, values: Sequence[Value]) -> Any:
        """A list as one bound value."""
        encode = self.encoders.get(column.type)
        return to_json([encode(v) if encode and not isinstance(v, str) else v for v in values])

    def has_members(self, name: str, where: Where, params: list[Any]) -> str:
        """A JSON array holds all, or any, of a list of strings."""
        params.append(to_json(where.value))
        inside = f"w.value IN (SELECT value FROM json_each({name}))"
        exists = f"EXISTS (SELECT 1 FROM json_each(?) w WHERE {inside})"
        if where.op == "has_all":
            exists = f"NOT EXISTS (SELECT 1 FROM json_each(?) w WHERE NOT ({inside}))"
        return f"CASE WHEN json_valid({name}, 5) AND json_type({name}) = 'array' THEN {exists} END"

    def json_condition(self, table: Table, where: Where, params: list[Any]) -> str:
        """A comparison of the JSON value at a path, strict about its type."""
        name = self.operand(table, table.column(where.column))
        path = self.json_path(where.path)
        params.append(path)
        kind = f"json_type({name}, ?)"
        if where.op == "ne":
            params.append(path)
            equal = self.json_equality(name, path, cast("Value", where.value), params, "=")
            test = f"{kind} IS NOT NULL AND NOT (json_type({name}, ?) {equal})"
        else:
            sign = "=" if where.op == "eq" else self.comparisons[where.op]
            test = (
                f"{kind} {self.json_equality(name, path, cast('Value', where.value), params, sign)}"
            )
        # A text column may hold what is no JSON at all; CASE keeps the functions away from it.
        return f"CASE WHEN json_valid({name}, 5) THEN {test} END"

    def json_equality(
        self, name: str, path: str, value: Value, params: list[Any], sign: str
    ) -> str:
        """The rest of a comparison that begins with the JSON type at the path."""
        if value is None or isinstance(value, bool):
            literal = "null" if value is None else str(value).lower()
            return f"= '{literal}'" if sign == "=" else "= ''"
        params.append(path)
        bound = self.bind(params, value, "timestamp" if isinstance(value, datetime) else "text")
        kinds = "'integer', 'real'" if isinstance(value, (int, float)) else "'text'"
        return f"IN ({kinds}) AND json_extract({name}, ?) {sign} {bound}"

    def json_path(self, path: Sequence[str]) -> str:
        """The path in SQLite's notation; it has no way to write a key with a quote in it."""
        for key in path:
            if '"' in key or "\\" in key:
                raise InvalidArgumentError(f"the key {key!r} cannot be filtered by: it has a quote")
        return "$" + "".join([f'."{key}"' for key in path])
