"""Addresses, options, clients of callers, secrets and event loops."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import pytest

from mastra_core.errors import ConfigurationError, LimitExceededError, StorageError
from mastra_core.plugins import open_storage, open_vector
from mastra_lance import LanceStore, LanceVector
from mastra_lance.options import checked

from .rows import ids, message, thread

SECRET = "s3cr3t-k3y"


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("./data", "data"),
        ("lance:./data", "data"),
        ("lance:///srv/data", "/srv/data"),
        ("file:///srv/data", "/srv/data"),
        (Path("/srv/data"), "/srv/data"),
        ("s3://bucket/path", "s3://bucket/path"),
        ("lance:gs://bucket/path", "gs://bucket/path"),
    ],
)
def test_an_address_is_a_folder_or_in_an_object_store(uri: str, place: str) -> None:
    """The scheme ``lance:`` may stand before either."""
    settings = checked(uri, {})
    assert settings.uri == place
    assert (settings.folder is None) is place.startswith(("s3", "gs"))


@pytest.mark.parametrize(
    ("uri", "options", "told"),
    [
        (None, {}, "a uri or a client"),
        ("", {}, "uri must be a folder"),
        ("db://host:1", {}, "cloud service"),
        ("http://host", {}, "not 'http'"),
        ("./data", {"timeout": -1}, "timeout must be a number"),
        ("./data", {"optimize_every": 1.5}, "optimize_every must be a number"),
        ("./data", {"keep_versions": timedelta(0)}, "10 seconds or more"),
        ("./data", {"password": 1}, "no option password"),
    ],
)
def test_what_makes_no_sense_is_refused(uri: Any, options: dict[str, Any], told: str) -> None:
    """Before anything is opened."""
    with pytest.raises(ConfigurationError, match=told):
        LanceStore(uri, **options)


def test_a_file_is_no_database(tmp_path: Path) -> None:
    """A database is a folder."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="is a file"):
        LanceStore(tmp_path / "file")


def test_secrets_are_never_shown() -> None:
    """Neither by a store nor by what it is made of."""
    store = LanceStore("s3://bucket/x", storage_options={"aws_secret_access_key": SECRET})
    vectors = LanceVector("s3://bucket/x", storage_options={"aws_secret_access_key": SECRET})
    for shown in (store, store.backend, store.backend._settings, vectors):
        assert SECRET not in repr(shown)
        assert SECRET not in str(shown)


@pytest.mark.asyncio
async def test_an_error_of_the_object_store_shows_no_secret() -> None:
    """Nothing listens there."""
    options = {
        "aws_access_key_id": "id",
        "aws_secret_access_key": SECRET,
        "region": "x",
        "endpoint": "http://127.0.0.1:9",
        "allow_http": "true",
        "client_max_retries": "0",
        "client_retry_timeout": "1s",
    }
    store = LanceStore("s3://bucket/x", storage_options=options, timeout=1)
    with pytest.raises(StorageError) as caught:
        await store.memory.get_thread_by_id("t")
    assert SECRET not in str(caught.value)


@pytest.mark.asyncio
async def test_a_callers_client_is_used_and_never_closed(tmp_path: Path) -> None:
    """Whatever it says about following what others write."""
    client = await lancedb.connect_async(str(tmp_path), read_consistency_interval=timedelta(0))
    async with LanceStore(client=client) as store:
        await store.memory.save_messages([message(1)], create=thread())
        assert len((await store.memory.list_messages("t")).messages) == 1
    assert client.is_open()
    assert await ids(tmp_path, "mastra_threads") == ["t"]


def test_one_store_serves_several_loops_in_turn(tmp_path: Path) -> None:
    """Nothing of it belongs to a loop."""
    store = LanceStore(tmp_path)

    async def use(number: int) -> int:
        await store.memory.save_thread(thread(f"t{number}"))
        page = await store.memory.list_threads(resource_id="r")
        return len(page.threads)

    assert [asyncio.run(use(number)) for number in range(3)] == [1, 2, 3]


@pytest.mark.asyncio
async def test_a_value_that_is_too_large_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    """16 MB are what is sensible."""
    async with LanceStore(tmp_path) as store:
        await store.memory.save_thread(thread())
        with pytest.raises(LimitExceededError, match="content of mastra_messages"):
            await store.memory.save_messages([message(1), message(2, text="x" * 16_000_001)])
        assert await ids(tmp_path, "mastra_messages") == []


@pytest.mark.asyncio
async def test_stores_are_opened_by_url(tmp_path: Path) -> None:
    """By whoever takes the scheme."""
    async with open_storage(f"lance:{tmp_path}/db") as store:
        assert isinstance(store, LanceStore)
        await store.memory.save_thread(thread())
    async with open_vector(f"lance:{tmp_path}/db") as vectors:
        assert isinstance(vectors, LanceVector)
    assert await ids(tmp_path / "db", "mastra_threads") == ["t"]
