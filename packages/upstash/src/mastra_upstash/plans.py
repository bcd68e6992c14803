"""Queries and changes as the scripts take them: which sets to walk, what to compare, what to set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product, takewhile
from typing import Any, Final, cast

import msgspec

from mastra_core.errors import InvalidArgumentError, UnsupportedError
from mastra_core.storage.schema import (
    Advance,
    Change,
    Put,
    Query,
    Update,
    Value,
    Where,
)
from mastra_upstash.layout import ABSENT, BEHIND, Layout, Ordered, coded, plain

# Integers beyond are not exact as Lua's numbers.
EXACT: Final = 2**53
RANGES: Final = frozenset({"lt", "lte", "gt", "gte"})
# More rows than any query has.
EVERYTHING: Final = 10**9


class Path(msgspec.Struct, frozen=True):
    """How rows are found: by their keys, or by ranges of one index.

    ``fixed`` is how many columns of the index each source has a value for. ``ordered`` says that
    the sources, merged, have the order asked for; ``single`` are the values that all rows share.
    ``rest`` are the conditions that this does not answer by itself.
    """

    rest: tuple[Where, ...]
    keys: tuple[tuple[str, ...], ...] | None = None
    index: Ordered | None = None
    fixed: int = 0
    sources: tuple[dict[str, Any], ...] = ()
    single: Mapping[str, Value] = {}
    ordered: bool = False


def pushes(where: Where) -> bool:
    """Whether the scripts apply a condition: all but those that look into lists and texts."""
    if not where.path:
        return where.op in {"eq", "ne", "in", *RANGES}
    if where.op not in {"eq", "ne"}:
        return False
    number = isinstance(where.value, (int, float)) and not isinstance(where.value, bool)
    return not number or -EXACT < cast("float", where.value) < EXACT


def condition(layout: Layout, where: Where) -> dict[str, Any]:
    """One condition on a row, for the scripts."""
    column = layout.table.column(where.column)
    kind = layout.kinds[column.name]
    found: dict[str, Any] = {"column": layout.fields[column.name], "op": where.op, "kind": kind}
    if not pushes(where):
        raise UnsupportedError(f"{where.op} on {where.column} cannot be a condition of a write")
    if where.path:
        value = cast("Value", where.value)
        inner = "s" if isinstance(value, str) else "f"
        literal = isinstance(value, bool) or value is None
        text = "null" if value is None else plain(value)
        return {
            **found,
            "path": where.path,
            "quoted": column.type == "json",
            "kind": "l" if literal else inner,
            "value": text,
        }
    if where.op == "in":
        values = cast("tuple[Value, ...]", where.value)
        return {
            **found,
            "value": [_compared(layout, column.name, v) for v in values if v is not None],
        }
    if where.value is None:
        return {**found, "op": {"eq": "absent", "ne": "present"}.get(where.op, "never")}
    return {**found, "value": _compared(layout, column.name, cast("Value", where.value))}


def _compared(layout: Layout, name: str, value: Value) -> str:
    kind = layout.kinds[name]
    if kind == "n":
        return coded("n", _whole(value))
    return format(cast("float", value), ".17g") if kind == "f" else plain(value)


def _whole(value: Value) -> Value:
    """A whole number for a column of them, also if it is given as a float."""
    if isinstance(value, float):
        if not value.is_integer():
            raise InvalidArgumentError(f"{value} is compared with a column of whole numbers")
        return int(value)
    return value


def conditions(layout: Layout, where: Iterable[Where]) -> list[dict[str, Any]]:
    """All conditions of a row, for the scripts."""
    return [condition(layout, each) for each in where]


def path(layout: Layout, query: Query) -> Path:
    """The way to the rows: by key where it is given, else by the index that narrows most."""
    table, where = layout.table, query.where
    for each in where:
        table.column(each.column)
    used: dict[str, Where] = {}
    for each in where:
        if not each.path and each.op in {"eq", "in"}:
            used.setdefault(each.column, each)
    given = {name: _choices(each) for name, each in used.items()}
    if all(key in given for key in table.key):
        choices = [[plain(v) for v in given[key] if v is not None] for key in table.key]
        answered = [used[key] for key in table.key]
        return Path(_without(where, answered), keys=tuple(product(*choices)))
    usable = [(*_usable(index, given, query), index) for index in layout.indexes]
    bound, ordered, index = max(usable, key=lambda one: one[:2])
    fixed = bound - bool(index.at)
    names = ((index.at,) if index.at else ()) + index.columns[:fixed]
    within = _within(index, fixed, where)
    return Path(
        _without(where, [*(used[name] for name in names), *within]),
        index=index,
        fixed=fixed,
        sources=tuple(_sources(layout, index, fixed, given, within)),
        single={name: values[0] for name, values in given.items() if len(values) == 1},
        ordered=ordered,
    )


def _choices(where: Where) -> tuple[Value, ...]:
    values = where.value if where.op == "in" else (where.value,)
    return tuple(dict.fromkeys(cast("tuple[Value, ...]", values)))


def _without(where: Sequence[Where], answered: Sequence[Where]) -> tuple[Where, ...]:
    return tuple([each for each in where if not any(each is one for one in answered)])


def _within(index: Ordered, fixed: int, where: Sequence[Where]) -> list[Where]:
    """The conditions that bound the first column that is not fixed."""
    column = index.columns[fixed : fixed + 1]
    return [
        w
        for w in where
        if not w.path and w.op in RANGES and w.column in column and w.value is not None
    ]


def _usable(index: Ordered, given: Mapping[str, Sequence[Value]], query: Query) -> tuple[int, bool]:
    """How many of the index's columns are given (-1: not its first), and if it has the order."""
    if index.at and index.at not in given:
        return -1, False
    bound = len(list(takewhile(given.__contains__, index.columns)))
    single = {name: values[0] for name, values in given.items() if len(values) == 1}
    wanted = [name for name, _ in query.order if name not in single]
    rest = [name for name in index.columns[bound:] if name not in single]
    ordered = rest[: len(wanted)] == wanted and len({way for _, way in query.order}) < 2
    if ordered and query.after is not None:
        # A place that no row of these can have: each row is compared with it by itself.
        last = zip([name for name, _ in query.order], query.after, strict=True)
        ordered = all(single.get(name, value) == value for name, value in last)
    return bound + bool(index.at), ordered


