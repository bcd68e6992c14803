"""What only vectors on Convex have: its search, the limits of functions, and what the original wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import httpx
import pytest
import pytest_asyncio
from backends import Address

from mastra_convex import ConvexVector
from mastra_core.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidArgumentError,
    LimitExceededError,
    NotFoundError,
    SchemaError,
    UnavailableError,
)
from mastra_core.plugins import open_vector
from mastra_core.vector import Match

from .conftest import Documents
from .wire import AFTER, BEFORE, Answer, Cut, Wire

pytestmark = pytest.mark.asyncio

INDEXES, VECTORS = "mastra_vector_indexes", "mastra_vectors"
AXIS = [1.0, 0.0, 0.0]
Opener = Callable[..., ConvexVector]


@pytest.fixture
def wire() -> Wire:
    """What passes between a store and its deployment."""
    return Wire()


@pytest_asyncio.fixture
async def opened(convex: Address, url: str, wire: Wire) -> AsyncIterator[Opener]:
    """Makes stores on the deployment of this test, with requests on the wire."""
    async with httpx.AsyncClient(transport=wire) as client:

        def make(**options: Any) -> ConvexVector:
            return ConvexVector(
                id="v", deployment_url=url, client=client, patience=1, **convex.options, **options
            )

        yield make
        assert not client.is_closed


@pytest_asyncio.fixture
async def store(opened: Opener) -> AsyncIterator[ConvexVector]:
    """A store that searches what has more than ten vectors."""
    async with opened(scan=10) as made:
        yield made


def ids(found: list[Match]) -> list[str]:
    return [match.id for match in found]


def around(axis: int, count: int, *, seed: int = 1) -> list[list[float]]:
    """Vectors of three numbers near one of the axes."""
    chosen = Random(seed)
    return [
        [1.0 if place == axis else chosen.uniform(0, 0.5) for place in range(3)]
        for _ in range(count)
    ]


async def filled(store: ConvexVector, count: int) -> None:
    """Two groups of vectors, about two axes, in the index ``i``."""
    await store.create_index("i", dimension=3)
    for group, axis in (("a", 0), ("b", 1)):
        await store.upsert(
            "i",
            ids=[f"{group}{n:03}" for n in range(count)],
            vectors=around(axis, count),
            metadata=[{"group": group, "n": n} for n in range(count)],
        )


async def test_a_small_index_is_one_request_and_a_large_one_is_searched(
    opened: Opener, store: ConvexVector, wire: Wire
) -> None:
    await filled(store, 30)
    async with opened() as other:
        wire.functions.clear()
        exact = await other.query("i", query_vector=AXIS)
        assert wire.functions == ["vectors:find", "vectors:scan"]
        wire.functions.clear()
        assert await other.query("i", query_vector=AXIS) == exact
        assert wire.functions == ["vectors:scan"]
    wire.functions.clear()
    assert await store.query("i", query_vector=AXIS) == exact
    assert wire.functions == ["vectors:scan", "vectors:search"]
    wire.functions.clear()
    assert await store.query("i", query_vector=AXIS) == exact
    assert wire.functions == ["vectors:search"]
    wire.functions.clear()
    several = await store.query_many("i", query_vectors=[AXIS, [0.0, 1.0, 0.0]])
    assert several[0] == exact
    assert {match.metadata["group"] for match in several[1]} == {"b"}
    assert wire.functions == ["vectors:search"]


@pytest.mark.parametrize("given", [{"group": "b"}, {"group": "b", "n": {"$lt": 2**60}}])
async def test_a_filter_that_leaves_too_little_of_what_was_found_looks_at_all(
    opened: Opener, store: ConvexVector, wire: Wire, given: dict[str, Any]
) -> None:
    """Of two searches one is enough: what it found must not stand for what the other did not."""
    await filled(store, 300)
    questions = [AXIS, [0.0, 1.0, 0.0]]
    asked: dict[str, Any] = {"query_vectors": questions, "top_k": 20, "filter": given}
    async with opened() as other:
        exact = await other.query_many("i", **asked)
    wire.functions.clear()
    found = await store.query_many("i", **asked)
    assert [ids(one) for one in found] == [ids(one) for one in exact]
    assert wire.functions == ["vectors:scan", "vectors:search", "vectors:scan"]
    wire.functions.clear()
    near = await store.query("i", query_vector=questions[1], top_k=20, filter=given)
    assert ids(near) == ids(exact[1])
    assert wire.functions == ["vectors:search"]


async def test_more_than_convex_finds_at_once_are_found_by_looking(
    store: ConvexVector, wire: Wire
) -> None:
    await filled(store, 300)
    wire.functions.clear()
    assert len(set(ids(await store.query("i", query_vector=AXIS, top_k=600)))) == 600
    assert wire.functions == ["vectors:scan"]
    wire.functions.clear()
    assert len(set(ids(await store.query("i", query_vector=AXIS, top_k=256)))) == 256
    assert wire.functions == ["vectors:scan", "vectors:search"]


async def test_vectors_of_a_length_without_an_index_are_looked_at(
    store: ConvexVector, wire: Wire
) -> None:
    await store.create_index("i", dimension=5)
    vectors = [[1.0, n / 100, 0.0, 0.0, 0.0] for n in range(50)]
    await store.upsert("i", ids=[f"v{n:02}" for n in range(50)], vectors=vectors)
    wire.functions.clear()
    found = await store.query("i", query_vector=[1.0, 0.0, 0.0, 0.0, 0.0], top_k=3)
    assert ids(found) == ["v00", "v01", "v02"]
    assert wire.functions == ["vectors:scan", "vectors:scan"]


async def test_large_documents_come_in_several_requests(
    opened: Opener, store: ConvexVector, wire: Wire
) -> None:
    """24 MB: more than one function may read, or give back, or write."""
    await store.create_index("i", dimension=3)
    names, texts = [f"v{n:02}" for n in range(30)], [f"{n:02}" + "é" * 400_000 for n in range(30)]
    await store.upsert("i", ids=names, vectors=around(0, 30), documents=texts)
    async with opened() as other:
        for one, functions in ((other, {"vectors:scan"}), (store, {"vectors:search"})):
            wire.functions.clear()
            found = await one.query("i", query_vector=AXIS, top_k=30)
            assert {match.id: match.document for match in found} == dict(
                zip(names, texts, strict=True)
            )
            assert len(wire.functions) > 3
            assert functions <= set(wire.functions)
    wire.functions.clear()
    await store.update_vector("i", filter={"k": {"$exists": False}}, metadata={"k": 1})
    assert wire.functions.count("vectors:write") > 1
    assert len(await store.query("i", query_vector=AXIS, top_k=30, filter={"k": 1})) == 30
    await store.delete_vectors("i", filter={"k": 1})
    assert (await store.describe_index("i")).count == 0


@pytest.mark.parametrize(
    "given", [{"documents": ["", "é" * 600_000]}, {"metadata": [{}, {"k": "x" * 1_100_000}]}]
)
async def test_what_is_too_large_is_told_before_anything_is_sent(
    store: ConvexVector, wire: Wire, given: dict[str, Any]
) -> None:
    await store.create_index("i", dimension=3)
    wire.functions.clear()
    with pytest.raises(LimitExceededError, match=r"'b'.*nothing was sent"):
        await store.upsert("i", ids=["a", "b"], vectors=[AXIS] * 2, **given)
    assert wire.functions == []
    with pytest.raises(InvalidArgumentError, match="at most 8192"):
        await store.create_index("j", dimension=8193)
    assert await store.list_indexes() == ["i"]


async def test_a_change_that_makes_a_vector_too_large_is_refused(store: ConvexVector) -> None:
    await store.create_index("i", dimension=3)
    await store.upsert("i", ids=["a"], vectors=[AXIS], documents=["x" * 600_000])
    with pytest.raises(LimitExceededError, match=r"the vector a has about .* wrote nothing"):
        await store.update_vector("i", id="a", metadata={"k": "x" * 600_000})
    (found,) = await store.query("i", query_vector=AXIS)
    assert found.metadata == {}


async def test_many_are_written_some_at_a_time(store: ConvexVector, wire: Wire) -> None:
    await store.create_index("i", dimension=3)
    wire.functions.clear()
    await store.upsert("i", ids=[f"v{n}" for n in range(1200)], vectors=around(0, 1200))
    assert wire.functions == ["vectors:write"] * 3
    await store.upsert(
        "i",
        ids=["v1"],
        vectors=[AXIS],
        delete_filter={"k": {"$exists": False}},
        metadata=[{"k": 1}],
    )
    assert (await store.describe_index("i")).count == 1


async def test_what_no_longer_matches_when_it_is_written_is_left_alone(
    opened: Opener, convex: Address, url: str
) -> None:
    """Between looking and writing another writer changes one of them."""
    async with opened() as other:
        await other.create_index("i", dimension=3)
        await other.upsert("i", ids=["a", "b"], vectors=[AXIS] * 2, metadata=[{"k": 1}] * 2)

        async def interfere(request: httpx.Request) -> None:
            if b"vectors:write" in request.content:
                await other.update_vector("i", id="b", metadata={"k": 2})

        async with httpx.AsyncClient(event_hooks={"request": [interfere]}) as client:
            store = ConvexVector(id="v", deployment_url=url, client=client, **convex.options)
            await store.delete_vectors("i", filter={"k": 1})
        found = await other.query("i", query_vector=AXIS)
        assert [(match.id, match.metadata) for match in found] == [("b", {"k": 2})]


@pytest.mark.parametrize(
    "fault", [Answer(500, "InternalServerError"), Answer(429, ""), BEFORE, AFTER], ids=str
)
async def test_searches_are_sent_again_and_writes_are_not(
    store: ConvexVector, wire: Wire, fault: Answer | Cut
) -> None:
    await filled(store, 30)
    exact = await store.query("i", query_vector=AXIS)
    wire.functions.clear()
    wire.faults.append(fault)
    assert await store.query("i", query_vector=AXIS) == exact
    assert wire.functions == ["vectors:search"] * 2
    wire.functions.clear()
    wire.faults.append(fault)
    if fault == Answer(429, ""):
        await store.delete_vectors("i", ids=["a000"])
        assert wire.functions == ["vectors:write"] * 2
        return
    with pytest.raises(UnavailableError, match="may have been done or not"):
        await store.delete_vectors("i", ids=["a000"])
    assert wire.functions == ["vectors:write"]
    assert (await store.describe_index("i")).count == (59 if fault == AFTER else 60)


async def test_an_index_that_others_made_anew_takes_no_vectors_of_the_old_length(
    opened: Opener, store: ConvexVector
) -> None:
    await filled(store, 30)
    async with opened() as other:
        await other.delete_index("i")
        with pytest.raises(NotFoundError, match="'i' does not exist"):
            await store.upsert("i", ids=["x"], vectors=[AXIS])
        await store.create_index("i", dimension=3)
        await other.delete_index("i")
        await other.create_index("i", dimension=5)
    with pytest.raises(NotFoundError, match="no index i with 3 dimensions any more"):
        await store.upsert("i", ids=["x"], vectors=[AXIS])
    assert (await store.describe_index("i")).count == 0


async def test_what_the_original_wrote_is_an_index(
    opened: Opener, store: ConvexVector, documents: Documents
) -> None:
    """Its vectors are 64-bit numbers, with an object or nothing as metadata, and no text."""
    described = {"id": "theirs", "indexName": "theirs", "dimension": 3, "metric": "cosine"}
    await documents(INDEXES, {**described, "createdAt": "2024-03-01T12:00:00.000Z"})
    one = {"indexName": "theirs", "id": "a", "embedding": [0.1, 0.0, 0.0]}
    await documents(
        VECTORS,
        {**one, "metadata": {"text": "tea", "n": 1.0}},
        {**one, "id": "b", "embedding": [0.0, 2.0, 0.0]},
        {**one, "id": "short", "embedding": [0.0, 2.0]},
        {**one, "indexName": "other"},
    )
    assert await store.list_indexes() == ["theirs"]
    assert (await store.describe_index("theirs")).dimension == 3
    async with opened(scan=1) as searching:
        for reader in (store, searching):
            found = await reader.query("theirs", query_vector=AXIS, include_vector=True, top_k=2)
            assert [(m.id, m.score, m.metadata, m.document) for m in found] == [
                ("a", 1.0, {"text": "tea", "n": 1}, None),
                ("b", 0.0, {}, None),
            ]
            assert found[1].vector == [0.0, 2.0, 0.0]
    await store.create_index("theirs", dimension=3)
    await store.update_vector("theirs", id="b", metadata={"text": "coffee"})
    await store.delete_vectors("theirs", filter={"text": "tea"})
    await store.delete_index("theirs")
    left = await documents(VECTORS)
    assert [(one["indexName"], one["id"]) for one in left] == [("other", "a")]
    assert await documents(INDEXES) == []


async def test_ours_stand_as_the_original_writes_them(
    store: ConvexVector, documents: Documents
) -> None:
    """And beside that the text, and what Convex has no value for as JSON text."""
    await store.create_index("i", dimension=3)
    await store.upsert(
        "i",
        ids=["a", "b"],
        vectors=[[0.5, 0, 0.25], AXIS],
        metadata=[{"k": {"x": 1}}, {"$k": 2**60}],
        documents=[None, "tea"],
    )
    (index,) = await documents(INDEXES)
    assert len(index.pop("createdAt")) == len("2024-03-01T12:00:00.000Z")
    assert index == {"id": "i", "indexName": "i", "dimension": 3.0, "metric": "cosine"}
    plain = {"id": "a", "indexName": "i", "embedding": [0.5, 0.0, 0.25]}
    odd = {"id": "b", "indexName": "i", "embedding": AXIS, "document": "tea"}
    assert await documents(VECTORS) == [
        {**plain, "metadata": {"k": {"x": 1.0}}},
        {**odd, "metadata": '{"$k":1152921504606846976}'},
    ]


async def test_a_wrong_key_is_refused_and_told_to_nobody(url: str) -> None:
    key = "dev:a-deployment|a-wrong-key"
    async with ConvexVector(id="v", deployment_url=url, admin_auth_token=key) as store:
        with pytest.raises(AuthenticationError, match="check the admin key") as caught:
            await store.list_indexes()
        assert "a-wrong-key" not in f"{caught.value} {store!r}"


async def test_functions_of_an_earlier_version_are_a_schema_error(
    convex: Address, url: str
) -> None:
    options = {**convex.options, "functions": "elsewhere"}
    async with ConvexVector(id="v", deployment_url=url, **options) as store:
        with pytest.raises(SchemaError, match="mastra-convex init"):
            await store.create_index("i", dimension=3)


async def test_a_url_opens_it(convex: Address, url: str) -> None:
    host = url.removeprefix("http://")
    async with open_vector(f"convex://{host}?tls=0", scan=7, **convex.options) as store:
        assert isinstance(store, ConvexVector)
        assert await store.list_indexes() == []


@pytest.mark.parametrize("given", [{"scan": 0}, {"scan": "many"}, {"speed": 1}, {"timeout": 0}])
async def test_wrong_options_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        ConvexVector(id="v", deployment_url="https://x", admin_auth_token="k", **given)


async def test_tasks_that_write_the_same_vectors_leave_one_of_each(store: ConvexVector) -> None:
    await store.create_index("i", dimension=3)
    names = [f"v{n}" for n in range(20)]
    writes = [
        store.upsert("i", ids=names, vectors=around(0, 20, seed=seed), metadata=[{"w": seed}] * 20)
        for seed in range(5)
    ]
    await asyncio.gather(*writes)
    found = await store.query("i", query_vector=AXIS, top_k=20)
    assert sorted(ids(found)) == sorted(names)
    assert len({match.metadata["w"] for match in found}) == 1
