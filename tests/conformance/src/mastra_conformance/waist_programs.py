"""Random sequences of waist operations, and their play on a backend beside the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec
from hypothesis import strategies as st

from mastra_conformance.lab import fresh
from mastra_conformance.rows import at, comparable, row
from mastra_core.errors import MastraError
from mastra_core.storage.backend import Backend
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.schema import (
    Advance,
    Change,
    Column,
    Delete,
    Direction,
    Merge,
    Operator,
    Order,
    Put,
    Query,
    Row,
    Table,
    Update,
    Value,
    Where,
    complete,
)
from mastra_core.storage.tables import EXPERIMENT_RESULTS, MESSAGES, SPANS

Conflict: TypeAlias = Literal["replace", "fail", "skip"]
TEXTS: Final = ("", "a", "A", "b", "a b", "é", "e\u0301", "\uffee", "😀", "%", "'", "null", "1")
JSON: Final = (
    "null",
    "{}",
    "[]",
    '"k"',
    '["a","b"]',
    '["a"]',
    '{"k":1}',
    '{"k":1.0}',
    '{"k":"1"}',
    '{"k":true}',
    '{"k":null}',
    '{"k":{"j":-0.0}}',
    '{"k":{"j":12345678901234567890}}',
    '{"k":9007199254740991}',
    '{"a.b":"😀","__proto__":1}',
    '{"k":[null,[],{}]}',
)
CONTENTS: Final = (*JSON, "", "plain", '{"k":')
PATHS: Final = (("k",), ("k", "j"), ("a.b",), ("__proto__",))
VALUES: Final = (None, True, False, 0, 1, 1.5, "1", "", "😀", "true", 2**53 - 1)
NAMES: Final = ("0", "1", "2", "3", "4", "A", "a", "é", "😀")


class Sheet(msgspec.Struct, frozen=True):
    """A table as programs use it: the column that keeps one program apart, and those that vary."""

    table: Table
    apart: str
    varying: tuple[str, ...]
    orders: tuple[tuple[str, ...], ...]


# Tables that the original makes refuse a second attempt at an item (``attempt`` is absent here).
SHEETS: Final = (
    Sheet(
        EXPERIMENT_RESULTS,
        "experimentId",
        (
            "itemId",
            "comment",
            "itemDatasetVersion",
            "retryCount",
            "tags",
            "metadata",
            "startedAt",
            "createdAt",
        ),
        (
            (),
            ("createdAt",),
            ("startedAt",),
            ("itemId", "attempt"),
            ("itemDatasetVersion",),
            ("comment",),
            ("comment", "itemDatasetVersion"),
        ),
    ),
    Sheet(
        SPANS,
        "traceId",
        ("name", "isEvent", "parentSpanId", "startedAt", "endedAt", "tags", "error", "runId"),
        ((), ("startedAt",), ("parentSpanId", "endedAt"), ("endedAt",), ("runId",), ("name",)),
    ),
    Sheet(
        MESSAGES,
        "resourceId",
        ("thread_id", "content", "role", "createdAt"),
        ((), ("createdAt",), ("thread_id", "createdAt"), ("role",)),
    ),
)


class Write(msgspec.Struct, frozen=True):
    """Changes in one write."""

    changes: tuple[tuple[Any, ...], ...]


class Read(msgspec.Struct, frozen=True):
    """Queries, found one by one, at once and counted."""

    sheet: int
    queries: tuple[Query, ...]


Step: TypeAlias = Write | Read


def _values(column: Column, *, absent: bool = True) -> st.SearchStrategy[Any]:
    """Values of one column, few enough to meet again."""
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "text": st.sampled_from(CONTENTS if column.name == "content" else TEXTS),
        "json": st.sampled_from(JSON),
        "timestamp": st.sampled_from([0, 1, 2, 3, -1, 86_399_999, -(10**12)]).map(at),
        "integer": st.sampled_from([0, 1, 2, -1, 10, 2**31 - 1, -(2**31)]),
        "boolean": st.booleans(),
    }
    found = kinds[column.type]
    return st.one_of(st.none(), found) if absent and column.nullable else found


@st.composite
def _rows(draw: st.DrawFn, sheet: Sheet) -> tuple[dict[str, Value], ...]:
    """Rows by what varies, without the same name twice."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True))
    varying = [sheet.table.column(name) for name in sheet.varying]
    return tuple([{"": name, **{c.name: draw(_values(c)) for c in varying}} for name in names])


