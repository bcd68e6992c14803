"""The statements that make tables, and those that add what an existing table lacks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from mastra_clickhouse.layout import DELETED, DESIGNS, VERSION, Layout
from mastra_clickhouse.options import Options
from mastra_clickhouse.times import PROBE
from mastra_core.errors import SchemaError
from mastra_core.storage.schema import Table
from mastra_core.storage.tables import WORKFLOW_SNAPSHOT

JOURNAL: Final = "mastra_journal"
# How many of the latest inserts the server knows again, and for how many seconds a cluster does.
REMEMBERED, REMEMBERED_SECONDS = 10_000, 3600
# Columns of new tables that are the original's, and in which nothing is kept here.
NEW: Final[Mapping[str, Mapping[str, str]]] = {WORKFLOW_SNAPSHOT.name: {"id": "String"}}
HOUR: Final = 3_600_000_000
# What a listing has for its comment once it names all that was there before it.
COMPLETE: Final = "complete"
FEED: Final = "_feed"
# How many places are read of a listing at least.
LISTED: Final = 256
# Rows of the original, which knows no versions, have the time of their insert: the later one counts.
NOW: Final = "toUInt64(toUnixTimestamp64Micro(now64(6)))"


class Existing(msgspec.Struct, frozen=True):
    """What one table has: the columns it is sorted by, columns with their types, indexes, its text."""

    sorted_by: str
    columns: Mapping[str, str]
    indexes: frozenset[str]
    text: str

    @property
    def is_ours(self) -> bool:
        """Whether the table has versions of rows."""
        return VERSION in self.columns


def quoted(name: str) -> str:
    """A name as an identifier; names come from the schema and from checked options."""
    return f"`{name}`"


def text(value: str) -> str:
    """A text as a literal, for definitions, which take no parameters."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