def _sources(
    layout: Layout,
    index: Ordered,
    fixed: int,
    given: Mapping[str, tuple[Value, ...]],
    within: Sequence[Where],
) -> Iterable[dict[str, Any]]:
    names = index.columns[:fixed]
    for partition in given[index.at] if index.at else (None,):
        for values in product(*(given[name] for name in names)):
            pairs = zip(names, values, strict=True)
            prefix = "".join([coded(layout.kinds[name], value) for name, value in pairs])
            low, high = _bounds(layout, prefix, within)
            yield {**_set(index, partition), "prefix": prefix, "low": low, "high": high}


def _set(index: Ordered, partition: Value) -> dict[str, Any]:
    """The end of the name of a set, and what a row in it has as the index's first column."""
    if not index.at:
        return {"set": "*", "spread": True}
    if partition is None:
        return {"set": "~", "spread": True}
    return {"set": f"={plain(partition)}", "spread": False, "partition": plain(partition)}


def _bounds(layout: Layout, prefix: str, within: Sequence[Where]) -> tuple[str, str]:
    """From where and to where (exclusively) the members of a source go; empty is without end."""
    low = prefix
    high = prefix[:-1] + BEHIND if prefix else ""
    for where in within:
        # Absent values are in no range, and stand behind all others.
        absent = prefix + ABSENT
        high = min(high or absent, absent)
        key = prefix + _key(layout, where)
        behind = key[:-1] + BEHIND
        if where.op in {"gt", "gte"}:
            low = max(low, behind if where.op == "gt" else key)
        else:
            high = min(high, behind if where.op == "lte" else key)
    return low, high


def _key(layout: Layout, where: Where) -> str:
    value = cast("Value", where.value)
    kind = layout.kinds[where.column]
    return coded(kind, _whole(value) if kind == "n" else value)


