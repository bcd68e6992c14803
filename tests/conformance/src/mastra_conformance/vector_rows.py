"""Vectors for the tests of vector stores, what they should score, and what filters should find."""

from __future__ import annotations

import math
import random
import struct
from array import array
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, cast

import pytest

from mastra_conformance.vector_lab import VectorLab, nothing_sent
from mastra_core.errors import UnsupportedError
from mastra_core.vector import MastraVector, Match
from mastra_core.vector.schema import Metric

CLOSE: Final = 1e-5
BITS: Final = 32
AXIS: Final = [1.0, 0.0, 0.0]


def turned(degrees: float) -> list[float]:
    """A vector of length 1 so far away from ``AXIS``: in the same order by every metric."""
    angle = math.radians(degrees)
    return [math.cos(angle), math.sin(angle), 0.0]


def some(count: int, dimension: int, seed: int) -> list[list[float]]:
    """Random vectors of 32-bit numbers, the same for the same seed."""
    chosen = random.Random(seed)
    return [[single(chosen.gauss(0, 1)) for _ in range(dimension)] for _ in range(count)]


def single(value: float) -> float:
    """The value as 32 bits hold it."""
    return array("f", [value])[0]


def kept(store: MastraVector, numbers: Sequence[float]) -> list[float]:
    """The numbers as the store keeps them: of these scores are exact, however they are rounded."""
    if store.bits == BITS:
        return [single(number) for number in numbers]
    return list(struct.unpack(f"{len(numbers)}e", struct.pack(f"{len(numbers)}e", *numbers)))


def score(metric: Metric, a: Sequence[float], b: Sequence[float]) -> float:
    """What two vectors score, by the formulas in the documentation of ``Match``."""
    product = math.fsum([x * y for x, y in zip(a, b, strict=True)])
    if metric == "dotproduct":
        return product
    if metric == "euclidean":
        return 1 / (1 + math.dist(a, b))
    lengths = math.hypot(*a) * math.hypot(*b)
    return product / lengths if lengths else 0.0


def close(a: float, b: float) -> bool:
    """Whether two scores are the same but for the rounding of 32-bit numbers."""
    return math.isclose(a, b, rel_tol=CLOSE, abs_tol=CLOSE)


def ids(matches: Sequence[Match]) -> list[str]:
    """The ids of what was found, in its order."""
    return [match.id for match in matches]


async def stored(store: MastraVector, index: str, count: int = 1000) -> dict[str, Match]:
    """Everything in an index of three dimensions, by id, with its vector."""
    found = await store.query(index, query_vector=AXIS, top_k=count, include_vector=True)
    assert len({match.id for match in found}) == len(found), "an id was found twice"
    return {match.id: match for match in found}


def operators_of(given: Any) -> set[str]:
    """The operators that a filter asks for."""
    if isinstance(given, (list, tuple)):
        return {name for one in cast("Sequence[Any]", given) for name in operators_of(one)}
    if not isinstance(given, Mapping):
        return set()
    used: set[str] = set()
    for key, value in cast("Mapping[str, Any]", given).items():
        if key.startswith("$"):
            used.add(key)
        elif not isinstance(value, Mapping):
            used.add("$eq")
        used |= operators_of(cast("Any", value))
    return used


async def finds(
    lab: VectorLab, index: str, given: Mapping[str, Any], wanted: Collection[str]
) -> None:
    """A filter finds exactly these; an operator that the store has not is refused, unsent, by name."""
    search = {"query_vector": AXIS, "top_k": 1000, "filter": given}
    missing = operators_of(given) - lab.store.operators
    if missing:
        with nothing_sent(lab.store), pytest.raises(UnsupportedError) as caught:
            await lab.store.query(index, **cast("Any", search))
        assert [name for name in missing if name in str(caught.value)]
        return
    found = await lab.store.query(index, **cast("Any", search))
    assert sorted(ids(found)) == sorted(wanted), given
