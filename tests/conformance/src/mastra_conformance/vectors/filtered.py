"""Searches with a filter: as many results as match, however far away they are."""

from __future__ import annotations

from typing import Any

import pytest

from mastra_conformance.tiers import area, base
from mastra_conformance.vector_lab import VectorLab, nothing_sent
from mastra_conformance.vector_rows import AXIS, ids, some, turned
from mastra_core.errors import InvalidArgumentError, UnsupportedError
from mastra_core.vector.filters import OPERATORS

# One filter for each operator of the language.
EXAMPLES: dict[str, dict[str, Any]] = {
    "$eq": {"k": {"$eq": 1}},
    "$ne": {"k": {"$ne": 1}},
    "$gt": {"k": {"$gt": 1}},
    "$gte": {"k": {"$gte": 1}},
    "$lt": {"k": {"$lt": 1}},
    "$lte": {"k": {"$lte": 1}},
    "$in": {"k": {"$in": [1]}},
    "$nin": {"k": {"$nin": [1]}},
    "$exists": {"k": {"$exists": True}},
    "$contains": {"k": {"$contains": "a"}},
    "$and": {"$and": []},
    "$or": {"$or": []},
    "$nor": {"$nor": []},
    "$not": {"$not": {"k": 1}},
}


@area("filters")
@pytest.mark.asyncio(loop_scope="function")
class TestFilteredSearch:
    """The filter says what is looked through, not what is left of what was found."""

    @base
    async def test_matches_are_found_behind_thousands_that_are_nearer(
        self, vector_lab: VectorLab
    ) -> None:
        """20 of 3,000 match, and they are the farthest: all of them are found, in their order."""
        store, index = vector_lab.store, await vector_lab.index()
        if "$eq" not in store.operators:
            return
        names = [f"near{n:04}" for n in range(2980)] + [f"far{n:02}" for n in range(20)]
        vectors = [turned(n / 100) for n in range(2980)] + [turned(100 + n) for n in range(20)]
        metadata = [{"far": n >= 2980} for n in range(3000)]
        await store.upsert(index, ids=names, vectors=vectors, metadata=metadata)
        far = names[2980:]
        for top_k in (1, 5, 20, 100):
            search: dict[str, Any] = {"top_k": top_k, "filter": {"far": True}}
            found = await store.query(index, query_vector=AXIS, **search)
            assert ids(found) == far[:top_k]
            many = await store.query_many(index, query_vectors=[AXIS, AXIS], **search)
            assert [ids(matches) for matches in many] == [far[:top_k]] * 2
        found = await store.query(
            index, query_vector=AXIS, filter={"far": True}, min_score=found[9].score
        )
        assert ids(found) == far[:10]

    async def test_as_many_come_back_as_match_whatever_the_share(
        self, vector_lab: VectorLab
    ) -> None:
        """From half of them down to one: ``top_k`` if that many match, else all that do."""
        store, index = vector_lab.store, await vector_lab.index(8)
        if not {"$lt", "$gte"} <= store.operators:
            return
        vectors = some(1000, 8, vector_lab.settings.seed)
        await store.upsert(
            index,
            ids=[f"v{n:03}" for n in range(1000)],
            vectors=vectors,
            metadata=[{"n": n} for n in range(1000)],
        )
        for share in (500, 100, 30, 10, 3, 1):
            for asked in vectors[990:993]:
                found = await store.query(
                    index, query_vector=asked, top_k=30, filter={"n": {"$lt": share}}
                )
                assert len(found) == min(30, share)
                assert all(match.metadata["n"] < share for match in found)
        found = await store.query(
            index, query_vector=vectors[0], top_k=500, filter={"n": {"$gte": 400}}
        )
        assert len(found) == 500

    async def test_a_filter_that_nothing_matches_finds_nothing(self, vector_lab: VectorLab) -> None:
        """Quietly, also in an empty index."""
        store, index = vector_lab.store, await vector_lab.index()
        if "$eq" not in store.operators:
            return
        assert await store.query(index, query_vector=AXIS, filter={"k": 1}) == []
        await store.upsert(index, ids=["a"], vectors=[AXIS], metadata=[{"k": 2}])
        assert await store.query(index, query_vector=AXIS, filter={"k": 1}) == []

    async def test_an_operator_that_the_store_has_not_is_refused(
        self, vector_lab: VectorLab
    ) -> None:
        """By its name, before anything is sent, wherever a filter is given; those it has work."""
        store, index = vector_lab.store, await vector_lab.index()
        assert EXAMPLES.keys() == OPERATORS
        assert store.operators <= OPERATORS
        await store.upsert(index, ids=["a"], vectors=[AXIS], metadata=[{"k": 5}])
        for operator, given in EXAMPLES.items():
            if operator in store.operators:
                assert len(await store.query(index, query_vector=AXIS, filter=given)) <= 1
                continue
            calls = [
                store.query(index, query_vector=AXIS, filter=given),
                store.query_many(index, query_vectors=[AXIS], filter=given),
                store.update_vector(index, filter=given, metadata={}),
                store.delete_vectors(index, filter=given),
                store.upsert(index, vectors=[AXIS], delete_filter=given),
            ]
            for call in calls:
                with nothing_sent(store), pytest.raises(UnsupportedError) as caught:
                    await call
                assert operator in str(caught.value)
        assert (await store.describe_index(index)).count == 1

    async def test_what_nobody_knows_is_an_invalid_argument(self, vector_lab: VectorLab) -> None:
        """Also where the store has few operators."""
        store, index = vector_lab.store, await vector_lab.index()
        wrong: list[dict[str, Any]] = [{"k": {"$like": "a"}}, {"$xor": []}]
        for given in wrong:
            with nothing_sent(store), pytest.raises(InvalidArgumentError, match="Unsupported op"):
                await store.query(index, query_vector=AXIS, filter=given)
