"""What scores mean: the same on every store, by the formulas in the documentation of ``Match``."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest

from mastra_conformance.tiers import area, base
from mastra_conformance.vector_lab import VectorLab
from mastra_conformance.vector_rows import AXIS, BITS, close, ids, kept, score, some
from mastra_core.vector.schema import METRICS, Metric


async def check(lab: VectorLab, metric: Any) -> None:
    """Scores of random vectors of many lengths, by a metric that the store has, are the formula's."""
    if metric not in lab.store.metrics:
        return
    seed = lab.settings.seed
    index, (first, *given) = await lab.index(8, metric), some(40, 8, seed)
    wanted = kept(lab.store, first)
    vectors = [kept(lab.store, [x * 10 ** (n % 5 - 2) for x in one]) for n, one in enumerate(given)]
    vectors += [wanted, [-x for x in wanted]]
    names = [f"v{n:02}" for n in range(len(vectors))]
    await lab.store.upsert(index, ids=names, vectors=vectors)
    found = await lab.store.query(index, query_vector=wanted, top_k=100)
    assert sorted(ids(found)) == names
    for match in found:
        right = score(metric, wanted, vectors[names.index(match.id)])
        assert close(match.score, right), (match.id, match.score, right)


@area("vectors")
@pytest.mark.asyncio(loop_scope="function")
class TestVectorScores:
    """Higher is nearer."""

    @base
    async def test_cosine_is_the_cosine(self, vector_lab: VectorLab) -> None:
        """From -1 to 1, however long the vectors are."""
        await check(vector_lab, "cosine")

    async def test_euclidean_falls_with_the_distance(self, vector_lab: VectorLab) -> None:
        """``1 / (1 + distance)``: the distance, not its square."""
        await check(vector_lab, "euclidean")

    async def test_dotproduct_is_the_inner_product(self, vector_lab: VectorLab) -> None:
        """With its sign: the largest is the nearest."""
        await check(vector_lab, "dotproduct")

    async def test_a_cosine_never_leaves_its_range(self, vector_lab: VectorLab) -> None:
        """Rounding makes no 1.0000001 of a vector compared with itself, nor with its opposite."""
        if "cosine" not in vector_lab.store.metrics:
            return
        store, index = vector_lab.store, await vector_lab.index(5, "cosine")
        for n, vector in enumerate(some(30, 5, vector_lab.settings.seed)):
            opposite = [-x for x in vector]
            await store.upsert(index, ids=["same", "opposite"], vectors=[vector, opposite])
            same, other = await store.query(index, query_vector=vector)
            assert (same.id, other.id) == ("same", "opposite"), n
            assert 1 - 1e-5 <= same.score <= 1
            assert -1 <= other.score <= -1 + 1e-5

    async def test_vectors_of_nought_are_taken(self, vector_lab: VectorLab) -> None:
        """They have no direction, so their cosine is 0; stored, and looked for."""
        nought = [0.0, 0.0, 0.0]
        for metric in sorted(vector_lab.store.metrics):
            kind = cast("Metric", metric)
            store, index = vector_lab.store, await vector_lab.index(3, kind)
            vectors = [nought, AXIS, [-1.0, 0.0, 0.0]]
            names = ["nought", "near", "opposite"]
            await store.upsert(index, ids=names, vectors=vectors)
            for asked in (AXIS, nought):
                found = await store.query(index, query_vector=asked, include_vector=True)
                assert sorted(ids(found)) == sorted(names), (metric, asked)
                for match in found:
                    right = score(kind, asked, vectors[names.index(match.id)])
                    assert close(match.score, right), (metric, asked, match.id, match.score)

    async def test_tiny_vectors_have_their_direction(self, vector_lab: VectorLab) -> None:
        """Also where their squares are nearly nought; where they are nought, nothing breaks."""
        tiny = 1e-12 if vector_lab.store.bits == BITS else 1e-4
        for metric in METRICS:
            if metric not in vector_lab.store.metrics:
                continue
            store, index = vector_lab.store, await vector_lab.index(3, metric)
            await store.upsert(
                index,
                ids=["tiny", "tinier", "opposite"],
                vectors=[[tiny, 0, 0], [1e-30, 0, 0], [-tiny, 0, 0]],
            )
            found = {m.id: m.score for m in await store.query(index, query_vector=AXIS)}
            assert sorted(found) == ["opposite", "tinier", "tiny"]
            assert all(math.isfinite(one) for one in found.values())
            if metric == "cosine":
                assert close(found["tiny"], 1)
                assert close(found["opposite"], -1)
