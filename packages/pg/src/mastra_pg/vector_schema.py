"""The tables of vectors as the original's PgVector makes them, and what the catalogue says of one.

The column says the type and the length of vectors, the operators of the index by nearness the metric.
Where there is no such index the original takes the metric for cosine; we leave a note for ourselves
in the comment on the table.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec

from mastra_core.errors import InvalidArgumentError
from mastra_core.storage.sql import Statement
from mastra_core.vector.schema import Index, Metric
from mastra_pg import vector_names as names

Kind: TypeAlias = Literal["vector", "halfvec", "sparsevec"]
Method: TypeAlias = Literal["hnsw", "ivfflat", "flat"]

# By the metric: the operator that gives the distance, and the end of the name of its operator class.
OPERATORS: Final[Mapping[Metric, str]] = {"cosine": "<=>", "euclidean": "<->", "dotproduct": "<#>"}
CLASSES: Final[Mapping[Metric, str]] = {
    "cosine": "cosine_ops",
    "euclidean": "l2_ops",
    "dotproduct": "ip_ops",
}
NORMS: Final = {"vector": "vector_norm", "halfvec": "l2_norm", "sparsevec": "l2_norm"}
# How many numbers a vector may have in a table, and in an index by nearness.
LONGEST: Final = {"vector": 16_000, "halfvec": 16_000, "sparsevec": 65_536}
INDEXED: Final = {"vector": 2_000, "halfvec": 4_000, "sparsevec": 65_536}
NOTE: Final = "mastra "
_KEY: Final = re.compile(r" -> '((?:[^']|'')*)'::text")
_VALUES: Final = re.compile(
    r"USING gin \(\(*metadata((?: -> '(?:[^']|'')*'::text\)*)+) jsonb_path_ops"
)


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


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    """What the comment on a table says."""

    metric: Metric = "cosine"
    options: PgIndexOptions | None = None


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
    meant: PgIndexOptions
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
    found: Sequence[Sequence[Any]] = indexes or []
    valid = [one for one in found if one[4]]
    by_nearness = [
        one for one in valid if one[1] in {"hnsw", "ivfflat"} and one[6] == ["embedding"]
    ]
    note = _read(comment)
    metric: Metric = note.metric
    method: Method = "flat"
    text = ""
    if by_nearness:
        _, method, operators, text, *_ = by_nearness[0]
        metric = next(m for m, end in CLASSES.items() if operators.endswith(end))
    lists = re.search(r"lists='?(\d+)", text)
    keys: list[tuple[str, ...]] = [tuple(one[6] or ()) for one in valid if one[5]]
    return Shape(
        index=Index(name=name, dimension=dimension, metric=metric),
        kind=kind,
        oid=oid,
        extension=extension,
        version=tuple(map(int, re.findall(r"\d+", version))),
        method=method,
        lists=int(lists[1]) if lists else 0,
        meant=note.options or PgIndexOptions(type=method if by_nearness else "hnsw"),
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


def noted(index: Index, options: PgIndexOptions) -> str:
    """The comment on a table: the metric, and how nearness is meant to be indexed."""
    return NOTE + msgspec.json.encode(_Note(metric=index.metric, options=options)).decode()


def _read(comment: object) -> _Note:
    """What a comment says; somebody else's says nothing."""
    if isinstance(comment, str) and comment.startswith(NOTE):
        with contextlib.suppress(msgspec.MsgspecError):
            return msgspec.json.decode(comment.removeprefix(NOTE), type=_Note)
    return _Note()


def _path(index: Sequence[Any]) -> tuple[str, ...]:
    """The keys of an index of the values at a path; nothing, if it is another one."""
    found = _VALUES.search(index[3])
    return tuple(k.replace("''", "'") for k in _KEY.findall(found[1])) if found else ()
