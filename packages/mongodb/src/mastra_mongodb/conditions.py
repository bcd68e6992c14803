"""Conditions as MongoDB's filters: values are literals, never expressions, paths or operators."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias, cast

from mastra_core.clock import MILLISECOND
from mastra_core.errors import InvalidArgumentError
from mastra_core.storage.schema import Column, Table, Value, Where
from mastra_mongodb.documents import EXACT, INT64, keeps_null, stored_json

Filter: TypeAlias = dict[str, Any]

NOTHING: Final[Filter] = {"_id": {"$in": []}}
RANGES: Final = ("lt", "lte", "gt", "gte")
# Documents have at most a hundred levels, and what is deeper than some is stored as text.
DEEP: Final = 50


class Native(NamedTuple):
    """In a condition: a JSON value as it was read from the database, to be compared as it is."""

    value: Any


def pushes(table: Table, where: Where) -> bool:
    """Whether the database applies a condition with just the meaning that it has here."""
    column = table.column(where.column)
    if where.op == "icontains":
        return False
    if where.path:
        return column.type == "json" and _pushes_path(where)
    if where.op in {"has_all", "has_any"}:
        return column.type == "json"
    if column.type != "json":
        return True
    return where.op == "eq" or (where.op == "ne" and where.value is None)


def _pushes_path(where: Where) -> bool:
    value = where.value
    plain = all(key.isascii() and key.isidentifier() for key in where.path)
    if where.op not in {"eq", "ne", *RANGES} or not plain or len(where.path) > DEEP:
        return False
    if isinstance(value, (int, float)) and not abs(value) < INT64:
        return False
    return value is None or isinstance(value, (bool, int, float, str))


def filtered(table: Table, conditions: Sequence[Where]) -> Filter:
    """All conditions as one filter."""
    parts = [condition(table, where) for where in conditions]
    return conjunction(parts)


def conjunction(parts: Sequence[Filter]) -> Filter:
    """Filters joined by AND."""
    merged: Filter = {}
    for part in parts:
        for name, test in part.items():
            stored: Any = merged.get(name, test)
            if stored is test:
                merged[name] = test
            elif _mergeable(name, stored, test):
                merged[name] = {**stored, **test}
            else:
                return {"$and": list(parts)}
    return merged


def _mergeable(name: str, one: Any, other: Any) -> bool:
    """Whether two tests of a field can stand in one, as the bounds of a range do."""
    both = isinstance(one, dict) and isinstance(other, dict) and not name.startswith("$")
    return both and not cast("Filter", one).keys() & cast("Filter", other).keys()


def condition(table: Table, where: Where) -> Filter:
    """One condition as a filter."""
    column = table.column(where.column)
    if not pushes(table, where):
        raise InvalidArgumentError(
            f"{where.op} of {where.column} cannot be a condition of a write to {table.name}"
        )
    if where.path:
        return _at_path(column.name, where)
    if where.op in {"has_all", "has_any"}:
        return _members(column.name, where)
    if column.type == "json":
        found = _json(table, column, where.value)
        return found if where.op == "eq" else {"$nor": [found]}
    return _scalar(column, where)


def _scalar(column: Column, where: Where) -> Filter:
    name, value = column.name, where.value
    if where.op == "in":
        return {name: {"$in": list(cast("tuple[Value, ...]", value))}}
    if where.op == "eq":
        return {name: value}
    if where.op == "ne":
        return {name: {"$ne": value}}
    if value is None:
        return NOTHING
    bound = following(value)
    test: Filter = {f"${where.op}": value}
    if where.op == "lte" and bound is not None:
        test = {"$lt": bound}
    if "$gte" not in test and "$gt" not in test:
        # No value is absent from a range to MongoDB; an engine that the tests run on thinks so.
        test["$ne"] = None
    return {name: test}


def following(value: Any) -> Any:
    """The value behind this one, where there is none between: half-open ranges are the usual form.

    (An engine that the tests run on loses the rows that are equal to an inclusive upper bound.)
    """
    if isinstance(value, datetime):
        return value + MILLISECOND
    if isinstance(value, int) and not isinstance(value, bool) and value < INT64 - 1:
        return value + 1
    return None


def _json(table: Table, column: Column, value: object) -> Filter:
    """A JSON column has a value, or is absent."""
    name, exact = column.name, EXACT + column.name
    if isinstance(value, Native):
        return _equal(f"${name}", value.value)
    null = keeps_null(table, column)
    if value is None:
        if null:
            return {name: {"$exists": False}}
        return {"$expr": {"$lte": [f"${name}", None]}, exact: {"$ne": "null"}}
    given, whole = stored_json(table, column, cast("str", value))
    if given is None:
        kept = {name: {"$type": "null"}}
        return kept if null else {"$expr": {"$lte": [f"${name}", None]}, exact: value}
    found = _equal(f"${name}", given)
    return found if whole else {**found, exact: value}


def _equal(term: str, value: Any) -> Filter:
    # Not {name: value}, which is also true of a list that has the value in it.
    return {"$expr": {"$eq": [term, {"$literal": value}]}}


def _members(name: str, where: Where) -> Filter:
    wanted = list(cast("tuple[Value, ...]", where.value))
    if where.op == "has_any":
        return {name: {"$type": "array", "$in": wanted}}
    return {name: {"$type": "array", "$all": wanted}} if wanted else {name: {"$type": "array"}}


def _at_path(name: str, where: Where) -> Filter:
    """A comparison inside a JSON column, strict about types.

    The keys are names without dots and dollars; what is on the way to a key must be an object, since
    a path goes into the members of a list too.
    """
    steps = [f"${'.'.join((name, *where.path[:i]))}" for i in range(len(where.path) + 1)]
    tests: list[Any] = [{"$eq": [{"$type": step}, "object"]} for step in steps[:-1]]
    return {"$expr": {"$and": [*tests, _comparison(steps[-1], where.op, where.value)]}}


def _comparison(term: str, op: str, value: object) -> Any:
    kind = {"$type": term}
    if value is None:
        if op not in {"eq", "ne"}:
            return False
        other = {"$and": [{"$ne": [kind, "null"]}, {"$ne": [kind, "missing"]}]}
        return {"$eq": [kind, "null"]} if op == "eq" else other
    if op == "eq":
        return {"$eq": [term, {"$literal": value}]}
    if op == "ne":
        return {"$and": [{"$ne": [kind, "missing"]}, {"$ne": [term, {"$literal": value}]}]}
    if isinstance(value, bool):
        alike: Any = {"$eq": [kind, "bool"]}
    else:
        alike = {"$eq": [kind, "string"]} if isinstance(value, str) else {"$isNumber": term}
    return {"$and": [alike, {f"${op}": [term, {"$literal": value}]}]}


def any_of(filters: Sequence[Filter]) -> Filter:
    """Any of several keys; those that differ in one field as a list, which every server reads by its index."""
    first = filters[0]
    alike = all(each.keys() == first.keys() for each in filters)
    differing = [name for name in first if any(each.get(name) != first[name] for each in filters)]
    if not alike or len(differing) != 1:
        return {"$or": list(filters)}
    (name,) = differing
    return {**first, name: {"$in": [each[name] for each in filters]}}
