"""Puts into a table whose key no database keeps unique: each row is looked for by its key first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from mastra_core.storage.schema import Put
    from mastra_core.storage.sql import Dialect


def arriving(dialect: Dialect, put: Put) -> list[tuple[str, list[Any]]]:
    """The texts and values of statements that replace or leave stored rows, and insert the others.

    ON CONFLICT needs a key that is unique. Where a key is stored twice, all its rows are replaced.
    No such table is merged with ``match``, whose refusals would need a count of both statements.
    """
    return [text for part in put.rounds() for text in _of_different_keys(dialect, part)]


def _of_different_keys(dialect: Dialect, put: Put) -> list[tuple[str, list[Any]]]:
    table, params = put.table, list[Any]()
    if len(put.rows) == 1:
        bound = [dialect.bind(params, v, t) for v, t in zip(put.rows[0], table.types, strict=True)]
        source = f"SELECT {_named(table.names, bound)}"
    else:
        text = msgspec.json.encode(dialect.encoded(table.types, put.rows))
        if dialect.bound_bytes is not None and len(text) > dialect.bound_bytes:
            return [found for half in put.halves() for found in _of_different_keys(dialect, half)]
        picked = [dialect.picked(i, kind) for i, kind in enumerate(table.types)]
        source = f"SELECT {_named(table.names, picked)} FROM json_each(?)"
        params.append(text.decode())
    name = dialect.name(table)
    same = " AND ".join([f'{name}."{column}" = excluded."{column}"' for column in table.key])
    insert = (
        f"INSERT INTO {name} ({dialect.filled(table)}) SELECT {dialect.filled(table)} "
        f"FROM ({source}) AS excluded WHERE NOT EXISTS (SELECT 1 FROM {name} WHERE {same})"
    )
    if put.on_conflict == "skip":
        return [(insert, params)]
    sets = dialect.changes(put, dict(put.merge))
    update = f"UPDATE {name} SET {sets} FROM ({source}) AS excluded WHERE {same}"
    return [(update, params), (insert, params)]


def _named(names: tuple[str, ...], values: list[str]) -> str:
    return ", ".join([f'{value} AS "{name}"' for name, value in zip(names, values, strict=True)])
