"""What every vector store does around its adapter: what it remembers, and whose error is told."""

from __future__ import annotations

from array import array
from typing import ClassVar

import msgspec
import pytest
import pytest_asyncio

from mastra_core.errors import (
    ConfigurationError,
    InvalidArgumentError,
    NotFoundError,
    SchemaError,
    StorageError,
    UnavailableError,
    UnsupportedError,
)
from mastra_core.vector import InMemoryVector, Match

pytestmark = pytest.mark.asyncio
AXIS = [1.0, 0.0]


class DriverError(Exception):
    """What a driver raises."""


class Observed(InMemoryVector):
    """Counts what is looked up, and fails as it is told."""

    name = "observed"
    errors: ClassVar = {TimeoutError: UnavailableError}

    def __init__(self) -> None:
        super().__init__(id="observed")
        self.lookups = 0
        self.failure: Exception | None = None
        self.answer: list[Match] | None = None

    async def _find_index(self, name):
        self.lookups += 1
        return await super()._find_index(name)

    async def _query(self, index, wanted):
        if self.failure is not None:
            raise self.failure
        if self.answer is not None:
            return [self.answer for _ in wanted]
        return await super()._query(index, wanted)


@pytest_asyncio.fixture
async def store():
    made = Observed()
    await made.create_index("docs", dimension=2)
    made.lookups = 0
    return made


async def test_an_index_is_looked_up_once(store):
    for _ in range(3):
        await store.upsert("docs", ids=["a"], vectors=[AXIS])
        await store.query("docs", query_vector=AXIS)
    assert store.lookups == 0
    await store.close()
    await store.query("docs", query_vector=AXIS)
    await store.query("docs", query_vector=AXIS)
    assert store.lookups == 1


async def test_a_drivers_error_is_told_as_this_librarys(store):
    store.failure = DriverError("bad page")
    with pytest.raises(
        StorageError, match="observed could not search 'docs': DriverError: bad page"
    ):
        await store.query("docs", query_vector=AXIS)
    store.failure = TimeoutError("too slow")
    with pytest.raises(UnavailableError, match="could not search 'docs': too slow") as caught:
        await store.query("docs", query_vector=AXIS)
    assert isinstance(caught.value.__cause__, TimeoutError)


@pytest.mark.parametrize("failure", [DriverError("no such table"), SchemaError("no such table")])
async def test_an_error_because_the_index_is_gone_says_so(store, failure):
    del store._stored["docs"]
    store.failure = failure
    with pytest.raises(NotFoundError, match="index 'docs' does not exist; create it with"):
        await store.query("docs", query_vector=AXIS)


async def test_looking_whether_it_is_gone_hides_no_error(store, monkeypatch):
    async def fail(name):
        raise TimeoutError

    store.failure = DriverError("bad page")
    monkeypatch.setattr(store, "_find_index", fail)
    with pytest.raises(StorageError, match="bad page"):
        await store.query("docs", query_vector=AXIS)


async def test_an_adapter_may_leave_order_number_and_lowest_score_to_its_base(store):
    store.answer = [Match(id=i, score=s) for i, s in (("c", 0.5), ("b", 0.9), ("a", 0.5), ("d", 0))]
    found = await store.query("docs", query_vector=AXIS, top_k=3)
    assert [match.id for match in found] == ["b", "a", "c"]
    found = await store.query("docs", query_vector=AXIS, min_score=0.5)
    assert [match.id for match in found] == ["b", "a", "c"]
    assert await store.query("docs", query_vector=AXIS, min_score=0.95) == []


async def test_no_score_is_a_negative_nought():
    store = InMemoryVector()
    await store.create_index("docs", dimension=2, metric="dotproduct")
    await store.upsert("docs", ids=["a", "b"], vectors=[[0.0, 1.0], [-0.0, -1.0]])
    found = await store.query("docs", query_vector=[-1.0, 0.0])
    assert [(match.id, str(match.score)) for match in found] == [("a", "0.0"), ("b", "0.0")]


async def test_options_are_those_of_the_store():
    class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        lists: int = 1

    class Tuned(InMemoryVector):
        index_options = Options
        seen = None

        async def _create_index(self, index, options, metadata_indexes):
            self.seen = (options, metadata_indexes)
            await super()._create_index(index, options, metadata_indexes)

    store = Tuned()
    await store.create_index("a", dimension=2, options={"lists": 4}, metadata_indexes=["k"])
    assert store.seen == (Options(lists=4), ("k",))
    with pytest.raises(InvalidArgumentError, match=r"options of a memory index.*list"):
        await store.create_index("b", dimension=2, options={"list": 4})


async def test_a_metric_that_the_store_has_not_is_unsupported():
    class Cosine(InMemoryVector):
        metrics = frozenset({"cosine"})

    with pytest.raises(UnsupportedError, match="memory has no dotproduct metric; it has cosine"):
        await Cosine().create_index("a", dimension=2, metric="dotproduct")


async def test_a_store_has_an_id():
    for wrong in ("", " ", None):
        with pytest.raises(ConfigurationError, match="InMemoryVector: id must be provided"):
            InMemoryVector(id=wrong)


async def test_arrays_are_vectors(store):
    ids = await store.upsert("docs", vectors=[array("d", AXIS), memoryview(array("f", AXIS))])
    found = await store.query("docs", query_vector=array("f", AXIS), include_vector=True)
    assert [(match.id, match.vector) for match in found] == [(i, AXIS) for i in sorted(ids)]


async def test_an_array_of_rows_is_no_vector(store):
    class Matrix:
        ndim = 2

        def __len__(self):
            return 2

        def __getitem__(self, position):
            return [1.0]

    with pytest.raises(InvalidArgumentError, match="one row of numbers, not an array of rows"):
        await store.upsert("docs", vectors=[Matrix()])
