"""Indexes: created, described, seen by others, and deleted."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

import pytest

from mastra_conformance.races import all_well
from mastra_conformance.tiers import area, base
from mastra_conformance.vector_lab import VectorLab, nothing_sent, overlapping, some_metric
from mastra_conformance.vector_rows import AXIS, ids, turned
from mastra_core.errors import ConflictError, InvalidArgumentError, NotFoundError, UnsupportedError
from mastra_core.vector import MastraVector
from mastra_core.vector.schema import METRICS

HOSTILE: tuple[Any, ...] = (
    "",
    " ",
    "a b",
    'a"b',
    "a'b",
    "a`b",
    "a;DROP TABLE x",
    "a\0b",
    "a\n",
    "ä",
    "../a",
    "x" * 300,
)


@area("vectors")
@pytest.mark.asyncio(loop_scope="function")
class TestVectorIndexes:
    """An index has a name, a dimension and a metric, and is there for everybody."""

    @base
    async def test_an_index_is_created_listed_and_described(self, vector_lab: VectorLab) -> None:
        """With its dimension, its metric, and no vectors yet."""
        store = vector_lab.store
        index = await vector_lab.index(dimension=7)
        assert index in await store.list_indexes()
        found = await store.describe_index(index)
        assert (found.dimension, found.count, found.metric) == (7, 0, some_metric(store))

    async def test_every_metric_is_kept_or_refused(self, vector_lab: VectorLab) -> None:
        """A metric that the store has not is refused, by name, before anything is sent."""
        store = vector_lab.store
        for metric in cast("Any", METRICS):
            if metric in store.metrics:
                index = await vector_lab.index(metric=metric)
                assert (await store.describe_index(index)).metric == metric
            else:
                with nothing_sent(store), pytest.raises(UnsupportedError, match=metric):
                    await store.create_index(vector_lab.name(), dimension=3, metric=metric)

    async def test_creating_an_index_again_changes_nothing(self, vector_lab: VectorLab) -> None:
        """From the same and from another instance; the vectors stay."""
        index, metric = await vector_lab.index(), some_metric(vector_lab.store)
        await vector_lab.store.upsert(index, ids=["a"], vectors=[AXIS])
        for store in (vector_lab.store, vector_lab.open()):
            await store.create_index(index, dimension=3, metric=metric)
            assert (await store.describe_index(index)).count == 1

    async def test_another_dimension_or_metric_is_a_conflict(self, vector_lab: VectorLab) -> None:
        """From every instance, with both in the text; the index stays as it is."""
        index, metric = await vector_lab.index(), some_metric(vector_lab.store)
        others = [cast("Any", m) for m in METRICS if m in vector_lab.store.metrics and m != metric]
        for store in (vector_lab.store, vector_lab.open()):
            with pytest.raises(ConflictError, match=r"3 dimensions.*not 4") as caught:
                await store.create_index(index, dimension=4, metric=metric)
            assert index in str(caught.value)
            for other in others:
                with pytest.raises(ConflictError, match=f"{metric}.*not 3 and {other}"):
                    await store.create_index(index, dimension=3, metric=other)
            found = await store.describe_index(index)
            assert (found.dimension, found.metric) == (3, metric)

    async def test_names_that_cannot_be_are_refused(self, vector_lab: VectorLab) -> None:
        """Before anything is sent: a name becomes part of statements or addresses."""
        store, metric = vector_lab.store, some_metric(vector_lab.store)
        others: list[Any] = [None, 5, ["a"]]
        for name in [*HOSTILE, *others]:
            with nothing_sent(store), pytest.raises(InvalidArgumentError):
                await store.create_index(name, dimension=3, metric=metric)

    async def test_dimensions_that_cannot_be_are_refused(self, vector_lab: VectorLab) -> None:
        """A whole number from 1."""
        store, metric, name = vector_lab.store, some_metric(vector_lab.store), vector_lab.name()
        wrong: list[Any] = [0, -1, 1.5, 3.0, True, "3", None, 10**9]
        for dimension in wrong:
            with (
                nothing_sent(store),
                pytest.raises(InvalidArgumentError, match="dimension must be a whole number"),
            ):
                await store.create_index(name, dimension=dimension, metric=metric)
        assert name not in await store.list_indexes()

    async def test_unknown_metrics_and_options_are_refused(self, vector_lab: VectorLab) -> None:
        """A word that is misspelt is not ignored."""
        store, metric, name = vector_lab.store, some_metric(vector_lab.store), vector_lab.name()
        wrong: list[Any] = ["", "cos", "COSINE", None, ["cosine"]]
        for other in wrong:
            with nothing_sent(store), pytest.raises(InvalidArgumentError, match="metric must be"):
                await store.create_index(name, dimension=3, metric=other)
        odd = {"no_such_option": 1}
        with nothing_sent(store), pytest.raises(InvalidArgumentError, match="no_such_option"):
            await store.create_index(name, dimension=3, metric=metric, options=odd)

    async def test_metadata_indexes_change_no_answer(self, vector_lab: VectorLab) -> None:
        """They make filters on those keys faster, and no more."""
        store, name = vector_lab.store, vector_lab.name()
        metric = some_metric(store)
        keys = ["owner", "a.b"]
        await store.create_index(name, dimension=3, metric=metric, metadata_indexes=keys)
        await store.upsert(
            name,
            ids=["x", "y", "z"],
            vectors=[AXIS, turned(10), turned(20)],
            metadata=[{"owner": 1}, {"owner": "1"}, {"a": {"b": 1}}],
        )
        for given, wanted in (({"owner": 1}, ["x"]), ({"a.b": 1}, ["z"])):
            found = await store.query(name, query_vector=AXIS, filter=given)
            assert ids(found) == wanted
        for wrong in ("owner", [""], [1], {"owner"}):
            with nothing_sent(store), pytest.raises(InvalidArgumentError, match="metadata_indexes"):
                await store.create_index(
                    name, dimension=3, metric=metric, metadata_indexes=cast("Any", wrong)
                )

    @base
    async def test_instances_see_each_others_indexes(self, vector_lab: VectorLab) -> None:
        """And what is in them."""
        index, other = await vector_lab.index(), vector_lab.open()
        assert index in await other.list_indexes()
        await other.upsert(index, ids=["a"], vectors=[AXIS])
        assert ids(await vector_lab.store.query(index, query_vector=AXIS)) == ["a"]

    async def test_several_may_create_an_index_at_once(self, vector_lab: VectorLab) -> None:
        """There is one in the end, and every one of them can use it."""
        name, metric = vector_lab.name(), some_metric(vector_lab.store)
        stores = [overlapping(vector_lab.open()) for _ in range(4)]

        async def begin(store: MastraVector, number: int) -> None:
            await store.create_index(name, dimension=3, metric=metric)
            await store.upsert(name, ids=[f"{number}"], vectors=[AXIS])

        await all_well([partial(begin, store, n) for n, store in enumerate(stores)])
        assert (await vector_lab.store.list_indexes()).count(name) == 1
        assert (await vector_lab.store.describe_index(name)).count == 4

    async def test_of_several_with_other_dimensions_one_kind_wins(
        self, vector_lab: VectorLab
    ) -> None:
        """The others are told, whoever was first."""
        metric = some_metric(vector_lab.store)
        for _ in range(min(5, vector_lab.settings.rounds)):
            name = vector_lab.name()
            calls = [
                overlapping(vector_lab.open()).create_index(
                    name, dimension=3 + number % 2, metric=metric
                )
                for number in range(4)
            ]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            made = (await vector_lab.store.describe_index(name)).dimension
            for number, outcome in enumerate(outcomes):
                if 3 + number % 2 == made:
                    assert outcome is None
                else:
                    assert isinstance(outcome, ConflictError)

    async def test_a_deleted_index_is_gone_with_its_vectors(self, vector_lab: VectorLab) -> None:
        """Also for an instance that has used it; made again, it is empty."""
        store, other, index = vector_lab.store, vector_lab.open(), await vector_lab.index()
        metric = some_metric(store)
        await other.upsert(index, ids=["a"], vectors=[AXIS], metadata=[{"k": 1}])
        await store.delete_index(index)
        for instance in (store, other):
            assert index not in await instance.list_indexes()
            with pytest.raises(NotFoundError, match=index):
                await instance.query(index, query_vector=AXIS)
            with pytest.raises(NotFoundError, match=index):
                await instance.describe_index(index)
        await store.create_index(index, dimension=3, metric=metric)
        assert (await other.describe_index(index)).count == 0
        assert await other.query(index, query_vector=AXIS) == []

    async def test_writing_into_an_index_that_another_deleted_is_an_error(
        self, vector_lab: VectorLab
    ) -> None:
        """Nothing is lost without a word."""
        store, other, index = vector_lab.store, vector_lab.open(), await vector_lab.index()
        await other.upsert(index, ids=["a"], vectors=[AXIS])
        await store.delete_index(index)
        with pytest.raises(NotFoundError, match=index):
            await other.upsert(index, ids=["b"], vectors=[AXIS])
        assert index not in await store.list_indexes()

    async def test_an_index_made_again_with_another_dimension_is_used_as_it_is(
        self, vector_lab: VectorLab
    ) -> None:
        """What an instance remembers of an index does not stand in its way."""
        store, other, index = vector_lab.store, vector_lab.open(), await vector_lab.index()
        await other.upsert(index, ids=["a"], vectors=[AXIS])
        await store.delete_index(index)
        await store.create_index(index, dimension=2, metric=some_metric(store))
        await other.upsert(index, ids=["b"], vectors=[[1, 0]])
        assert ids(await other.query(index, query_vector=[1, 0])) == ["b"]
        with pytest.raises(InvalidArgumentError, match="vectors of 2 numbers, not 3"):
            await other.query(index, query_vector=AXIS)

    async def test_deleting_an_unknown_index_is_no_error(self, vector_lab: VectorLab) -> None:
        """Twice, or by a name that no index can have."""
        index = await vector_lab.index()
        for name in (index, index, vector_lab.name(), *HOSTILE):
            await vector_lab.store.delete_index(name)
        assert index not in await vector_lab.store.list_indexes()

    async def test_an_unknown_index_is_not_found(self, vector_lab: VectorLab) -> None:
        """Whatever it is asked for, also by a name that no index can have."""
        store = vector_lab.store
        for name in (vector_lab.name(), *HOSTILE):
            calls = [
                store.describe_index(name),
                store.upsert(name, vectors=[AXIS]),
                store.upsert(name, vectors=[]),
                store.query(name, query_vector=AXIS),
                store.query_many(name, query_vectors=[]),
                store.update_vector(name, id="a", vector=AXIS),
                store.delete_vector(name, id="a"),
                store.delete_vectors(name, filter={"k": 1}),
            ]
            for call in calls:
                with pytest.raises(NotFoundError, match="does not exist; create it"):
                    await call

    async def test_indexes_are_apart(self, vector_lab: VectorLab) -> None:
        """The same ids in both; what happens in one leaves the other alone."""
        store, one, two = vector_lab.store, await vector_lab.index(), await vector_lab.index()
        for index in (one, two):
            metadata = [{"in": index}]
            await store.upsert(index, ids=["a"], vectors=[AXIS], metadata=metadata)
        await store.update_vector(one, id="a", metadata={"in": "changed"})
        await store.delete_vector(one, id="a")
        found = await store.query(two, query_vector=AXIS)
        assert [(match.id, match.metadata) for match in found] == [("a", {"in": two})]
        await store.delete_index(one)
        assert (await store.describe_index(two)).count == 1
