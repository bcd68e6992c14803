"""What changes make of rows: for backends that compute new rows here, and write them then."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import cast

from mastra_core.clock import MILLISECOND
from mastra_core.errors import ConflictError
from mastra_core.storage.schema import Advance, Put, Row, Table, Value


def advanced(value: Value | Advance, stored: Value) -> Value:
    """The value of a column after an update that may say ``Advance``."""
    if not isinstance(value, Advance):
        return value
    return value.at if not isinstance(stored, datetime) else max(value.at, stored + MILLISECOND)


def updated(table: Table, row: Row, values: Mapping[str, Value | Advance]) -> Row:
    """The row after an update."""
    pairs = zip(table.names, row, strict=True)
    return tuple([advanced(values[n], old) if n in values else old for n, old in pairs])


def merged(put: Put, row: Row, stored: Row, position: int) -> Row:
    """The row after it was put over a stored one; a ``match`` that fails is a ``ConflictError``."""
    found = list(row)
    for name, rule in put.merge.items():
        i = put.table.positions[name]
        if rule == "match" and row[i] != stored[i]:
            raise ConflictError(
                f"{put.table.name} has a row with this key and another {name}", change=position
            )
        if rule == "keep" or (rule == "coalesce" and row[i] is None):
            found[i] = stored[i]
        elif rule == "advance":
            found[i] = advanced(Advance(cast("datetime", row[i])), stored[i])
    return tuple(found)


def taken(put: Put, key: Row, position: int) -> ConflictError:
    """The error of a put that must not find its key stored."""
    return ConflictError(f"{put.table.name} has a row with the key {key} already", change=position)


def miscounted(table: Table, count: int, expect: int, position: int) -> ConflictError:
    """The error of an update or delete that found another number of rows than it should."""
    return ConflictError(f"{count} rows of {table.name} matched, {expect} should", change=position)
