"""Conditions as T-SQL, exact where SQL Server's own comparisons ignore case, accents or blanks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, cast

from mastra_core.clock import iso
from mastra_core.errors import InvalidArgumentError
from mastra_core.storage.codec import to_json
from mastra_core.storage.schema import Column, ColumnType, Table, Value, Where
from mastra_core.storage.sql import Dialect
from mastra_mssql.columns import BINARY, TYPES, Stored, declared, marked, units

INT64: Final = 2**63
# Doubles tell integers apart below this; JSON's numbers are compared as doubles.
EXACT: Final = 2**53
# Behind both sides of a comparison, so that blanks at the end count.
END: Final = "."
_COMPARISONS: Final = frozenset({"eq", "ne", "lt", "lte", "gt", "gte"})


def instant(at: datetime) -> str:
    """A time as DATETIME2 reads it in every language: ISO 8601 in UTC, without a zone."""
    at = at.astimezone(UTC)
    return at.replace(tzinfo=None).isoformat() if at.microsecond % 1000 else iso(at)[:-1]


class TransactConditions(Dialect):
    """T-SQL's conditions.

    A column with a width is compared as it is, so that indexes serve; in tables that the original
    made, whose collation ignores case, once more exactly. Text without a width has no index, and is
    compared exactly and with a dot at its end.
    """

    comparisons: ClassVar[Mapping[str, str]] = {
        **Dialect.comparisons,
        "eq": "=",
        "ne": "<>",
    }
    encoders: ClassVar[Mapping[ColumnType, Callable[[Any], Any]]] = {"timestamp": instant}

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[tuple[str, str], Stored] = {}

    def stored(self, table: Table, column: Column) -> Stored:
        """A text or JSON column as it is in the database, or as it would be created."""
        return self.found.get((table.name, column.name)) or declared(table, column)

    def as_it_is(self, table: Table, where: Where) -> bool:
        """Whether a condition compares a column with a text that is bound once and unchanged."""
        if not super().as_it_is(table, where):
            return False
        column, text = table.column(where.column), cast("str", where.value)
        stored = self.stored(table, column)
        return stored.width is not None and stored.exact and marked(text) is text

    def bind(self, params: list[Any], value: Value, kind: ColumnType = "text") -> str:
        """Bind a value of the waist; absent ones have no type, and stand in the text."""
        if value is None:
            return "NULL"
        if kind == "timestamp" and isinstance(value, datetime):
            return f"CAST({self.bound(params, instant(value))} AS DATETIME2(7))"
        if isinstance(value, int) and not -INT64 <= value < INT64:
            raise InvalidArgumentError(f"the integer {value} needs more than 64 bits")
        if isinstance(value, int) and kind == "boolean":
            return self.bound(params, bool(value))
        return self.bound(params, float(cast("float", value)) if kind == "float" else value)

    def term(self, table: Table, column: Column) -> str:
        """One column of the select list."""
        return f"[{column.name}]"

    def operand(self, table: Table, column: Column) -> str:
        """One column as conditions compare it."""
        return f"[{column.name}]"

    def exactly(self, column: Column) -> str:
        """A column's text compared by its code units."""
        return f"[{column.name}] COLLATE {BINARY}"

    def sortable(self, table: Table, column: Column) -> str:
        """One column as it is ordered: text that no index holds by its code units."""
        if column.type == "text" and self.stored(table, column).width is None:
            return self.exactly(column)
        return self.operand(table, column)

    def condition(self, table: Table, where: Where, params: list[Any]) -> str:
        """One condition as SQL."""
        column = table.column(where.column)
        if where.path or where.op in {"has_all", "has_any"} or where.value is None:
            return super().condition(table, where, params)
        if where.op == "in":
            return self.listed(table, column, cast("tuple[Value, ...]", where.value), params)
        if column.type in {"text", "json"} and where.op in _COMPARISONS:
            return self.compared(table, column, where, params)
        return super().condition(table, where, params)

    def compared(self, table: Table, column: Column, where: Where, params: list[Any]) -> str:
        """A comparison of text."""
        stored, text = self.stored(table, column), str(where.value)
        sign, name = self.comparisons[where.op], f"[{column.name}]"
        if stored.width is None:
            whole = where.op in {"eq", "ne"}
            bound = self.bound(params, text + END if whole else text)
            exact = self.exactly(column)
            test = f"({exact} + N'{END}') {sign} {bound}" if whole else f"{exact} {sign} {bound}"
        else:
            text = marked(text)
            test = f"{name} {sign} {self.bound(params, text)}"
            if not stored.exact and where.op == "eq":
                return f"({test} AND {self.exactly(column)} = {self.bound(params, text)})"
            if not stored.exact and where.op == "ne":
                test = f"{self.exactly(column)} <> ?"
        return f"({test} OR {name} IS NULL)" if where.op == "ne" else test

    def equals(self, table: Table, column: Column, bound: str) -> str:
        """Equal to a value as it was read."""
        return f"{self.operand(table, column)} = {bound}"

    def differs(self, name: str, bound: str) -> str:
        """Not equal, where absent differs from everything."""
        return f"({name} <> {bound} OR {name} IS NULL)"

    def same(self, a: str, b: str) -> str:
        """Equal, where absent equals absent."""
        return f"({a} = {b} OR ({a} IS NULL AND {b} IS NULL))"

    def listed(
        self, table: Table, column: Column, values: Sequence[Value], params: list[Any]
    ) -> str:
        """The column's value is one of a list, bound as one JSON array."""
        given = [value for value in values if value is not None]
        if column.type not in {"text", "json"}:
            encode = self.encoders.get(column.type)
            array = to_json([encode(v) if encode else v for v in given])
            kind = TYPES[column.type]
            return f"[{column.name}] IN ({self.unnested('v.[value]', params, array, kind)})"
        stored = self.stored(table, column)
        if stored.width is None:
            value = f"v.[value] COLLATE {BINARY} + N'{END}'"
            chosen = self.unnested(value, params, to_json(given), "NVARCHAR(MAX)")
            return f"({self.exactly(column)} + N'{END}') IN ({chosen})"
        texts = [marked(str(value)) for value in given]
        # What is longer than the column would be cut, and then be found.
        array = to_json([text for text in texts if units(text) <= stored.width])
        value = f"v.[value] COLLATE {stored.collation}"
        test = f"[{column.name}] IN ({self.unnested(value, params, array, stored.type)})"
        if stored.exact:
            return test
        chosen = self.unnested(f"v.[value] COLLATE {BINARY}", params, array, stored.type)
        return f"({test} AND {self.exactly(column)} IN ({chosen}))"

    def unnested(self, value: str, params: list[Any], array: str, kind: str) -> str:
        """A SELECT of the values in a bound JSON array."""
        bound = self.bound(params, array)
        return f"SELECT {value} FROM OPENJSON({bound}) WITH ([value] {kind} N'$') AS v"

    def has_members(self, name: str, where: Where, params: list[Any]) -> str:
        """A JSON array holds all, or any, of a list of strings."""
        wanted = self.bound(params, to_json(where.value))
        is_array = f"ISJSON({name}) = 1 AND LEFT(LTRIM({name}), 1) = N'['"
        held = (
            f"EXISTS (SELECT 1 FROM OPENJSON(CASE WHEN {is_array} THEN {name} END) AS m "
            f"WHERE m.[type] = 1 AND (m.[value] COLLATE {BINARY} + N'{END}') = "
            f"(w.[value] COLLATE {BINARY} + N'{END}'))"
        )
        some = f"EXISTS (SELECT 1 FROM OPENJSON({wanted}) AS w WHERE"
        test = f"NOT {some} NOT {held})" if where.op == "has_all" else f"{some} {held})"
        return f"({is_array} AND {test})"

    def json_condition(self, table: Table, where: Where, params: list[Any]) -> str:
        """A comparison of the JSON value at a path, strict about its type.

        Each step is one OPENJSON, so that keys are bound whatever is in them, and only objects
        have keys.
        """
        name = f"[{where.column}]"
        is_object = f"ISJSON({name}) = 1 AND LEFT(LTRIM({name}), 1) = N'{{'"
        steps = [f"OPENJSON(CASE WHEN {is_object} THEN {name} END) AS j0"]
        steps += [
            f"OPENJSON(CASE WHEN j{i}.[type] = 5 THEN j{i}.[value] END) AS j{i + 1}"
            for i in range(len(where.path) - 1)
        ]
        keys = [
            f"(j{i}.[key] + N'{END}') = {self.bound(params, key + END)}"
            for i, key in enumerate(where.path)
        ]
        last = f"j{len(where.path) - 1}"
        sign = "=" if where.op in {"eq", "ne"} else self.comparisons[where.op]
        test = self.json_value(last, sign, cast("Value", where.value), params)
        if where.op == "ne":
            test = f"CASE WHEN {test} THEN 0 ELSE 1 END = 1"
        joined = " CROSS APPLY ".join(steps)
        return f"EXISTS (SELECT 1 FROM {joined} WHERE {' AND '.join([*keys, test])})"

    def json_value(self, at: str, sign: str, value: Value, params: list[Any]) -> str:
        """A comparison of the value of one row of OPENJSON."""
        if value is None or isinstance(value, bool):
            if sign != "=":
                return "0 = 1"
            if value is None:
                return f"{at}.[type] = 0"
            return f"{at}.[type] = 3 AND {at}.[value] = N'{str(value).lower()}'"
        if isinstance(value, (int, float)):
            bound = self.bound(params, float(value))
            return f"{at}.[type] = 2 AND TRY_CAST({at}.[value] AS FLOAT) {sign} {bound}"
        text = iso(value) if isinstance(value, datetime) else value
        exact = f"{at}.[value] COLLATE {BINARY}"
        if sign != "=":
            return f"{at}.[type] = 1 AND {exact} {sign} {self.bound(params, text)}"
        return f"{at}.[type] = 1 AND ({exact} + N'{END}') = {self.bound(params, text + END)}"