@st.composite
def _where(draw: st.DrawFn, sheet: Sheet, *, reading: bool = True) -> Where:
    """A condition that the contract allows: no order on JSON, no path outside of it.

    Writes are conditional on columns as a whole; what looks into them is for reads.
    """
    table = sheet.table
    plain = [n for n in sheet.varying if reading or table.by_name[n].type != "json"]
    name = draw(st.sampled_from(("", *plain)))
    if name == "":
        op: Operator = draw(st.sampled_from(["eq", "ne", "in"]))
        return Where("", op, _listed(draw, op, st.sampled_from(NAMES)))
    column = table.column(name)
    if reading and (column.type == "json" or column.name == "content"):
        return draw(_json_where(column))
    operators: list[Operator] = ["eq", "ne", "in"]
    if column.type != "boolean":
        operators.extend(("lt", "lte", "gt", "gte"))
    if reading and column.type == "text":
        operators.append("icontains")
    op = draw(st.sampled_from(operators))
    present = _values(column, absent=op in {"eq", "ne"})
    return Where(name, op, _listed(draw, op, present))


def _listed(draw: st.DrawFn, op: str, values: st.SearchStrategy[Any]) -> Any:
    return tuple(draw(st.lists(values, max_size=3))) if op == "in" else draw(values)


@st.composite
def _json_where(draw: st.DrawFn, column: Column) -> Where:
    choice = draw(st.sampled_from(["absent", "members", "path", "range"]))
    if choice == "absent" and column.type == "json":
        return Where(column.name, draw(st.sampled_from(["eq", "ne"])), None)
    if choice == "members" and column.type == "json":
        members = st.lists(st.sampled_from(["a", "b", "k"]), max_size=2)
        op: Operator = draw(st.sampled_from(["has_all", "has_any"]))
        return Where(column.name, op, tuple(draw(members)))
    path = draw(st.sampled_from(PATHS))
    if choice == "range":
        bounds: list[Value] = [1, 0.5, "1", "z"]
        bound = draw(st.sampled_from(bounds))
        return Where(column.name, draw(st.sampled_from(["lt", "lte", "gt", "gte"])), bound, path)
    value = draw(st.sampled_from(VALUES))
    return Where(column.name, draw(st.sampled_from(["eq", "ne"])), value, path)


@st.composite
def _query(draw: st.DrawFn, sheet: Sheet) -> Query:
    way: Direction = draw(st.sampled_from(["asc", "desc"]))
    order: Order = tuple([(name, way) for name in draw(st.sampled_from(sheet.orders))])
    after = None
    if draw(st.booleans()):
        place = [
            draw(
                st.sampled_from(NAMES)
                if name in _named(sheet)
                else _values(sheet.table.column(name))
            )
            for name, _ in complete(sheet.table, order)
            if name != sheet.apart
        ]
        after = tuple(place)
    names = st.lists(st.sampled_from(sheet.varying), min_size=1, max_size=3, unique=True)
    return Query(
        where=tuple(draw(st.lists(_where(sheet), max_size=3))),
        order=order,
        limit=draw(st.sampled_from([None, 0, 1, 2, 3, 50])),
        offset=draw(st.sampled_from([0, 0, 0, 1, 3])),
        after=after,
        columns=tuple(draw(st.one_of(st.just([]), names))),
    )


def _named(sheet: Sheet) -> tuple[str, ...]:
    return tuple([name for name in sheet.table.key if name != sheet.apart])


@st.composite
def _change(draw: st.DrawFn) -> tuple[Any, ...]:
    number = draw(st.integers(0, len(SHEETS) - 1))
    sheet = SHEETS[number]
    kind = draw(st.sampled_from(["put", "put", "put", "update", "update", "delete"]))
    expect = draw(st.sampled_from([None, None, 0, 1, 2]))
    if kind == "put":
        return ("put", number, draw(_rows(sheet)), *draw(_merging(sheet)))
    where = tuple(draw(st.lists(_where(sheet, reading=False), max_size=2)))
    if kind == "delete":
        return ("delete", number, where, expect)
    values: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(sheet.varying), min_size=1, max_size=2, unique=True)):
        column = sheet.table.column(name)
        values[name] = draw(_values(column))
        if column.type == "timestamp" and draw(st.booleans()):
            values[name] = Advance(draw(_values(column, absent=False)))
    return ("update", number, where, tuple(values.items()), expect)


@st.composite
def _merging(draw: st.DrawFn, sheet: Sheet) -> tuple[Conflict, tuple[tuple[str, Merge], ...]]:
    conflict: Conflict = draw(st.sampled_from(["replace", "replace", "replace", "fail", "skip"]))
    rules: dict[str, Merge] = {}
    if conflict == "replace":
        names = st.lists(st.sampled_from(sheet.varying), max_size=3, unique=True)
        for name in draw(names):
            column = sheet.table.column(name)
            choices: list[Merge] = ["keep", "coalesce"]
            if column.type == "timestamp" and column.nullable is False:
                choices.extend(("advance", "advance"))
            if column.type != "json":
                choices.append("match")
            rules[name] = draw(st.sampled_from(choices))
    return conflict, tuple(rules.items())


