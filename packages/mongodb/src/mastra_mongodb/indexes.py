"""The indexes of a collection: one for its key, one for each that the table declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from mastra_core.errors import SchemaError
from mastra_core.storage.schema import Table

# The original's unique index has the columns of this key the other way round.
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {"mastra_ai_spans": ("spanId", "traceId")}


class IndexSpec(NamedTuple):
    """An index: its name, its fields in order (all ascending), and whether it is of the key."""

    name: str
    fields: tuple[str, ...]
    unique: bool = False


def declared(table: Table, *, only_key: bool = False) -> list[IndexSpec]:
    """The indexes that a table needs.

    That of the key has the name that the original's would have, so that either may come first.
    """
    key = _KEYS.get(table.name, table.key)
    found = [IndexSpec("_".join([f"{name}_1" for name in key]), key, unique=True)]
    if not only_key:
        found += [IndexSpec(index.name, index.columns) for index in table.indexes]
    return found


def missing(
    table: Table, existing: Sequence[Mapping[str, Any]], *, only_key: bool = False
) -> list[IndexSpec]:
    """What is not there, whoever made what is there; an index of the key that is not unique is an error."""
    there = {tuple(index["key"].items()): index for index in existing}
    needed: list[IndexSpec] = []
    for spec in declared(table, only_key=only_key):
        stored = there.get(tuple([(name, 1) for name in spec.fields]))
        if stored is None:
            needed.append(spec)
        elif spec.unique and not stored.get("unique"):
            raise SchemaError(
                f"the index {stored.get('name')} of {table.name} must be unique; remove rows with "
                f"the same {' and '.join(spec.fields)}, drop the index, and call init() again"
            )
    return needed
