"""The tables of vectors as the original's PgVector makes them, and what the catalogue says of one.

The column says the type and the length of vectors, the operators of the index by nearness the metric.
Where there is no such index the original takes the metric for cosine; we leave a note for ourselves
in the comment on the table.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from mastra_core.errors import InvalidArgumentError
from mastra_core.storage.sql import Statement
from mastra_core.vector.schema import Index, Metric
from mastra_pg import vector_names as names
from mastra_pg.vector_filters import quoted, text_at, value_at

Kind: TypeAlias = Literal["vector", "halfvec", "sparsevec"]
Method: TypeAlias = Literal["hnsw", "ivfflat", "flat"]

# By the metric: the operator that gives the distance, and the end of the name of its operator class.
OPERATORS: Final = {"cosine": "<=>", "euclidean": "<->", "dotproduct": "<#>"}
CLASSES: Final = {"cosine": "cosine_ops", "euclidean": "l2_ops", "dotproduct": "ip_ops"}
NORMS: Final = {"vector": "vector_norm", "halfvec": "l2_norm", "sparsevec": "l2_norm"}
# How many numbers a vector may have in a table, and in an index by nearness.
LONGEST: Final = {"vector": 16_000, "halfvec": 16_000, "sparsevec": 65_536}
INDEXED: Final = {"vector": 2_000, "halfvec": 4_000, "sparsevec": 65_536}
NOTE: Final = "mastra "
_KEY: Final = re.compile(r" -> '((?:[^']|'')*)'::text")
_VALUES: Final = re.compile(r"USING gin \(\(*metadata((?: -> '(?:[^']|'')*'::text\)*)+) jsonb_path_ops")


class HnswOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A graph: ``m`` edges a vector, chosen among ``ef_construction``; pgvector's own defaults."""

    m: Annotated[int, msgspec.Meta(ge=2, le=100)] = 16
    ef_construction: Annotated[int, msgspec.Meta(ge=4, le=1000)] = 64

    def __post_init__(self) -> None:
        if self.ef_construction < 2 * self.m:
            raise ValueError("ef_construction must be at least 2 * m")


class IvfOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lists of vectors around centres; how many follows from the number of rows where not given."""

    lists: Annotated[int, msgspec.Meta(ge=1, le=32_768)] | None = None


class PgIndexOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of an index.

    ``type`` is ``hnsw`` (a graph, the default), ``ivfflat`` (lists around centres, which are those of
    the rows that are there: the index is made by ``build_index``, once there are enough), or ``flat``
    (none: every search looks at every vector). ``vector_type`` is how numbers are kept: ``vector`` in
    32 bits, ``halfvec`` in 16, ``sparsevec`` those only that are not 0. Where nothing is said it is
    ``vector``, and ``halfvec`` where the vectors are too long for an index otherwise.
    """

    type: Method = "hnsw"
    hnsw: HnswOptions = HnswOptions()
    ivf: IvfOptions = IvfOptions()
    vector_type: Kind | None = None


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What the catalogue says of an index."""

    index: Index
    # The type of the column, the number of the type ``vector``, and where the extension is.
    kind: Kind
    oid: int
    extension: str
    version: tuple[int, ...]
    # How nearness is indexed, and how it is meant to be.
    method: Method
    lists: int
    meant: Method
    rows: float
    columns: frozenset[str]
    indexes: frozenset[str]
    # The columns of its unique index.
    key: tuple[str, ...]
    indexed: frozenset[tuple[str, ...]]

    @property
    def complete(self) -> bool:
        """Whether everything that we add to the original's table is there."""
        noughts = self.index.metric != "cosine" or names.nought(self.index.name) in self.indexes
        return "document" in self.columns and noughts

    def named(self, name: str) -> str:
        """A name of the extension, wherever that is and whatever the search path."""
        return f'"{self.extension}".{name}'

    def type_name(self) -> str:
        """The type of the column."""
        return self.named(f"{self.kind}({self.index.dimension})")

    def distance(self, bound: str) -> str:
        """The distance from a bound vector by the index's metric."""
        return f"embedding OPERATOR({self.named(OPERATORS[self.index.metric])}) {bound}"


