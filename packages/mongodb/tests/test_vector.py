"""What only vectors in MongoDB do: the original's documents, search indexes that lag, limits, clients."""

from __future__ import annotations

import asyncio
import logging
import traceback

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient, MongoClient

from mastra_core.errors import (
    ConfigurationError,
    ConflictError,
    InvalidArgumentError,
    LimitExceededError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from mastra_core.plugins import open_vector
from mastra_mongodb import MongoDBVector

from .conftest import name
from .vector_kinds import BySearch, SearchFactory, VectorFactory

REGISTRY = "__mastra_vector_indexes__"
SECRET = "s3cr3t-p%40ss"
AXIS = [1.0, 0.0, 0.0]


def on(address, factory=VectorFactory):
    """A factory on a new database of a server."""
    return factory(f"{address.url.rpartition('/')[0]}/{name()}")


@pytest.fixture
def stores(mongoeco):
    """Makes stores on the server that has search."""
    return on(mongoeco)


@pytest.fixture
def searching(mongoeco):
    """Makes stores that always ask the search index."""
    return on(mongoeco, SearchFactory)


@pytest.fixture(params=["mongodb", "mongodb_standalone", "mongoeco"])
def anywhere_stores(request):
    """Makes stores on each server in turn; two of them have no search."""
    return on(request.getfixturevalue(request.param))


def database(client, factory):
    return client[factory.url.rpartition("/")[2]]


def ids(found):
    return [match.id for match in found]


@pytest.mark.asyncio
async def test_documents_and_the_registry_are_those_of_the_original(stores):
    async with stores() as store:
        await store.create_index("tea", dimension=3, metric="dotproduct", metadata_indexes=["k"])
        await store.upsert(
            "tea", ids=["a"], vectors=[[0.5, 1, 2]], metadata=[{"k": 1}], documents=["green"]
        )
    with MongoClient(stores.url) as client:
        db = database(client, stores)
        stored = {"_id": "a", "embedding": [0.5, 1, 2], "metadata": {"k": 1}, "document": "green"}
        assert list(db.tea.find()) == [stored]
        (said,) = db[REGISTRY].find()
        assert {k: said[k] for k in ("_id", "indexName", "collectionName", "isByo")} == {
            **dict.fromkeys(("_id", "indexName", "collectionName"), "tea"),
            "isByo": False,
        }
        assert (said["searchIndexName"], said["metric"]) == ("tea_vector_index", "dotproduct")
        assert "metadata.k_1" in db.tea.index_information()
        (index,) = db.tea.list_search_indexes()
    assert index["latestDefinition"]["fields"] == [
        {"type": "vector", "path": "embedding", "numDimensions": 3, "similarity": "dotProduct"},
        *({"type": "filter", "path": path} for path in ("_id", "document", "metadata.k")),
    ]


@pytest.mark.asyncio
async def test_what_the_original_stored_is_found_and_counted(stores):
    with MongoClient(stores.url) as client:
        db = database(client, stores)
        db[REGISTRY].insert_one(
            {"_id": "old", "collectionName": "old", "dimension": 3, "metric": "euclidean"}
        )
        db.old.insert_many(
            [
                {"_id": "__index_metadata__", "dimension": 3},
                {"_id": "a", "embedding": [1, 0.5, 0], "metadata": {"n": 3e9, "at": [1, None]}},
                {"_id": "b", "embedding": [1, 0, 0], "metadata": {}, "document": "text"},
                {"_id": "short", "embedding": [1, 0], "metadata": {}},
                {"_id": "odd", "embedding": ["x", 0, 0], "metadata": {}},
                {"_id": "far", "embedding": [1e300, 0, 0], "metadata": "none"},
            ]
        )
        async with stores() as store:
            assert await store.list_indexes() == ["old"]
            found = await store.query("old", query_vector=AXIS, include_vector=True)
            assert ids(found) == ["b", "a"]
            assert found[1].metadata == {"n": 3_000_000_000, "at": [1, None]}
            assert (found[0].document, found[1].vector) == ("text", [1.0, 0.5, 0.0])
            assert [match.score for match in found] == [1.0, 1 / 1.5]
            stats = await store.describe_index("old")
            assert (stats.dimension, stats.metric) == (3, "euclidean")
            await store.upsert("old", ids=["b"], vectors=[[2, 0, 0]])
        stored = db.old.find_one({"_id": "b"})
        assert stored == {"_id": "b", "embedding": [2, 0, 0], "metadata": {}}


@pytest.mark.asyncio
async def test_a_collection_of_the_application_is_only_read_and_never_dropped(stores):
    key = ObjectId()
    entry = {"_id": "own", "collectionName": "plants", "isByo": True, "dimension": 3}
    with MongoClient(stores.url) as client:
        db = database(client, stores)
        db[REGISTRY].insert_one(entry)
        db.plants.insert_one({"_id": key, "embedding": AXIS, "metadata": {"k": 1}})
        async with stores() as store:
            assert ids(await store.query("own", query_vector=AXIS)) == [str(key)]
            for call in (
                store.upsert("own", vectors=[AXIS]),
                store.update_vector("own", id="a", vector=AXIS),
                store.delete_vector("own", id=str(key)),
            ):
                with pytest.raises(UnsupportedError, match="only read"):
                    await call
            db[REGISTRY].update_one({"_id": "own"}, {"$set": {"allowWrites": True}})
            await store.close()
            await store.update_vector("own", id=str(key), metadata={"k": 2})
            assert db.plants.find_one({"_id": key})["metadata"] == {"k": 2}
            await store.delete_index("own")
        assert db.plants.count_documents({}) == 1
        assert db[REGISTRY].count_documents({}) == 0


@pytest.mark.asyncio
async def test_a_collection_that_is_no_index_is_not_taken(anywhere_stores):
    with MongoClient(anywhere_stores.url) as client:
        db = database(client, anywhere_stores)
        db.plants.insert_one({"_id": 1})
        db.create_collection("mastra_threads")
        async with anywhere_stores() as store:
            for taken in ("plants", "mastra_threads"):
                with pytest.raises(ConflictError, match="no index of vectors"):
                    await store.create_index(taken, dimension=3)
                await store.delete_index(taken)
            assert await store.list_indexes() == []
        assert {"plants", "mastra_threads"} <= set(db.list_collection_names())


@pytest.mark.asyncio
async def test_servers_without_search_find_the_same(anywhere_stores):
    """Few vectors, and (with nothing that is few) all of them one batch after the other."""
    vectors = [[1.0, n / 50, 0.0] for n in range(450)]
    for kind in (MongoDBVector, BySearch):
        async with kind(id="x", url=anywhere_stores.url) as store:
            await store.create_index("some", dimension=3)
            await store.upsert(
                "some",
                ids=[f"v{n:03}" for n in range(450)],
                vectors=vectors,
                metadata=[{"n": n} for n in range(450)],
                delete_filter={"n": {"$gte": 0}},
            )
            found = await store.query("some", query_vector=AXIS, top_k=3, filter={"n": {"$gt": 9}})
            assert ids(found) == ["v010", "v011", "v012"]
            assert found[0].score == pytest.approx(1 / (1 + 0.2**2) ** 0.5)
            assert (await store.describe_index("some")).count == 450


@pytest.mark.asyncio
async def test_the_search_index_is_asked_with_the_filter_that_it_takes(mongoeco, logged, log):
    factory = on(mongoeco, SearchFactory)
    async with logged(factory.url) as client:
        db_name = factory.url.rpartition("/")[2]
        async with factory(url=None, client=client, db_name=db_name) as store:
            await store.create_index("tea", dimension=3, metadata_indexes=["k"])
            await store.upsert(
                "tea",
                ids=[f"v{n:03}" for n in range(120)],
                vectors=[[1, n / 50, 0] for n in range(120)],
                metadata=[{"k": n % 2, "n": n} for n in range(120)],
            )
            for where, filtered, behind in (
                (None, None, False),
                ({"k": 1}, {"metadata.k": {"$eq": 1}}, False),
                ({"k": 1, "n": {"$gte": 0}}, {"metadata.k": {"$eq": 1}}, True),
                ({"n": {"$ne": 5}}, None, True),
            ):
                log.commands.clear()
                found = await store.query("tea", query_vector=AXIS, top_k=2, filter=where)
                (command,) = log.commands
                search = command["pipeline"][0]["$vectorSearch"]
                assert search.get("filter") == filtered
                assert ("$match" in command["pipeline"][1]) is behind
                assert ids(found) == (["v001", "v003"] if filtered else ["v000", "v001"])


@pytest.mark.asyncio
async def test_a_search_index_that_lags_neither_hides_nor_invents(searching):
    async with searching() as store, AsyncMongoClient(searching.url) as client:
        await store.create_index("tea", dimension=3, metadata_indexes=["k"])
        await store.upsert(
            "tea", ids=["a", "b"], vectors=[AXIS, [1, 1, 0]], metadata=[{"k": 1}] * 2
        )
        await database(client, searching).command("searchLag", "tea", frozen=True)
        await store.upsert("tea", ids=["new"], vectors=[[1, 0.1, 0]], metadata=[{"k": 1}])
        await store.delete_vector("tea", id="a")
        await store.update_vector("tea", id="b", metadata={"k": 2})
        assert ids(await store.query("tea", query_vector=AXIS, top_k=2)) == ["new", "b"]
        assert ids(await store.query("tea", query_vector=AXIS, filter={"k": 1})) == ["new"]
        few = MongoDBVector(id="x", url=searching.url)
        assert ids(await few.query("tea", query_vector=AXIS, top_k=1)) == ["new"]
        await few.close()


@pytest.mark.asyncio
async def test_vectors_without_a_direction_score_nought_along_the_search_index(searching):
    async with searching() as store:
        await store.create_index("tea", dimension=3)
        vectors = [AXIS, [0, 0, 0], [-1, 0, 0], [-1, 0.1, 0]]
        await store.upsert("tea", ids=["a", "nought", "far", "near"], vectors=vectors)
        found = await store.query("tea", query_vector=AXIS, top_k=2)
        assert [(match.id, match.score) for match in found] == [("a", 1.0), ("nought", 0.0)]
        found = await store.query("tea", query_vector=[0, 0, 0], top_k=3)
        assert [(m.id, m.score) for m in found] == [("a", 0.0), ("far", 0.0), ("near", 0.0)]


@pytest.mark.asyncio
async def test_a_search_index_that_is_missing_is_made_and_waited_for(searching):
    async with searching() as store:
        await store.create_index("tea", dimension=3)
        await store.upsert("tea", ids=["a"], vectors=[AXIS])
        with MongoClient(searching.url) as client:
            database(client, searching).tea.drop_search_index("tea_vector_index")
        assert ids(await store.query("tea", query_vector=AXIS)) == ["a"]
        with pytest.raises(UnavailableError, match="not ready within 0 seconds"):
            await store.wait_until_ready("tea", seconds=0)
        await store.build_index("tea")
        await store.wait_until_ready("tea", seconds=5)
        assert ids(await store.query("tea", query_vector=AXIS, top_k=1)) == ["a"]


@pytest.mark.asyncio
@pytest.mark.parametrize("key", ["$x", "$where", "a b", "0", "é", "_id", "embedding"])
async def test_hostile_keys_are_data_in_filters_too(anywhere_stores, key):
    async with anywhere_stores() as store:
        await store.create_index("keys", dimension=3)
        metadata = [{key: "$ne", "k": {key: 1}}, {"k": [{key: 1}]}]
        await store.upsert("keys", ids=["a", "b"], vectors=[AXIS, AXIS], metadata=metadata)
        if not key.startswith("$"):
            found = await store.query("keys", query_vector=AXIS, filter={key: "$ne"})
            assert [(match.id, match.metadata) for match in found] == [("a", metadata[0])]
        for where, wanted in (
            ({f"k.{key}": 1}, ["a"]),
            ({f"k.{key}": {"$ne": 1}}, ["b"]),
            ({f"k.{key}": {"$exists": False}}, ["b"]),
        ):
            assert ids(await store.query("keys", query_vector=AXIS, filter=where)) == wanted
        await store.delete_vectors("keys", filter={f"k.{key}": 1})
        assert ids(await store.query("keys", query_vector=AXIS)) == ["b"]


@pytest.mark.asyncio
async def test_limits_are_told_before_anything_is_sent(stores):
    async with stores() as store:
        for dimension in (4096, 8192):
            await store.create_index(f"d{dimension}", dimension=dimension)
            await store.upsert(f"d{dimension}", ids=["a"], vectors=[[1.0] * dimension])
            found = await store.query(f"d{dimension}", query_vector=[1.0] * dimension)
            assert found[0].score == pytest.approx(1.0)
        with pytest.raises(InvalidArgumentError, match="up to 8,192 numbers"):
            await store.create_index("d8193", dimension=8193)
        with pytest.raises(InvalidArgumentError, match="options of a MongoDB index"):
            await store.create_index("other", dimension=3, options={"colour": "red"})
        with pytest.raises(InvalidArgumentError, match="cannot be the name"):
            await store.create_index(REGISTRY, dimension=3)
        long = "x" * (17 * 1024 * 1024)
        with pytest.raises(LimitExceededError, match="nothing was written"):
            await store.upsert(
                "d4096", ids=["b", "c"], vectors=[[1.0] * 4096] * 2, documents=["", long]
            )
        assert (await store.describe_index("d4096")).count == 1


@pytest.mark.asyncio
async def test_a_given_client_is_never_closed_and_urls_open_vectors(stores):
    async with AsyncMongoClient(stores.url) as client:
        db_name = stores.url.rpartition("/")[2]
        for _ in range(2):
            async with stores(url=None, client=client, db_name=db_name) as store:
                await store.create_index("tea", dimension=3)
        assert (await client.admin.command("ping"))["ok"] == 1
    store = open_vector(stores.url)
    assert isinstance(store, MongoDBVector)
    assert await store.list_indexes() == ["tea"]
    await store.close()
    with pytest.raises(ConfigurationError, match="MongoDBVector has no option retry_seconds"):
        MongoDBVector(id="x", url="mongodb://host/db", retry_seconds=1.0)


def test_two_event_loops_use_one_store_in_turn(anywhere_stores):
    store = anywhere_stores()

    async def use(n):
        await store.create_index("tea", dimension=3)
        await store.upsert("tea", ids=[str(n)], vectors=[AXIS])
        return ids(await store.query("tea", query_vector=AXIS))

    assert [asyncio.run(use(n)) for n in range(3)] == [["0"], ["0", "1"], ["0", "1", "2"]]


def test_the_password_is_nowhere(caplog):
    caplog.set_level(logging.DEBUG)
    url = f"mongodb://user:{SECRET}@127.0.0.1:1/db?serverSelectionTimeoutMS=50"
    store = MongoDBVector(id="x", url=url)

    async def use():
        try:
            await store.query("tea", query_vector=AXIS)
        finally:
            await store.close()

    with pytest.raises(UnavailableError) as caught:
        asyncio.run(use())
    said = "".join(traceback.format_exception(caught.value))
    text = f"{store!r}{store.backend!r}{caught.value}{caplog.text}{said}"
    assert not [secret for secret in (SECRET, "s3cr3t", "p@ss") if secret in text]


@pytest.mark.asyncio
async def test_an_index_of_vectors_that_the_server_makes_is_refused(stores):
    with MongoClient(stores.url) as client:
        db = database(client, stores)
        db[REGISTRY].insert_one({"_id": "own", "autoEmbed": {"path": "document", "model": "m"}})
    async with stores() as store:
        with pytest.raises(UnsupportedError, match="autoEmbed"):
            await store.query("own", query_vector=AXIS)
        with pytest.raises(NotFoundError, match="does not exist"):
            await store.query("tea", query_vector=AXIS)
