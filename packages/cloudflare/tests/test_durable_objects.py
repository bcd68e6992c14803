"""What only Durable Objects do: objects by name, the Worker's answers, the command, and the counts."""

from __future__ import annotations

import logging
from pathlib import Path

import httpx
import pytest
from backends.request_counts import Counter, counted, published
from backends.sqlite_numbers import NUMBERS, check_numbers

from mastra_cloudflare import CloudflareDOStore
from mastra_cloudflare.command import main, sources
from mastra_core import open_storage
from mastra_core.errors import (
    AuthenticationError,
    ConfigurationError,
    StorageError,
    UnavailableError,
)
from mastra_core.records import Thread
from mastra_core.storage.schema import Put

README = Path(__file__).parents[1] / "README.md"
OURS = {"url": "https://worker.example", "token": "very-secret"}


@pytest.mark.asyncio
async def test_each_namespace_is_an_object_of_its_own(factory) -> None:
    names = ["ä/ö ?#%2F", "tenant-1"]
    stores = [factory(namespace=f"{factory.namespace} {name}") for name in names]
    for store, name in zip(stores, names, strict=True):
        await store.memory.save_thread(Thread(id="t", resource_id="r", title=name))
    for store, name in zip(stores, names, strict=True):
        page = await store.memory.list_threads(resource_id="r")
        assert [thread.title for thread in page.threads] == [name]
        await store.close()


@pytest.mark.asyncio
async def test_numbers_come_back_as_what_they_were(factory) -> None:
    async with factory() as store:
        await check_numbers(store.backend)


@pytest.mark.asyncio
async def test_each_operation_takes_the_requests_that_the_readme_says(factory) -> None:
    counter = Counter()
    store = factory(client=counter.client)
    await store.init()
    assert await counted(store, counter) == published(README)
    await store.close()
    assert not counter.client.is_closed
    await counter.client.aclose()


@pytest.mark.asyncio
async def test_a_wrong_token_writes_nothing_and_is_not_shown(factory, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    right = factory()
    await right.init()
    secret = factory.options["token"]
    for token in ("wrong-token", secret[:-1], f"{secret}x"):
        wrong = factory(token=token, disable_init=True)
        with pytest.raises(AuthenticationError, match="check the token") as caught:
            await wrong.memory.save_thread(Thread(id="t", resource_id="r"))
        assert token not in f"{caught.value!r} {wrong!r} {wrong.backend!r} {caplog.text}"
        await wrong.close()
    assert await right.memory.get_thread_by_id("t") is None
    await right.close()


@pytest.mark.asyncio
async def test_the_worker_says_what_is_wrong_and_undoes_the_batch(factory) -> None:
    store = factory()
    await store.backend.setup((NUMBERS,))
    url, token = store.backend.endpoint.url, factory.options["token"]
    insert = {"sql": 'INSERT INTO "numbers" ("id") VALUES (?)', "params": ["a"]}
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}) as client:
        refused = await client.post(url, json={"batch": [insert, insert]})
        malformed = await client.post(url, json=[insert])
        got = await client.get(url)
        elsewhere = await client.post(f"{url}/more", json={})
        health = await client.get(httpx.URL(url).join("/health"))
    assert refused.status_code == 400
    assert "UNIQUE constraint failed" in refused.json()["error"]
    assert await store.backend.count(NUMBERS) == 0
    assert malformed.status_code == 400
    assert "malformed" in malformed.json()["error"]
    assert (got.status_code, elsewhere.status_code) == (405, 404)
    assert health.json() == {"service": "mastra-storage"}
    await store.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(("status", "times"), [(429, 2), (503, 1)])
async def test_a_write_is_repeated_only_where_nothing_was_done(status: int, times: int) -> None:
    asked: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.content)
        if len(asked) == 1:
            return httpx.Response(status, json={"error": "the object is busy"})
        return httpx.Response(200, json={"results": [{"rows": [], "changes": 1}]})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        store = CloudflareDOStore(id="do", client=client, disable_init=True, **OURS)
        write = store.backend.write(Put(NUMBERS, [("a", 1, 1.0)]))
        if times == 1:
            with pytest.raises(UnavailableError, match="not known whether it was done"):
                await write
        else:
            assert await write == [1]
    assert len(asked) == times


@pytest.mark.asyncio
async def test_a_worker_without_its_secret_says_which() -> None:
    said = httpx.Response(500, json={"error": "the secret MASTRA_TOKEN is not set"})
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda request: said)) as client:
        store = CloudflareDOStore(id="do", client=client, patience=0, disable_init=True, **OURS)
        with pytest.raises(StorageError, match="the secret MASTRA_TOKEN is not set"):
            await store.memory.get_thread_by_id("t")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("url", "http://worker.example"),
        ("url", "worker.example"),
        ("url", "https://user:pass@worker.example"),
        ("token", " "),
        ("namespace", ""),
        ("table_prefix", 'x"; DROP'),
        ("nonsense", 1),
    ],
)
def test_options_are_checked_without_showing_the_token(option: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        CloudflareDOStore(id="do", **{**OURS, option: value})
    assert "very-secret" not in str(caught.value)


def test_a_url_names_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTRA_TOKEN", "from-environment")
    store = open_storage("cloudflare-do://worker.example/a%20b?table_prefix=x_")
    assert isinstance(store, CloudflareDOStore)
    assert store.backend.endpoint.url == "https://worker.example/v1/objects/a%20b/batch"
    assert store.backend.dialect.prefix == "x_"
    for url in ("cloudflare-do:///x", "cloudflare-do://w.example/x?nonsense=1"):
        with pytest.raises(ConfigurationError):
            open_storage(url)


def test_the_command_writes_the_worker_out_and_overwrites_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "worker"
    assert main(["init", str(folder)]) == 0
    assert "wrangler secret put MASTRA_TOKEN" in capsys.readouterr().out
    written = {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert written == dict(sources())
    assert set(written) == {"src/index.ts", "wrangler.json", "package.json", "tsconfig.json"}
    assert main(["init", str(folder)]) == 0
    (folder / "wrangler.json").write_text("{}")
    (folder / "tsconfig.json").unlink()
    assert main(["init", str(folder)]) == 1
    assert "is there already and differs" in capsys.readouterr().err
    assert (folder / "wrangler.json").read_text() == "{}"
    assert not (folder / "tsconfig.json").exists()