def catalogue(schema: str, name: str | None = None) -> Statement:
    """What the catalogue says of one table of vectors, or of all, as rows for ``shape_of``."""
    one = "" if name is None else "AND c.relname = $2 "
    indexes = (
        "SELECT json_agg(json_build_array(i.relname, m.amname, o.opcname, "
        "pg_get_indexdef(i.oid), x.indisvalid, x.indisunique AND x.indpred IS NULL, "
        "(SELECT array_agg(k.attname::text ORDER BY k.attname) FROM pg_attribute k "
        "WHERE k.attrelid = c.oid AND k.attnum = ANY(x.indkey::int2[])))) "
        "FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am m ON m.oid = i.relam "
        "JOIN pg_opclass o ON o.oid = x.indclass[0] WHERE x.indrelid = c.oid"
    )
    return Statement(
        "SELECT c.relname, t.typname, (SELECT v.oid FROM pg_type v WHERE v.typname = 'vector' "
        "AND v.typnamespace = t.typnamespace), a.atttypmod, tn.nspname, e.extversion, c.reltuples, "
        "obj_description(c.oid, 'pg_class'), (SELECT array_agg(k.attname::text) FROM pg_attribute k "
        f"WHERE k.attrelid = c.oid AND k.attnum > 0 AND NOT k.attisdropped), ({indexes}) "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = $1 "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'embedding' "
        "JOIN pg_type t ON t.oid = a.atttypid AND t.typname IN ('vector', 'halfvec', 'sparsevec') "
        "JOIN pg_namespace tn ON tn.oid = t.typnamespace "
        "JOIN pg_extension e ON e.extname = 'vector' "
        f"WHERE c.relkind IN ('r', 'p') {one}AND EXISTS (SELECT 1 FROM pg_attribute k "
        "WHERE k.attrelid = c.oid AND k.attname = 'vector_id' AND k.atttypid = 'text'::regtype) "
        "AND EXISTS (SELECT 1 FROM pg_attribute k "
        "WHERE k.attrelid = c.oid AND k.attname = 'metadata' AND k.atttypid = 'jsonb'::regtype)",
        [schema] if name is None else [schema, name],
    )


def shape_of(row: Sequence[Any]) -> Shape | None:
    """The index that a row of the catalogue describes; vectors of no fixed length are none."""
    name, kind, oid, dimension, extension, version, rows, comment, columns, indexes = row
    if dimension < 1:
        return None
    valid = [one for one in indexes or [] if one[4]]
    by_nearness = [one for one in valid if one[1] in {"hnsw", "ivfflat"} and one[6] == ["embedding"]]
    note = dict(part.split("=", 1) for part in str(comment or "").split() if "=" in part)
    if not str(comment or "").startswith(NOTE):
        note = {}
    metric, method, text = note.get("metric", "cosine"), "flat", ""
    if by_nearness:
        _, method, operators, text, *_ = by_nearness[0]
        metric = next(m for m, end in CLASSES.items() if operators.endswith(end))
    lists = re.search(r"lists='?(\d+)", text)
    keys = [tuple(one[6] or ()) for one in valid if one[5]]
    return Shape(
        index=Index(name=name, dimension=dimension, metric=metric),  # type: ignore[arg-type]
        kind=kind,
        oid=oid,
        extension=extension,
        version=tuple(map(int, re.findall(r"\d+", version))),
        method=method,  # type: ignore[arg-type]
        lists=int(lists[1]) if lists else 0,
        meant=note.get("type", method if method != "flat" else "hnsw"),  # type: ignore[arg-type]
        rows=rows,
        columns=frozenset(columns),
        indexes=frozenset(one[0] for one in valid),
        key=next((k for k in (("namespace", "vector_id"), ("vector_id",)) if k in keys), ()),
        indexed=frozenset(filter(None, map(_path, valid))),
    )


def chosen_type(index: Index, options: PgIndexOptions) -> Kind:
    """The type of the column; vectors that are too long for it, or for the index, are an error."""
    dimension, wanted = index.dimension, options.vector_type
    if options.type == "ivfflat" and wanted == "sparsevec":
        raise InvalidArgumentError("ivfflat takes no sparsevec; use the type hnsw, or flat")
    fitting = dimension <= INDEXED["vector"] or options.type == "flat"
    kind: Kind = wanted or ("vector" if fitting else "halfvec")
    if dimension > LONGEST[kind]:
        raise InvalidArgumentError(
            f"a {kind} has at most {LONGEST[kind]} numbers, not {dimension}; use vectors that are "
            "shorter, or the vector_type sparsevec if most of the numbers are 0"
        )
    if options.type != "flat" and dimension > INDEXED[kind]:
        other = "the vector_type halfvec, " if dimension <= INDEXED["halfvec"] else ""
        raise InvalidArgumentError(
            f"an index by nearness takes a {kind} of at most {INDEXED[kind]} numbers, not {dimension}; "
            f"use {other}vectors that are shorter, or the type flat"
        )
    return kind