def windows(layout: Layout, way: Path, query: Query) -> list[dict[str, Any]]:
    """What the script reads for a query: one window where an index has the order, else several."""
    where = conditions(layout, way.rest)
    if way.keys is not None:
        return [{"keys": way.keys, "where": where}]
    assert way.index is not None
    desc = bool(query.order) and query.order[0][1] == "desc"
    common = {"index": way.index.id, "where": where, "desc": desc}
    if not way.ordered or query.limit is None:
        # Merged they would have no order in which every row has its own place.
        whole = {**common, "skip": 0, "limit": EVERYTHING}
        return [{**whole, "sources": [dict(source)]} for source in way.sources]
    sources = [dict(source) for source in way.sources]
    if query.after is not None:
        suffix = _suffix(layout, way, query)
        for source in sources:
            continue_behind(source, suffix, desc=desc)
    return [{**common, "sources": sources, "skip": query.offset, "limit": query.limit}]


def _suffix(layout: Layout, way: Path, query: Query) -> str:
    """The place of ``after`` behind the fixed columns of a source."""
    assert way.index is not None and query.after is not None  # noqa: PT018
    last = dict(zip([name for name, _ in query.order], query.after, strict=True))
    known = {**way.single, **last}
    names = takewhile(known.__contains__, way.index.columns[way.fixed :])
    return "".join([coded(layout.kinds[name], known[name]) for name in names])


def continue_behind(source: dict[str, Any], suffix: str, *, desc: bool) -> None:
    """Narrow a source to what comes behind a place in its order."""
    key = source["prefix"] + suffix
    if not key:
        return
    if desc:
        source["high"] = min(source["high"] or key, key)
    else:
        source["low"] = max(source["low"], key[:-1] + BEHIND)


def spelled(window: Mapping[str, Any]) -> dict[str, Any]:
    """The window with its bounds as Redis takes them."""
    if "keys" in window:
        return dict(window)
    sources = [
        {
            **source,
            "prefix": len(source["prefix"].encode()),
            "low": f"[{source['low']}" if source["low"] else "-",
            "high": f"({source['high']}" if source["high"] else "+",
        }
        for source in window["sources"]
    ]
    return {**window, "sources": sources}


def planned(
    layouts: Mapping[str, Layout], given: Sequence[Change]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The changes of a write for the script, and the texts of their rows, which are its arguments."""
    found: list[dict[str, Any]] = []
    texts: list[str] = []
    for change in given:
        layout = layouts[change.table.name]
        if isinstance(change, Put):
            first = len(texts) + 2
            texts += [layout.encoded(row) for row in change.rows]
            found.append(
                {
                    "op": "put",
                    "of": change.table.name,
                    "first": first,
                    "last": len(texts) + 1,
                    "on": change.on_conflict,
                    "merge": [_rule(layout, name, how) for name, how in change.merge.items()],
                }
            )
        else:
            found.append(_conditional(layout, change))
    return found, texts


def _rule(layout: Layout, name: str, how: str) -> list[str]:
    return [layout.fields[layout.table.column(name).name], how, layout.kinds[name]]


def _conditional(layout: Layout, change: Any) -> dict[str, Any]:
    way = path(layout, Query(where=change.where))
    found: dict[str, Any] = {
        "op": "update" if isinstance(change, Update) else "delete",
        "of": change.table.name,
        "where": conditions(layout, change.where),
    }
    if change.expect is not None:
        found["expect"] = change.expect
    if way.keys is not None:
        found["keys"] = way.keys
    elif way.index is not None:
        found["index"] = way.index.id
        found["sources"] = spelled({"sources": way.sources})["sources"]
    if isinstance(change, Update):
        found["set"] = [
            [layout.fields[layout.table.column(name).name], layout.token(name, value)]
            for name, value in change.values.items()
            if not isinstance(value, Advance)
        ]
        found["advance"] = [
            [layout.fields[layout.table.column(name).name], layout.token(name, value.at)]
            for name, value in change.values.items()
            if isinstance(value, Advance)
        ]
    return found
