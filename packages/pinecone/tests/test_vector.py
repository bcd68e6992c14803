"""What only Pinecone has: doubles for numbers, ids of ASCII, limits, reads that come later, no noughts."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from pinecone import AsyncPinecone

from mastra_core import (
    AuthenticationError,
    ConfigurationError,
    LimitExceededError,
    SchemaError,
    UnavailableError,
    open_vector,
)
from mastra_core.vector.filters import parse
from mastra_pinecone import PineconeVector
from mastra_pinecone.filters import translated
from mastra_pinecone.records import METADATA_BYTES, metadata_of, record_id


@pytest.fixture
def vectors(options):
    return PineconeVector(id="vectors", **options)


@pytest.fixture
def named():
    return f"i-{uuid4().hex}"


@pytest_asyncio.fixture
async def index(vectors, named):
    await vectors.create_index(named, dimension=2)
    yield named
    await vectors.delete_index(named)
    await vectors.close()


@pytest_asyncio.fixture
async def client(options):
    """Pinecone's own client: what others see and write."""
    async with AsyncPinecone(api_key=options["api_key"], host=options["host"]) as opened:
        yield opened


@pytest_asyncio.fixture
async def records(client, index):
    """The same for the records of the index."""
    async with await client.index(name=index) as opened:
        yield opened


@pytest.mark.asyncio
async def test_records_of_the_original_are_read_as_they_are(vectors, records, index):
    """Numbers are doubles there: whole ones are integers again, as in JavaScript."""
    metadata = {"thread_id": "t", "n": 5, "f": 0.5, "tags": ["x", "y"], "b": True, "a.b": "c"}
    await records.upsert(
        vectors=[
            {"id": "a", "values": [3.0, 4.0], "metadata": metadata},
            {"id": "b", "values": [4.0, -3.0]},
        ]
    )
    first, second = await vectors.query(index, query_vector=[3, 4], include_vector=True)
    assert (first.id, first.metadata, first.document) == ("a", metadata, None)
    assert (first.vector, type(first.metadata["n"])) == ([3.0, 4.0], int)
    assert (second.id, second.metadata) == ("b", {})
    found = await vectors.query(
        index, query_vector=[3, 4], filter={"tags": "y", "n": {"$gte": 5}, "b": True}
    )
    assert [match.id for match in found] == ["a"]
    await vectors.update_vector(index, id="a", metadata={"n": 6})
    (found,) = await vectors.query(index, query_vector=[3, 4], filter={"n": 6})
    assert (found.id, found.metadata) == ("a", {"n": 6})


@pytest.mark.asyncio
async def test_records_are_as_the_original_would_have_made_them(vectors, records, index):
    metadata = {"thread_id": "t", "n": 5, "tags": ["x"], "deep": {"er": "z"}}
    await vectors.upsert(index, ids=["a"], vectors=[[1, 0]], metadata=[metadata])
    stored = (await records.fetch(ids=["a"])).vectors["a"].metadata
    plain = {key: value for key, value in stored.items() if not key.startswith("_mastra")}
    assert plain == {"thread_id": "t", "n": 5.0, "tags": ["x"], "deep.er": "z"}
    found = await records.query(vector=[1, 0], top_k=1, filter={"deep.er": "z", "tags": "x"})
    assert [match.id for match in found.matches] == ["a"]


@pytest.mark.asyncio
async def test_what_others_write_into_a_record_wins(vectors, records, index):
    """What is kept beside counts while it belongs to the rest."""
    metadata = {"deep": {"a": 1}, "none": None, "mixed": [1, "x"], "stays": {"b": 2.0}}
    await vectors.upsert(index, ids=["a"], vectors=[[1, 0]], metadata=[metadata])
    (found,) = await vectors.query(index, query_vector=[1, 0])
    assert found.metadata == metadata
    changes = {"deep.a": 2, "none": "some", "mixed": "text", "more": True}
    await records.update(id="a", set_metadata=changes)
    (found,) = await vectors.query(index, query_vector=[1, 0])
    assert found.metadata == {**changes, "stays": {"b": 2.0}}


