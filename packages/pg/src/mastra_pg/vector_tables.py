"""The statements that make tables of vectors and their indexes: the original's, and what we add to them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mastra_core.vector.schema import Index
from mastra_pg import vector_names as names
from mastra_pg.vector_filters import quoted, text_at, value_at
from mastra_pg.vector_schema import (
    CLASSES,
    NORMS,
    HnswOptions,
    Kind,
    Method,
    PgIndexOptions,
    Shape,
    noted,
)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A table of vectors: where it is, where the extension is, and what it holds."""

    schema: str
    extension: str
    index: Index
    kind: Kind

    @property
    def table(self) -> str:
        """The quoted name of the table in its schema."""
        return f'"{self.schema}"."{self.index.name}"'

    def creation(self, options: PgIndexOptions, keys: Sequence[str]) -> list[str]:
        """What makes the table, empty, with all its indexes."""
        embedding = f'"{self.extension}".{self.kind}({self.index.dimension})'
        table = (
            f"CREATE TABLE IF NOT EXISTS {self.table} (id SERIAL PRIMARY KEY, vector_id TEXT NOT NULL, "
            f"embedding {embedding}, metadata JSONB DEFAULT '{{}}'::jsonb, "
            "namespace VARCHAR(255) NOT NULL DEFAULT 'default', document TEXT)"
        )
        unique = (
            f'CREATE UNIQUE INDEX IF NOT EXISTS "{names.unique(self.index.name)}" '
            f"ON {self.table} (namespace, vector_id)"
        )
        made = [table, unique, self.note(options)]
        if options.type == "hnsw":
            made.append(self.by_nearness("hnsw", _graph(options.hnsw)))
        if self.index.metric == "cosine":
            made.append(self.noughts())
        return made + [sql for key in dict.fromkeys(keys) for sql in self.of_metadata(key)]

    def of_metadata(self, key: str) -> list[str]:
        """What makes two indexes of a key: the original's, of texts, and ours, of values."""
        name, path = self.index.name, key.split(".")
        # What the catalogue would show with escapes is not recognised as an index.
        if "\\" in key or not all(path):
            return []
        head, values = "CREATE INDEX IF NOT EXISTS", f"gin ({value_at(path)} jsonb_path_ops)"
        return [
            f'{head} "{names.metadata(name, key)}" ON {self.table} ({text_at(path)})',
            f'{head} "{names.values(name, key)}" ON {self.table} USING {values}',
        ]

    def document(self) -> str:
        """What adds our column to a table of the original's."""
        return f"ALTER TABLE {self.table} ADD COLUMN IF NOT EXISTS document TEXT"

    def noughts(self) -> str:
        """What makes the index of the vectors without a direction."""
        return (
            f'CREATE INDEX IF NOT EXISTS "{names.nought(self.index.name)}" ON {self.table} '
            f'(vector_id) WHERE "{self.extension}".{NORMS[self.kind]}(embedding) = 0'
        )

    def by_nearness(self, method: Method, how: str) -> str:
        """What makes the index by nearness."""
        operators = f'"{self.extension}".{self.kind}_{CLASSES[self.index.metric]}'
        return (
            f'CREATE INDEX IF NOT EXISTS "{names.near(self.index.name)}" ON {self.table} '
            f"USING {method} (embedding {operators}) WITH ({how})"
        )

    def rebuilding(self, options: PgIndexOptions, count: int) -> list[str]:
        """What makes the index by nearness anew, one statement after another, while others write."""
        old = names.near(self.index.name)
        made = [f'DROP INDEX CONCURRENTLY IF EXISTS "{self.schema}"."{old}"']
        if options.type == "hnsw":
            made.append(concurrently(self.by_nearness("hnsw", _graph(options.hnsw))))
        if options.type == "ivfflat":
            lists = options.ivf.lists or lists_for(count)
            made.append(concurrently(self.by_nearness("ivfflat", f"lists = {lists}")))
        return [*made, self.note(options)]

    def note(self, options: PgIndexOptions) -> str:
        """What tells us later of what the catalogue says nothing."""
        return f"COMMENT ON TABLE {self.table} IS {quoted(noted(self.index, options))}"


def target_of(schema: str, shape: Shape) -> Target:
    """The table of an index that is there."""
    return Target(schema=schema, extension=shape.extension, index=shape.index, kind=shape.kind)


def concurrently(sql: str) -> str:
    """A CREATE INDEX that lets others write meanwhile."""
    return sql.replace("INDEX ", "INDEX CONCURRENTLY ", 1)


def lists_for(count: int) -> int:
    """How many lists pgvector's documentation recommends for so many rows."""
    return max(1, round(count / 1000) if count <= 1_000_000 else round(count**0.5))


def _graph(options: HnswOptions) -> str:
    return f"m = {options.m}, ef_construction = {options.ef_construction}"
