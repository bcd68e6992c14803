"""Queries as what MongoDB is asked: a find, or an aggregation where one order needs several ranges.

MongoDB sorts absent values first, the contract says that they are the greatest. So an order by a column
that may be absent is two reads of the index, one behind the other, in one request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from mastra_core.storage.matching import sort_key
from mastra_core.storage.schema import Column, Order, Query, Row, Table, Value
from mastra_mongodb.conditions import Filter, conjunction, filtered, following
from mastra_mongodb.documents import Document, projection

Stage: TypeAlias = dict[str, Any]
# Fields that exist in a request only: which part of an order, which window, and whether absent.
PART: Final = "_part"
WINDOW: Final = "_window"
ABSENT: Final = "_absent_"


class Part(NamedTuple):
    """A range of the order: what it holds and how it is sorted within."""

    filter: Filter
    sort: dict[str, int]
    flags: tuple[str, ...] = ()


class Plan(NamedTuple):
    """What is asked for: the parts one behind the other, then skipped and cut."""

    parts: list[Part]
    columns: tuple[Column, ...]
    offset: int
    limit: int | None

    @property
    def projection(self) -> Document:
        """The fields that are needed."""
        return projection(self.columns)


def plan(table: Table, query: Query) -> Plan:
    """How the rows of a query are found."""
    names = query.columns or table.names
    columns = tuple([table.column(name) for name in names])
    given = {w.column: w.value for w in query.where if w.op == "eq" and not w.path}
    base = filtered(table, query.where)
    open_, last = _open(query.order, query.after, given)
    if open_ is None:
        return Plan([], columns, query.offset, query.limit)
    return Plan(_parts(table, base, open_, last), columns, query.offset, query.limit)


def _open(
    order: Order, after: Row | None, given: dict[str, Any]
) -> tuple[Order | None, Row | None]:
    """The order without the columns that have one value, and the place within it.

    ``None`` for the order says that no row comes behind the place.
    """
    open_: Order = tuple([(name, way) for name, way in order if name not in given])
    if after is None:
        return open_, None
    last: list[Value] = []
    for (name, way), seen in zip(order, after, strict=True):
        if name not in given:
            last.append(seen)
            continue
        here, there = sort_key(given[name]), sort_key(seen)
        if here != there:
            behind = here < there if way == "desc" else here > there
            # What comes before decides first; behind it all rows follow, or none.
            if not last:
                return (open_ if behind else None), None
            last.append(_ALL if behind else _NONE)
            break
    return (open_ if last else None), tuple(last)


class _Bound(str):
    """Stands for the rest of a place: all rows with what was seen before come behind it, or none."""

    __slots__ = ()


_ALL: Final = _Bound("all")
_NONE: Final = _Bound("none")


def _parts(table: Table, base: Filter, order: Order, last: Row | None) -> list[Part]:
    """The ranges of an order: of each first column that may be absent, with a value and without."""
    if last and isinstance(last[0], _Bound):
        if last[0] is _NONE:
            return []
        last = None
    if not order or not _may_be_absent(table, order[0][0]):
        return _one(table, base, order, last)
    (name, way), rest = order[0], order[1:]
    present = conjunction([base, {name: {"$ne": None}}])
    absent = conjunction([base, {name: None}])
    if last is None:
        with_value = _one(table, present, order, None)
        without = _parts(table, absent, rest, None)
    elif last[0] is None:
        with_value = _one(table, present, order, None) if way == "desc" else []
        without = _parts(table, absent, rest, last[1:])
    else:
        with_value = _one(table, present, order, last)
        without = _parts(table, absent, rest, None) if way == "asc" else []
    return without + with_value if way == "desc" else with_value + without


def _one(table: Table, base: Filter, order: Order, last: Row | None) -> list[Part]:
    """One range, whose first column is present in all of its rows."""
    sort: dict[str, int] = {}
    flags: list[str] = []
    for i, (name, way) in enumerate(order):
        if i and _may_be_absent(table, name):
            flags.append(name)
            sort[ABSENT + name] = 1 if way == "asc" else -1
        sort[name] = 1 if way == "asc" else -1
    if last is not None:
        behind = _behind(table, order, last)
        if not behind:
            return []
        base = conjunction([base, *behind])
    return [Part(base, sort, tuple(flags))]


def _behind(table: Table, order: Order, last: Row) -> list[Filter]:
    """The filters of the rows behind a place; none where nothing can be behind it."""
    choices: list[Filter] = []
    same: Filter = {}
    for i, seen in enumerate(last):
        if isinstance(seen, _Bound):
            if seen is _ALL:
                choices.append(same)
            break
        name, way = order[i]
        # The first column is present in all rows of a range, the others are asked.
        present = i == 0 or not _may_be_absent(table, name)
        choices += [{**same, **f} for f in _further(name, way, seen, present=present)]
        same = {**same, name: seen}
    if not choices:
        return []
    if {} in choices:
        return [{}]
    behind: Filter = choices[0] if len(choices) == 1 else {"$or": choices}
    bound = _outer(order, last) if len(choices) > 1 else None
    return [behind] if bound is None else [bound, behind]


def _further(name: str, way: str, seen: Value, *, present: bool) -> list[Filter]:
    """What one column must be to come behind a value; absent values are the greatest."""
    if way == "desc" and seen is None:
        return [{name: {"$ne": None}}]
    if way == "desc":
        # Nothing is not less than a value to MongoDB; an engine that the tests run on thinks so.
        return [{name: {"$lt": seen} if present else {"$lt": seen, "$ne": None}}]
    if seen is None:
        return []
    return [{name: {"$gt": seen}}] if present else [{name: {"$gt": seen}}, {name: None}]


def _outer(order: Order, last: Row) -> Filter | None:
    """The range of the first column that holds all of these choices: one scan of the index."""
    (name, way), seen = order[0], last[0]
    if seen is None or isinstance(seen, _Bound):
        return None
    end = following(seen)
    if way == "desc":
        return None if end is None else {name: {"$lt": end}}
    return {name: {"$gte": seen}}


def _may_be_absent(table: Table, name: str) -> bool:
    return table.by_name[name].nullable is not False and name not in table.key


def pipeline(table: Table, wanted: Plan) -> list[Stage]:
    """The aggregation that gives the rows of a plan in their order."""
    end = None if wanted.limit is None else wanted.offset + wanted.limit
    stages: list[Stage] = []
    for i, part in enumerate(wanted.parts):
        steps = _steps(part, i if len(wanted.parts) > 1 else None, end)
        stages += [{"$unionWith": {"coll": table.name, "pipeline": steps}}] if i else steps
    if len(wanted.parts) > 1:
        # A union promises no order; the parts are short by now.
        longest = max([part.sort for part in wanted.parts], key=len)
        stages.append({"$sort": {PART: 1, **longest}})
    if wanted.offset:
        stages.append({"$skip": wanted.offset})
    if wanted.limit is not None:
        stages.append({"$limit": wanted.limit})
    return [*stages, {"$project": wanted.projection}]


def _steps(part: Part, number: int | None, end: int | None) -> list[Stage]:
    flags: Document = {ABSENT + name: {"$lte": [f"${name}", None]} for name in part.flags}
    steps: list[Stage] = [{"$match": part.filter}]
    if flags:
        steps.append({"$addFields": flags})
    if part.sort:
        steps.append({"$sort": part.sort})
    if end is not None:
        steps.append({"$limit": end})
    if number is not None:
        steps.append({"$addFields": {PART: {"$literal": number}}})
    return steps


def windows(table: Table, plans: Sequence[Plan]) -> list[Stage]:
    """Several windows of one table in one aggregation; each row says of which it is."""
    stages: list[Stage] = []
    for number, wanted in enumerate(plans):
        if not wanted.parts:
            continue
        marked = {"$project": {**wanted.projection, WINDOW: {"$literal": number}}}
        steps = [*pipeline(table, wanted)[:-1], marked]
        stages += [{"$unionWith": {"coll": table.name, "pipeline": steps}}] if stages else steps
    return stages


def with_order(table: Table, query: Query) -> Query:
    """The query with the columns of its order, which put its rows into that order again."""
    names = query.columns or table.names
    extra = [name for name, _ in query.order if name not in names]
    return msgspec.structs.replace(query, columns=(*names, *extra)) if extra else query


def in_order_again(table: Table, query: Query, rows: list[Row]) -> list[Row]:
    """The rows of one window in order: a union of windows promises none."""
    names = query.columns or table.names
    columns = with_order(table, query).columns or table.names
    for name, way in reversed(query.order):
        at = columns.index(name)
        rows.sort(key=lambda row: sort_key(row[at]), reverse=way == "desc")
    return [row[: len(names)] for row in rows]