@pytest.mark.asyncio
async def test_a_vector_of_noughts_is_where_its_score_is(vectors, records, index):
    """Pinecone takes none: it is stored with a direction, and neither found nor hidden by that."""
    ids = ["nought", "near", "far"]
    await vectors.upsert(index, ids=ids, vectors=[[0, 0], [1, 1], [-0.1, -1]])
    (stored,) = (await records.fetch(ids=["nought"])).vectors.values()
    assert any(stored.values)
    (found,) = await vectors.query(index, query_vector=[1, 0.1], top_k=1, include_vector=True)
    assert found.id == "near"
    (found,) = await vectors.query(index, query_vector=[-1, 0], top_k=1, include_vector=True)
    assert found.id == "far"
    first, second = await vectors.query(index, query_vector=[-1, 0.2], top_k=2, include_vector=True)
    assert (first.id, first.score, first.vector) == ("nought", 0.0, [0.0, 0.0])
    assert second.id == "far"
    await vectors.update_vector(index, id="nought", vector=[1, 0])
    (found,) = await vectors.query(index, query_vector=[1, 0], top_k=1, include_vector=True)
    assert (found.id, found.score, found.vector) == ("nought", 1.0, [1.0, 0.0])


@pytest.mark.asyncio
async def test_vectors_are_in_the_namespace_that_was_chosen(vectors, options, index):
    async with PineconeVector(id="v", **options, namespace="mine") as mine:
        await mine.upsert(index, ids=["a"], vectors=[[1, 0]])
        assert await vectors.query(index, query_vector=[1, 0]) == []
        assert (await vectors.describe_index(index)).count == 0
        assert (await mine.describe_index(index)).count == 1
        await vectors.delete_vectors(index, ids=["a"])
        assert [m.id for m in await mine.query(index, query_vector=[1, 0])] == ["a"]


@pytest.mark.asyncio
async def test_what_is_too_large_is_told_before_anything_is_stored(vectors, index):
    long = [{"text": "x" * METADATA_BYTES}, {"text": "short"}]
    with pytest.raises(LimitExceededError, match="Pinecone takes 40,960"):
        await vectors.upsert(index, ids=["a", "b"], vectors=[[1, 0], [0, 1]], metadata=long)
    with pytest.raises(LimitExceededError, match="'c' have"):
        await vectors.upsert(index, ids=["c"], vectors=[[1, 0]], documents=["ä" * METADATA_BYTES])
    assert (await vectors.describe_index(index)).count == 0


@pytest.mark.asyncio
async def test_an_upsert_is_as_many_requests_as_its_bytes_need(vectors, index):
    """3,000 vectors with 2 KB each: a request takes 1,000, and 2 MB."""
    ids = [f"v{n}" for n in range(3000)]
    await vectors.upsert(
        index, ids=ids, vectors=[[1, n] for n in range(3000)], metadata=[{"t": "x" * 2000}] * 3000
    )
    assert (await vectors.describe_index(index)).count == 3000
    found = await vectors.query(index, query_vector=[1, 0], top_k=3000)
    assert [match.id for match in found[:2]] == ["v0", "v1"]
    assert len(found) == 3000


@pytest.mark.asyncio
async def test_a_change_waits_until_reads_see_it(options, pinecone, vectors, index):
    """Pinecone is consistent later, and says how far it is."""
    if "double" not in pinecone.extra:
        pytest.skip("only the double can be told to be late")
    async with httpx.AsyncClient(base_url=pinecone.url) as late:
        headers = {"api-key": options["api_key"]}
        await late.post("/lag", json={"seconds": 0.3}, headers=headers)
        try:
            await vectors.upsert(index, ids=["a"], vectors=[[1, 0]])
            assert [m.id for m in await vectors.query(index, query_vector=[1, 0])] == ["a"]
            async with PineconeVector(id="w", **options, settle=0) as hasty:
                await hasty.upsert(index, ids=["b"], vectors=[[1, 0]])
                assert [m.id for m in await hasty.query(index, query_vector=[1, 0])] == ["a"]
        finally:
            await late.post("/lag", json={"seconds": 0}, headers=headers)


@pytest.mark.asyncio
async def test_an_index_that_was_made_anew_by_another_is_used_at_once(vectors, options, index):
    await vectors.upsert(index, ids=["a"], vectors=[[1, 0]])
    async with PineconeVector(id="other", **options) as other:
        await other.delete_index(index)
        await other.create_index(index, dimension=2)
    assert await vectors.query(index, query_vector=[1, 0]) == []


