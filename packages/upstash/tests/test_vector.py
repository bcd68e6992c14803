"""What only Upstash Vector does: namespaces, limits, pending vectors, and what the original wrote."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from backends import Address
from backends.upstash_vector import service

from mastra_core.clock import uuid7
from mastra_core.errors import (
    ConfigurationError,
    InvalidArgumentError,
    LimitExceededError,
    NotFoundError,
)
from mastra_core.plugins import open_vector
from mastra_upstash import UpstashVector
from mastra_upstash.vector import REGISTRY
from mastra_upstash.vector_filters import SHORTENED
from mastra_upstash.vector_rows import WHOLE

from .wire import Wire

pytestmark = pytest.mark.asyncio

TOKEN = "a-token-of-the-vector-tests"


def opened(url: str, **options: Any) -> UpstashVector:
    store = UpstashVector(id="v", url=url, **{"token": TOKEN, **options})
    store.claim_seconds = 0.0
    return store


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An index of three dimensions of its own."""
    with service(tmp_path_factory.mktemp("small"), "COSINE", dimension=3) as address:
        yield address


@pytest_asyncio.fixture
async def raw(small: Address) -> AsyncIterator[Any]:
    """Requests as the original's client sends them."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=small.url, headers=headers) as client:

        async def ask(path: str, body: Any = None) -> Any:
            answer = await client.post(f"/{path}", json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()["result"]

        yield ask


@pytest_asyncio.fixture
async def wire(small: Address) -> AsyncIterator[Wire]:
    """What passes between a store and the service."""
    async with Wire(small.url) as found:
        yield found


@pytest_asyncio.fixture
async def store(wire: Wire) -> AsyncIterator[UpstashVector]:
    """A store on the wire."""
    async with opened(wire.url) as found:
        yield found


async def new(store: UpstashVector, dimension: int = 3) -> str:
    name = f"i{uuid7()}"
    await store.create_index(name, dimension=dimension)
    return name


async def test_what_the_original_wrote_is_an_index(store: UpstashVector, raw: Any) -> None:
    """A namespace with vectors, of the service's dimension; nothing of ours stands there."""
    name = f"theirs{uuid7()}"
    points = [
        {"id": "a", "vector": [1, 0, 0], "metadata": {"text": "tea", "n": 1}},
        {"id": "b", "vector": [0, 1, 0]},
    ]
    await raw(f"upsert/{name}", points)
    assert name in await store.list_indexes()
    assert (await store.describe_index(name)).dimension == 3
    found = await store.query(name, query_vector=[1, 0, 0])
    assert [(m.id, round(m.score, 6), m.metadata, m.document) for m in found] == [
        ("a", 1.0, {"text": "tea", "n": 1}, None),
        ("b", 0.0, {}, None),
    ]
    await store.create_index(name, dimension=3)
    await store.update_vector(name, id="b", metadata={"text": "coffee"})
    await store.upsert(name, ids=["c"], vectors=[[0, 0, 1]], documents=["text of c"])
    seen = await raw(f"query/{name}", {"vector": [0, 1, 0], "topK": 9, "includeMetadata": True})
    assert {one["id"]: one.get("metadata") for one in seen} == {
        "b": {"text": "coffee"},
        "a": {"text": "tea", "n": 1},
        "c": {},
    }
    await store.delete_index(name)
    assert name not in await store.list_indexes()


async def test_the_original_reads_what_we_write(store: UpstashVector, raw: Any) -> None:
    """Ids, numbers and metadata stand where it looks, in the namespace of that name."""
    name = await new(store)
    await store.upsert(
        name, ids=["a"], vectors=[[0.5, 0, 0.25]], metadata=[{"k": {"x": 1}}], documents=["text"]
    )
    flags = {"includeVectors": True, "includeMetadata": True, "includeData": True}
    (found,) = await raw(f"fetch/{name}", {"ids": ["a"], **flags})
    assert found == {
        "id": "a",
        "vector": [0.5, 0.0, 0.25],
        "metadata": {"k": {"x": 1}},
        "data": "text",
    }


async def test_reading_a_namespace_makes_no_index_of_it(store: UpstashVector, raw: Any) -> None:
    name = f"nothing{uuid7()}"
    assert await raw(f"query/{name}", {"vector": [1, 0, 0], "topK": 1}) == []
    assert name in await raw("list-namespaces")
    assert name not in await store.list_indexes()
    with pytest.raises(NotFoundError):
        await store.query(name, query_vector=[1, 0, 0])


