"""Vectors on a libSQL server: the same answers as the reference gives, in one request each."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
from backends import Address

from mastra_core.clock import uuid7
from mastra_core.errors import AuthenticationError
from mastra_core.storage.sql import Statement
from mastra_core.vector import InMemoryVector
from mastra_libsql import LibSQLVector

pytestmark = pytest.mark.asyncio

DIMENSION = 6
COUNT = 300
FILTERS: list[dict[str, Any] | None] = [
    None,
    {"user": "u3"},
    {"user": {"$nin": ["u3", "u4"]}, "n": {"$lt": 200}},
    {"$or": [{"user": "u1", "n": {"$gte": 100}}, {"deep.k'\"y": True}]},
    {"$nor": [{"tags": "a"}, {"text": {"$contains": "É🦆"}}]},
    {"tags": {"$contains": ["a", 2]}},
    {"none": {"$exists": False}, "n": {"$ne": 2**53 + 1}},
    {"n": 2**53 + 1},
]


class ByGraph(LibSQLVector):
    """Never looks at all vectors because they are few."""

    small = 0


@pytest.fixture(params=["http", "ws"])
def url(request: pytest.FixtureRequest, sqld: Address) -> str:
    return str(sqld.url).replace("http", request.param, 1)


@pytest_asyncio.fixture(params=[LibSQLVector, ByGraph], ids=["small", "large"])
async def store(
    request: pytest.FixtureRequest, url: str, sqld: Address
) -> AsyncIterator[LibSQLVector]:
    async with request.param(id="remote", url=url, **sqld.options) as opened:
        yield opened


@pytest_asyncio.fixture
async def name(store: LibSQLVector) -> AsyncIterator[str]:
    """An index of its own for each test: the server is shared."""
    name = f"docs_{uuid7().replace('-', '')}"
    await store.create_index(name, dimension=DIMENSION, metadata_indexes=["user"])
    yield name
    await store.delete_index(name)


def vector(seed: int) -> list[float]:
    return [random.Random(seed * 10 + i).uniform(-1, 1) for i in range(DIMENSION)]


def metadata(n: int) -> dict[str, Any]:
    return {
        "user": f"u{n % 7}",
        "n": n if n % 50 else 2**53 + 1,
        "deep": {"k'\"y": n % 3 == 0},
        "tags": [["a"], ["a", 2], [], "a", None][n % 5],
        "text": "eine é🦆 …" if n % 2 else "x",
    }


class Requests:
    """Counts the requests of a store."""

    def __init__(self, store: LibSQLVector, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[Sequence[Statement]] = []
        batch = store.backend._batch  # type: ignore[attr-defined]

        async def counted(statements: Sequence[Statement]) -> Any:
            self.sent.append(statements)
            return await batch(statements)

        monkeypatch.setattr(store.backend, "_batch", counted)


async def test_the_answers_are_those_of_the_reference(store: LibSQLVector, name: str) -> None:
    reference = InMemoryVector()
    await reference.create_index(name, dimension=DIMENSION)
    ids = [f"{n:03}" for n in range(COUNT)]
    for one in (reference, store):
        await one.upsert(
            name,
            ids=ids,
            vectors=[vector(n) for n in range(COUNT)],
            metadata=[metadata(n) for n in range(COUNT)],
            documents=[f"text {n}" if n % 2 else None for n in range(COUNT)],
        )
        await one.update_vector(name, filter={"user": "u6"}, metadata={"user": "u3"})
        await one.update_vector(name, id="007", vector=vector(999))
        await one.delete_vectors(name, filter={"user": "u5", "n": {"$gt": 50}})
        await one.delete_vectors(name, ids=ids[10:20])
    # As many as there are, so that the graph is left for a look at all.
    for where in FILTERS:
        questions = [vector(n) for n in (1000, 1001)]
        query = {
            "query_vectors": questions,
            "top_k": COUNT,
            "filter": where,
            "include_vector": True,
        }
        expected = await reference.query_many(name, **query)
        found = await store.query_many(name, **query)
        for mine, theirs in zip(found, expected, strict=True):
            by_id = {match.id: match for match in mine}
            assert by_id.keys() == {match.id for match in theirs}
            for match in theirs:
                one = by_id[match.id]
                assert one.score == pytest.approx(match.score, abs=1e-6)
                assert (one.metadata, one.vector) == (match.metadata, match.vector)
                assert one.document == match.document


async def test_a_search_is_one_request_however_many_questions_it_has(
    url: str, sqld: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with LibSQLVector(id="remote", url=url, **sqld.options) as store:
        name = f"docs_{uuid7().replace('-', '')}"
        await store.create_index(name, dimension=DIMENSION)
        requests = Requests(store, monkeypatch)
        await store.upsert(name, vectors=[vector(n) for n in range(100)], delete_filter={"n": 1})
        assert len(requests.sent) == 1
        questions = [vector(n) for n in range(200, 210)]
        found = await store.query_many(name, query_vectors=questions, top_k=4, filter={"n": None})
        assert len(requests.sent) == 2
        assert [len(matches) for matches in found] == [4] * 10
        await store.delete_index(name)


async def test_many_vectors_are_stored_and_found_along_the_graph(
    store: LibSQLVector, name: str
) -> None:
    ids = await store.upsert(name, vectors=[vector(n) for n in range(600)])
    for n in (5, 255, 599):
        (match,) = await store.query(name, query_vector=vector(n), top_k=1)
        assert (match.id, match.score) == (ids[n], pytest.approx(1))


async def test_a_wrong_token_is_told_and_not_shown(sqld_jwt: Address) -> None:
    token = sqld_jwt.extra["stranger"]
    async with LibSQLVector(id="wrong", url=sqld_jwt.url, auth_token=token) as store:
        with pytest.raises(AuthenticationError, match="check auth_token") as caught:
            await store.create_index("docs", dimension=3)
    assert token not in f"{caught.value!r} {caught.value.__cause__!r} {store!r}"
