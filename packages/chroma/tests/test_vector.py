"""What only Chroma has: metadata that are merged, lists that leak, numbers that are rounded, a folder."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from uuid import uuid4

import chromadb
import httpx
import pytest
import pytest_asyncio
from chromadb.config import Settings

from mastra_chroma import ChromaVector
from mastra_chroma.embedded import GATES
from mastra_chroma.filters import translated
from mastra_chroma.records import held_of
from mastra_core import ConfigurationError, SchemaError, UnavailableError, open_vector
from mastra_core.vector.filters import parse

SETTINGS = Settings(anonymized_telemetry=False)


@pytest.fixture(scope="session")
def client(folder):
    """Chroma's own client on the folder of the tests: what others see and write."""
    return chromadb.PersistentClient(str(folder), SETTINGS)


@pytest.fixture
def vectors(client):
    return ChromaVector(id="vectors", client=client)


@pytest_asyncio.fixture
async def index(vectors):
    name = f"i{uuid4().hex}"
    await vectors.create_index(name, dimension=2)
    yield name
    await vectors.delete_index(name)


@pytest.mark.asyncio
async def test_records_of_the_original_are_read_as_they_are(vectors, client):
    """It stores metadata as they are, dotted keys for nested ones, and the dimension beside."""
    name = f"o{uuid4().hex}"
    made = client.create_collection(
        name,
        metadata={"dimension": 2},
        configuration={"hnsw": {"space": "l2"}},
        embedding_function=None,
    )
    made.upsert(
        ids=["a", "b"],
        embeddings=[[3.0, 4.0], [0.0, 0.0]],
        metadatas=[{"thread_id": "t", "tags": ["x", "y"], "n": 1.5}, None],
        documents=["text", None],
    )
    stats = await vectors.describe_index(name)
    assert (stats.dimension, stats.count, stats.metric) == (2, 2, "euclidean")
    near, far = await vectors.query(name, query_vector=[0, 0], include_vector=True)
    assert (near.id, near.score, near.metadata, near.document) == ("b", 1.0, {}, None)
    assert (far.id, far.vector, far.document) == ("a", [3.0, 4.0], "text")
    assert far.score == pytest.approx(1 / 6)
    assert far.metadata == {"thread_id": "t", "tags": ["x", "y"], "n": 1.5}
    found = await vectors.query(name, query_vector=[0, 0], filter={"tags": "y", "n": {"$lt": 2}})
    assert [match.id for match in found] == ["a"]
    await vectors.delete_index(name)


@pytest.mark.asyncio
async def test_records_are_as_the_original_would_have_made_them(vectors, client, index):
    metadata = {"thread_id": "t", "n": 5, "flags": [True, False]}
    await vectors.upsert(
        index, ids=["a"], vectors=[[1, 0]], metadata=[metadata], documents=["text"]
    )
    collection = client.get_collection(index, embedding_function=None)
    assert collection.metadata == {"dimension": 2}
    assert collection.configuration_json["hnsw"]["space"] == "cosine"
    found = collection.get(ids=["a"])
    (stored,) = found["metadatas"]
    assert {k: v for k, v in stored.items() if not k.startswith("_mastra")} == metadata
    assert found["documents"] == ["text"]
    # Nested keys are found where the original looks for them.
    await vectors.update_vector(index, id="a", metadata={"deep": {"er": "x"}})
    assert collection.get(where={"deep.er": "x"})["ids"] == ["a"]


@pytest.mark.asyncio
async def test_what_is_stored_over_a_record_replaces_all_of_it(vectors, client, index):
    """Chroma alone would merge: older keys and the older document would stay."""
    await vectors.upsert(
        index, ids=["a"], vectors=[[1, 0]], metadata=[{"old": 1, "x": [1]}], documents=["old"]
    )
    await vectors.upsert(index, ids=["a"], vectors=[[0, 1]], metadata=[{"new": 2}])
    (found,) = await vectors.query(index, query_vector=[0, 1])
    assert (found.metadata, found.document) == ({"new": 2}, None)
    stored = client.get_collection(index, embedding_function=None).get(ids=["a"])
    assert {k for k in stored["metadatas"][0] if not k.startswith("_mastra")} == {"new"}
    await vectors.upsert(index, ids=["a"], vectors=[[0, 1]], documents=["new"])
    (found,) = await vectors.query(index, query_vector=[0, 1])
    assert (found.metadata, found.document) == ({}, "new")


