"""The words of vector stores: indexes, what is stored, what is looked for and what is found."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias

import msgspec

from mastra_core.records import JsonObject, Record
from mastra_core.storage.codec import from_json
from mastra_core.vector.filters import Node

Metric: TypeAlias = Literal["cosine", "euclidean", "dotproduct"]
Vector: TypeAlias = Sequence[float]
Filter: TypeAlias = Mapping[str, Any]

METRICS: Final = ("cosine", "euclidean", "dotproduct")


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """An index: its name, the length of its vectors, and how nearness is measured."""

    name: str
    dimension: int
    metric: Metric


class IndexStats(Record, frozen=True, kw_only=True):
    """What is known of an index: the length of its vectors, their number, the metric."""

    dimension: int
    count: int
    metric: Metric


class Item(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One vector to store, checked: 32-bit floats, and its metadata as JSON text."""

    id: str
    vector: array[float]
    metadata_json: str
    document: str | None = None

    @cached_property
    def metadata(self) -> JsonObject:
        """The metadata as an object."""
        value: JsonObject = from_json(self.metadata_json)
        return value


class Nearest(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for: the ``top_k`` nearest of the vectors that match ``where``.

    ``min_score`` leaves out what scores lower; a store may leave that to its base class.
    """

    vector: array[float]
    top_k: int
    where: Node | None = None
    min_score: float | None = None
    include_vector: bool = False


class Match(Record, frozen=True, kw_only=True):
    """A vector that was found: its id, score and metadata, and what else was stored or asked for.

    Scores mean the same on every store, and higher is nearer: for ``cosine`` the cosine itself, in
    [-1, 1] (0 where either vector is all zeros); for ``euclidean`` ``1 / (1 + distance)``, in (0, 1]; for
    ``dotproduct`` the inner product.
    """

    id: str
    score: float
    metadata: JsonObject = msgspec.field(default_factory=dict[str, Any])
    vector: list[float] | None = None
    document: str | None = None


def nearest_first(matches: Sequence[Match], wanted: Nearest) -> list[Match]:
    """What an adapter found, in any order and perhaps too much of it, as callers get it."""
    found = sorted(matches, key=_order)[: wanted.top_k]
    least = wanted.min_score
    return found if least is None else [match for match in found if match.score >= least]


def _order(match: Match) -> tuple[float, str]:
    return (-match.score, match.id)