def creation(
    schema: str, extension: str, index: Index, options: PgIndexOptions, kind: Kind
) -> list[str]:
    """The statements that make a table: the original's, with what we add to it."""
    name = f'"{schema}"."{index.name}"'
    made = [
        f"CREATE TABLE IF NOT EXISTS {name} (id SERIAL PRIMARY KEY, vector_id TEXT NOT NULL, "
        f'embedding "{extension}".{kind}({index.dimension}), metadata JSONB DEFAULT \'{{}}\'::jsonb, '
        "namespace VARCHAR(255) NOT NULL DEFAULT 'default', document TEXT)",
        f'CREATE UNIQUE INDEX IF NOT EXISTS "{names.unique(index.name)}" '
        f"ON {name} (namespace, vector_id)",
        f"COMMENT ON TABLE {name} IS "
        + quoted(f"{NOTE}metric={index.metric} type={options.type} lists={options.ivf.lists or 0}"),
    ]
    if options.type == "hnsw":
        made.append(_by_nearness(name, extension, index, kind, _graph(options.hnsw), "hnsw"))
    if index.metric == "cosine":
        made.append(_nought(name, extension, index, kind))
    return made


def metadata_indexes(schema: str, name: str, keys: Sequence[str]) -> list[str]:
    """The statements that make two indexes for each key: the original's, of texts, and ours."""
    table = f'"{schema}"."{name}"'
    made: list[str] = []
    for key in dict.fromkeys(keys):
        path = key.split(".")
        # What the catalogue would show with escapes is not recognised as an index.
        if "\\" not in key and all(path):
            made += [
                f'CREATE INDEX IF NOT EXISTS "{names.metadata(name, key)}" ON {table} ({text_at(path)})',
                f'CREATE INDEX IF NOT EXISTS "{names.values(name, key)}" ON {table} '
                f"USING gin ({value_at(path)} jsonb_path_ops)",
            ]
    return made


def additions(schema: str, shape: Shape) -> list[str]:
    """The statements that add what is ours to a table that the original made."""
    table = f'"{schema}"."{shape.index.name}"'
    made = [f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS document TEXT"]
    if shape.index.metric == "cosine":
        made.append(_nought(table, shape.extension, shape.index, shape.kind))
    return made


def rebuilding(schema: str, shape: Shape, options: PgIndexOptions, count: int) -> list[str]:
    """The statements that make the index by nearness anew, while others read and write."""
    table, old = f'"{schema}"."{shape.index.name}"', names.near(shape.index.name)
    note = f"{NOTE}metric={shape.index.metric} type={options.type} lists={options.ivf.lists or 0}"
    made = [f'DROP INDEX CONCURRENTLY IF EXISTS "{schema}"."{old}"']
    if options.type != "flat":
        how = _graph(options.hnsw)
        if options.type == "ivfflat":
            how = f"lists = {options.ivf.lists or lists_for(count)}"
        text = _by_nearness(table, shape.extension, shape.index, shape.kind, how, options.type)
        made.append(text.replace("INDEX ", "INDEX CONCURRENTLY ", 1))
    return [*made, f"COMMENT ON TABLE {table} IS {quoted(note)}"]


def lists_for(count: int) -> int:
    """How many lists pgvector's documentation recommends for so many rows."""
    return max(1, round(count / 1000) if count <= 1_000_000 else round(count**0.5))


def _graph(options: HnswOptions) -> str:
    return f"m = {options.m}, ef_construction = {options.ef_construction}"


def _by_nearness(
    table: str, extension: str, index: Index, kind: Kind, how: str, method: Method
) -> str:
    return (
        f'CREATE INDEX IF NOT EXISTS "{names.near(index.name)}" ON {table} USING {method} '
        f'(embedding "{extension}".{kind}_{CLASSES[index.metric]}) WITH ({how})'
    )


def _nought(table: str, extension: str, index: Index, kind: Kind) -> str:
    return (
        f'CREATE INDEX IF NOT EXISTS "{names.nought(index.name)}" ON {table} (vector_id) '
        f'WHERE "{extension}".{NORMS[kind]}(embedding) = 0'
    )


def _path(index: Sequence[Any]) -> tuple[str, ...]:
    """The keys of an index of the values at a path; nothing, if it is another one."""
    found = _VALUES.search(index[3])
    return tuple(k.replace("''", "'") for k in _KEY.findall(found[1])) if found else ()