@pytest.mark.asyncio
async def test_what_others_write_into_a_record_wins(vectors, client, index):
    """What is kept beside counts while it belongs to the rest."""
    metadata = {"n": 2**70, "deep": {"a": 1}, "none": None, "mixed": [1, "x"], "stays": {"b": 2}}
    await vectors.upsert(index, ids=["a"], vectors=[[3, 4]], metadata=[metadata])
    (found,) = await vectors.query(index, query_vector=[1, 0], include_vector=True)
    assert (found.metadata, found.vector) == (metadata, [3.0, 4.0])
    collection = client.get_collection(index, embedding_function=None)
    changes = {"n": 5, "deep.a": 2, "none": "some", "mixed": "text", "more": True}
    collection.update(ids=["a"], embeddings=[[0.0, 2.0]], metadatas=[changes])
    (found,) = await vectors.query(index, query_vector=[0, 1], include_vector=True)
    assert found.metadata == {**changes, "stays": {"b": 2}}
    assert found.vector == [0.0, 2.0]


@pytest.mark.asyncio
async def test_lists_of_a_deleted_index_do_not_come_up_in_another(vectors, index):
    """Chroma leaves them behind, and gives them to the records that are stored next."""
    other = f"l{uuid4().hex}"
    await vectors.create_index(other, dimension=2)
    names = [f"v{n}" for n in range(20)]
    await vectors.upsert(
        other, ids=names, vectors=[[1, 0]] * 20, metadata=[{"left": ["behind"]}] * 20
    )
    await vectors.delete_index(other)
    await vectors.upsert(index, ids=names, vectors=[[1, 0]] * 20)
    found = await vectors.query(index, query_vector=[1, 0], top_k=20)
    assert [match.metadata for match in found] == [{}] * 20


@pytest.mark.asyncio
async def test_a_collection_without_a_dimension_is_no_index_until_it_has_vectors(vectors, client):
    name = f"n{uuid4().hex}"
    made = client.create_collection(name, embedding_function=None)
    with pytest.raises(SchemaError, match="no dimensions"):
        await vectors.describe_index(name)
    made.upsert(ids=["a"], embeddings=[[1.0, 2.0, 3.0]])
    stats = await vectors.describe_index(name)
    assert (stats.dimension, stats.metric) == (3, "euclidean")
    client.delete_collection(name)


@pytest.mark.asyncio
async def test_an_index_that_was_made_anew_by_another_is_used_at_once(vectors, client, index):
    """Requests go to a collection's id, which is another then."""
    await vectors.upsert(index, ids=["a"], vectors=[[1, 0]])
    other = ChromaVector(id="other", client=client)
    await other.delete_index(index)
    await other.create_index(index, dimension=2)
    assert await vectors.query(index, query_vector=[1, 0]) == []
    await vectors.upsert(index, ids=["b"], vectors=[[1, 0]])
    assert (await other.describe_index(index)).count == 1


@pytest.mark.asyncio
async def test_options_of_an_index_are_those_of_its_graph(vectors, client):
    name = f"g{uuid4().hex}"
    await vectors.create_index(name, dimension=2, options={"max_neighbors": 32, "ef_search": 200})
    graph = client.get_collection(name, embedding_function=None).configuration_json["hnsw"]
    assert (graph["max_neighbors"], graph["ef_search"]) == (32, 200)
    await vectors.delete_index(name)


LOOSE = {"_mastra.loose": {"$contains": "a"}}


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"a": "x"}, {"$or": [{"$or": [{"a": {"$eq": "x"}}, {"a": {"$contains": "x"}}]}, LOOSE]}),
        ({"a": {"$contains": ["x"]}}, {"$or": [{"a": {"$contains": "x"}}, LOOSE]}),
        (
            {"a": {"$ne": True}},
            {
                "$or": [
                    {"$and": [{"a": {"$ne": True}}, {"a": {"$not_contains": True}}]},
                    LOOSE,
                ]
            },
        ),
    ],
)
def test_what_chroma_can_say_is_sent(given, where):
    assert translated(parse(given)) == where


@pytest.mark.parametrize(
    "given",
    [
        {"a": {"$exists": True}},
        {"a": {"$gt": "x"}},
        {"a": {"$not": {"$gt": 1}}},
        {"a": {"$contains": "x"}},
        {"a": {"$ne": 0.5}},
        {"a.b": {"$ne": 1}},
        {"#a": 1},
        {"_mastra.json": "x"},
        {"$or": [{"a": 1}, {"b": {"$exists": False}}]},
    ],
)
def test_what_chroma_cannot_say_is_left_out(given):
    assert translated(parse(given)) is None