async def test_a_write_into_a_deleted_index_makes_no_namespace(
    store: UpstashVector, small: Address, raw: Any
) -> None:
    name = await new(store)
    await store.upsert(name, ids=["a"], vectors=[[1, 0, 0]])
    async with opened(small.url) as other:
        await other.delete_index(name)
    with pytest.raises(NotFoundError, match=name):
        await store.upsert(name, ids=["b"], vectors=[[1, 0, 0]])
    assert name not in await raw("list-namespaces")


async def test_the_registry_is_no_index_and_cannot_be_one(store: UpstashVector) -> None:
    await new(store)
    assert REGISTRY not in await store.list_indexes()
    with pytest.raises(InvalidArgumentError):
        await store.create_index(REGISTRY, dimension=3)


async def test_vectors_shorter_than_the_services_are_filled_up(
    store: UpstashVector, raw: Any
) -> None:
    name = await new(store, 2)
    await store.upsert(name, ids=["a"], vectors=[[3, 4]])
    (seen,) = await raw(f"fetch/{name}", {"ids": ["a"], "includeVectors": True})
    assert seen["vector"] == [3.0, 4.0, 0.0]
    (found,) = await store.query(name, query_vector=[4, 3], include_vector=True)
    assert (found.vector, round(found.score, 6)) == ([3.0, 4.0], 0.96)
    with pytest.raises(InvalidArgumentError, match=r"4 dimensions.*has 3"):
        await store.create_index(f"i{uuid7()}", dimension=4)


async def test_an_index_with_another_metric_is_told_at_the_first_request(small: Address) -> None:
    async with opened(small.url, metric="euclidean") as store:
        with pytest.raises(ConfigurationError, match="measures COSINE, not euclidean; give metric"):
            await store.list_indexes()


async def test_long_metadata_are_whole_and_shortened_where_filters_look(
    store: UpstashVector, raw: Any
) -> None:
    name, text = await new(store), "tea " * 20_000
    metadata = {"text": text, "thread_id": "t", "big": 2**60 + 1}
    await store.upsert(name, ids=["a"], vectors=[[1, 0, 0]], metadata=[metadata], documents=["d"])
    (seen,) = await raw(f"fetch/{name}", {"ids": ["a"], "includeMetadata": True})
    assert len(seen["metadata"]["text"]) == 201
    assert (seen["metadata"]["thread_id"], seen["metadata"][SHORTENED]) == ("t", True)
    for given in (
        {"thread_id": "t"},
        {"text": text},
        {"text": {"$contains": "A TEA"}},
        {"big": 2**60 + 1},
    ):
        (found,) = await store.query(name, query_vector=[1, 0, 0], filter=given)
        assert (found.metadata, found.document) == (metadata, "d")
    assert await store.query(name, query_vector=[1, 0, 0], filter={"big": 2**60}) == []
    await store.update_vector(name, id="a", metadata={"text": "short"})
    (found,) = await store.query(name, query_vector=[1, 0, 0])
    assert (found.metadata, found.document) == ({"text": "short"}, "d")
    await store.update_vector(name, filter={"text": "short"}, metadata=metadata)
    (found,) = await store.query(name, query_vector=[1, 0, 0])
    assert (found.metadata, found.document) == (metadata, "d")
    await store.delete_vectors(name, filter={"text": {"$contains": "tea tea"}})
    assert (await store.describe_index(name)).count == 0


@pytest.mark.parametrize("document", ["", WHOLE, WHOLE + '{"document":"x"}}', None])
@pytest.mark.parametrize("metadata", [{}, {SHORTENED: 1}, {SHORTENED: True, "n": 2**60 + 1}])
async def test_what_looks_like_our_own_marks_is_data(
    store: UpstashVector, document: str | None, metadata: dict[str, Any]
) -> None:
    name = await new(store)
    given: dict[str, Any] = {"metadata": [metadata], "documents": [document]}
    await store.upsert(name, ids=["a"], vectors=[[1, 0, 0]], **given)
    for _ in range(2):
        (found,) = await store.query(name, query_vector=[1, 0, 0])
        assert (found.metadata, found.document) == (metadata, document)
        await store.update_vector(name, id="a", metadata=metadata)
    await store.update_vector(name, id="a", metadata={"k": 1})
    (found,) = await store.query(name, query_vector=[1, 0, 0], filter={"k": 1})
    assert (found.metadata, found.document) == ({"k": 1}, document)


