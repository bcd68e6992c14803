"""Several instances, tasks and event loops on the same vectors."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable
from functools import partial
from typing import Any

import pytest

from mastra_conformance.races import all_well
from mastra_conformance.tiers import area, base
from mastra_conformance.vector_lab import (
    VectorLab,
    VectorSite,
    index_name,
    overlapping,
    some_metric,
)
from mastra_conformance.vector_rows import AXIS, ids, stored, turned
from mastra_core.vector import MastraVector


def marked(mark: int, count: int = 1) -> dict[str, Any]:
    """Vectors and metadata that can be told to belong together."""
    return {
        "vectors": [[float(mark), float(n), 1.0] for n in range(count)],
        "metadata": [{"mark": mark, "n": n} for n in range(count)],
    }


async def check(store: MastraVector, index: str) -> dict[str, int]:
    """Every vector is that of its metadata; which mark each id has."""
    found = await stored(store, index, 2000)
    for name, match in found.items():
        assert match.vector is not None
        assert match.vector[:2] == [match.metadata["mark"], match.metadata["n"]], name
    return {name: match.metadata["mark"] for name, match in found.items()}


@area("vector sharing")
@pytest.mark.asyncio(loop_scope="function")
class TestSharedVectors:
    """What one writes the others read, and nothing is half."""

    @base
    async def test_what_one_instance_stores_another_finds(self, vector_lab: VectorLab) -> None:
        """At once, in both directions; changes and deletions too."""
        one, two, index = vector_lab.store, vector_lab.open(), await vector_lab.index()
        await one.upsert(index, ids=["a"], vectors=[AXIS])
        assert ids(await two.query(index, query_vector=AXIS)) == ["a"]
        await two.upsert(index, ids=["b"], vectors=[turned(10)], metadata=[{"k": 1}])
        assert ids(await one.query(index, query_vector=AXIS)) == ["a", "b"]
        await one.update_vector(index, id="b", vector=AXIS, metadata={"k": 2})
        found = (await stored(two, index))["b"]
        assert (found.vector, found.metadata) == (AXIS, {"k": 2})
        await two.delete_vector(index, id="a")
        assert ids(await one.query(index, query_vector=AXIS)) == ["b"]

    async def test_new_vectors_of_several_instances_are_all_there(
        self, vector_lab: VectorLab
    ) -> None:
        """Stored at the same moment, in batches."""
        index = await vector_lab.index()
        stores = [overlapping(vector_lab.open()) for _ in range(3)]
        calls = [
            partial(store.upsert, index, ids=[f"{part}-{n}" for n in range(50)], **marked(part, 50))
            for part, store in enumerate(stores * 3)
        ]
        await all_well(calls)
        marks = await check(vector_lab.store, index)
        assert marks == {f"{part}-{n}": part for part in range(9) for n in range(50)}

    async def test_of_writers_of_one_id_one_wins_as_a_whole(self, vector_lab: VectorLab) -> None:
        """A vector never gets the metadata of another; there is one of each id."""
        index = await vector_lab.index()
        names = [f"v{n}" for n in range(10)]
        stores = [overlapping(vector_lab.open()) for _ in range(3)]
        for number in range(min(8, vector_lab.settings.rounds)):
            calls = [
                partial(store.upsert, index, ids=names, **marked(mark, 10))
                for mark, store in enumerate(stores, 3 * number)
            ]
            await all_well(calls)
            marks = await check(vector_lab.store, index)
            assert sorted(marks) == names
            assert set(marks.values()) <= {3 * number, 3 * number + 1, 3 * number + 2}

    async def test_searching_while_others_write_never_fails(self, vector_lab: VectorLab) -> None:
        """What is found is something that was stored; what nobody touches is always found."""
        index = await vector_lab.index()
        await vector_lab.store.upsert(index, ids=["still"], vectors=[turned(0)])
        writer, reader = overlapping(vector_lab.open()), overlapping(vector_lab.open())

        async def write() -> None:
            for mark in range(20):
                await writer.upsert(index, ids=["x", "y"], **marked(mark, 2))
                await writer.delete_vectors(index, ids=["x"])

        async def read() -> None:
            for _ in range(40):
                found = await reader.query(index, query_vector=AXIS, top_k=10, include_vector=True)
                seen = ids(found)
                assert "still" in seen
                assert len(set(seen)) == len(seen)
                for match in found:
                    if match.id != "still":
                        assert (match.vector or [])[0] == match.metadata["mark"]

        await all_well([write, read, read])
        assert sorted(await stored(vector_lab.store, index)) == ["still", "y"]

    async def test_many_tasks_may_use_one_instance(self, vector_lab: VectorLab) -> None:
        """Neither answers nor vectors get mixed up."""
        store, index = overlapping(vector_lab.open()), await vector_lab.index()
        angles = [turned(3 * n) for n in range(40)]

        async def work(n: int) -> None:
            await store.upsert(index, ids=[f"v{n}"], vectors=[angles[n]], metadata=[{"n": n}])
            (found,) = await store.query(index, query_vector=angles[n], top_k=1)
            assert (found.id, found.metadata) == (f"v{n}", {"n": n})

        await all_well([partial(work, n) for n in range(40)])
        assert (await store.describe_index(index)).count == 40

    async def test_a_cancelled_call_leaves_nothing_half(self, vector_lab: VectorLab) -> None:
        """Whenever it is cut: each vector is whole or not there, and others can write at once."""
        index, other = await vector_lab.index(), vector_lab.open()
        names = [f"v{n:04}" for n in range(1200)]
        for mark in range(1, 2 + min(8, vector_lab.settings.rounds)):
            store = overlapping(vector_lab.open())
            if mark % 3:
                call: Awaitable[object] = store.upsert(index, ids=names, **marked(mark, 1200))
            else:
                call = store.delete_vectors(index, ids=names[:600])
            task = asyncio.ensure_future(call)
            for _ in range(random.randrange(12)):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            marks = await check(other, index)
            assert set(marks.values()) <= set(range(mark + 1))
            await other.upsert(index, ids=["after"], **marked(0))
        await other.upsert(index, ids=names, **marked(99, 1200))
        assert set((await check(vector_lab.store, index)).values()) == {0, 99}
        assert (await other.describe_index(index)).count == 1201

    async def test_closing_twice_is_no_error_and_use_opens_again(
        self, vector_lab: VectorLab
    ) -> None:
        """Also before anything was opened, and as a context manager."""
        index, other = await vector_lab.index(), vector_lab.open()
        await other.close()
        await other.upsert(index, ids=["a"], vectors=[AXIS])
        await other.close()
        await other.close()
        assert ids(await other.query(index, query_vector=AXIS)) == ["a"]
        async with vector_lab.open() as store:
            await store.upsert(index, ids=["b"], vectors=[turned(10)])
        assert ids(await vector_lab.store.query(index, query_vector=AXIS)) == ["a", "b"]


@area("vector sharing")
class TestVectorLoops:
    """A vector store outlives the event loop that used it."""

    def test_one_instance_serves_several_loops_in_turn(
        self, conformance_vector_site: VectorSite
    ) -> None:
        """Notebooks, tests and serverless functions make a loop for each call."""
        store = conformance_vector_site.make()
        index = index_name(store)

        async def use(n: int) -> list[str]:
            await store.create_index(index, dimension=3, metric=some_metric(store))
            await store.upsert(index, ids=[f"v{n}"], vectors=[turned(n)])
            return ids(await store.query(index, query_vector=AXIS))

        async def end() -> None:
            await store.delete_index(index)
            await store.close()

        found = [asyncio.run(use(n)) for n in range(3)]
        asyncio.run(end())
        assert found == [["v0"], ["v0", "v1"], ["v0", "v1", "v2"]]
