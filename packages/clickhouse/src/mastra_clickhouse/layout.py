"""Where rows are in ClickHouse: for each table what it is sorted and divided by, and its columns.

A row is stored as versions, of which the highest counts; a deleted row is a version that says so.
Versions belong together if they agree in the *place*, the columns that the table is sorted by.
What changes such a column leaves a deletion at the old place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from mastra_clickhouse.times import Times
from mastra_core.storage.schema import Column, ColumnType, Row, Table, Value, Where
from mastra_core.storage.tables import (
    DATASET_ITEMS,
    DATASET_VERSIONS,
    EXPERIMENT_RESULTS,
    MESSAGES,
    OBSERVATIONAL_MEMORY,
    SCORERS,
    SPANS,
    THREADS,
    WORKFLOW_SNAPSHOT,
)

# The columns that every table has beside the original's.
VERSION: Final = "_version"
DELETED: Final = "_deleted"
# What the original writes into scores in place of an absent text.
ABSENT: Final = "_null_"

TYPES: Final[Mapping[ColumnType, str]] = {
    "text": "String",
    "timestamp": "DateTime64(3, 'UTC')",
    "json": "String",
    "integer": "Int64",
    "bigint": "Int64",
    "float": "Float64",
    "boolean": "Bool",
}
# What a column that may not be absent has where a row is deleted.
FILLERS: Final[Mapping[ColumnType, Value]] = {
    "text": "",
    "timestamp": datetime(1970, 1, 1, tzinfo=UTC),
    "json": "",
    "integer": 0,
    "bigint": 0,
    "float": 0.0,
    "boolean": False,
}
# Few values of a row are needed to find it, and the others may be long: of these tables rows are
# found first and read then.
WIDE: Final = frozenset({MESSAGES.name, WORKFLOW_SNAPSHOT.name, SCORERS.name, SPANS.name})


class Listing(msgspec.Struct, frozen=True):
    """A table beside one: the places of rows that lack a column, in another order.

    It has the columns that conditions are about, too, but not the ``long`` ones. The server keeps
    it (a materialized view). It may name rows that changed since, so what it names is read at its
    place and looked at again.
    """

    name: str
    lacking: str
    order: tuple[str, ...]
    long: tuple[str, ...] = ()

    @property
    def condition(self) -> Where:
        """What all rows that it names have in common."""
        return Where(self.lacking, "eq", None)

    def columns(self, table: Table) -> tuple[str, ...]:
        """The columns that it has: first those of its order."""
        apart = {*self.order, self.lacking, *self.long}
        return (*self.order, *(name for name in table.names if name not in apart))


class Design(msgspec.Struct, frozen=True):
    """How a table is kept: its place, what parts of it are apart, what has an index beside.

    ``granule`` is how many rows are read at least.
    """

    place: tuple[str, ...]
    partition: str = ""
    indexed: tuple[str, ...] = ()
    granule: int = 1024
    listing: Listing | None = None


DESIGNS: Final[Mapping[str, Design]] = {
    THREADS.name: Design(("resourceId", "id"), indexed=("id",)),
    MESSAGES.name: Design(
        ("thread_id", "createdAt", "id"), indexed=("id", "resourceId"), granule=256
    ),
    OBSERVATIONAL_MEMORY.name: Design(("lookupKey", "generationCount", "id"), indexed=("id",)),
    WORKFLOW_SNAPSHOT.name: Design(
        ("workflow_name", "run_id"), indexed=("run_id", "resourceId"), granule=256
    ),
    SCORERS.name: Design(
        ("createdAt", "id"), indexed=("id", "scorerId", "runId", "entityId", "traceId")
    ),
    SPANS.name: Design(
        ("traceId", "startedAt", "spanId"),
        "toYYYYMM(startedAt)",
        ("spanId",),
        # Traces are listed by their roots, newest first, however many there are.
        listing=Listing(
            f"{SPANS.name}_roots",
            "parentSpanId",
            ("startedAt", "traceId", "spanId"),
            long=("input", "output", "attributes", "links", "requestContext"),
        ),
    ),
    DATASET_ITEMS.name: Design(("datasetId", "id", "datasetVersion"), indexed=("id", "externalId")),
    DATASET_VERSIONS.name: Design(("datasetId", "version", "id"), indexed=("id",)),
    EXPERIMENT_RESULTS.name: Design(("experimentId", "startedAt", "id"), indexed=("id", "itemId")),
}


class Lifetime(msgspec.Struct, frozen=True):
    """Rows go when this column, one of the place, is older than ``age``."""

    column: str
    age: timedelta

    @property
    def seconds(self) -> int:
        """The age as the server takes it."""
        return max(1, int(self.age.total_seconds()))

    @property
    def clause(self) -> str:
        """The TTL of a table."""
        return f"toDateTime({self.column}) + toIntervalSecond({self.seconds})"

    @property
    def alive(self) -> str:
        """The condition of rows that are not too old, whether the server removed them or not."""
        return f"{self.column} > now64(3) - toIntervalSecond({self.seconds})"


class Layout:
    """One table as it is kept.

    ``table`` is the table with the columns that may be absent here: all that the original does not
    forbid, but those of the place and the key. ``extra`` are columns that this version does not
    know, with their types: their values are kept.
    """

    def __init__(
        self,
        table: Table,
        extra: Sequence[tuple[str, str]] = (),
        lifetime: Lifetime | None = None,
        times: Times | None = None,
    ) -> None:
        design = DESIGNS.get(table.name) or Design(table.key)
        self.place = design.place
        self.partition = design.partition
        self.indexed = design.indexed
        self.granule = design.granule
        self.listing = design.listing
        self.extra = tuple(extra)
        self.lifetime = lifetime
        self.times = times or Times()
        fixed = {*self.place, *table.key}
        columns = tuple(
            [
                Column(c.name, c.type, nullable=c.nullable is not False and c.name not in fixed)
                for c in table.columns
            ]
        )
        self.table = msgspec.structs.replace(table, columns=columns)
        unknown = [Column(name, "text", nullable=True) for name, _ in self.extra]
        self.whole = msgspec.structs.replace(table, columns=(*columns, *unknown))
        self.wide = table.name in WIDE
        self._place = tuple([table.positions[name] for name in self.place])
        self._key = tuple([table.positions[name] for name in table.key])
        self.width = len(table.columns)

    def type(self, column: Column) -> str:
        """The type of one column of the table."""
        kind = TYPES[column.type]
        return f"Nullable({kind})" if column.nullable else kind

    def key_of(self, row: Row) -> Row:
        """The key of a row."""
        return tuple([row[i] for i in self._key])

    def place_of(self, row: Row) -> Row:
        """The place of a row."""
        return tuple([row[i] for i in self._place])


def default_of(kind: str) -> Any:
    """What a new row has in a column that this version does not know."""
    if kind.startswith("Nullable"):
        return None
    if kind.startswith(("Array", "Map")):
        return [] if kind.startswith("Array") else {}
    if kind.startswith(("Int", "UInt", "Float", "Decimal", "Bool", "Date", "Enum")):
        return 0
    return ""
