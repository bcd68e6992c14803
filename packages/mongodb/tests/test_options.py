"""Options, secrets, clients that are given, loops, and two stores side by side."""

from __future__ import annotations

import asyncio
import logging

import pytest
from pymongo import AsyncMongoClient

from mastra_core import Thread
from mastra_core.errors import ConfigurationError, MastraError, SchemaError, UnavailableError
from mastra_core.plugins import open_storage
from mastra_mongodb import MemoryMongoDB, MongoDBStore

SECRET = "s3cr3t-p%40ss"


def test_a_store_needs_a_server_and_a_database():
    wrong = [
        ({}, "give url="),
        ({"url": ""}, "give url="),
        ({"url": "http://host/db"}, "no 'http' URLs"),
        ({"url": "mongodb:///db"}, "needs a host"),
        ({"url": "mongodb://host"}, "db_name must be given"),
        ({"url": "mongodb://host", "db_name": " "}, "db_name must be given"),
        ({"url": "mongodb://host", "db_name": "a.b"}, "cannot be the name"),
        ({"url": "mongodb://host", "db_name": "x" * 64}, "cannot be the name"),
        ({"url": "mongodb://host/db", "colour": "red"}, "no option colour"),
        ({"client": object(), "db_name": "db"}, "an AsyncMongoClient"),
    ]
    for options, text in wrong:
        with pytest.raises(ConfigurationError, match=text):
            MongoDBStore(id="x", **options)


def test_the_url_may_name_the_database_and_the_option_wins():
    for url, options, wanted in (
        ("mongodb://host/a%2Db?retryWrites=false", {}, "a-b"),
        ("mongodb://one,two:27018/db", {}, "db"),
        ("mongodb://host/db", {"db_name": "other"}, "other"),
        ("mongodb+srv://cluster.example/db", {}, "db"),
    ):
        assert MongoDBStore(id="x", url=url, **options).backend.connection.db_name == wanted
    store = open_storage("mongodb://host/db", retry_seconds=1.0)
    assert (type(store), store.id) == (MongoDBStore, "mongodb")


def test_a_given_client_and_a_url_exclude_each_other():
    async def check():
        async with AsyncMongoClient("mongodb://127.0.0.1:1") as client:
            with pytest.raises(ConfigurationError, match="not both"):
                MongoDBStore(id="x", url="mongodb://host/db", client=client)
            domain = MemoryMongoDB(client=client, db_name="db")
            assert repr(domain.backend) == "MongoDBBackend('a given client', db_name='db')"

    asyncio.run(check())


@pytest.mark.parametrize(
    "url",
    [
        f"mongodb://user:{SECRET}@127.0.0.1:1/db?serverSelectionTimeoutMS=50",
        f"mongodb://user:{SECRET}@127.0.0.1:none/db",
        f"mongodb://user:{SECRET}@@127.0.0.1:1/db",
        f"mongodb://user:{SECRET}@127.0.0.1:1/db?authMechanism=nothing",
        f"mongodb+srv://user:{SECRET}@cluster.invalid/db?serverSelectionTimeoutMS=50",
    ],
)
def test_the_password_is_nowhere(url, caplog):
    """Neither as it is written in the URL nor decoded; in no repr, error, cause or log."""
    caplog.set_level(logging.DEBUG)
    said: list[str] = []

    async def use():
        store = MongoDBStore(id="x", url=url)
        said.append(f"{store!r}{store.backend!r}")
        try:
            await store.init()
        finally:
            await store.close()

    with pytest.raises(MastraError) as caught:
        asyncio.run(use())
    error: BaseException | None = caught.value
    while error is not None:
        said += [repr(error), str(error)]
        error = error.__cause__
    text = " ".join([*said, caplog.text, repr(MongoDBStore.__init__)])
    for secret in (SECRET, "s3cr3t", "p@ss"):
        assert secret not in text


