"""Upstash Vector that is cut off, refuses, or is slow: told by its kind, nothing given away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from backends import Address

from mastra_core.clock import uuid7
from mastra_core.errors import (
    AuthenticationError,
    InvalidArgumentError,
    LimitExceededError,
    StorageError,
    UnavailableError,
)
from mastra_upstash import UpstashVector

from .wire import CUT_AFTER, CUT_BEFORE, HANG, Reply, Wire

pytestmark = pytest.mark.asyncio

AXIS = [1.0, 0.0, 0.0]


@pytest_asyncio.fixture
async def wire(upstash_vector: Address) -> AsyncIterator[Wire]:
    """What passes between a store and the service."""
    async with Wire(upstash_vector.url) as found:
        yield found


@pytest_asyncio.fixture
async def store(wire: Wire, upstash_vector: Address) -> AsyncIterator[UpstashVector]:
    """A store on the wire."""
    options: Any = upstash_vector.options
    async with UpstashVector(id="v", url=wire.url, **options) as found:
        found.claim_seconds = 0.0
        yield found


@pytest_asyncio.fixture
async def index(store: UpstashVector, wire: Wire) -> AsyncIterator[str]:
    """An index with ``a`` in it, which the store knows."""
    name = f"i{uuid7()}"
    await store.create_index(name, dimension=3)
    await store.upsert(name, ids=["a"], vectors=[AXIS])
    wire.requests.clear()
    yield name
    wire.faults.clear()
    await store.delete_index(name)


@pytest.mark.parametrize("cut", [CUT_BEFORE, CUT_AFTER])
async def test_a_call_that_is_cut_once_is_done(
    store: UpstashVector, index: str, wire: Wire, cut: str
) -> None:
    """A read again, and a write, which does the same when it is done twice."""
    wire.faults.extend([None, cut])
    await store.upsert(index, ids=["b"], vectors=[[0, 1, 0]], documents=["text"])
    assert [one.path for one in wire.requests].count(f"/upsert/{index}") == 2
    wire.faults.append(cut)
    found = await store.query(index, query_vector=[0, 1, 0])
    assert [(match.id, match.document) for match in found] == [("b", "text"), ("a", None)]
    wire.faults.append(cut)
    await store.delete_vector(index, id="a")
    assert (await store.describe_index(index)).count == 1


async def test_a_call_that_is_cut_twice_says_so(
    store: UpstashVector, index: str, wire: Wire
) -> None:
    wire.faults.extend([None, CUT_BEFORE, CUT_BEFORE])
    with pytest.raises(UnavailableError, match="not reached"):
        await store.upsert(index, ids=["b"], vectors=[AXIS])
    assert (await store.describe_index(index)).count == 1


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (
            Reply(401, '{"error":"Unauthorized: Invalid auth token","status":401}'),
            AuthenticationError,
        ),
        (Reply(429, '{"error":"Exceeded daily write limit","status":429}'), UnavailableError),
        (Reply(413, "<html>too large</html>"), LimitExceededError),
        (Reply(422, '{"error":"Exceeded max metadata size","status":422}'), LimitExceededError),
        (Reply(400, '{"error":"Invalid filter","status":400}'), InvalidArgumentError),
        (Reply(502, "<html>Bad Gateway</html>"), UnavailableError),
        (Reply(500, ""), UnavailableError),
        (Reply(200, "<html>a portal</html>"), UnavailableError),
        (Reply(200, '{"result": {"a": 1}}'), UnavailableError),
        (Reply(418, '{"error":"something nobody knows"}'), StorageError),
    ],
)
async def test_what_the_service_answers_is_told_by_its_kind(
    store: UpstashVector, index: str, wire: Wire, reply: Reply, error: type[StorageError]
) -> None:
    wire.faults.append(reply)
    with pytest.raises(StorageError, match="could not search") as caught:
        await store.query(index, query_vector=AXIS)
    assert type(caught.value) is error
    assert len(await store.query(index, query_vector=AXIS)) == 1


async def test_a_service_that_does_not_answer_is_not_waited_for(
    wire: Wire, upstash_vector: Address
) -> None:
    options: Any = upstash_vector.options
    async with UpstashVector(id="v", url=wire.url, timeout=0.2, **options) as store:
        wire.faults.append(HANG)
        with pytest.raises(UnavailableError, match="not reached"):
            await store.list_indexes()


async def test_a_call_that_is_cancelled_leaves_a_usable_store(
    store: UpstashVector, index: str, wire: Wire
) -> None:
    wire.faults.extend([None, HANG])
    task = asyncio.create_task(store.upsert(index, ids=["b"], vectors=[AXIS]))
    await wire.hanging.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.upsert(index, ids=["c"], vectors=[AXIS])
    assert (await store.describe_index(index)).count == 2


async def test_a_wrong_token_is_not_told(upstash_vector: Address) -> None:
    secret = "wrong-token-of-nobody"
    async with UpstashVector(id="v", url=upstash_vector.url, token=secret) as store:
        with pytest.raises(AuthenticationError, match="check the token") as caught:
            await store.list_indexes()
        assert secret not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r} {store!r}"


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    async with UpstashVector(id="v", url="http://127.0.0.1:1", token="t") as store:
        with pytest.raises(UnavailableError, match="not reached"):
            await store.list_indexes()