def test_what_chroma_cannot_hold_is_beside_and_under_dotted_keys():
    held = held_of({"a": {"b": [1, 2.5], "c": None}, "big": 2**64, "e": [], "p": -0.0, "ok": 0.5})
    assert held == {
        "ok": 0.5,
        "a.b": [1.0, 2.5],
        "big": 2.0**64,
        "p": 0.0,
        "_mastra.json": held["_mastra.json"],
        "_mastra.loose": ["e"],
    }
    assert held["_mastra.json"] == (
        '{"a":{"b":[1,2.5],"c":null},"big":18446744073709551616,"e":[],"p":-0.0}'
    )


def test_a_folder_keeps_vectors_from_run_to_run(tmp_path):
    async def store() -> None:
        async with ChromaVector(id="v", path=tmp_path / "chroma") as vectors:
            await vectors.create_index("notes", dimension=2)
            await vectors.upsert("notes", ids=["a"], vectors=[[1, 0]], documents=["text"])

    asyncio.run(store())
    program = (
        "import asyncio, sys\n"
        "from mastra_core import open_vector\n"
        "async def main():\n"
        "    async with open_vector('chroma://' + sys.argv[1]) as vectors:\n"
        "        print(await vectors.query('notes', query_vector=[1, 0]))\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "chroma")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "Match(id='a', score=1.0" in done.stdout
    assert "document='text'" in done.stdout


def test_a_folder_that_is_open_with_other_settings_is_told(tmp_path):
    other = chromadb.PersistentClient(
        str(tmp_path), Settings(anonymized_telemetry=False, allow_reset=True)
    )
    with pytest.raises(ConfigurationError, match="open in this process with other settings"):
        asyncio.run(ChromaVector(id="v", path=tmp_path).list_indexes())
    other.close()


def test_a_server_needs_no_chromadb():
    """Only folders do: the package is large."""
    program = (
        "import sys; sys.modules['chromadb'] = None\n"
        "from mastra_chroma import ChromaVector\n"
        "from mastra_core import ConfigurationError\n"
        "print(ChromaVector(id='v', url='http://localhost').place)\n"
        "try: ChromaVector(id='v', path='folder')\n"
        "except ConfigurationError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert "localhost:8000" in done.stdout
    assert "pip install 'mastra-chroma[embedded]'" in done.stdout


@pytest.mark.asyncio
async def test_a_search_of_a_folder_waits_for_who_writes_and_not_for_who_reads(
    vectors, client, index, folder
):
    """Chroma itself would find a vector with another's metadata; another store is kept out, too."""
    await vectors.upsert(index, ids=["a"], vectors=[[1, 0]])
    gate = GATES.at(client.get_collection(index, embedding_function=None).id)
    async with ChromaVector(id="other", path=folder) as other:
        with gate.together():
            assert len(await other.query(index, query_vector=[1, 0])) == 1
        for call in (
            vectors.query(index, query_vector=[1, 0]),
            other.query(index, query_vector=[1, 0]),
            vectors.upsert(index, ids=["a"], vectors=[[0, 1]]),
            other.delete_vector(index, id="a"),
        ):
            with gate.alone():
                task = asyncio.ensure_future(call)
                await waiting(gate)
                # What is in another collection is not in the way.
                assert await vectors.list_indexes()
                assert not task.done()
            await task
        assert (await other.describe_index(index)).count == 0


@pytest.mark.asyncio
async def test_a_write_that_is_cancelled_while_it_waits_keeps_nobody_out(vectors, client, index):
    """It is whole or not there when the caller learns of it."""
    await vectors.upsert(index, ids=["a"], vectors=[[1, 0]])
    gate = GATES.at(client.get_collection(index, embedding_function=None).id)
    with gate.together():
        task = asyncio.ensure_future(vectors.delete_vector(index, id="a"))
        await waiting(gate)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await vectors.query(index, query_vector=[1, 0]) == []
    await vectors.upsert(index, ids=["b"], vectors=[[1, 0]])
    assert (await vectors.describe_index(index)).count == 1


async def waiting(gate):
    """Return when somebody waits before the gate; its threads tell nobody."""
    async with asyncio.timeout(30):
        while not gate._waiting:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(("host", "most"), [("server.example", 1), ("api.trychroma.com", 3)])
@pytest.mark.asyncio
async def test_those_who_write_to_a_collection_of_a_server_take_turns(host, most):
    """Its graph loses vectors of several at once. The Cloud's does not, and other collections wait not."""
    writing: Counter[str] = Counter()
    seen: Counter[str] = Counter()

    async def answer(request: httpx.Request) -> httpx.Response:
        *_, collection, verb = request.url.path.split("/")
        if verb == "upsert":
            writing[collection] += 1
            for _ in range(20):
                await asyncio.sleep(0)
            seen[collection] = max(seen[collection], writing[collection])
            seen["all"] = max(seen["all"], writing.total())
            writing[collection] -= 1
        if verb in ("upsert", "get"):
            return httpx.Response(200, json={"ids": [], "metadatas": []})
        found = {"id": verb, "name": verb, "metadata": {"dimension": 2}}
        return httpx.Response(200, json=found)

    options = {"api_key": "k", "tenant": "t", "database": "d"}
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as given:
        stores = [
            ChromaVector(id="v", url=f"https://{host}", client=given, **options) for _ in range(3)
        ]
        await asyncio.gather(
            *(
                store.upsert(name, ids=[f"v{n}"], vectors=[[1, 0]])
                for n, store in enumerate(stores)
                for name in ("one", "two")
            )
        )
    assert seen == {"one": most, "two": most, "all": 2 * most}


@pytest.mark.asyncio
async def test_a_client_of_chroma_that_is_asynchronous_is_used_as_it_is(chroma):
    host, _, port = chroma.url.removeprefix("http://").partition(":")
    # (It writes into the settings that it is given.)
    settings = Settings(anonymized_telemetry=False)
    given = await chromadb.AsyncHttpClient(host=host, port=int(port), settings=settings)
    name = f"a{uuid4().hex}"
    async with ChromaVector(id="v", client=given) as vectors:
        await vectors.create_index(name, dimension=2)
        await vectors.upsert(name, ids=["a"], vectors=[[1, 0]], metadata=[{"k": None}])
        (found,) = await vectors.query(name, query_vector=[1, 0], filter={"k": None})
        assert (found.id, found.metadata) == ("a", {"k": None})
    assert await given.heartbeat()
    async with ChromaVector(id="w", url=chroma.url) as vectors:
        await vectors.delete_index(name)


def test_a_server_is_used_from_several_loops_in_turn(chroma):
    vectors = ChromaVector(id="v", url=chroma.url, **chroma.options)
    name = f"i{uuid4().hex}"
    asyncio.run(vectors.create_index(name, dimension=2))
    assert name in asyncio.run(vectors.list_indexes())
    asyncio.run(vectors.delete_index(name))
    assert name not in asyncio.run(vectors.list_indexes())


@pytest.mark.asyncio
async def test_a_server_that_is_not_there_is_unavailable_and_told_no_secret(monkeypatch):
    monkeypatch.setattr("mastra_chroma.server.PATIENCE", 0.0)
    options = {"headers": {"authorization": "Bearer s3cret"}, "timeout": 1}
    async with ChromaVector(id="v", url="http://127.0.0.1:1", **options) as vectors:
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1") as told:
            await vectors.list_indexes()
        assert "s3cret" not in str(told.value) + repr(vectors) + repr(vars(vectors))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "give one of"),
        ({"url": "http://h:1", "path": "x"}, "give one of"),
        ({"url": "ftp://h"}, "no 'ftp' URLs"),
        ({"url": "https://user:pw@h"}, "no user and password"),
        ({"client": object()}, "must be a client of chromadb"),
        ({"url": "http://h", "client": object()}, "httpx.AsyncClient"),
        ({"path": "x", "api_key": "k"}, "a folder has none"),
        ({"api_key": "k"}, "tenant and database"),
        ({"url": "http://h", "timeout": 0}, "positive number"),
        ({"url": "http://h", "apikey": "x"}, "apikey"),
        ({"url": "http://h", "api_key": "a\nb"}, "api_key has characters"),
    ],
)
def test_what_cannot_work_is_said_at_once(options, told):
    with pytest.raises(ConfigurationError, match=told):
        ChromaVector(id="v", **options)


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"url": "chroma://localhost"}, "localhost:8000"),
        ({"url": "https://h.example:443"}, "h.example:443"),
        ({"url": "http://[::1]:8100"}, "[::1]:8100"),
        ({"api_key": "k", "tenant": "t", "database": "d"}, "api.trychroma.com:443"),
    ],
)
def test_an_address_says_where(options, place):
    assert ChromaVector(id="v", **options).place == place


def test_a_url_opens_the_store():
    assert open_vector("chroma://vectors.example:9000").place == "vectors.example:9000"
