"""What only Qdrant has: ids that are no names, vectors of length 1, payloads of others, a folder."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from qdrant_client import models

from mastra_core import (
    AuthenticationError,
    ConfigurationError,
    SchemaError,
    UnavailableError,
    open_vector,
)
from mastra_core.vector.filters import parse
from mastra_qdrant import QdrantVector
from mastra_qdrant.filters import translated
from mastra_qdrant.points import point_id

ID = "550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture
def vectors(client):
    return QdrantVector(id="vectors", client=client)


@pytest_asyncio.fixture
async def index(vectors):
    name = f"i{uuid4().hex}"
    await vectors.create_index(name, dimension=3)
    yield name
    await vectors.delete_index(name)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (ID, ID),
        ("0", 0),
        ("42", 42),
        (str(2**64 - 1), 2**64 - 1),
    ],
)
def test_what_can_be_a_point_s_id_is_one(name, key):
    assert point_id(name) == key


@pytest.mark.parametrize("name", ["note-1", ID.upper(), "042", "-1", str(2**64), "٣", ID + "\n"])
def test_any_other_id_is_a_uuid_of_its_own(name):
    made = point_id(name)
    assert isinstance(made, str)
    assert made != name
    assert UUID(made).version == 5


@pytest.mark.asyncio
async def test_points_of_the_original_are_read_as_they_are(vectors, client, index):
    """It stores metadata as the payload, and UUIDs or integers as ids."""
    await client.upsert(
        index,
        points=[
            models.PointStruct(id=ID, vector=[3.0, 0.0, 0.0], payload={"thread_id": "t"}),
            models.PointStruct(id=7, vector=[0.0, 2.0, 0.0], payload={}),
        ],
    )
    first, second = await vectors.query(index, query_vector=[1, 0, 0], include_vector=True)
    assert (first.id, first.metadata, first.vector) == (ID, {"thread_id": "t"}, [1.0, 0.0, 0.0])
    assert (second.id, second.metadata, second.document) == ("7", {}, None)
    await vectors.update_vector(index, id="7", metadata={"thread_id": "u"})
    (found,) = await vectors.query(index, query_vector=[1, 0, 0], filter={"thread_id": "u"})
    assert found.id == "7"


@pytest.mark.asyncio
async def test_a_point_has_the_metadata_where_the_original_looks_for_them(vectors, client, index):
    metadata = {"thread_id": "t", "n": [1, 2.5, None], "deep": {"a": True}}
    await vectors.upsert(index, ids=[ID], vectors=[[1, 0, 0]], metadata=[metadata])
    (record,) = await client.retrieve(index, [ID], with_payload=True)
    assert {k: v for k, v in record.payload.items() if k != "_mastra"} == metadata


@pytest.mark.asyncio
async def test_what_others_write_into_a_point_wins(vectors, client, index):
    """Exact metadata and numbers are beside the payload; both count while it is what they belong to."""
    await vectors.upsert(
        index, ids=["note"], vectors=[[3, 4, 0]], metadata=[{"n": 2**70, "_mastra": "mine"}]
    )
    (found,) = await vectors.query(index, query_vector=[1, 0, 0], include_vector=True)
    assert (found.id, found.metadata) == ("note", {"n": 2**70, "_mastra": "mine"})
    assert found.vector == [3.0, 4.0, 0.0]

    key = point_id("note")
    await client.set_payload(index, {"n": 5}, points=[key])
    await client.update_vectors(index, [models.PointVectors(id=key, vector=[0.0, 0.0, 2.0])])
    (found,) = await vectors.query(index, query_vector=[0, 0, 1], include_vector=True)
    assert (found.id, found.metadata, found.vector) == ("note", {"n": 5}, [0.0, 0.0, 1.0])


@pytest.mark.asyncio
async def test_a_collection_that_is_no_index_is_refused(vectors, client):
    named = f"n{uuid4().hex}"
    size = models.VectorParams(size=3, distance=models.Distance.COSINE)
    await client.create_collection(named, vectors_config={"text": size})
    with pytest.raises(SchemaError, match="has named vectors"):
        await vectors.describe_index(named)
    await client.delete_collection(named)


@pytest.mark.parametrize(
    ("given", "exact"),
    [
        ({"a": "x", "b": 2, "c": True}, True),
        ({"a": {"$in": ["x", 1]}, "$or": [{"b": 1}, {"c": {"$ne": "y"}}]}, True),
        ({"a": {"$ne": 1}}, True),
        ({"a": 2**53}, False),
        ({"a": {"$gt": 1}}, False),
        ({"a": {"$exists": True}}, False),
        ({"a": {"$contains": "x"}}, False),
    ],
)
def test_what_is_said_exactly_needs_no_second_look(given, exact):
    assert translated(parse(given))[1] is exact


@pytest.mark.parametrize("given", [{"a": {"$gt": "x"}}, {'a"b': 1}, {"_mastra.id": "x"}])
def test_what_cannot_be_said_is_left_out(given):
    assert translated(parse(given)) == (None, False)


# A client that does not get the lock of a folder leaves the lock's file open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.asyncio
async def test_a_folder_keeps_vectors_from_run_to_run(tmp_path):
    async with QdrantVector(id="v", path=tmp_path / "qdrant") as vectors:
        await vectors.create_index("notes", dimension=2)
        await vectors.upsert("notes", ids=["a"], vectors=[[1, 0]], documents=["text"])
        with pytest.raises(ConfigurationError, match="in use by another client"):
            await QdrantVector(id="w", path=tmp_path / "qdrant").list_indexes()
        gc.collect()
    program = (
        "import asyncio, sys\n"
        "from mastra_core import open_vector\n"
        "async def main():\n"
        "    async with open_vector('qdrant://' + sys.argv[1]) as vectors:\n"
        "        print(await vectors.query('notes', query_vector=[1, 0]))\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "qdrant")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "Match(id='a', score=1.0" in done.stdout
    assert "document='text'" in done.stdout


def test_a_store_is_used_from_several_loops_in_turn(qdrant):
    vectors = QdrantVector(id="v", url=qdrant.url, **qdrant.options)
    name = f"i{uuid4().hex}"
    asyncio.run(vectors.create_index(name, dimension=2))
    assert name in asyncio.run(vectors.list_indexes())
    asyncio.run(vectors.delete_index(name))
    assert name not in asyncio.run(vectors.list_indexes())


@pytest.mark.asyncio
async def test_a_wrong_key_is_told_and_shown_nowhere(qdrant):
    vectors = QdrantVector(id="v", url=qdrant.url, api_key="wrong-s3cret")
    with pytest.raises(AuthenticationError) as told:
        await vectors.list_indexes()
    assert "401" in str(told.value)
    assert "s3cret" not in str(told.value) + repr(vectors) + repr(vars(vectors))
    await vectors.close()


@pytest.mark.asyncio
async def test_a_server_that_is_not_there_is_unavailable():
    async with QdrantVector(id="v", url="http://127.0.0.1:1", timeout=1) as vectors:
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1"):
            await vectors.list_indexes()


@pytest.mark.asyncio
async def test_a_given_client_is_left_open(client, index):
    async with QdrantVector(id="v", client=client) as vectors:
        await vectors.list_indexes()
    assert await client.collection_exists(index)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "give one of"),
        ({"url": "http://h:1", "path": "x"}, "give one of"),
        ({"url": "ftp://h"}, "no 'ftp' URLs"),
        ({"url": "https://user:pw@h"}, "no user and password"),
        ({"client": object()}, "must be an AsyncQdrantClient"),
        ({"url": "http://h", "timeout": 0}, "positive number"),
        ({"url": "http://h", "apikey": "x"}, "apikey"),
    ],
)
def test_what_cannot_work_is_said_at_once(options, told):
    with pytest.raises(ConfigurationError, match=told):
        QdrantVector(id="v", **options)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("qdrant://localhost", "localhost:6333"),
        ("qdrant://cloud.example:443", "cloud.example:443"),
        ("https://cloud.example", "cloud.example:6333"),
        ("http://[::1]:6400", "[::1]:6400"),
    ],
)
def test_a_url_says_where(url, place):
    opened = open_vector(url) if url.startswith("qdrant") else QdrantVector(id="v", url=url)
    assert opened.place == place