@pytest.mark.parametrize(
    "given",
    [
        {"metadata": [{}, {f"key {n}": "x" * 100 for n in range(1000)}]},
        {"metadata": [{}, {"text": "x" * 1_100_000}]},
        {"documents": ["fine", "é" * 600_000]},
    ],
)
async def test_what_is_too_large_is_told_before_anything_is_sent(
    store: UpstashVector, wire: Wire, given: dict[str, Any]
) -> None:
    name = await new(store)
    wire.requests.clear()
    with pytest.raises(LimitExceededError, match=r"'b'.*nothing was sent"):
        await store.upsert(name, ids=["a", "b"], vectors=[[1, 0, 0]] * 2, **given)
    assert wire.requests == []


async def test_many_vectors_are_sent_in_several_requests(store: UpstashVector, wire: Wire) -> None:
    name = await new(store)
    wire.requests.clear()
    names = [f"v{n}" for n in range(2500)]
    await store.upsert(name, ids=names, vectors=[[1, 0, n] for n in range(2500)])
    sent = [len(one.command) for one in wire.requests if one.path == f"/upsert/{name}"]
    assert sent == [1000, 1000, 500]
    wire.requests.clear()
    long = ["x" * 500_000] * 12
    await store.upsert(name, ids=names[:12], vectors=[[1, 0, 0]] * 12, documents=long)
    sent = [len(one.command) for one in wire.requests if one.path == f"/upsert/{name}"]
    assert sum(sent) == 12
    assert len(sent) > 1
    assert all(one.size < 8_000_000 for one in wire.requests)
    assert (await store.describe_index(name)).count == 2500


async def test_more_than_the_service_finds_at_once_are_found_by_looking(
    store: UpstashVector, small: Address
) -> None:
    """Where the index is small enough for that; else what is asked for is too much."""
    name = await new(store)
    names = [f"v{n:04}" for n in range(1500)]
    await store.upsert(name, ids=names, vectors=[[1, 0, n / 1500] for n in range(1500)])
    found = await store.query(name, query_vector=[1, 0, 0], top_k=1400, include_vector=True)
    assert [match.id for match in found] == names[:1400]
    async with opened(small.url, scan=1000) as other:
        for _ in range(2):
            with pytest.raises(LimitExceededError, match="raise scan"):
                await other.query(name, query_vector=[1, 0, 0], top_k=1400)
        assert len(await other.query(name, query_vector=[1, 0, 0], top_k=1000)) == 1000


async def test_what_the_services_budget_leaves_out_is_found_by_looking(
    store: UpstashVector, small: Address, wire: Wire
) -> None:
    """In an index that is larger than ``scan`` its answer has to do; deleting misses nothing."""
    name = await new(store)
    vectors = [[1.0, 0.0, n / 700] for n in range(700)]
    metadata = [{"owner": "ada" if n >= 698 else "bob"} for n in range(700)]
    await store.upsert(name, ids=[f"v{n}" for n in range(700)], vectors=vectors, metadata=metadata)
    search: dict[str, Any] = {"query_vector": [1, 0, 0], "filter": {"owner": "ada"}}
    assert [match.id for match in await store.query(name, **search)] == ["v698", "v699"]
    async with opened(small.url, scan=100) as other:
        assert await other.query(name, **search) == []
        wire.requests.clear()
        await store.delete_vectors(name, filter={"owner": "ada"})
        assert [one.path for one in wire.requests] == [f"/delete/{name}"]
        assert (await other.describe_index(name)).count == 698
        await other.delete_vectors(name, filter={"owner": {"$ne": "ada"}})
        assert (await other.describe_index(name)).count == 0


