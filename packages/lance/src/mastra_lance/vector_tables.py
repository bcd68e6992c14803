"""The tables of vectors: their columns, what the original's tables hold, and rows both ways."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from mastra_core.errors import CorruptDataError
from mastra_core.storage.codec import from_json, to_json
from mastra_core.vector.schema import Index, Item, Metric
from mastra_lance.driver import ArrowSchema, ArrowTable, ArrowType, pa
from mastra_lance.vector_filters import COLUMN as FILTER
from mastra_lance.vector_filters import entries

ID: Final = "id"
VECTOR: Final = "vector"
METADATA: Final = "metadata"
DOCUMENT: Final = "document"
ASIDE: Final = "mastra_aside"
PREFIX: Final = "metadata_"
METRIC_KEY: Final = b"mastra.metric"
# LanceDB's names of the metrics.
DISTANCES: Final[Mapping[Metric, str]] = {
    "cosine": "cosine",
    "euclidean": "l2",
    "dotproduct": "dot",
}
STORED: Final[Mapping[str, Metric]] = {metric: metric for metric in DISTANCES}
# Between these lengths 32 bits are enough for what LanceDB computes of a vector.
SHORT, LONG = 1e-6, 1e6


class Shape(msgspec.Struct, frozen=True):
    """What the schema of an index's table says: the index, and the columns of ours that it lacks."""

    index: Index
    foreign: tuple[str, ...]
    lacking: tuple[str, ...]


def columns(dimension: int) -> Mapping[str, ArrowType]:
    """The columns of a table of vectors, with those of the original first."""
    return {
        ID: pa.string(),
        VECTOR: pa.list_(pa.float32(), dimension),
        DOCUMENT: pa.string(),
        METADATA: pa.string(),
        FILTER: pa.string(),
        ASIDE: pa.bool_(),
    }


def declared(index: Index) -> ArrowSchema:
    """The schema of a table that is made; LanceDB keeps the metric with it."""
    fields = [pa.field(name, kind, name != ID) for name, kind in columns(index.dimension).items()]
    return pa.schema(fields, metadata={METRIC_KEY: index.metric.encode()})


def shape_of(name: str, schema: ArrowSchema, metric: Metric | None = None) -> Shape | None:
    """What a table holds, if it is an index of vectors; ``metric`` is for one that does not say."""
    if ID not in schema.names or VECTOR not in schema.names:
        return None
    kind = schema.field(VECTOR).type
    if not pa.types.is_fixed_size_list(kind) or not pa.types.is_float32(kind.value_type):
        return None
    notes: Mapping[bytes, bytes] = schema.metadata or {}
    stored = notes.get(METRIC_KEY, b"").decode()
    known = STORED.get(stored, metric or "cosine")
    index = Index(name=name, dimension=kind.list_size, metric=known)
    foreign = tuple([column for column in schema.names if column.startswith(PREFIX)])
    lacking = tuple([n for n in columns(kind.list_size) if n not in schema.names])
    return Shape(index, foreign, lacking)


def encoded(index: Index, items: Sequence[Item]) -> ArrowTable:
    """Items as rows of the table."""
    kinds = columns(index.dimension)
    numbers = array("f")
    for item in items:
        numbers.extend(item.vector)
    flat = pa.array(memoryview(numbers), pa.float32()) if items else pa.array([], pa.float32())
    values = {
        ID: [item.id for item in items],
        DOCUMENT: [item.document for item in items],
        METADATA: [item.metadata_json for item in items],
        FILTER: [entries(item.metadata) for item in items],
        ASIDE: [aside(item.vector, index.metric) for item in items],
    }
    arrays = [
        pa.FixedSizeListArray.from_arrays(flat, index.dimension)
        if name == VECTOR
        else pa.array(values[name], kind)
        for name, kind in kinds.items()
    ]
    return pa.Table.from_arrays(arrays, names=list(kinds))


def aside(vector: Sequence[float], metric: Metric) -> bool:
    """Whether LanceDB's 32 bits cannot compare a vector: too long, or without a direction."""
    length = math.hypot(*vector)
    return length > LONG or (metric == "cosine" and length < SHORT)


def metadata_of(text: Any) -> dict[str, Any]:
    """The metadata of a row, of which those that are no object have none."""
    try:
        value: object = from_json(text) if isinstance(text, str) else None
    except CorruptDataError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def unflattened(row: Mapping[str, Any]) -> str:
    """The metadata that the original spread over columns, as JSON, as it would read them."""
    found: dict[str, Any] = {}
    for column, value in row.items():
        if not column.startswith(PREFIX) or value is None:
            continue
        place = found
        *inside, last = column.removeprefix(PREFIX).split("_")
        for key in filter(None, inside):
            inner = place.get(key)
            if not isinstance(inner, dict):
                inner = place[key] = {}
            place = cast("dict[str, Any]", inner)
        if last:
            place[last] = value
    return to_json(found, finite=False)


def adopted(index: Index, rows: Sequence[Mapping[str, Any]]) -> ArrowTable:
    """The columns of ours for rows of a table that the original made."""
    texts = [unflattened(row) for row in rows]
    values: Mapping[str, list[Any]] = {
        ID: [row[ID] for row in rows],
        METADATA: texts,
        FILTER: [entries(metadata_of(text)) for text in texts],
        ASIDE: [aside(row[VECTOR], index.metric) for row in rows],
    }
    kinds = columns(index.dimension)
    return pa.table({name: pa.array(one, kinds[name]) for name, one in values.items()})
