"""Storing vectors: new ones, over old ones, many at once; and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mastra_conformance.tiers import area, base
from mastra_conformance.vector_lab import VectorLab, nothing_sent
from mastra_conformance.vector_rows import AXIS, finds, ids, some, stored, turned
from mastra_core.errors import InvalidArgumentError

NO_VECTORS: list[Any] = [
    [math.nan, 0, 0],
    [0, math.inf, 0],
    [0, 0, -math.inf],
    [1e39, 0, 0],
    [10**400, 0, 0],
    ["1", "2", "3"],
    [None, 0, 0],
    [[1], [2], [3]],
    [1j, 0, 0],
    "abc",
    b"twelve bytes",
    bytearray(12),
    {1, 2, 3},
    frozenset({1, 2, 3}),
    {0: 1, 1: 2, 2: 3},
    iter([1, 2, 3]),
    (x for x in (1, 2, 3)),
    None,
    3,
]


@area("vectors")
@pytest.mark.asyncio(loop_scope="function")
class TestStoredVectors:
    """``upsert`` stores each vector over the one with its id."""

    @base
    async def test_stored_vectors_are_counted_and_found(self, vector_lab: VectorLab) -> None:
        """With their ids, metadata and documents."""
        store, index = vector_lab.store, await vector_lab.index()
        given = ["b", "a"]
        answer = await store.upsert(
            index,
            ids=given,
            vectors=[AXIS, turned(30)],
            metadata=[{"n": 1}, None],
            documents=[None, "text"],
        )
        assert answer == given
        assert (await store.describe_index(index)).count == 2
        found = await store.query(index, query_vector=AXIS)
        assert [(m.id, m.metadata, m.document) for m in found] == [
            ("b", {"n": 1}, None),
            ("a", {}, "text"),
        ]

    async def test_ids_are_made_where_none_are_given(self, vector_lab: VectorLab) -> None:
        """Strings, each another, in the order of the vectors."""
        store, index = vector_lab.store, await vector_lab.index()
        made = await store.upsert(index, vectors=[turned(n) for n in range(50)])
        made += await store.upsert(index, vectors=[turned(50 + n) for n in range(50)])
        assert all(type(one) is str and one for one in made)
        assert len(set(made)) == 100
        assert ids(await store.query(index, query_vector=AXIS, top_k=100)) == made

    async def test_a_vector_is_replaced_as_a_whole(self, vector_lab: VectorLab) -> None:
        """Nothing of what had its id before is left: no metadata, no document."""
        store, index = vector_lab.store, await vector_lab.index()
        await store.upsert(
            index, ids=["a"], vectors=[AXIS], metadata=[{"old": 1}], documents=["old"]
        )
        await store.upsert(index, ids=["a", "b"], vectors=[turned(90), AXIS])
        found = await stored(store, index)
        assert (found["a"].metadata, found["a"].document) == ({}, None)
        assert found["a"].vector == pytest.approx([0, 1, 0], abs=1e-6)
        assert (await store.describe_index(index)).count == 2
        await finds(vector_lab, index, {"old": 1}, [])

    async def test_of_an_id_given_twice_the_last_is_stored(self, vector_lab: VectorLab) -> None:
        """In one call as in two; the ids come back as they were given."""
        store, index = vector_lab.store, await vector_lab.index()
        answer = await store.upsert(
            index,
            ids=["a", "b", "a"],
            vectors=[AXIS, turned(10), turned(20)],
            metadata=[{"n": 0}, {"n": 1}, {"n": 2}],
        )
        assert answer == ["a", "b", "a"]
        found = await store.query(index, query_vector=AXIS)
        assert [(match.id, match.metadata) for match in found] == [("b", {"n": 1}), ("a", {"n": 2})]

    async def test_nothing_at_all_is_fine(self, vector_lab: VectorLab) -> None:
        """No vectors, no ids, no error."""
        store, index = vector_lab.store, await vector_lab.index()
        assert await store.upsert(index, vectors=[]) == []
        assert await store.upsert(index, vectors=[], ids=[], metadata=[], documents=[]) == []
        assert (await store.describe_index(index)).count == 0

    async def test_many_are_stored_by_one_call(self, vector_lab: VectorLab) -> None:
        """1,500 is more than most databases take in one request; all of them are there, each once."""
        store, index = vector_lab.store, await vector_lab.index()
        vectors = some(1500, 3, vector_lab.settings.seed)
        names = [f"v{n:04}" for n in range(1500)]
        metadata = [{"n": n} for n in range(1500)]
        await store.upsert(index, ids=names, vectors=vectors, metadata=metadata)
        assert (await store.describe_index(index)).count == 1500
        found = await stored(store, index, 1500)
        assert sorted(found) == names
        assert all(found[name].metadata == {"n": n} for n, name in enumerate(names))
        await store.upsert(index, ids=names, vectors=vectors)
        assert (await store.describe_index(index)).count == 1500

    async def test_what_is_no_vector_is_refused(self, vector_lab: VectorLab) -> None:
        """Before anything is written, also of the good ones beside it."""
        store, index = vector_lab.store, await vector_lab.index()
        for wrong in NO_VECTORS:
            with nothing_sent(store), pytest.raises(InvalidArgumentError, match="vector"):
                await store.upsert(index, ids=["a", "b"], vectors=[AXIS, wrong])
        assert (await store.describe_index(index)).count == 0

    async def test_vectors_of_another_length_are_refused(self, vector_lab: VectorLab) -> None:
        """None of the call is written; both lengths are told."""
        store, index = vector_lab.store, await vector_lab.index()
        for wrong in ([], [1.0], [1.0, 0.0], [1.0, 0.0, 0.0, 0.0]):
            told = f"vectors of 3 numbers, not {len(wrong)}"
            with pytest.raises(InvalidArgumentError, match=told):
                await store.upsert(index, ids=["a", "b"], vectors=[AXIS, wrong])
            with pytest.raises(InvalidArgumentError, match=told):
                await store.query(index, query_vector=wrong)
            with pytest.raises(InvalidArgumentError, match=told):
                await store.update_vector(index, id="a", vector=wrong)
        assert (await store.describe_index(index)).count == 0

    async def test_lists_of_other_lengths_are_refused(self, vector_lab: VectorLab) -> None:
        """None is filled up, none is cut."""
        store, index = vector_lab.store, await vector_lab.index()
        wrong: list[dict[str, Any]] = [
            {"ids": ["a"]},
            {"ids": ["a", "b", "c"]},
            {"ids": []},
            {"metadata": [{}]},
            {"metadata": [{}, {}, {}]},
            {"documents": ["a"]},
        ]
        for given in wrong:
            with nothing_sent(store), pytest.raises(InvalidArgumentError, match="2 vectors, but"):
                await store.upsert(index, vectors=[AXIS, AXIS], **given)
        assert (await store.describe_index(index)).count == 0

    async def test_what_is_no_list_is_refused(self, vector_lab: VectorLab) -> None:
        """A string is not a list of its letters, a set has no order, an iterator no length."""
        store, index = vector_lab.store, await vector_lab.index()
        wrong: list[dict[str, Any]] = [
            {"vectors": {"a": AXIS}},
            {"vectors": iter([AXIS])},
            {"vectors": None},
            {"vectors": "ab"},
            {"vectors": [AXIS, AXIS], "ids": "ab"},
            {"vectors": [AXIS, AXIS], "ids": {"a", "b"}},
            {"vectors": [AXIS, AXIS], "metadata": {"a": 1, "b": 2}},
            {"vectors": [AXIS, AXIS], "documents": "ab"},
        ]
        for given in wrong:
            with nothing_sent(store), pytest.raises(InvalidArgumentError, match="must be a list"):
                await store.upsert(index, **given)

    async def test_ids_and_documents_that_cannot_be_are_refused(
        self, vector_lab: VectorLab
    ) -> None:
        """An id is a string of 1 to 255 characters; a document is a text."""
        store, index = vector_lab.store, await vector_lab.index()
        wrong: list[dict[str, Any]] = [
            *({"ids": [one]} for one in ("", "x" * 256, "a\0", "a\ud800", 1, None, b"a")),
            *({"documents": [one]} for one in (1, b"a", ["a"])),
            *({"metadata": [one]} for one in (1, "a", [("a", 1)])),
        ]
        for given in wrong:
            with nothing_sent(store), pytest.raises(InvalidArgumentError):
                await store.upsert(index, vectors=[AXIS], **given)

    async def test_what_matches_a_filter_is_deleted_before(self, vector_lab: VectorLab) -> None:
        """``delete_filter``: what is stored by the same call stays, though it matches."""
        store, index = vector_lab.store, await vector_lab.index()
        names = ["old-1", "old-2", "other", "again"]
        metadata = [{"doc": "d"}, {"doc": "d"}, {"doc": "e"}, {"doc": "d"}]
        await store.upsert(index, ids=names, vectors=[AXIS] * 4, metadata=metadata)
        if "$eq" not in store.operators:
            return
        await store.upsert(
            index,
            ids=["new", "again"],
            vectors=[AXIS, AXIS],
            metadata=[{"doc": "d"}, {"doc": "d"}],
            delete_filter={"doc": "d"},
        )
        assert sorted(await stored(store, index)) == ["again", "new", "other"]
        await store.upsert(index, vectors=[], delete_filter={"doc": "d"})
        assert sorted(await stored(store, index)) == ["other"]

    async def test_an_empty_filter_deletes_nothing(self, vector_lab: VectorLab) -> None:
        """It would match everything: more likely a mistake than meant."""
        store, index = vector_lab.store, await vector_lab.index()
        await store.upsert(index, ids=["a"], vectors=[AXIS])
        with nothing_sent(store), pytest.raises(InvalidArgumentError, match="empty filter"):
            await store.upsert(index, ids=["b"], vectors=[AXIS], delete_filter={})
        assert sorted(await stored(store, index)) == ["a"]
