"""Rows for tests of the waist: full rows of real tables, from the few values that matter."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from mastra_core.storage.backend import Backend
from mastra_core.storage.schema import ColumnType, Query, Row, Table, Value, Where
from mastra_core.storage.tables import DATASET_ITEMS

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
    """A full row: the values given, ``None`` where a column allows it, else something empty."""
    unknown = set(values) - set(table.names)
    assert not unknown, unknown
    return tuple(
        [
            values.get(c.name, _DEFAULTS[c.type] if c.nullable is False else None)
            for c in table.columns
        ]
    )


def item(dataset: str, id: str, version: int = 1, **values: Value) -> Row:  # noqa: A002
    """A row of ``mastra_dataset_items``: the table with most kinds of columns, keyed by two."""
    values = {"createdAt": NOON, "updatedAt": NOON, **values}
    own = key(dataset, id)
    return row(DATASET_ITEMS, id=own, datasetId=dataset, datasetVersion=version, **values)


def key(dataset: str, name: str) -> str:
    """The id of an item that goes by a short name in its dataset; sorts as the names do."""
    return f"{name}!{dataset}"


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


async def stored(backend: Backend, dataset: str, **query: Any) -> list[Row]:
    """All items of a dataset, with short names for ids."""
    where = (Where("datasetId", "eq", dataset), *query.pop("where", ()))
    found = await backend.find(DATASET_ITEMS, Query(where=where, **query))
    return named(found, query.get("columns", ()))


def named(found: list[Row], columns: tuple[str, ...] = ()) -> list[Row]:
    """Item rows with short names for ids."""
    names = columns or DATASET_ITEMS.names
    if "id" not in names:
        return found
    i = names.index("id")
    return [(*row[:i], str(row[i]).partition("!")[0], *row[i + 1 :]) for row in found]
