"""What is known of an index of vectors: where its documents are, and how they are searched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, cast

import msgspec

from mastra_core.errors import SchemaError, UnsupportedError
from mastra_core.vector.schema import Index, Metric
from mastra_mongodb.vector_filters import path_of

# Where the original keeps which indexes there are.
REGISTRY: Final = "__mastra_vector_indexes__"
EMBEDDING: Final = "embedding"
DOCUMENT: Final = "document"
# The longest vectors that a search index takes.
DIMENSIONS: Final = 8192
SIMILARITIES: Final[Mapping[Metric, str]] = {
    "cosine": "cosine",
    "euclidean": "euclidean",
    "dotproduct": "dotProduct",
}
METRIC_OF: Final[Mapping[str, Metric]] = {name: metric for metric, name in SIMILARITIES.items()}


class MongoDBIndexOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the search index of an index is made.

    ``quantization`` has the search index keep less than 32 bits of each number. ``text_index`` makes
    the index of texts beside it that the original's ``textQuery`` asks; small Atlas clusters take
    three search indexes in all.
    """

    quantization: Literal["none", "scalar", "binary"] = "none"
    text_index: bool = False


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An index as it is: its collection, its search index, and what that has.

    ``foreign`` says that the collection is the application's own, which the original calls "bring your
    own"; ``queryable`` that there is a search index that answers. ``declared`` are the paths that its
    filters take, ``indexed`` those that have ordinary indexes.
    """

    index: Index
    collection: str
    search_index: str
    text_index: str | None = None
    path: str = EMBEDDING
    registered: bool = True
    foreign: bool = False
    writable: bool = True
    queryable: bool = False
    declared: frozenset[str] = frozenset()
    indexed: frozenset[str] = frozenset()


def search_name(name: str) -> str:
    """The name of the search index of an index."""
    return f"{name}_vector_index"


def text_name(name: str) -> str:
    """The name of its index of texts."""
    return f"{name}_search_index"


def entry(index: Index, options: MongoDBIndexOptions, paths: Sequence[str]) -> dict[str, Any]:
    """What the registry says of a new index: the original's fields, and which have indexes."""
    return {
        "_id": index.name,
        "indexName": index.name,
        "collectionName": index.name,
        "searchIndexName": search_name(index.name),
        "isByo": False,
        "allowWrites": True,
        "textSearchIndexName": text_name(index.name),
        "dimension": index.dimension,
        "metric": index.metric,
        "quantization": options.quantization,
        "filterFields": list(paths),
    }


def definition(
    index: Index, *, path: str, quantization: str, paths: Iterable[str]
) -> dict[str, Any]:
    """The definition of a search index, with the fields that filters may ask for in it."""
    field: dict[str, Any] = {
        "type": "vector",
        "path": path,
        "numDimensions": index.dimension,
        "similarity": SIMILARITIES[index.metric],
    }
    if quantization != "none":
        field["quantization"] = quantization
    filtered = dict.fromkeys(("_id", DOCUMENT, *paths))
    return {"fields": [field, *({"type": "filter", "path": one} for one in filtered)]}


def filter_paths(keys: Sequence[str]) -> list[str]:
    """The paths of metadata keys that can have indexes."""
    found = [path_of(key.split(".")) for key in keys]
    return list(dict.fromkeys(path for path in found if path is not None))


def target_of(
    name: str, registered: Mapping[str, Any] | None, found: Mapping[str, Any] | None
) -> Target | None:
    """The index that its entry in the registry and its search index (or one of them) describe."""
    said = registered or {}
    if registered is None and found is None:
        return None
    if said.get("autoEmbed"):
        raise UnsupportedError(
            f"MongoDB makes the vectors of {name!r} itself (autoEmbed); it has no index for ours"
        )
    fields = _fields(found)
    nothing: Mapping[str, Any] = {}
    vector = next((field for field in fields if field.get("type") == "vector"), nothing)
    dimension = vector.get("numDimensions", said.get("dimension"))
    if dimension is None:
        raise SchemaError(
            f"nothing says how long the vectors of {name!r} are: neither {REGISTRY} nor a search index"
        )
    metric = METRIC_OF.get(str(vector.get("similarity"))) or said.get("metric") or "cosine"
    declared = [str(field["path"]) for field in fields if field.get("type") == "filter"]
    foreign = bool(said.get("isByo"))
    return Target(
        index=Index(name=name, dimension=int(dimension), metric=metric),
        collection=str(said.get("collectionName") or name),
        search_index=str(said.get("searchIndexName") or search_name(name)),
        text_index=said.get("textSearchIndexName"),
        path=str(vector.get("path") or EMBEDDING),
        registered=registered is not None,
        foreign=foreign,
        writable=not foreign or bool(said.get("allowWrites")),
        queryable=bool(vector) and _answers(found or {}),
        declared=frozenset(declared),
        indexed=frozenset(cast("Sequence[str]", said.get("filterFields") or ())),
    )


def _fields(found: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    described: Mapping[str, Any] = (found or {}).get("latestDefinition") or {}
    return list(described.get("fields") or ())


def _answers(found: Mapping[str, Any]) -> bool:
    return bool(found.get("queryable", found.get("status") == "READY"))
