"""The tables of vectors as the original's libSQL makes them, and what is added beside its graph.

libSQL's graph index forgets vectors. Nodes point to a vector only if none of their other neighbours
is near it, so of several equal vectors one is pointed to, and with its deletion all are lost; what
was deleted goes on being pointed to, so an equal vector stored later is not; and a vector changed in
place is looked for where it was. Triggers therefore mark such rows (``aside``), whoever writes them,
and searches look at these beside the graph.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

from mastra_core.vector.schema import Index, Metric
from mastra_libsql.vector_filters import extracted, plain

Positive = Annotated[int, msgspec.Meta(ge=1)]
SEARCH_L: Final = 200
_PATH: Final = re.compile(r"json_extract\(metadata, '\$((?:\.\"[^\"]+\")+)'\)")


class LibSQLIndexOptions(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The options of an index, under libSQL's names; what is not given is libSQL's own default.

    ``max_neighbors`` (3 times the root of the dimension) and ``compress_neighbors`` (not compressed)
    decide how large the graph is: each row keeps that many vectors of its neighbours. ``alpha``
    (1.2), ``insert_l`` (70) and ``search_l`` (200) trade speed for recall. ``type="flat"`` makes no
    graph: every search looks at every vector.
    """

    type: Literal["diskann", "flat"] = "diskann"
    max_neighbors: Positive | None = None
    compress_neighbors: Literal["float32", "float16", "floatb16", "float8", "float1bit"] | None = (
        None
    )
    alpha: Annotated[float, msgspec.Meta(ge=1)] | None = None
    search_l: Positive | None = None
    insert_l: Positive | None = None

    def settings(self, metric: Metric) -> str:
        """What follows the column in ``libsql_vector_idx``."""
        given: dict[str, Any] = {"metric": "l2"} if metric == "euclidean" else {}
        given.update(msgspec.to_builtins(self))
        given.pop("type", None)
        return "".join([f", '{name}={value}'" for name, value in given.items()])


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What the catalogue says of an index: its graph, our columns, and the paths that are indexed."""

    index: Index
    graph: bool
    search_l: int
    columns: frozenset[str]
    indexed: frozenset[tuple[str, ...]]

    @property
    def complete(self) -> bool:
        """Whether everything that we add to the original's table is there."""
        return self.columns >= ({"document", "aside"} if self.graph else {"document"})


def shape_of(name: str, entries: Sequence[Sequence[Any]]) -> Shape | None:
    """The index that the catalogue's entries (type, name, sql) of a table describe, if it is one."""
    texts = {(str(kind), str(entry)): str(sql) for kind, entry, sql in entries if sql is not None}
    table = texts.get(("table", name), "")
    dimension = re.search(r"\bembedding\W+F32_BLOB\s*\(\s*(\d+)\s*\)", table, re.IGNORECASE)
    if dimension is None or "vector_id" not in table:
        return None
    graph = texts.get(("index", f"{name}_vector_idx"))
    told = graph if graph is not None else table
    search_l = re.search(r"search_l=(\d+)", graph or "")
    paths = [_PATH.search(sql) for (kind, _), sql in texts.items() if kind == "index"]
    listed = table.partition("(")[2]
    columns = {column for column in ("document", "aside") if re.search(rf"\b{column}\b", listed)}
    if ("trigger", f"{name}_vector_deleted") not in texts:
        columns.discard("aside")
    return Shape(
        index=Index(
            name=name,
            dimension=int(dimension[1]),
            metric="euclidean" if "metric=l2" in told else "cosine",
        ),
        graph=graph is not None,
        search_l=SEARCH_L if search_l is None else int(search_l[1]),
        columns=frozenset(columns),
        indexed=frozenset(tuple(p[1][2:-1].split('"."')) for p in paths if p is not None),
    )


def creation(index: Index, options: LibSQLIndexOptions, paths: Sequence[str]) -> list[str]:
    """The statements that make an index: the original's, then ours."""
    name = index.name
    graph = options.type != "flat"
    # Without a graph nothing else would tell the metric.
    note = " /* metric=l2 */" if index.metric == "euclidean" and not graph else ""
    table = (
        f'CREATE TABLE IF NOT EXISTS "{name}" (id SERIAL PRIMARY KEY, vector_id TEXT UNIQUE NOT NULL, '
        f"embedding F32_BLOB({index.dimension}), metadata TEXT DEFAULT '{{}}'{note})"
    )
    made = [table]
    if graph:
        made.append(
            f'CREATE INDEX IF NOT EXISTS "{name}_vector_idx" ON "{name}" '
            f"(libsql_vector_idx(embedding{options.settings(index.metric)}))"
        )
    for number, key in enumerate(dict.fromkeys(paths)):
        if plain((key,)):
            made.append(
                f'CREATE INDEX IF NOT EXISTS "{name}_metadata_{number}_idx" ON "{name}" '
                f"({extracted(key.split('.'))})"
            )
    return made


def additions(shape: Shape) -> list[str]:
    """The statements that add what is ours to a table, also where the original made it."""
    name = shape.index.name
    wanted = [("document", "TEXT"), ("aside", "INTEGER")][: 2 if shape.graph else 1]
    made = [
        f'ALTER TABLE "{name}" ADD COLUMN {column} {kind}'
        for column, kind in wanted
        if column not in shape.columns
    ]
    if not shape.graph:
        return made
    twin = (
        f'EXISTS (SELECT 1 FROM "{name}" t WHERE t.embedding = new.embedding AND t.rowid <> new.rowid) '
        f'OR EXISTS (SELECT 1 FROM "{name}_vector_gone" g WHERE g.embedding = new.embedding) '
        f"OR new.embedding = zeroblob({4 * shape.index.dimension})"
    )
    mark = f'UPDATE "{name}" SET aside = 1 WHERE rowid = new.rowid'
    again = f"new.rowid = old.rowid OR {twin}"
    gone = f'INSERT OR IGNORE INTO "{name}_vector_gone" SELECT old.embedding WHERE old.embedding IS NOT NULL'
    changed = (
        f'AFTER UPDATE OF embedding ON "{name}" WHEN old.embedding IS NOT new.embedding '
        f'BEGIN {gone}; UPDATE "{name}" SET aside = CASE WHEN {again} THEN 1 END '
        "WHERE rowid = new.rowid; END"
    )
    trigger = f'CREATE TRIGGER IF NOT EXISTS "{name}_vector'
    return [
        *made,
        f'CREATE TABLE IF NOT EXISTS "{name}_vector_gone" (embedding BLOB PRIMARY KEY) WITHOUT ROWID',
        f'CREATE INDEX IF NOT EXISTS "{name}_vector_equal" ON "{name}" (embedding)',
        f'CREATE INDEX IF NOT EXISTS "{name}_vector_aside" ON "{name}" (aside) WHERE aside IS NOT NULL',
        f'{trigger}_stored" AFTER INSERT ON "{name}" WHEN {twin} BEGIN {mark}; END',
        f'{trigger}_changed" {changed}',
        f'{trigger}_deleted" AFTER DELETE ON "{name}" BEGIN {gone}; END',
        remarked(name),
    ]


def remarked(name: str) -> str:
    """The statement that marks the rows that a graph made anew may not lead to, and no others."""
    first = f'SELECT min(rowid) FROM "{name}" GROUP BY embedding'
    return (
        f'UPDATE "{name}" SET aside = CASE WHEN rowid NOT IN ({first}) '
        f"OR embedding = zeroblob(length(embedding)) THEN 1 END "
        f"WHERE aside IS NOT NULL OR rowid NOT IN ({first}) "
        "OR embedding = zeroblob(length(embedding))"
    )