def test_a_server_that_is_not_there_is_unavailable_and_named():
    async def use():
        store = MongoDBStore(id="x", url="mongodb://127.0.0.1:1/db?serverSelectionTimeoutMS=50")
        try:
            await store.memory.get_thread_by_id("t")
        finally:
            await store.close()

    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1.*could not set up the tables") as e:
        asyncio.run(use())
    assert "Topology" not in str(e.value)


@pytest.mark.asyncio
async def test_a_given_client_is_never_closed(replica_set):
    async with AsyncMongoClient(replica_set.url) as client:
        for _ in range(2):
            async with replica_set(url=None, client=client, db_name=replica_set.db_name) as store:
                await store.memory.save_thread(Thread(id="t", resource_id="r"))
        assert (await client.admin.command("ping"))["ok"] == 1


def test_a_store_made_outside_of_loops_serves_several_in_turn(anywhere):
    store = anywhere()

    async def use(n: int) -> int:
        await store.memory.save_thread(Thread(id=str(n), resource_id="r"))
        return (await store.memory.list_threads(resource_id="r")).total

    assert [asyncio.run(use(n)) for n in range(3)] == [1, 2, 3]


@pytest.mark.asyncio
async def test_two_databases_of_one_server_know_nothing_of_each_other(anywhere):
    async with anywhere() as one, anywhere.empty()() as two:
        for store, title in ((one, "1"), (two, "2")):
            await store.memory.save_thread(Thread(id="t", resource_id="r", title=title))
        await one.memory.delete_thread("t")
        assert [t.title for t in (await two.memory.list_threads()).threads] == ["2"]


@pytest.mark.asyncio
async def test_indexes_are_made_once_and_those_of_the_original_are_taken(replica_set, logged, log):
    names = {"id_1", "idx_datasets_id"}
    with replica_set.database() as database:
        database.mastra_datasets.create_index([("id", 1)], name="idx_datasets_id", unique=True)
        database.mastra_threads.create_index([("id", 1)], unique=True)
        async with replica_set():
            pass
        found = database.mastra_datasets.index_information()
        assert names & set(found) == {"idx_datasets_id"}
        assert found["mastra_datasets_by_created"]["key"] == [("createdAt", 1), ("id", 1)]
    async with (
        logged(replica_set.url) as client,
        replica_set(url=None, client=client, db_name=replica_set.db_name),
    ):
        pass
    assert {command.partition(" ")[0] for command in log.sent} == {"listIndexes"}


@pytest.mark.asyncio
async def test_indexes_may_be_left_to_the_user_but_for_the_keys(replica_set):
    async with replica_set(skip_default_indexes=True) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
    with replica_set.database() as database:
        assert set(database.mastra_threads.index_information()) == {"_id_", "id_1"}


@pytest.mark.asyncio
async def test_a_key_that_is_not_unique_is_said_with_what_to_do(replica_set):
    with replica_set.database() as database:
        database.mastra_threads.create_index([("id", 1)], name="mine")
    with pytest.raises(SchemaError, match="index mine of mastra_threads must be unique"):
        await replica_set().memory.get_thread_by_id("t")


@pytest.mark.asyncio
@pytest.mark.parametrize("key", ["$set", "a.b", "", "$", "a\u0000b".replace("\0", ""), "😀", "_id"])
async def test_hostile_ids_and_keys_are_data(anywhere, key):
    async with anywhere() as store:
        named = f"x{key}'\"{{$gt}}"
        metadata = {key: {"$where": "1", key: [key]}, "b": f"${key}", "a": "$$ROOT"}
        await store.memory.save_thread(Thread(id=named, resource_id=named, metadata=metadata))
        found = await store.memory.update_thread(named, metadata={"more": "$title"})
        assert found.metadata == {**metadata, "more": "$title"}
        assert list(found.metadata) == [key, "b", "a", "more"]
        page = await store.memory.list_threads(resource_id=named, metadata={"a": "$$ROOT"})
        assert [t.id for t in page.threads] == [named]
        assert (await store.memory.list_threads(resource_id="$ne")).total == 0
