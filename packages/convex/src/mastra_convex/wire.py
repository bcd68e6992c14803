"""Queries, changes and rows as the functions take and return them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from convex.values import ConvexInt64

from mastra_core.clock import from_isos, iso
from mastra_core.errors import InvalidArgumentError, UnsupportedError
from mastra_core.storage.matching import sort_key
from mastra_core.storage.schema import (
    Advance,
    Change,
    ColumnType,
    Put,
    Query,
    Row,
    Table,
    Update,
    Value,
    Where,
)

# Integers beyond are not exact as JavaScript's numbers.
EXACT: Final = 2**53
INT64: Final = 2**63
PUSHED: Final = frozenset({"eq", "ne", "lt", "lte", "gt", "gte", "in"})
# More rows than any query has.
EVERYTHING: Final = 10**9


def pushes(where: Where) -> bool:
    """Whether the functions apply a condition: all but those that look into lists and texts."""
    if where.op not in PUSHED:
        return False
    if not where.path:
        return True
    values = where.value if isinstance(where.value, tuple) else (where.value,)
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    return all(-EXACT < number < EXACT for number in numbers)


def _encode(kind: ColumnType, value: Value) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, datetime):
        return iso(value)
    if kind in {"integer", "bigint"} and isinstance(value, int):
        return ConvexInt64(value)
    if isinstance(value, int) and not -EXACT <= value <= EXACT:
        return float(value)
    return value


def _sent(table: Table, name: str, value: Value) -> Any:
    kind = table.column(name).type
    if kind in {"integer", "bigint"} and isinstance(value, float) and value.is_integer():
        value = int(value)
    if kind in {"integer", "bigint"} and isinstance(value, int) and not -INT64 <= value < INT64:
        raise InvalidArgumentError(f"{name} must fit in 64 bits, {value} does not")
    return _encode(kind, value)


def conditions(table: Table, where: Iterable[Where]) -> list[dict[str, Any]]:
    """Conditions, for the functions."""
    found: list[dict[str, Any]] = []
    for one in where:
        if not pushes(one):
            raise UnsupportedError(f"{one.op} on {one.column} cannot be a condition of a write")
        kind: ColumnType = "float" if one.path else table.column(one.column).type
        if isinstance(one.value, tuple):
            value: Any = [_encode(kind, member) for member in one.value]
        else:
            value = _encode(kind, one.value)
        described: dict[str, Any] = {"column": one.column, "op": one.op, "value": value}
        found.append({**described, "path": list(one.path)} if one.path else described)
    return found


def written(given: Sequence[Change]) -> list[dict[str, Any]]:
    """The changes of a write, for the mutation."""
    return [_put(change) if isinstance(change, Put) else _other(change) for change in given]


def _put(put: Put) -> dict[str, Any]:
    table = put.table
    columns: list[list[Any]] = (
        [
            [_sent(table, name, value) for value in values]
            for name, values in zip(table.names, zip(*put.rows, strict=True), strict=True)
        ]
        if put.rows
        else []
    )
    return {
        "kind": "put",
        "table": table.name,
        "rows": [list(row) for row in zip(*columns, strict=True)],
        "conflict": put.on_conflict,
        "merge": [{"column": name, "rule": rule} for name, rule in put.merge.items()],
    }


def _other(change: Any) -> dict[str, Any]:
    table: Table = change.table
    described: dict[str, Any] = {
        "kind": "update" if isinstance(change, Update) else "delete",
        "table": table.name,
        "where": conditions(table, change.where),
        "expect": change.expect,
    }
    if isinstance(change, Update):
        described["set"] = [
            {
                "column": name,
                "value": _sent(table, name, value.at if isinstance(value, Advance) else value),
                "advance": isinstance(value, Advance),
            }
            for name, value in change.values.items()
        ]
    return described


class Reading:
    """One query: asked until it is done, then its rows."""

    def __init__(self, table: Table, query: Query) -> None:
        self._table = table
        self._query = query
        self._asked = query.columns or table.names
        order = [name for name, _ in query.order if name not in self._asked]
        self._columns = (*self._asked, *order)
        self._rows: list[Row] = []
        self._sorted = True
        self._next: Mapping[str, Any] | None = None
        self.done = False

    def asked(self) -> dict[str, Any]:
        """The query as the function takes it."""
        table, query = self._table, self._query
        limit = EVERYTHING if query.limit is None else query.limit
        described: dict[str, Any] = {
            "table": table.name,
            "columns": list(self._columns),
            "where": conditions(table, query.where),
            "order": [{"column": name, "desc": way == "desc"} for name, way in query.order],
            "limit": limit - len(self._rows) if self._sorted else limit,
            "offset": query.offset,
        }
        if query.after is not None:
            pairs = zip(query.order, query.after, strict=True)
            described["after"] = [_sent(table, name, value) for (name, _), value in pairs]
        return described if self._next is None else {**described, "from": self._next}

    def take(self, answer: Mapping[str, Any]) -> None:
        """Note what the function answered, and where it goes on."""
        self._sorted = bool(answer["sorted"])
        self._rows += decoded(self._table, self._columns, answer["rows"])
        self._next = answer["next"]
        self.done = self._next is None
        if not self._sorted:
            self._keep_best()

    def _keep_best(self) -> None:
        """What can still be wanted of the rows so far, where no index has the order."""
        query = self._query
        for name, way in reversed(query.order):
            i = self._columns.index(name)
            self._rows.sort(key=lambda row: sort_key(row[i]), reverse=way == "desc")
        if query.limit is not None:
            del self._rows[query.offset + query.limit :]

    def rows(self) -> list[Row]:
        """The rows of the query, of the columns asked for."""
        found = self._rows if self._sorted else self._rows[self._query.offset :]
        if len(self._columns) == len(self._asked):
            return found
        return [row[: len(self._asked)] for row in found]


def _integer(value: Any) -> Value:
    return None if value is None else int(getattr(value, "value", value))


def _identity(values: Sequence[Any]) -> Sequence[Value]:
    return values


_DECODE: Final[Mapping[ColumnType, Callable[[Sequence[Any]], Sequence[Value]]]] = {
    "timestamp": from_isos,
    "integer": lambda values: [_integer(value) for value in values],
    "bigint": lambda values: [_integer(value) for value in values],
}


def decoded(table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[Row]:
    """Rows of the functions as rows of the waist."""
    if not rows:
        return []
    found = [
        _DECODE.get(table.column(name).type, _identity)(values)
        for name, values in zip(columns, zip(*rows, strict=True), strict=True)
    ]
    return cast("list[Row]", list(zip(*found, strict=True)))
