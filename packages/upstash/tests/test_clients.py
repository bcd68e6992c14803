"""URLs, options, and clients that a caller made and keeps."""

from __future__ import annotations

import asyncio
import gc
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from backends import Address

from mastra_core.clock import uuid7
from mastra_core.errors import ConfigurationError
from mastra_core.plugins import open_storage
from mastra_core.records import Message, Thread
from mastra_upstash import MemoryUpstash, UpstashStore
from mastra_upstash.backend import RedisBackend, UpstashBackend

CONTENT = {"format": 2, "parts": [{"type": "text", "text": "é😀"}]}


async def used(store: UpstashStore) -> str:
    thread = Thread(id=uuid7(), resource_id="r")
    await store.memory.save_thread(thread)
    said = Message(thread_id=thread.id, resource_id="r", role="user", content=CONTENT)
    await store.memory.save_messages([said])
    return (await store.memory.list_messages(thread.id)).messages[0].text


@pytest.mark.asyncio
async def test_a_client_of_upstash_that_is_given_is_not_closed(upstash: Address) -> None:
    driver = importlib.import_module("upstash_redis.asyncio")
    client = driver.Redis(upstash.url, upstash.options["token"], rest_retries=0)
    store = UpstashStore(id="x", client=client, key_prefix=uuid7())
    assert isinstance(store.backend, UpstashBackend)
    assert await used(store) == "é😀"
    await store.close()
    assert await client.ping() == "PONG"
    assert await used(store) == "é😀"
    await client.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("decode", [True, False])
async def test_a_client_of_redis_that_is_given_is_not_closed(redis: Address, decode: bool) -> None:
    driver = importlib.import_module("redis.asyncio")
    client = driver.Redis.from_url(redis.url, decode_responses=decode)
    store = UpstashStore(id="x", client=client, key_prefix=uuid7())
    assert isinstance(store.backend, RedisBackend)
    assert await used(store) == "é😀"
    await store.close()
    assert await client.ping() is True
    await client.aclose()


@pytest.mark.parametrize("name", ["upstash", "redis"])
def test_one_store_serves_several_loops_in_turn(
    name: str, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    address: Address = request.getfixturevalue(name)
    store = UpstashStore(id="x", url=address.url, key_prefix=uuid7(), **address.options)
    assert [asyncio.run(used(store)) for _ in range(3)] == ["é😀"] * 3
    # What a loop opened is closed with it: nothing complains when it is collected.
    gc.collect()
    assert capfd.readouterr() == ("", "")


@pytest.mark.asyncio
async def test_a_domain_opens_a_database_of_its_own(redis: Address) -> None:
    memory = MemoryUpstash(url=redis.url, key_prefix=uuid7())
    await memory.save_thread(Thread(id="t", resource_id="r"))
    assert await memory.get_thread_by_id("t") is not None
    await memory.close()


@pytest.mark.asyncio
async def test_a_url_may_have_the_token(upstash: Address) -> None:
    token = upstash.options["token"]
    host = upstash.url.partition("://")[2]
    tls = "?tls=0" if upstash.url.startswith("http:") else ""
    async with open_storage(f"upstash://:{token}@{host}{tls}", key_prefix=uuid7()) as store:
        assert isinstance(store, UpstashStore)
        assert await used(store) == "é😀"
        assert token not in f"{store!r} {store.backend!r} {store.memory!r}"


def test_a_password_is_not_shown() -> None:
    store = UpstashStore(id="x", url="rediss://user:hunter2@db.example:6380/3")
    assert repr(store.backend) == "RedisBackend('db.example:6380/3')"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "either a url"),
        ({"url": "https://x.upstash.io", "client": object()}, "either a url"),
        ({"url": " "}, "url must be"),
        ({"url": "https://x.upstash.io"}, "token is required"),
        ({"url": "https://x.upstash.io", "token": "AX…"}, "no token has"),
        ({"url": "ftp://x.upstash.io", "token": "t"}, "url must be https"),
        ({"url": "https://", "token": "t"}, "url must be https"),
        ({"url": "redis://localhost", "token": "t"}, "a password stands in the url"),
        ({"client": object()}, "client must be"),
        ({"url": "redis://localhost", "max_request_bytes": 0}, "must be positive"),
        ({"url": "redis://localhost", "speed": 1}, "no option speed"),
        ({"url": "redis://localhost", "timeout": "soon"}, "option of Upstash is wrong"),
    ],
)
def test_wrong_options_are_told_at_once(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        UpstashStore(id="x", **options)


def test_the_example_of_the_readme_runs(upstash: Address, redis: Address) -> None:
    readme = Path(__file__).parents[1].joinpath("README.md").read_text()
    example = readme.partition("```py\n")[2].partition("```")[0]
    for name, real in {
        "https://name.upstash.io": upstash.url,
        "AXyz": upstash.options["token"],
        "redis://localhost:6379/0": redis.url,
    }.items():
        assert name in example
        example = example.replace(name, real)
    command = [sys.executable, "-c", example]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("1\n", "", 0)


def test_a_client_that_blocks_is_refused() -> None:
    blocking = importlib.import_module("redis").Redis()
    with pytest.raises(ConfigurationError, match="asynchronous"):
        UpstashStore(id="x", client=blocking)
    blocking.close()
