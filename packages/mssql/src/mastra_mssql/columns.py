"""Columns as SQL Server stores them: the original's types and widths, and text that keeps its end."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final

import msgspec

from mastra_core.storage.schema import Column, ColumnType, Table
from mastra_core.storage.tables import (
    DATASET_ITEMS,
    DATASET_VERSIONS,
    DATASETS,
    EXPERIMENT_RESULTS,
    EXPERIMENTS,
    OBSERVATIONAL_MEMORY,
    SPANS,
)

# Compares and sorts by code units, so that ids that differ in case or accents are two.
BINARY: Final = "Latin1_General_100_BIN2"
TYPES: Final[Mapping[ColumnType, str]] = {
    "text": "NVARCHAR",
    "timestamp": "DATETIME2(7)",
    "json": "NVARCHAR(MAX)",
    "integer": "INT",
    "bigint": "BIGINT",
    "float": "FLOAT",
    "boolean": "BIT",
}
# The original's widths: of keys, of what it indexes together with others, and of all other text.
KEY, SMALL, TEXT = 255, 100, 400
NARROW: Final = frozenset(
    {
        "traceId",
        "spanId",
        "parentSpanId",
        "entityType",
        "entityId",
        "entityName",
        "organizationId",
        "userId",
    }
)
WIDE: Final = frozenset({"workingMemory", "content", "instructions", "other"})
# The original's own indexes are on these, too.
INDEXED: Final = frozenset({(SPANS.name, "name"), (SPANS.name, "spanType")})
# Tables that the original does not have here: their texts in indexes are ids, and as wide as those.
OURS: Final = frozenset(
    table.name
    for table in (
        DATASETS,
        DATASET_ITEMS,
        DATASET_VERSIONS,
        EXPERIMENTS,
        EXPERIMENT_RESULTS,
        OBSERVATIONAL_MEMORY,
    )
)
# SQL Server's ``=`` ignores blanks at the end of text, so that text which ends in one is stored with
# this behind it (WORD JOINER, which no eye sees), as is text which ends in it.
MARK: Final = "\u2060"
_MARKED: Final = (" ", MARK)


class Stored(msgspec.Struct, frozen=True):
    """A text column as it is in a database: how many characters (None: any number), collation."""

    width: int | None = None
    collation: str = BINARY

    @property
    def exact(self) -> bool:
        """Whether the column itself tells apart what differs."""
        return self.collation == BINARY

    @property
    def type(self) -> str:
        """The type of its values."""
        return f"NVARCHAR({self.width or 'MAX'})"


@functools.cache
def declared(table: Table, column: Column) -> Stored:
    """A text or JSON column as it is created.

    The original cuts all other text at 400 characters: what no index needs may be longer here.
    """
    indexed = any(column.name in index.columns for index in table.indexes)
    if column.type != "text" or column.name in WIDE:
        return Stored()
    if column.name in NARROW:
        return Stored(SMALL)
    if column.name in table.key or (indexed and table.name in OURS):
        return Stored(KEY)
    return Stored(TEXT if indexed or (table.name, column.name) in INDEXED else None)


def marked(text: str) -> str:
    """Text of a column with a width as it is stored: with a mark behind a blank at its end."""
    return text + MARK if text.endswith(_MARKED) else text


def unmarked(text: str | None) -> str | None:
    """Text as it was before it was marked."""
    return text[:-1] if text is not None and text.endswith(MARK) else text


def units(text: str) -> int:
    """The length of text as SQL Server counts it: characters beyond U+FFFF are two."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2
