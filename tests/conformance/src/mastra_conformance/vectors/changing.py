"""Changing and deleting vectors, by id and by filter."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mastra_conformance.tiers import area, base
from mastra_conformance.vector_lab import VectorLab, nothing_sent
from mastra_conformance.vector_rows import AXIS, finds, ids, stored, turned
from mastra_core.errors import InvalidArgumentError


async def four(lab: VectorLab) -> str:
    """An index of ``a`` to ``d``; ``a`` and ``b`` are of Ada, the others of Bob."""
    index = await lab.index()
    await lab.store.upsert(
        index,
        ids=list("abcd"),
        vectors=[turned(10 * n) for n in range(4)],
        metadata=[{"of": "ada", "n": 0}, {"of": "ada"}, {"of": "bob"}, {"of": "bob"}],
        documents=["text of a", None, None, None],
    )
    return index


@area("vectors")
@pytest.mark.asyncio(loop_scope="function")
class TestChangedVectors:
    """``update_vector`` changes what it is given, and nothing else."""

    @base
    async def test_a_vector_is_changed_by_its_id(self, vector_lab: VectorLab) -> None:
        """Its metadata and its document stay; searches find it in its new place."""
        store, index = vector_lab.store, await four(vector_lab)
        await store.update_vector(index, id="a", vector=turned(90))
        found = await store.query(index, query_vector=turned(90), top_k=1, include_vector=True)
        assert ids(found) == ["a"]
        assert found[0].vector == pytest.approx([0, 1, 0], abs=1e-6)
        assert (found[0].metadata, found[0].document) == ({"of": "ada", "n": 0}, "text of a")

    async def test_metadata_are_replaced_as_a_whole(self, vector_lab: VectorLab) -> None:
        """Nothing is merged; the vector and the document stay; filters see the new ones only."""
        store, index = vector_lab.store, await four(vector_lab)
        before = (await stored(store, index))["a"]
        await store.update_vector(index, id="a", metadata={"of": "eve"})
        found = (await stored(store, index))["a"]
        assert found.metadata == {"of": "eve"}
        assert (found.vector, found.document) == (before.vector, "text of a")
        await finds(vector_lab, index, {"of": "ada"}, ["b"])
        await finds(vector_lab, index, {"of": "eve"}, ["a"])
        await finds(vector_lab, index, {"n": 0}, [])
        await store.update_vector(index, id="a", metadata={})
        assert (await stored(store, index))["a"].metadata == {}

    async def test_both_are_changed_at_once(self, vector_lab: VectorLab) -> None:
        """A vector and its metadata, by one call."""
        store, index = vector_lab.store, await four(vector_lab)
        await store.update_vector(index, id="d", vector=turned(180), metadata={"k": 1})
        found = await store.query(index, query_vector=turned(180), top_k=1)
        assert [(match.id, match.metadata) for match in found] == [("d", {"k": 1})]

    async def test_all_that_match_a_filter_are_changed(self, vector_lab: VectorLab) -> None:
        """The others are not."""
        store, index = vector_lab.store, await four(vector_lab)
        if "$eq" not in store.operators:
            return
        await store.update_vector(index, filter={"of": "bob"}, metadata={"of": "eve"})
        found = await stored(store, index)
        of = {name: match.metadata["of"] for name, match in found.items()}
        assert of == {"a": "ada", "b": "ada", "c": "eve", "d": "eve"}
        await store.update_vector(index, filter={"of": "ada"}, vector=turned(180))
        nearest = await store.query(index, query_vector=turned(180), top_k=2)
        assert ids(nearest) == ["a", "b"]
        await store.update_vector(index, filter={"of": "nobody"}, metadata={})
        assert (await store.describe_index(index)).count == 4

    async def test_an_unknown_id_is_no_error_and_makes_nothing(self, vector_lab: VectorLab) -> None:
        """An update is not an upsert."""
        store, index = vector_lab.store, await four(vector_lab)
        await store.update_vector(index, id="unknown", vector=AXIS, metadata={"k": 1})
        await store.update_vector(index, id="unknown", vector=AXIS)
        await store.update_vector(index, id="unknown", metadata={"k": 1})
        assert sorted(await stored(store, index)) == list("abcd")

    async def test_what_is_to_be_changed_is_said_in_one_way(self, vector_lab: VectorLab) -> None:
        """Each mistake has its sentence, and nothing is sent."""
        store, index = vector_lab.store, await four(vector_lab)
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"id": "a", "filter": {"k": 1}, "vector": AXIS}, "mutually exclusive"),
            ({"vector": AXIS}, "Either id or filter must be provided"),
            ({"id": "a"}, "No updates provided"),
            ({"filter": {"k": 1}}, "No updates provided"),
            ({"filter": {}, "vector": AXIS}, "empty filter"),
            ({"id": "", "vector": AXIS}, "id must be a non-empty string"),
            ({"id": "a", "metadata": "text"}, "metadata of a vector is a mapping"),
            ({"id": "a", "vector": "abc"}, "a vector must be a list"),
        ]
        for given, sentence in wrong:
            with (
                nothing_sent(store),
                pytest.raises(InvalidArgumentError, match=re.escape(sentence)),
            ):
                await store.update_vector(index, **given)


@area("vectors")
@pytest.mark.asyncio(loop_scope="function")
class TestDeletedVectors:
    """What is deleted is not found again; what is not, stays."""

    @base
    async def test_vectors_are_deleted_by_their_ids(self, vector_lab: VectorLab) -> None:
        """One or several; unknown ids, and ids named twice, are no error."""
        store, index = vector_lab.store, await four(vector_lab)
        await store.delete_vector(index, id="a")
        await store.delete_vector(index, id="a")
        assert sorted(await stored(store, index)) == ["b", "c", "d"]
        await store.delete_vectors(index, ids=["b", "unknown", "d", "b"])
        assert sorted(await stored(store, index)) == ["c"]
        assert (await store.describe_index(index)).count == 1
        await store.upsert(index, ids=["a"], vectors=[turned(40)])
        found = (await stored(store, index))["a"]
        assert (found.metadata, found.document) == ({}, None)

    async def test_vectors_are_deleted_by_a_filter(self, vector_lab: VectorLab) -> None:
        """All that match, and no other."""
        store, index = vector_lab.store, await four(vector_lab)
        if "$eq" not in store.operators:
            return
        await store.delete_vectors(index, filter={"of": "nobody"})
        assert len(await stored(store, index)) == 4
        await store.delete_vectors(index, filter={"of": "ada"})
        assert sorted(await stored(store, index)) == ["c", "d"]

    async def test_many_are_deleted_at_once(self, vector_lab: VectorLab) -> None:
        """More than one request takes, by ids and by a filter."""
        store, index = vector_lab.store, await vector_lab.index()
        names = [f"v{n:04}" for n in range(1500)]
        metadata = [{"even": n % 2 == 0} for n in range(1500)]
        vectors = [turned(n / 10) for n in range(1500)]
        await store.upsert(index, ids=names, vectors=vectors, metadata=metadata)
        await store.delete_vectors(index, ids=names[:1200])
        assert (await store.describe_index(index)).count == 300
        if "$eq" in store.operators:
            await store.delete_vectors(index, filter={"even": True})
            assert sorted(await stored(store, index)) == names[1201::2]

    async def test_what_is_to_be_deleted_is_said_in_one_way(self, vector_lab: VectorLab) -> None:
        """An empty list, or a filter that matches all, is more likely a mistake than meant."""
        store, index = vector_lab.store, await four(vector_lab)
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"ids": ["a"], "filter": {"k": 1}}, "ids and filter are mutually exclusive"),
            ({"ids": []}, "empty ids array"),
            ({}, "Either filter or ids must be provided"),
            ({"filter": {}}, "empty filter"),
            ({"ids": "abcd"}, "ids must be a list"),
            ({"ids": {"a"}}, "ids must be a list"),
            ({"ids": ["a", ""]}, "id must be a non-empty string"),
            ({"ids": ["a", 5]}, "id must be a non-empty string"),
        ]
        if {"$and", "$nor", "$nin"} <= store.operators:
            wrong += [
                ({"filter": {"$and": []}}, "empty filter"),
                ({"filter": {"$nor": []}}, "empty filter"),
                ({"filter": {"k": {"$nin": []}}}, "empty filter"),
            ]
        for given, sentence in wrong:
            with (
                nothing_sent(store),
                pytest.raises(InvalidArgumentError, match=re.escape(sentence)),
            ):
                await store.delete_vectors(index, **given)
        assert len(await stored(store, index)) == 4