class Schema:
    """Writes the definitions of tables in one database."""

    def __init__(self, options: Options) -> None:
        self.options = options
        # A client of the caller's has a database of its own.
        self.database = "" if options.client is not None else options.database

    def name(self, table: str) -> str:
        """The full name of a table."""
        own = quoted(self.options.prefix + table)
        return f"{quoted(self.database)}.{own}" if self.database else own

    @property
    def here(self) -> str:
        """The database as an expression."""
        return text(self.database) if self.database else "currentDatabase()"

    def engine(self, kind: str, arguments: str = "") -> str:
        """An engine of tables, replicated where that is wanted."""
        replication = self.options.replication
        if replication is None:
            return f"{kind}({arguments})"
        place = f"{text(replication.zookeeper_path)}, {text(replication.replica_name)}"
        return f"Replicated{kind}({place}{f', {arguments}' if arguments else ''})"

    @property
    def cluster(self) -> str:
        """Where a definition is sent beside this server."""
        replication = self.options.replication
        if replication is None or not replication.cluster:
            return ""
        return f" ON CLUSTER {text(replication.cluster)}"

    def create_database(self) -> str:
        """The statement that makes the database."""
        return f"CREATE DATABASE IF NOT EXISTS {quoted(self.database)}{self.cluster}"

    def journal(self) -> str:
        """The journal: every write is an entry, which the server takes once behind its predecessor.

        Entries are apart by their predecessor's hour, since equal tokens are known again within a
        part of a table only.
        """
        window = f"non_replicated_deduplication_window = {REMEMBERED}"
        if self.options.replication is not None:
            window = (
                f"replicated_deduplication_window = {REMEMBERED}, "
                f"replicated_deduplication_window_seconds = {REMEMBERED_SECONDS}"
            )
        return (
            f"CREATE TABLE IF NOT EXISTS {self.name(JOURNAL)}{self.cluster} ("
            "previous UInt64, position UInt64, kind UInt8, token String, name String, "
            "data String CODEC(ZSTD(3)), at DateTime64(3, 'UTC') DEFAULT now64(3)) "
            f"ENGINE = {self.engine('MergeTree')} "
            f"PARTITION BY intDiv(previous, {HOUR}) ORDER BY (previous, position) "
            f"SETTINGS {window}"
        )

    def create(self, layout: Layout, name: str = "") -> str:
        """A table under its own name or another one."""
        columns = [f"{quoted(c.name)} {layout.type(c)}" for c in layout.table.columns]
        columns += [f"{quoted(n)} {kind}" for n, kind in NEW.get(layout.table.name, {}).items()]
        columns += [f"{VERSION} UInt64 DEFAULT {NOW}", f"{DELETED} UInt8 DEFAULT 0"]
        columns += [self.index(column) for column in layout.indexed]
        return self._versioned(
            name or layout.table.name, columns, layout, layout.place, layout.granule
        )

    def _versioned(
        self,
        name: str,
        columns: Sequence[str],
        layout: Layout,
        order: Sequence[str],
        granule: int,
    ) -> str:
        """A table of versions, divided as a layout says, and forgetting what it does."""
        divided = f" PARTITION BY {layout.partition}" if layout.partition else ""
        ttl = f" TTL {layout.lifetime.clause}" if layout.lifetime is not None else ""
        return (
            f"CREATE TABLE IF NOT EXISTS {self.name(name)}{self.cluster} "
            f"({', '.join(columns)}) "
            f"ENGINE = {self.engine('ReplacingMergeTree', f'{VERSION}, {DELETED}')}{divided} "
            f"ORDER BY ({', '.join(map(quoted, order))}){ttl} "
            f"SETTINGS index_granularity = {granule}"
        )

    def index(self, column: str) -> str:
        """What lets a read skip most of a table that is not sorted by this column."""
        return f"INDEX mastra_by_{column} {quoted(column)} TYPE bloom_filter(0.0001) GRANULARITY 1"

    def catalogue(self, tables: Sequence[Table]) -> tuple[str, Mapping[str, Any]]:
        """A query for what there is of some tables, in one round trip, and its parameters.

        Its rows are a kind (``table``, ``column``, ``index``), the table, and two texts of it; one
        of kind ``times`` says what the server makes of those.
        """
        names = [self.options.prefix + table.name for table in tables]
        names += [
            self.options.prefix + design.listing.name
            for design in map(DESIGNS.get, [table.name for table in tables])
            if design is not None and design.listing is not None
        ]
        names.append(self.options.prefix + JOURNAL)
        here = f"WHERE database = {self.here} AND"
        of_table = f"{here} table IN {{names:Array(String)}}"
        listed = "SELECT 'table', name, sorting_key, create_table_query FROM system.tables"
        parts = (
            f"SELECT 'times' AS kind, '' AS name, toString({PROBE}) AS a, '' AS b",
            f"{listed} {here} name IN {{names:Array(String)}}",
            f"SELECT 'column', table, name, type FROM system.columns {of_table}",
            f"SELECT 'index', table, name, '' FROM system.data_skipping_indices {of_table}",
        )
        return " UNION ALL ".join(parts), {"names": names}

    def existing(self, rows: Sequence[Sequence[Any]]) -> dict[str, Existing]:
        """The answer by the names of tables without the prefix."""
        prefix = len(self.options.prefix)
        columns: dict[str, dict[str, str]] = {}
        indexes: dict[str, set[str]] = {}
        for kind, name, a, b in rows:
            if kind == "column":
                columns.setdefault(name, {})[a] = b
            elif kind == "index":
                indexes.setdefault(name, set()).add(a)
        return {
            name[prefix:]: Existing(a, columns.get(name, {}), frozenset(indexes.get(name, ())), b)
            for kind, name, a, b in rows
            if kind == "table"
        }

    def missing(self, layout: Layout, has: Existing | None) -> list[str]:
        """The statements that add what is not there; nothing is ever dropped."""
        if has is None:
            return [self.create(layout)]
        self.check(layout, has)
        alter = f"ALTER TABLE {self.name(layout.table.name)}{self.cluster}"
        added = [
            f"{alter} ADD COLUMN IF NOT EXISTS {quoted(c.name)} {layout.type(c)}"
            for c in layout.table.columns
            if c.name not in has.columns
        ]
        for column in layout.indexed:
            if f"mastra_by_{column}" not in has.indexes:
                index = self.index(column).replace("INDEX ", "INDEX IF NOT EXISTS ", 1)
                added.append(f"{alter} ADD {index}")
        return [*added, *self._expiring(layout.table.name, layout, has)]

    def list_places(self, layout: Layout, existing: Mapping[str, Existing]) -> list[str]:
        """The statements that make the listing of a table, or complete one that was begun."""
        listing = layout.listing
        if listing is None:
            return []
        has = existing.get(listing.name)
        if has is not None and f"COMMENT '{COMPLETE}'" in has.text:
            return self._expiring(listing.name, layout, has)
        name, feed = self.name(listing.name), self.name(listing.name + FEED)
        types = {column.name: layout.type(column) for column in layout.table.columns}
        names = listing.columns(layout.table)
        columns = [f"{quoted(column)} {types[column]}" for column in names]
        columns += [f"{VERSION} UInt64", f"{DELETED} UInt8"]
        filled = f"{', '.join(map(quoted, names))}, {VERSION}, {DELETED}"
        source = self.name(layout.table.name)
        picked = f"SELECT {filled} FROM {source} WHERE {quoted(listing.lacking)} IS NULL"
        return [
            self._versioned(listing.name, columns, layout, listing.order, LISTED),
            f"CREATE MATERIALIZED VIEW IF NOT EXISTS {feed}{self.cluster} TO {name} AS {picked}",
            # Versions that are named twice are one again when they are merged.
            f"INSERT INTO {name} ({filled}) {picked}",
            f"ALTER TABLE {name}{self.cluster} MODIFY COMMENT '{COMPLETE}'",
        ]

    def _expiring(self, name: str, layout: Layout, has: Existing) -> list[str]:
        """The statement by which an existing table forgets what is too old, if it does not yet."""
        lifetime = layout.lifetime
        if lifetime is None or lifetime.clause in has.text.replace("`", ""):
            return []
        return [f"ALTER TABLE {self.name(name)}{self.cluster} MODIFY TTL {lifetime.clause}"]

    def check(self, layout: Layout, has: Existing) -> None:
        """Refuse a table that is kept otherwise than this version does: the original's, usually."""
        place = ", ".join(layout.place)
        if VERSION not in has.columns or re.sub(r"[`()]", "", has.sorted_by) != place:
            raise SchemaError(
                f"the table {self.options.prefix}{layout.table.name} is sorted by "
                f"({has.sorted_by}), and has no versions of rows that this package could rely on: "
                "@mastra/clickhouse made it. `await ClickhouseStore(…).adopt()` rewrites it; both "
                "can use it then"
            )
