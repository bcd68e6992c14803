"""libSQL servers: one request a call, tokens, guards, and servers that go away."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from backends import Address
from backends.sqld import plain

from mastra_core.clock import uuid7
from mastra_core.errors import AuthenticationError, ConflictError, NotFoundError, UnavailableError
from mastra_core.records import Message, Thread
from mastra_core.storage.schema import Column, Put, Query, Table, Where
from mastra_libsql import LibSQLStore

pytestmark = pytest.mark.asyncio

CONTENT = {"format": 2, "parts": [{"type": "text", "text": "é\U0001f986 'quoted' \"twice\""}]}
NUMBERS = Table(
    "trap_numbers",
    (Column("id", "text", nullable=False), Column("n", "bigint")),
    key=("id",),
)
EDGES = [0, 2**31, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]


def message(thread_id: str) -> Message:
    return Message(thread_id=thread_id, resource_id="r", role="user", content=CONTENT)


@pytest.fixture(params=["http", "ws"])
def url(request: pytest.FixtureRequest, sqld: Address) -> str:
    return str(sqld.url).replace("http", request.param, 1)


@pytest_asyncio.fixture
async def store(url: str, sqld: Address) -> AsyncIterator[LibSQLStore]:
    async with LibSQLStore(id="remote", url=url, **sqld.options) as opened:
        yield opened


@pytest_asyncio.fixture
async def thread(store: LibSQLStore) -> AsyncIterator[Thread]:
    """A thread of its own for each test: the server is shared."""
    saved = await store.memory.save_thread(Thread(id=uuid7(), resource_id="r"))
    yield saved
    await store.memory.delete_thread(saved.id)


async def test_what_is_saved_comes_back(store: LibSQLStore, thread: Thread) -> None:
    saved = await store.memory.save_messages([message(thread.id) for _ in range(150)])
    page = await store.memory.list_messages(thread.id, per_page=False)
    assert page.messages == saved
    assert page.total == 150


async def test_integers_are_exact(store: LibSQLStore) -> None:
    await store.backend.setup((NUMBERS,))
    run = uuid7()
    for rows in ([(f"{run}{i}", n)] for i, n in enumerate(EDGES)):
        await store.backend.write(Put(NUMBERS, rows))
    await store.backend.write(Put(NUMBERS, [(f"{run}-{i}", n) for i, n in enumerate(EDGES)]))
    for prefix in (run, f"{run}-"):
        ids = tuple(f"{prefix}{i}" for i in range(len(EDGES)))
        found = await store.backend.find(NUMBERS, Query(where=(Where("id", "in", ids),)))
        assert [n for _, n in found] == EDGES


async def test_a_guard_fails_the_whole_write(store: LibSQLStore, thread: Thread) -> None:
    with pytest.raises(NotFoundError, match="Thread 'nowhere' not found"):
        await store.memory.save_messages([message(thread.id), message("nowhere")])
    assert (await store.memory.list_messages(thread.id)).total == 0
    stranger = msgspec.structs.replace(thread, resource_id="thief", title="mine")
    with pytest.raises(ConflictError, match="belongs to another resource"):
        await store.memory.save_thread(stranger)
    assert await store.memory.get_thread_by_id(thread.id) == thread


async def test_concurrent_updates_lose_nothing(store: LibSQLStore, thread: Thread) -> None:
    updates = [
        store.memory.update_thread(thread.id, metadata={f"k{number}": number})
        for number in range(30)
    ]
    await asyncio.gather(*updates)
    stored = await store.memory.get_thread_by_id(thread.id)
    assert stored is not None
    assert stored.metadata == {f"k{number}": number for number in range(30)}


async def test_many_writers_at_once(store: LibSQLStore, thread: Thread) -> None:
    await asyncio.gather(*(store.memory.save_messages([message(thread.id)]) for _ in range(300)))
    assert (await store.memory.list_messages(thread.id, per_page=1)).total == 300


async def test_one_store_serves_several_loops_in_turn(
    url: str, sqld: Address, capfd: pytest.CaptureFixture[str]
) -> None:
    store = LibSQLStore(id="remote", url=url, **sqld.options)
    thread = Thread(id=uuid7(), resource_id="r")

    async def use() -> bool:
        await store.memory.save_thread(thread)
        return await store.memory.get_thread_by_id(thread.id) is not None

    def in_loops_of_its_own() -> list[bool]:
        return [asyncio.run(use()) for _ in range(3)]

    assert await asyncio.to_thread(in_loops_of_its_own) == [True, True, True]
    # What a loop opened is closed with it: nothing complains when it is collected.
    gc.collect()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("token", "says"),
    [("", "check auth_token"), ("stranger", "check auth_token"), ("read", "check auth_token")],
)
@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_a_wrong_token_writes_nothing(
    scheme: str, token: str, says: str, sqld_jwt: Address
) -> None:
    url = sqld_jwt.url.replace("http", scheme, 1)
    thread = Thread(id=uuid7(), resource_id="r")
    async with LibSQLStore(id="right", url=url, **sqld_jwt.options) as right:
        wrong = LibSQLStore(id="wrong", url=url, auth_token=sqld_jwt.extra.get(token))
        with pytest.raises(AuthenticationError, match=says) as caught:
            await wrong.memory.save_thread(thread)
        await wrong.close()
        if token:
            assert sqld_jwt.extra[token] not in str(caught.value)
        assert await right.memory.get_thread_by_id(thread.id) is None


async def test_a_token_to_read_reads(sqld_jwt: Address) -> None:
    thread = Thread(id=uuid7(), resource_id="r")
    async with LibSQLStore(id="right", url=sqld_jwt.url, **sqld_jwt.options) as right:
        await right.memory.save_thread(thread)
    reading = {"auth_token": sqld_jwt.extra["read"]}
    async with LibSQLStore(id="reader", url=sqld_jwt.url, **reading) as reader:
        found = await reader.memory.get_thread_by_id(thread.id)
    assert found is not None


async def test_a_token_may_stand_in_the_address(sqld_jwt: Address) -> None:
    host = sqld_jwt.url.removeprefix("http://")
    url = f"libsql://{host}?tls=0&authToken={sqld_jwt.options['auth_token']}"
    async with LibSQLStore(id="remote", url=url) as store:
        assert await store.memory.get_thread_by_id("nobody") is None
        assert sqld_jwt.options["auth_token"] not in repr(store.backend)


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_a_server_that_goes_away_and_comes_back(
    scheme: str, sqld: Address, tmp_path: Path
) -> None:
    with plain(tmp_path) as address:
        url = address.url.replace("http", scheme, 1)
        store = LibSQLStore(id="remote", url=url, busy_timeout=2.0)
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
    with pytest.raises(UnavailableError, match="could not"):
        await store.memory.get_thread_by_id("t")
    with plain(tmp_path, int(address.url.rpartition(":")[2])):
        assert await store.memory.get_thread_by_id("t") is not None
        await store.memory.save_thread(Thread(id="u", resource_id="r"))
    await store.close()