@st.composite
def _read(draw: st.DrawFn) -> Read:
    number = draw(st.integers(0, len(SHEETS) - 1))
    queries = draw(st.lists(_query(SHEETS[number]), min_size=1, max_size=3))
    return Read(number, tuple(queries))


def waist_programs() -> st.SearchStrategy[list[Step]]:
    """Programs of writes and reads."""
    writes = st.lists(_change(), min_size=1, max_size=3).map(lambda c: Write(tuple(c)))
    return st.lists(st.one_of(writes, _read()), min_size=1, max_size=12)


class WaistPlayer:
    """Plays programs on a backend and on the reference; their answers must be the same."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    async def play(self, program: Sequence[Step]) -> None:
        """One program, on rows of its own, with a look at all of them at its end."""
        apart, reference = fresh("program"), InMemoryBackend()
        for step in program:
            if isinstance(step, Write):
                changes = [_bound_change(change, apart) for change in step.changes]
                await self._both(reference, "write", changes)
            else:
                table = SHEETS[step.sheet].table
                queries = [_bound_query(SHEETS[step.sheet], q, apart) for q in step.queries]
                await self._both(reference, "find_many", table, queries)
                for query in queries:
                    await self._both(reference, "find", table, query)
                    await self._both(reference, "count", table, query.where)
        for sheet in SHEETS:
            whole = Query(where=(Where(sheet.apart, "eq", apart),))
            await self._both(reference, "find", sheet.table, whole)

    async def _both(self, reference: Backend, operation: str, *arguments: Any) -> None:
        wanted = await _outcome(reference, operation, *arguments)
        found = await _outcome(self.backend, operation, *arguments)
        if wanted[0] == found[0] == "ConflictError" and found[1] is None:
            return
        text = ("the answers differ", operation, "adapter", found, "reference", wanted)
        assert found == wanted, text


async def _outcome(backend: Backend, operation: str, *arguments: Any) -> tuple[str, Any]:
    try:
        if operation == "write":
            return "written", await backend.write(*arguments[0])
        if operation == "count":
            return "counted", await backend.count(*arguments)
        if operation == "find":
            table, query = arguments
            return "found", [
                comparable(table, r, query.columns) for r in await backend.find(*arguments)
            ]
        table, queries = arguments
        answers = await backend.find_many(table, queries)
        return "found", [
            [comparable(table, r, query.columns) for r in rows]
            for query, rows in zip(queries, answers, strict=True)
        ]
    except MastraError as error:
        return type(error).__name__, getattr(error, "change", None)


def _bound_change(change: tuple[Any, ...], apart: str) -> Change:
    """The change on the rows of one program."""
    kind, number, *rest = change
    sheet = SHEETS[int(number)]
    if kind == "put":
        given, conflict, merge = rest
        return Put(sheet.table, [_bound_row(sheet, r, apart) for r in given], conflict, dict(merge))
    where = _bound_where(sheet, rest[0], apart)
    if kind == "delete":
        return Delete(sheet.table, where, rest[1])
    return Update(sheet.table, where, dict(rest[1]), rest[2])


def _bound_row(sheet: Sheet, given: dict[str, Value], apart: str) -> Row:
    values = {name: value for name, value in given.items() if name}
    values |= {name: _name(sheet, str(given[""]), apart) for name in _named(sheet)}
    return row(sheet.table, **{**values, sheet.apart: apart})


def _name(sheet: Sheet, name: str, apart: str) -> str:
    return name if sheet.apart in sheet.table.key else f"{name}!{apart}"


def _bound_where(sheet: Sheet, given: Sequence[Where], apart: str) -> tuple[Where, ...]:
    (own,) = _named(sheet)
    bound = [Where(sheet.apart, "eq", apart)]
    for where in given:
        if where.column:
            bound.append(where)
        elif where.op == "in":
            names: Any = where.value
            bound.append(Where(own, "in", tuple([_name(sheet, n, apart) for n in names])))
        else:
            bound.append(Where(own, where.op, _name(sheet, str(where.value), apart)))
    return tuple(bound)


def _bound_query(sheet: Sheet, query: Query, apart: str) -> Query:
    after = None
    if query.after is not None:
        place = iter(query.after)
        after = tuple(
            [
                apart
                if name == sheet.apart
                else _name(sheet, str(next(place)), apart)
                if name in _named(sheet)
                else next(place)
                for name, _ in complete(sheet.table, query.order)
            ]
        )
    where = _bound_where(sheet, query.where, apart)
    return msgspec.structs.replace(query, where=where, after=after)
