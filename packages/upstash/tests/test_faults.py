"""Requests that are cut, refused, throttled or too large: nothing is doubled, halved or given away."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from backends import Address
from backends.redis_server import direct

from mastra_core.clock import uuid7
from mastra_core.errors import (
    AuthenticationError,
    ConflictError,
    LimitExceededError,
    SchemaError,
    StorageError,
    UnavailableError,
)
from mastra_core.records import Message, Thread
from mastra_upstash import UpstashStore

from .wire import CUT_AFTER, CUT_BEFORE, HANG, Reply, Wire

pytestmark = pytest.mark.asyncio


def message(thread_id: str, text: str = "hello") -> Message:
    content = {"format": 2, "parts": [{"type": "text", "text": text}]}
    return Message(thread_id=thread_id, resource_id="r", role="user", content=content)


@pytest_asyncio.fixture
async def known(store: UpstashStore) -> AsyncIterator[UpstashStore]:
    """A store whose scripts the server knows, with a thread ``t``."""
    await store.memory.save_thread(Thread(id="t", resource_id="r"))
    await store.memory.get_thread_by_id("t")
    yield store


@pytest.mark.parametrize("cut", [CUT_BEFORE, CUT_AFTER])
async def test_a_write_that_is_cut_is_done_once(known: UpstashStore, wire: Wire, cut: str) -> None:
    wire.faults.append(cut)
    wire.requests.clear()
    saved = await known.memory.save_messages([message("t"), message("t")])
    assert [request.name for request in wire.requests] == ["EVALSHA", "EVALSHA"]
    assert (await known.memory.list_messages("t")).messages == saved


async def test_a_guarded_write_whose_answer_is_lost_is_no_conflict(
    known: UpstashStore, wire: Wire
) -> None:
    """Done again it would find its own traces, and say that somebody else was first."""
    before = await known.memory.get_thread_by_id("t")
    wire.faults.extend([None, CUT_AFTER])
    changed = await known.memory.update_thread("t", title="once")
    assert before is not None
    assert changed.updated_at > before.updated_at
    assert await known.memory.get_thread_by_id("t") == changed
    wire.faults.append(CUT_AFTER)
    await known.memory.clone_thread("t", new_thread_id="clone")
    assert (await known.memory.list_threads(resource_id="r")).total == 2


async def test_a_write_that_is_cut_twice_says_so(known: UpstashStore, wire: Wire) -> None:
    wire.faults.extend([CUT_BEFORE, CUT_BEFORE])
    with pytest.raises(UnavailableError, match="could not write"):
        await known.memory.save_messages([message("t")])
    assert (await known.memory.list_messages("t")).total == 0


async def test_a_read_that_is_cut_is_read_again(known: UpstashStore, wire: Wire) -> None:
    wire.faults.append(CUT_AFTER)
    assert await known.memory.get_thread_by_id("t") is not None


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(429, '{"error":"ERR max requests limit exceeded"}'), UnavailableError),
        (Reply(502, "<html>Bad Gateway</html>"), UnavailableError),
        (Reply(400, '{"error":"ERR max single record size exceeded"}'), LimitExceededError),
        (Reply(400, '{"error":"ERR DB capacity quota exceeded"}'), UnavailableError),
        (Reply(400, '{"error":"ERR something nobody knows"}'), StorageError),
        (Reply(401, '{"error":"Unauthorized"}'), AuthenticationError),
    ],
)
async def test_what_the_service_answers_is_told_by_its_kind(
    known: UpstashStore, wire: Wire, reply: Reply, error: type[StorageError]
) -> None:
    wire.faults.append(reply)
    with pytest.raises(StorageError, match="Upstash") as caught:
        await known.memory.save_messages([message("t")])
    assert type(caught.value) is error
    assert (await known.memory.list_messages("t")).total == 0


async def test_a_service_that_does_not_answer_is_not_waited_for(
    upstash: Address, wire: Wire
) -> None:
    async with UpstashStore(
        id="x", url=wire.url, key_prefix=uuid7(), timeout=0.2, disable_init=True, **upstash.options
    ) as store:
        wire.faults.append(HANG)
        with pytest.raises(UnavailableError, match="not reached"):
            await store.memory.get_thread_by_id("t")


async def test_a_call_that_is_cancelled_leaves_a_usable_store(
    known: UpstashStore, wire: Wire
) -> None:
    wire.faults.append(HANG)
    task = asyncio.create_task(known.memory.save_messages([message("t")]))
    await wire.hanging.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await known.memory.save_messages([message("t")])
    assert (await known.memory.list_messages("t")).total == 1


@pytest.mark.parametrize("token", ["wrong-token-of-nobody", "read"])
async def test_a_wrong_token_writes_nothing_and_is_not_told(upstash: Address, token: str) -> None:
    if token == "read" and token not in upstash.extra:
        pytest.skip("the service that the environment names has no token that may only read")
    secret = upstash.extra.get(token, token)
    store = UpstashStore(id="x", url=upstash.url, token=secret, key_prefix=uuid7())
    with pytest.raises(AuthenticationError, match="check the token") as caught:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
    assert secret not in f"{caught.value} {caught.value!r} {store!r} {store.backend!r}"
    await store.close()


async def test_a_request_that_is_too_large_is_not_sent(known: UpstashStore, wire: Wire) -> None:
    wire.requests.clear()
    texts = ["x" * 2_000_000] * 6
    with pytest.raises(LimitExceededError, match=r"at most 10,000,000 at once; nothing was sent"):
        await known.memory.save_messages([message("t", text) for text in texts])
    with pytest.raises(LimitExceededError, match="content of mastra_messages"):
        await known.memory.save_messages([message("t", "x" * 9_000_000)])
    assert wire.requests == []
    assert (await known.memory.list_messages("t")).total == 0


async def test_what_the_service_finds_too_large_is_written_nowhere(
    upstash: Address, wire: Wire
) -> None:
    """Where a plan is believed to allow more than it does, the service's own bound holds."""
    options: dict[str, Any] = {**upstash.options, "max_request_bytes": 100_000_000}
    async with UpstashStore(id="x", url=wire.url, key_prefix=uuid7(), **options) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        with pytest.raises(LimitExceededError, match="max request size"):
            await store.memory.save_messages([message("t", "x" * 6_000_000) for _ in range(2)])
        assert (await store.memory.list_messages("t")).total == 0


