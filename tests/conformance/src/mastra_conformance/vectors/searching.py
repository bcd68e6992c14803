"""Finding what is near: the order, how many, and what comes with them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mastra_conformance.tiers import area, base, full
from mastra_conformance.vector_lab import VectorLab, nothing_sent
from mastra_conformance.vector_rows import AXIS, ids, kept, turned
from mastra_core.errors import InvalidArgumentError


async def fan(lab: VectorLab, count: int = 10) -> str:
    """An index of vectors that are farther and farther from ``AXIS``: ``v00``, ``v01``, …"""
    index = await lab.index()
    order = [7 * n % count for n in range(count)]
    await lab.store.upsert(
        index,
        ids=[f"v{n:02}" for n in order],
        vectors=[turned(180 * n / count) for n in order],
        metadata=[{"n": n} for n in order],
    )
    return index


@area("vectors")
@pytest.mark.asyncio(loop_scope="function")
class TestNearest:
    """``query`` gives the nearest, the nearest first."""

    @base
    async def test_the_nearest_come_first(self, vector_lab: VectorLab) -> None:
        """Higher scores are nearer, whatever the database calls a distance."""
        store, index = vector_lab.store, await fan(vector_lab)
        found = await store.query(index, query_vector=AXIS, top_k=4)
        assert ids(found) == ["v00", "v01", "v02", "v03"]
        assert [match.metadata for match in found] == [{"n": n} for n in range(4)]
        scores = [match.score for match in found]
        assert scores == sorted(scores, reverse=True)
        assert len(set(scores)) == 4
        found = await store.query(index, query_vector=turned(89), top_k=3)
        assert ids(found) == ["v05", "v04", "v06"]

    async def test_all_are_found_where_there_are_fewer_than_asked_for(
        self, vector_lab: VectorLab
    ) -> None:
        """Also the ones that point the other way; ten, where nothing is said."""
        store, index = vector_lab.store, await fan(vector_lab, 13)
        found = await store.query(index, query_vector=AXIS, top_k=500)
        assert ids(found) == [f"v{n:02}" for n in range(13)]
        assert len(await store.query(index, query_vector=AXIS)) == 10
        assert len(await store.query(index, query_vector=turned(180), top_k=13)) == 13

    async def test_an_empty_index_has_no_answers(self, vector_lab: VectorLab) -> None:
        """Neither before anything is stored nor when all is deleted."""
        store, index = vector_lab.store, await vector_lab.index()
        assert await store.query(index, query_vector=AXIS) == []
        await store.upsert(index, ids=["a"], vectors=[AXIS])
        await store.delete_vector(index, id="a")
        assert await store.query(index, query_vector=AXIS) == []

    async def test_how_many_is_a_positive_number(self, vector_lab: VectorLab) -> None:
        """Nought, less, fractions and booleans are refused, unsent."""
        store, index = vector_lab.store, await fan(vector_lab)
        wrong: list[Any] = [0, -1, True, False, 1.0, "3", None, math.inf, 10_001]
        for top_k in wrong:
            with (
                nothing_sent(store),
                pytest.raises(InvalidArgumentError, match="topK must be a positive integer"),
            ):
                await store.query(index, query_vector=AXIS, top_k=top_k)

    async def test_the_lowest_score_is_included(self, vector_lab: VectorLab) -> None:
        """``min_score`` leaves out what scores lower, and only that; it may be negative."""
        store, index = vector_lab.store, await fan(vector_lab)
        every = await store.query(index, query_vector=AXIS)
        for n in (0, 3, 9):
            found = await store.query(index, query_vector=AXIS, min_score=every[n].score)
            assert ids(found) == ids(every)[: n + 1]
            above = every[n].score + 1e-3
            found = await store.query(index, query_vector=AXIS, min_score=above)
            assert ids(found) == ids(every)[:n]
        found = await store.query(index, query_vector=AXIS, top_k=2, min_score=every[5].score)
        assert ids(found) == ids(every)[:2]
        found = await store.query(index, query_vector=AXIS, min_score=-1e9)
        assert ids(found) == ids(every)

    async def test_a_lowest_score_is_a_number(self, vector_lab: VectorLab) -> None:
        """NaN would let everything through, or nothing."""
        store, index = vector_lab.store, await fan(vector_lab)
        wrong: list[Any] = [math.nan, math.inf, -math.inf, "0.5", True, 10**400]
        for score in wrong:
            with nothing_sent(store), pytest.raises(InvalidArgumentError, match="min_score"):
                await store.query(index, query_vector=AXIS, min_score=score)

    async def test_vectors_come_with_their_matches_when_asked_for(
        self, vector_lab: VectorLab
    ) -> None:
        """As stored: in 32 bits (or 16, where the store says so), not normalised; without being asked for there are none."""
        store, index = vector_lab.store, await vector_lab.index()
        given = [0.1, -2.5, 1e-3]
        await store.upsert(index, ids=["a"], vectors=[given])
        (plain,) = await store.query(index, query_vector=AXIS)
        (found,) = await store.query(index, query_vector=AXIS, include_vector=True)
        assert plain.vector is None
        assert found.vector == kept(store, given)

    async def test_several_are_looked_for_at_once(self, vector_lab: VectorLab) -> None:
        """One list for each vector, each as if it had been asked alone."""
        store, index = vector_lab.store, await fan(vector_lab)
        asked = [turned(angle) for angle in (0, 61, 123, 179, 61)]
        options: dict[str, Any] = {"top_k": 3, "include_vector": True}
        found = await store.query_many(index, query_vectors=asked, **options)
        alone = [await store.query(index, query_vector=one, **options) for one in asked]
        assert found == alone
        assert await store.query_many(index, query_vectors=[]) == []
        with pytest.raises(InvalidArgumentError, match="must be a list"):
            await store.query_many(index, query_vectors="abc")  # type: ignore[arg-type]

    async def test_several_are_filtered_and_cut_each_by_itself(self, vector_lab: VectorLab) -> None:
        """The filter and the lowest score apply to every one of them."""
        store, index = vector_lab.store, await fan(vector_lab)
        asked = [turned(0), turned(170)]
        every = await store.query(index, query_vector=AXIS)
        score = every[4].score
        found = await store.query_many(index, query_vectors=asked, min_score=score)
        assert ids(found[0]) == ids(every)[:5]
        if "$eq" in store.operators:
            found = await store.query_many(index, query_vectors=asked, filter={"n": 2})
            assert [ids(matches) for matches in found] == [["v02"], ["v02"]]

    async def test_of_equal_scores_the_lower_id_comes_first(self, vector_lab: VectorLab) -> None:
        """Whatever the order in which they were stored."""
        store, index = vector_lab.store, await vector_lab.index()
        names = [f"v{31 * n % 40:02}" for n in range(40)]
        await store.upsert(index, ids=names, vectors=[turned(45)] * 40)
        await store.upsert(index, ids=["near"], vectors=[AXIS])
        found = await store.query(index, query_vector=AXIS, top_k=41)
        assert ids(found) == ["near", *sorted(names)]

    @full
    async def test_of_equal_scores_the_lower_ids_are_the_ones_that_are_found(
        self, vector_lab: VectorLab
    ) -> None:
        """Where a search is exact, pages of one question do not contradict each other."""
        store, index = vector_lab.store, await vector_lab.index()
        names = [f"v{31 * n % 40:02}" for n in range(40)]
        await store.upsert(index, ids=names, vectors=[turned(45)] * 40)
        found = await store.query(index, query_vector=AXIS, top_k=7)
        assert ids(found) == (sorted(names)[:7] if store.exact else sorted(ids(found)))
        assert len(found) == 7

    async def test_arrays_of_other_libraries_are_vectors(self, vector_lab: VectorLab) -> None:
        """What has a length, members and an order: tuples, arrays, and what looks like one."""
        store, index = vector_lab.store, await vector_lab.index()

        class Row:
            """As an array of numpy does."""

            ndim = 1

            def __len__(self) -> int:
                return 3

            def __getitem__(self, position: int) -> float:
                return turned(10)[position]

            def tolist(self) -> list[float]:
                return turned(10)

        row: Any = Row()
        await store.upsert(index, ids=["row", "tuple"], vectors=[row, (0, 1, 0)])
        assert ids(await store.query(index, query_vector=row)) == ["row", "tuple"]
