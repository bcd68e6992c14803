"""What the conditions of a query mean, in Python: for backends whose database cannot apply them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from mastra_core.errors import CorruptDataError
from mastra_core.storage.codec import from_json
from mastra_core.storage.schema import Row, Table, Value, Where

_ABSENT = object()


def kind_of(value: object) -> type:
    """What counts as the same type: a boolean is no number, all numbers are one kind."""
    if isinstance(value, bool):
        return bool
    return float if isinstance(value, (int, float)) else type(value)


def same(a: object, b: object) -> bool:
    """Whether two values are equal as stored JSON is: ``1 == 1.0``, but neither is ``True``."""
    return kind_of(a) is kind_of(b) and a == b


def _json(text: Any) -> Any:
    """The value of JSON text; a text column may also hold what is no JSON, which equals nothing."""
    if not isinstance(text, str):
        return _ABSENT
    try:
        return from_json(text)
    except CorruptDataError:
        return _ABSENT


def _at(text: Any, path: Sequence[str]) -> Any:
    value = _json(text)
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return _ABSENT
        value = cast("dict[str, Any]", value)[key]
    return value


def _ordered(op: str, a: Any, b: Any) -> bool:
    if a is None or b is None or kind_of(a) is not kind_of(b):
        return False
    if op == "lt":
        return bool(a < b)
    if op == "lte":
        return bool(a <= b)
    return bool(a > b) if op == "gt" else bool(a >= b)


def _holds(where: Where, value: Any) -> bool:
    wanted = where.value
    match where.op:
        case "eq":
            return same(value, wanted)
        case "ne":
            return value is not _ABSENT and not same(value, wanted)
        case "in":
            return any(same(value, w) for w in cast("tuple[Value, ...]", wanted))
        case "icontains":
            return isinstance(value, str) and str(wanted).casefold() in value.casefold()
        case "has_all" | "has_any":
            members = _json(value)
            if not isinstance(members, list):
                return False
            found = [w in members for w in cast("tuple[Value, ...]", wanted)]
            return all(found) if where.op == "has_all" else any(found)
        case op:
            return _ordered(op, value, wanted)


def matches(table: Table, conditions: Sequence[Where], columns: Sequence[str], row: Row) -> bool:
    """Whether a row of these columns meets all conditions."""
    for where in conditions:
        value: Any = (
            row[columns.index(where.column)] if columns else row[table.positions[where.column]]
        )
        if where.path:
            value = _at(value, where.path)
        if not _holds(where, value):
            return False
    return True


def sort_key(value: Value) -> tuple[bool, str | int | float | datetime]:
    """Orders values of one column with the absent ones last."""
    return (True, 0) if value is None else (False, value)


def after(row: Sequence[Value], last: Sequence[Value], descending: Sequence[bool]) -> bool:
    """Whether a row's order values come behind those of the last row seen."""
    for value, seen, down in zip(row, last, descending, strict=True):
        a, b = sort_key(value), sort_key(seen)
        if a != b:
            return a < b if down else a > b
    return False