async def test_a_store_that_was_not_set_up_says_so(upstash: Address) -> None:
    store = UpstashStore(
        id="x", url=upstash.url, key_prefix=uuid7(), disable_init=True, **upstash.options
    )
    with pytest.raises(SchemaError, match=r"call init\(\)"):
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
    await store.init()
    await store.memory.save_thread(Thread(id="t", resource_id="r"))
    await store.close()


async def test_a_full_database_refuses_whole_writes(tmp_path: Path) -> None:
    with direct(tmp_path) as address:
        async with UpstashStore(id="x", url=address.url) as store:
            await store.memory.save_thread(Thread(id="t", resource_id="r"))
            raw = importlib.import_module("redis.asyncio").Redis.from_url(address.url)
            await raw.config_set("maxmemory", 1)
            with pytest.raises(UnavailableError, match="the database is full"):
                await store.memory.save_messages([message("t") for _ in range(10)])
            await raw.config_set("maxmemory", 0)
            await raw.aclose()
            assert (await store.memory.list_messages("t")).total == 0


async def test_a_server_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    with direct(tmp_path) as address:
        store = UpstashStore(id="x", url=address.url, timeout=5.0)
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
    with pytest.raises(UnavailableError, match="Redis"):
        await store.memory.get_thread_by_id("t")
    with direct(tmp_path, int(address.url.rpartition(":")[2].partition("/")[0])):
        with pytest.raises(SchemaError, match="tables are not there"):
            await store.memory.get_thread_by_id("t")  # It kept nothing on disk.
        await store.close()
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        assert await store.memory.get_thread_by_id("t") is not None
    await store.close()


async def test_a_conflict_is_named_and_nothing_is_written(known: UpstashStore) -> None:
    with pytest.raises(ConflictError, match="belongs to another resource"):
        await known.memory.save_thread(Thread(id="t", resource_id="thief"))
    found = await known.memory.get_thread_by_id("t")
    assert found is not None
    assert found.resource_id == "r"
