"""What only D1 does: its limits, its numbers, its tokens, its refusals, and its tables."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from backends.request_counts import Counter, counted, published
from backends.sqlite_numbers import NUMBERS, check_numbers

from mastra_cloudflare_d1 import D1Store
from mastra_core import open_storage
from mastra_core.errors import (
    AuthenticationError,
    ConfigurationError,
    LimitExceededError,
    StorageError,
    UnavailableError,
)
from mastra_core.records import Message, Thread
from mastra_core.storage.schema import Put, Update, Where
from mastra_core.storage.sql import Statement

pytestmark = pytest.mark.asyncio

README = Path(__file__).parents[1] / "README.md"
CONTENT = {"format": 2, "parts": [{"type": "text", "text": "x"}]}
OURS = {"account_id": "a", "database_id": "d", "api_token": "very-secret"}


@pytest_asyncio.fixture
async def store(factory):
    async with factory() as opened:
        yield opened


async def test_numbers_come_back_as_what_they_were(store: D1Store) -> None:
    await check_numbers(store.backend)


async def test_a_large_batch_is_split_into_values_that_d1_takes(store: D1Store) -> None:
    text = "é" * 30_000
    content = {"format": 2, "parts": [{"type": "text", "text": text}]}
    thread = await store.memory.save_thread(Thread(id="t", resource_id="r"))
    given = [
        Message(thread_id=thread.id, resource_id="r", role="user", content=content)
        for _ in range(120)
    ]
    saved = await store.memory.save_messages(given)
    assert (await store.memory.list_messages("t", per_page=False)).messages == saved
    stranger = Message(thread_id="nowhere", resource_id="r", role="user", content=CONTENT)
    with pytest.raises(StorageError, match="nowhere"):
        await store.memory.save_messages([*given, stranger])
    assert (await store.memory.list_messages("t", per_page=1)).total == 120


async def test_a_long_list_is_split_into_values_that_d1_takes(store: D1Store) -> None:
    await store.memory.save_thread(Thread(id="t", resource_id="r"))
    (saved,) = await store.memory.save_messages(
        [Message(thread_id="t", resource_id="r", role="user", content=CONTENT)]
    )
    ids = [f"{'x' * 100}{i}" for i in range(30_000)]
    found = await store.memory.list_messages_by_id([*ids, saved.id])
    assert found == [saved]


async def test_a_row_beyond_two_megabytes_is_refused(store: D1Store) -> None:
    half = "x" * 1_200_000
    with pytest.raises(LimitExceededError, match="a row of mastra_resources"):
        await store.memory.update_resource("r", working_memory=half, metadata={"k": half})
    assert await store.memory.get_resource_by_id("r") is None


async def test_more_conditions_than_d1_binds_are_met(store: D1Store) -> None:
    metadata = {f"k{i}": i for i in range(60)}
    await store.memory.save_thread(Thread(id="t", resource_id="r", metadata=metadata))
    await store.memory.save_thread(Thread(id="u", resource_id="r", metadata={**metadata, "k59": 0}))
    page = await store.memory.list_threads(resource_id="r", metadata=metadata)
    assert [thread.id for thread in page.threads] == ["t"]


async def test_more_than_a_statement_takes_is_refused_before_it_is_sent(factory) -> None:
    counter = Counter()
    store = factory(client=counter.client)
    await store.backend.setup((NUMBERS,))
    sent = counter.requests
    where = tuple(Where("id", "ne", f"{i}") for i in range(101))
    with pytest.raises(LimitExceededError, match="at most 100"):
        await store.backend.write(Update(NUMBERS, where, {"n": 1}))
    assert counter.requests == sent
    await counter.client.aclose()


async def test_each_operation_takes_the_requests_that_the_readme_says(factory) -> None:
    counter = Counter()
    store = factory(client=counter.client)
    await store.init()
    assert await counted(store, counter) == published(README)
    await store.close()
    assert not counter.client.is_closed
    await counter.client.aclose()


async def test_a_wrong_token_writes_nothing_and_is_not_shown(factory, d1, caplog) -> None:
    right = factory()
    await right.init()
    caplog.set_level(logging.DEBUG)
    for token in ("wrong-token", d1.extra["read"]):
        wrong = factory(api_token=token, disable_init=True)
        with pytest.raises(AuthenticationError, match="check the token") as caught:
            await wrong.memory.save_thread(Thread(id="t", resource_id="r"))
        shown = f"{caught.value!r} {wrong!r} {wrong.backend!r} {caplog.text}"
        assert token not in shown
        await wrong.close()
    reading = factory(api_token=d1.extra["read"], disable_init=True)
    assert await reading.memory.get_thread_by_id("t") is None
    await reading.close()
    await right.close()


async def test_a_database_that_is_not_there_is_said_so(factory) -> None:
    store = factory(database_id="another")
    with pytest.raises(StorageError, match=r"check the address and the ids.*another"):
        await store.memory.get_thread_by_id("t")
    await store.close()


@pytest.mark.parametrize(
    ("status", "text", "times"),
    [
        (429, "More than 1200 requests per 300 seconds reached", 2),
        (500, "D1 DB is overloaded. Requests queued for too long.", 2),
        (500, "Internal error in D1 storage caused object to be reset", 1),
    ],
)
async def test_a_write_is_repeated_only_where_nothing_was_done(status, text, times) -> None:
    asked: list[bytes] = []
    good = {"success": True, "result": [{"results": [], "meta": {"changes": 1}}]}
    bad = {"success": False, "result": [], "errors": [{"code": 7500, "message": text}]}

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.content)
        return (
            httpx.Response(status, json=bad) if len(asked) == 1 else httpx.Response(200, json=good)
        )

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        store = D1Store(id="d1", client=client, disable_init=True, **OURS)
        write = store.backend.write(Put(NUMBERS, [("a", 1, 1.0)]))
        if times == 1:
            with pytest.raises(UnavailableError, match="not known whether it was done"):
                await write
        else:
            assert await write == [1]
    assert len(asked) == times
    assert json.loads(asked[0])["batch"][0]["params"] == ["a", "1", 1.0]


async def test_an_answer_that_is_none_is_an_error_of_ours() -> None:
    page = httpx.MockTransport(lambda request: httpx.Response(200, text="<html>"))
    async with httpx.AsyncClient(transport=page) as client:
        store = D1Store(id="d1", client=client, disable_init=True, **OURS)
        with pytest.raises(UnavailableError, match="the answer is none"):
            await store.memory.get_thread_by_id("t")


async def test_the_tables_are_the_originals(store: D1Store) -> None:
    await store.init()
    prefix = store.backend.dialect.prefix
    sql = 'SELECT name AS n, type AS t, "notnull" AS r FROM pragma_table_info(?)'
    threads = await store.backend.fetch(Statement(sql, [f"{prefix}mastra_threads"]))
    # As @mastra/cloudflare-d1 1.0.1 declares them.
    assert threads == [
        ("id", "TEXT", 1),
        ("resourceId", "TEXT", 1),
        ("title", "TEXT", 1),
        ("metadata", "TEXT", 0),
        ("createdAt", "TIMESTAMP", 1),
        ("updatedAt", "TIMESTAMP", 1),
    ]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("account_id", ""),
        ("database_id", "a/b"),
        ("api_token", " "),
        ("table_prefix", 'x"; DROP'),
        ("nonsense", 1),
    ],
)
async def test_options_are_checked_without_showing_the_token(option: str, value: object) -> None:
    given = {**OURS, option: value}
    with pytest.raises(ConfigurationError, match=option) as caught:
        D1Store(id="d1", **given)
    assert "very-secret" not in str(caught.value)


async def test_a_url_names_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "from-environment")
    store = open_storage("d1://acc/base?table_prefix=x_")
    assert isinstance(store, D1Store)
    assert store.backend.endpoint.url.endswith("/client/v4/accounts/acc/d1/database/base/query")
    assert store.backend.dialect.prefix == "x_"
    for url in ("d1://acc", "d1://acc/base?nonsense=1", "d1://token@acc/base"):
        with pytest.raises(ConfigurationError):
            open_storage(url)
