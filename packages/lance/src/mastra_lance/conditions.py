"""Conditions and keyset windows of the waist as filters of LanceDB."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from mastra_core.storage.matching import kind_of
from mastra_core.storage.schema import ColumnType, Order, Row, Table, Value, Where
from mastra_lance.literals import listed, literal, name

COMPARISONS: Final[Mapping[str, str]] = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
# What LanceDB compares by itself; the rest is applied to pages.
PUSHED: Final = frozenset({"eq", "ne", "in", *COMPARISONS})
KINDS: Final[Mapping[ColumnType, type]] = {
    "integer": float,
    "bigint": float,
    "float": float,
    "boolean": bool,
    "text": str,
    "json": str,
}


def pushes(where: Where) -> bool:
    """Whether a condition can be a filter."""
    return not where.path and where.op in PUSHED


def all_of(parts: Iterable[str]) -> str:
    """Filters joined by AND; empty where there is none."""
    return " AND ".join([part for part in parts if part])


def condition(table: Table, where: Where) -> str:
    """One condition as a filter, which is true, false, or unknown of an absent value."""
    column = table.column(where.column)
    if where.op == "in":
        return _member(column.name, column.type, cast("tuple[Value, ...]", where.value))
    value = cast("Value", where.value)
    if where.op == "eq":
        return _equal(column.name, column.type, value)
    if where.op == "ne":
        return _different(column.name, column.type, value)
    if value is None or _foreign(column.type, value):
        return "false"
    return f"{name(column.name)} {COMPARISONS[where.op]} {literal(value)}"


def conditions(table: Table, wheres: Sequence[Where]) -> str:
    """All conditions as one filter; empty where there is none."""
    return all_of([condition(table, where) for where in wheres])


def behind(order: Order, last: Row) -> str:
    """What comes behind a row in an order, where absent values are the greatest."""
    branches: list[str] = []
    equal: list[str] = []
    for (column, direction), value in zip(order, last, strict=True):
        beyond = _beyond(column, value, down=direction == "desc")
        if beyond:
            branches.append(all_of([*equal, beyond]))
        equal.append(_is(column, value))
    if not branches:
        return "false"
    # The first column bounds all branches, so that its index can be used.
    return all_of([_bound(order, last), "(" + " OR ".join(branches) + ")"])


def keys_among(table: Table, keys: Sequence[Row]) -> str:
    """A filter that all rows with these keys meet, and others only where a key has several columns."""
    return all_of(
        [
            f"{name(column)} IN {listed(dict.fromkeys([key[i] for key in keys]))}"
            for i, column in enumerate(table.key)
        ]
    )


def member(column: str, values: Iterable[Value]) -> str:
    """A filter that a column has one of some values, of which there is one at least."""
    return f"{name(column)} IN {listed(values)}"


def _foreign(kind: ColumnType, value: Value) -> bool:
    """Whether a value is of a kind that the column never holds."""
    wanted = KINDS.get(kind)
    return wanted is not None and kind_of(value) is not wanted


def _is(column: str, value: Value) -> str:
    return f"{name(column)} IS NULL" if value is None else f"{name(column)} = {literal(value)}"


def _equal(column: str, kind: ColumnType, value: Value) -> str:
    if value is None and kind == "json":
        # The original writes an empty text where there is nothing.
        return f"({name(column)} IS NULL OR {name(column)} = {literal('')})"
    if value is not None and _foreign(kind, value):
        return "false"
    return _is(column, value)


def _different(column: str, kind: ColumnType, value: Value) -> str:
    if value is None:
        return f"NOT ({_equal(column, kind, None)})"
    if _foreign(kind, value):
        return "true"
    return f"({name(column)} <> {literal(value)} OR {name(column)} IS NULL)"


def _member(column: str, kind: ColumnType, values: Sequence[Value]) -> str:
    given = [value for value in values if value is not None and not _foreign(kind, value)]
    parts = [f"{name(column)} IN {listed(given)}"] if given else []
    parts += [f"{name(column)} IS NULL"] if None in values else []
    return f"({' OR '.join(parts)})" if parts else "false"


def _beyond(column: str, value: Value, *, down: bool) -> str:
    if value is None:
        return f"{name(column)} IS NOT NULL" if down else ""
    if down:
        return f"{name(column)} < {literal(value)}"
    return f"({name(column)} > {literal(value)} OR {name(column)} IS NULL)"


def _bound(order: Order, last: Row) -> str:
    (column, direction), value = order[0], last[0]
    if value is None:
        return f"{name(column)} IS NULL" if direction == "asc" else ""
    if direction == "desc":
        return f"{name(column)} <= {literal(value)}"
    return f"({name(column)} >= {literal(value)} OR {name(column)} IS NULL)"
