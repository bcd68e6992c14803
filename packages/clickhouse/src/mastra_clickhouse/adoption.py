"""Taking over tables that the original made: they are rewritten as this package keeps rows."""

from __future__ import annotations

from mastra_clickhouse.layout import ABSENT, VERSION, Layout
from mastra_clickhouse.schema import Existing, Schema, quoted
from mastra_core.storage.schema import Column

NEW, OLD = "_adopting", "_before_adoption"


def adopts(schema: Schema, layout: Layout, has: Existing) -> list[str]:
    """The statements that put a table of ours in the place of the original's, which is kept beside.

    Of several rows with one key the latest counts. Whoever writes meanwhile writes into the old one.
    """
    name = layout.table.name
    new, old = schema.name(name + NEW), schema.name(name)
    on = schema.cluster
    unknown = [f"ADD COLUMN IF NOT EXISTS {quoted(n)} {kind}" for n, kind in layout.extra]
    known = [column for column in layout.table.columns if column.name in has.columns]
    extra = [n for n, _ in layout.extra]
    filled = ", ".join([*(quoted(column.name) for column in known), *map(quoted, extra), VERSION])
    picked = ", ".join([*(_copied(column) for column in known), *map(quoted, extra), "1"])
    age = next((n for n in ("updatedAt", "createdAt") if n in has.columns), layout.table.key[0])
    keys = ", ".join(map(quoted, layout.table.key))
    statements = [f"DROP TABLE IF EXISTS {new}{on} SYNC", schema.create(layout, name + NEW)]
    if unknown:
        statements.append(f"ALTER TABLE {new}{on} {', '.join(unknown)}")
    select = f"SELECT {picked} FROM {old} ORDER BY {keys}, {quoted(age)} DESC LIMIT 1 BY {keys}"
    return [
        *statements,
        f"INSERT INTO {new} ({filled}) {select}",
        f"EXCHANGE TABLES {new} AND {old}{on}",
        f"RENAME TABLE {new} TO {schema.name(name + OLD)}{on}",
    ]


def _copied(column: Column) -> str:
    """One column of the old table, as the new one takes it."""
    name = quoted(column.name)
    if column.nullable:
        return f"nullIf({name}, '{ABSENT}')" if column.type in {"text", "json"} else name
    return f"assumeNotNull({name})"