async def test_requests_per_call(store: UpstashVector, wire: Wire) -> None:
    """As the README has them; the first of an index looks it up."""
    name = await new(store)

    async def paths(call: Any) -> list[str]:
        wire.requests.clear()
        await call
        return [one.path.split("/")[1] for one in wire.requests]

    names = [f"v{n}" for n in range(100)]
    stored: dict[str, Any] = {"ids": names, "vectors": [[1, 0, n] for n in range(100)]}
    stored["metadata"] = [{"t": "x" if n < 20 else "y"} for n in range(100)]
    assert await paths(store.upsert(name, **stored)) == ["fetch", "upsert", "info"]
    plain: dict[str, Any] = {"query_vector": [1, 0, 0]}
    assert await paths(store.query(name, **plain)) == ["query"]
    assert await paths(store.query_many(name, query_vectors=[[1, 0, 0]] * 20)) == ["query"]
    assert await paths(store.query(name, **plain, filter={"t": "x"})) == ["query"]
    short = store.query(name, **plain, filter={"t": "x"}, top_k=50)
    assert await paths(short) == ["query", "info", "range"]
    change = store.update_vector(name, id="v1", metadata={})
    assert await paths(change) == ["fetch", "update", "info"]
    assert await paths(store.delete_vectors(name, ids=names[:10])) == ["delete"]
    assert await paths(store.delete_vectors(name, filter={"t": "x"})) == ["delete"]
    assert await paths(store.delete_vectors(name, filter={"t": {"$ne": "x"}})) == [
        "range",
        "delete",
    ]


async def test_a_change_is_waited_for_until_searches_see_it(tmp_path: Path) -> None:
    """Within bounds: where nothing is waited for, reading by id sees it and searching does not."""
    with service(tmp_path, "COSINE", dimension=3, lag=0.4) as address:
        async with opened(address.url, settle=0) as hasty, opened(address.url) as store:
            name = await new(store)
            await hasty.upsert(name, ids=["a"], vectors=[[1, 0, 0]])
            assert await hasty.query(name, query_vector=[1, 0, 0]) == []
            assert (await store.describe_index(name)).count == 1
            await store.update_vector(name, id="a", vector=[0, 1, 0])
            (found,) = await hasty.query(name, query_vector=[0, 1, 0])
            assert found.score == 1.0
            await hasty.upsert(name, ids=["b"], vectors=[[0, 1, 0]])
            assert len(await hasty.query(name, query_vector=[0, 1, 0])) == 1


async def test_a_client_that_is_given_is_used_and_not_closed(small: Address) -> None:
    async with httpx.AsyncClient() as client:
        store = opened(small.url, client=client)
        name = await new(store)
        await store.close()
        assert not client.is_closed
        await store.upsert(name, ids=["a"], vectors=[[1, 0, 0]])
        assert (await store.describe_index(name)).count == 1
        await store.delete_index(name)


async def test_a_url_may_have_the_token_and_the_metric(small: Address) -> None:
    host = small.url.partition("://")[2]
    url = f"upstash://:{TOKEN}@{host}?tls=0&metric=cosine"
    async with open_vector(url) as store:
        assert isinstance(store, UpstashVector)
        assert store.metrics == {"cosine"}
        assert isinstance(await store.list_indexes(), list)
        assert TOKEN not in f"{store!r} {store.place} {vars(store)!r}"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"url": " "}, "url must be"),
        ({"url": "redis://x", "token": "t"}, "url must be"),
        ({"url": "https://x.upstash.io"}, "token is required"),
        ({"url": "https://x.upstash.io", "token": "AX…"}, "no token has"),
        ({"url": "https://x.upstash.io", "token": "t", "speed": 1}, "no option speed"),
        (
            {"url": "https://x.upstash.io", "token": "t", "metric": "dotproduct"},
            "option .* is wrong",
        ),
        ({"url": "https://x.upstash.io?metric=x", "token": "t"}, "option .* is wrong"),
        ({"url": "https://x.upstash.io", "token": "t", "timeout": 0}, "must be positive"),
        ({"url": "https://x.upstash.io", "token": "t", "client": httpx.Client}, "AsyncClient"),
    ],
)
async def test_wrong_options_are_told_at_once(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        UpstashVector(id="x", **options)


async def test_the_example_of_the_readme_runs(upstash_vector: Address) -> None:
    readme = Path(__file__).parents[1].joinpath("README.md").read_text()
    example = readme.partition("## Vectors")[2].partition("```py\n")[2].partition("```")[0]
    for name, real in {
        "https://name-vector.upstash.io": upstash_vector.url,
        "AVyz": upstash_vector.options["token"],
    }.items():
        assert name in example
        example = example.replace(name, real)
    command = [sys.executable, "-c", example]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("m1 Watering\n", "", 0)
