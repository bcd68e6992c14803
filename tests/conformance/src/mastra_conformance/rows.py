"""Rows for tests of the waist: full rows of real tables, from the few values that matter."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from mastra_core.storage.backend import Backend
from mastra_core.storage.schema import ColumnType, Query, Row, Table, Value, Where
from mastra_core.storage.tables import EXPERIMENT_RESULTS

NOON: Final = datetime(2024, 3, 1, 12, tzinfo=UTC)
_DEFAULTS: Final[dict[ColumnType, Value]] = {
    "text": "",
    "timestamp": NOON,
    "json": "{}",
    "integer": 0,
    "bigint": 0,
    "float": 0.0,
    "boolean": False,
}


def at(milliseconds: int) -> datetime:
    """Some milliseconds after noon."""
    return NOON + timedelta(milliseconds=milliseconds)


def row(table: Table, **values: Value) -> Row:
    """A full row: the values given, ``None`` where every database allows it, else something empty."""
    unknown = set(values) - set(table.names)
    assert not unknown, unknown
    return tuple(
        [values.get(c.name, None if c.nullable else _DEFAULTS[c.type]) for c in table.columns]
    )


def result(run: str, name: str, **values: Value) -> Row:
    """A row of ``mastra_experiment_results``: of all tables the one with most kinds of columns.

    Each is of an item of its own, since the original allows one row for an attempt at an item.
    """
    values = {"createdAt": NOON, "completedAt": NOON, "itemId": name, **values}
    return row(EXPERIMENT_RESULTS, id=key(run, name), experimentId=run, **values)


def key(run: str, name: str) -> str:
    """The id of a result that goes by a short name in its run; sorts as the names do."""
    return f"{name}!{run}"


def pick(table: Table, found: Row, *names: str) -> tuple[Value, ...]:
    """Some values of a full row."""
    return tuple([found[table.positions[name]] for name in names])


def ids(rows: list[Row]) -> list[Value]:
    """The first value of each row: the id, where the row is full."""
    return [found[0] for found in rows]


def comparable(table: Table, found: Row, columns: tuple[str, ...] = ()) -> tuple[Any, ...]:
    """A row in which JSON columns are values: databases may store other text for the same JSON."""
    names = columns or table.names
    return tuple(
        [
            ("json", json.loads(value))
            if table.by_name[name].type == "json" and isinstance(value, str)
            else value
            for name, value in zip(names, found, strict=True)
        ]
    )


async def stored(backend: Backend, run: str, **query: Any) -> list[Row]:
    """All results of a run, with short names for ids."""
    where = (Where("experimentId", "eq", run), *query.pop("where", ()))
    found = await backend.find(EXPERIMENT_RESULTS, Query(where=where, **query))
    return named(found, query.get("columns", ()))


def named(found: list[Row], columns: tuple[str, ...] = ()) -> list[Row]:
    """Rows of results with short names for ids."""
    names = columns or EXPERIMENT_RESULTS.names
    if "id" not in names:
        return found
    i = names.index("id")
    return [(*row[:i], str(row[i]).partition("!")[0], *row[i + 1 :]) for row in found]