@pytest.mark.asyncio
async def test_an_index_of_other_fields_is_refused(vectors, client, named):
    await client.indexes.create(
        name=named,
        schema={
            "fields": {
                "_values": {"type": "dense_vector", "dimension": 2, "metric": "cosine"},
                "title": {"type": "string", "filterable": True},
            }
        },
        deployment={"deployment_type": "managed", "cloud": "aws", "region": "us-east-1"},
    )
    with pytest.raises(SchemaError, match="other fields than one dense vector"):
        await vectors.describe_index(named)
    await client.indexes.delete(named)
    await vectors.close()


@pytest.mark.parametrize("name", ["note-1", "x" * 512, "a b", "a/b#c"])
def test_what_pinecone_takes_is_a_record_s_id(name):
    assert record_id(name) == name


@pytest.mark.parametrize("name", ["ключ", "x" * 513, "a\tb", "_mastra:1"])
def test_any_other_id_is_a_hash_with_the_id_beside(name):
    made = record_id(name)
    assert made.startswith("_mastra:")
    assert len(made) < 100
    assert metadata_of(name, "{}", None, nought=False) == {"_mastra.id": name}


LOOSE = {"_mastra.loose": {"$in": ["a"]}}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"a": "x"}, {"a": {"$in": ["x"]}}),
        ({"a": {"$gt": 5}}, {"a": {"$gt": 5}}),
        ({"a": {"$gt": "x"}}, {"a": {"$exists": True}}),
        ({"a": {"$contains": ["x", 1]}}, {"a": {"$in": ["x"]}}),
        ({"a": {"$ne": 1}}, {"$or": [{"a": {"$nin": [1.0]}}, {"a": {"$exists": False}}]}),
    ],
)
def test_what_pinecone_can_say_is_sent(given, sent):
    assert translated(parse(given)) == {"$or": [sent, LOOSE]}


@pytest.mark.parametrize(
    "given",
    [
        {"a": {"$not": {"$gt": 1}}},
        {"a.b": {"$ne": 1}},
        {"a.b": {"$exists": False}},
        {"_mastra.id": "x"},
        {"$or": [{"a": 1}, {"b": {"$not": {"$contains": "x"}}}]},
    ],
)
def test_what_pinecone_cannot_say_is_left_out(given):
    assert translated(parse(given)) is None


def test_a_store_is_used_from_several_loops_in_turn(options, named):
    vectors = PineconeVector(id="v", **options)
    asyncio.run(vectors.create_index(named, dimension=2))
    assert named in asyncio.run(vectors.list_indexes())
    asyncio.run(vectors.delete_index(named))
    assert named not in asyncio.run(vectors.list_indexes())


@pytest.mark.asyncio
async def test_a_given_client_is_left_open(client, index):
    async with PineconeVector(id="v", client=client) as vectors:
        await vectors.query(index, query_vector=[1, 0])
    assert await client.indexes.exists(index)


@pytest.mark.asyncio
async def test_a_wrong_key_is_told_and_shown_nowhere(options):
    wrong = {**options, "api_key": "wrong-s3cret"}
    async with PineconeVector(id="v", **wrong) as vectors:
        with pytest.raises(AuthenticationError) as told:
            await vectors.list_indexes()
        assert "401" in str(told.value)
        assert "s3cret" not in str(told.value) + repr(vectors) + repr(vars(vectors))


@pytest.mark.asyncio
async def test_a_service_that_is_not_there_is_unavailable():
    async with PineconeVector(id="v", api_key="k", host="http://127.0.0.1:1") as vectors:
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1"):
            await vectors.list_indexes()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "api_key is required"),
        ({"api_key": "a\nb"}, "api_key has characters"),
        ({"api_key": "k", "timeout": 0}, "timeout must be positive"),
        ({"api_key": "k", "settle": "x"}, "settle"),
        ({"api_key": "k", "apikey": "x"}, "apikey"),
        ({"client": object()}, "must be an AsyncPinecone"),
    ],
)
def test_what_cannot_work_is_said_at_once(monkeypatch, options, told):
    monkeypatch.delenv("PINECONE_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match=told):
        PineconeVector(id="v", **options)


def test_a_url_opens_the_store(monkeypatch):
    monkeypatch.setenv("PINECONE_API_KEY", "k")
    assert open_vector("pinecone://").place == "api.pinecone.io"
    assert open_vector("pinecone://control.example?namespace=n").place == "control.example"
    with pytest.raises(ConfigurationError, match="give api_key"):
        open_vector("pinecone://user:pw@host")
    with pytest.raises(ConfigurationError, match="no option index"):
        open_vector("pinecone://?index=x")
