"""Which way to read: from the conditions and the order of a query to parts of partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import product
from typing import Final, cast

import msgspec

from mastra_core.storage.schema import Column, Order, Row, Table, Value, Where
from mastra_dynamodb.layout import TableLayout
from mastra_dynamodb.sources import Bound, Source, Span

# How many parts one query may read, and how many rows it may ask for by their keys.
MOST_SPANS: Final = 200
MOST_KEYS: Final = 10_000
RANGES: Final = frozenset({"lt", "lte", "gt", "gte"})


class Access(msgspec.Struct, frozen=True):
    """What to read of which source.

    ``ordered``: each part has its rows in the query's order (from its end where ``down``), as far
    as the source has one.
    ``exact``: all rows that are there meet the conditions, and no others do.
    """

    source: Source
    spans: tuple[Span, ...]
    ordered: bool
    down: bool
    exact: bool


def fits(column: Column, value: object) -> bool:
    """Whether a value of this type can be in the column, so that a key can be made of it."""
    if value is None:
        return column.nullable is not False
    match column.type:
        case "text":
            return isinstance(value, str)
        case "timestamp":
            return isinstance(value, datetime)
        case "boolean":
            return isinstance(value, bool)
        case "integer" | "bigint":
            whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            return whole and not isinstance(value, bool)
        case _:
            return False


def pinned(table: Table, where: Sequence[Where]) -> dict[str, tuple[Value, ...]]:
    """The columns that have one of a few values, with these: by equality, or by a list."""
    found: dict[str, tuple[Value, ...]] = {}
    for condition in where:
        column = table.column(condition.column)
        if condition.path or condition.op not in {"eq", "in"}:
            continue
        given = condition.value
        values = given if isinstance(given, tuple) else (given,)
        values = tuple(dict.fromkeys([v for v in values if fits(column, v)]))
        if condition.op == "in":
            # Absent is in no list.
            values = tuple([value for value in values if value is not None])
        if column.name not in found or len(values) < len(found[column.name]):
            found[column.name] = values
    return found


def keys_of(table: Table, where: Sequence[Where]) -> list[Row] | None:
    """The keys that rows can have, if conditions on all columns of the key leave few enough."""
    given = pinned(table, where)
    if not all(name in given for name in table.key):
        return None
    count = 1
    for name in table.key:
        count *= len(given[name])
    return list(product(*(given[name] for name in table.key))) if count <= MOST_KEYS else None


def choose(
    layout: TableLayout, where: Sequence[Where], order: Order, after: Row | None
) -> Access | None:
    """The best way to read; ``None`` where only a reading of everything is left.

    Best is what pins most columns, then what has the order, then what was declared first.
    """
    given = pinned(layout.table, where)
    best: tuple[tuple[int, int, bool], Access] | None = None
    for source in layout.sources:
        fixed = _fixed(source, given)
        if len(fixed) < source.hashed:
            continue
        access = _access(source, fixed, where, order, after)
        present = sum(values != (None,) for values in fixed)
        rank = (present, len(fixed), access.ordered)
        if best is None or rank > best[0]:
            best = rank, access
    return best[1] if best else None


def _fixed(source: Source, given: Mapping[str, tuple[Value, ...]]) -> list[tuple[Value, ...]]:
    """The values of the source's first columns, as far as they are pinned."""
    fixed: list[tuple[Value, ...]] = []
    count = 1
    columns = source.columns[: source.hashed] if source.foreign else source.columns
    for column in columns:
        if column.name not in given:
            break
        count *= len(given[column.name])
        if count > MOST_SPANS and len(fixed) >= source.hashed:
            break
        fixed.append(given[column.name])
    return fixed


def _access(
    source: Source,
    fixed: Sequence[tuple[Value, ...]],
    where: Sequence[Where],
    order: Order,
    after: Row | None,
) -> Access:
    names = [column.name for column in source.columns]
    pins = names[: len(fixed)]
    directions = {direction for name, direction in order if name not in pins}
    wanted = [name for name, _ in order if name not in pins]
    rest = names[len(fixed) :]
    known = wanted if source.complete else wanted[: len(rest)]
    ordered = (
        len(directions) < 2 and rest[: len(known)] == known and (source.complete or bool(rest))
    )
    low, high, used = _range(source, len(fixed), where)
    consumed = [w for w in where if w.op in {"eq", "in"} and not w.path and w.column in pins]
    # Two conditions on one column: the key is made from one of them only.
    exact = (
        source.complete
        and len(consumed) + used == len(where)
        and len({w.column for w in consumed}) == len(consumed)
    )
    down = directions == {"desc"}
    spans: list[Span] = []
    for prefix in product(*fixed):
        behind = None
        if after is not None and ordered:
            behind = _behind(source, prefix, order, after, down=down)
        spans.append(source.span(prefix, low, high, behind))
    return Access(source, tuple([s for s in spans if not s.empty]), ordered, down, exact)


def _range(
    source: Source, fixed: int, where: Sequence[Where]
) -> tuple[Bound | None, Bound | None, int]:
    """The range of the column behind the fixed ones, and how many conditions it is made of."""
    low: Bound | None = None
    high: Bound | None = None
    if fixed >= len(source.columns):
        return low, high, 0
    column = source.columns[fixed]
    for condition in where:
        value = cast("Value", condition.value)
        mine = condition.column == column.name and condition.op in RANGES and not condition.path
        if not mine or value is None or not fits(column, value):
            continue
        bound = Bound(value, condition.op in {"lte", "gte"})
        if condition.op in {"gt", "gte"}:
            low = low or bound
        else:
            high = high or bound
    return low, high, (low is not None) + (high is not None)


def _behind(
    source: Source, prefix: Row, order: Order, after: Row, *, down: bool
) -> tuple[Row, bool] | None:
    """The place of a row in one part: its columns there, as far as the order names them."""
    last = {name: value for (name, _), value in zip(order, after, strict=True)}
    names = [column.name for column in source.columns]
    pins = dict(zip(names, prefix, strict=False))
    if any(last.get(name, value) != value for name, value in pins.items()):
        return None  # A place that no row here has: each row is compared with it by itself.
    values: list[Value] = []
    for column in source.columns[source.hashed :]:
        name = column.name
        if name in last and fits(column, last[name]):
            values.append(last[name])
        elif name in pins:
            values.append(pins[name])
        else:
            break
    if source.complete and len(values) < len(names) - source.hashed:
        return None
    return tuple(values), down
