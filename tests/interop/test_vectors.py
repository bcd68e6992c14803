"""Vectors: tables that either side makes, what one stores and the other finds, changes and deletes."""

from __future__ import annotations

import random

import pytest
import pytest_asyncio

from mastra_core.records import Thread
from mastra_core.storage.sql import Statement
from mastra_libsql import LibSQLStore, LibSQLVector

from .original import OriginalStore

pytestmark = pytest.mark.asyncio

DIMENSION = 8
COUNT = 40


def vector(seed: int) -> list[float]:
    # Values that 32 bits hold exactly and six digits can say, which is how the original answers.
    numbers = random.Random(seed)
    return [numbers.randrange(-512, 512) / 8 for _ in range(DIMENSION)]


def metadata(number: int) -> dict:
    return {
        "topic": ["tea", "bread", "rain"][number % 3],
        "n": number,
        "deep": {"even": number % 2 == 0},
        "tags": [f"t{number % 5}", "é'\""],
    }


IDS = [f"v{number:02}" for number in range(COUNT)]
VECTORS = [vector(number) for number in range(COUNT)]
METADATA = [metadata(number) for number in range(COUNT)]
# Filters that both sides understand alike.
FILTERS = [
    {"never": {"$exists": False}},
    {"topic": "tea"},
    {"n": {"$gte": 10, "$lt": 20}},
    {"deep.even": True},
    {"topic": {"$in": ["tea", "rain"]}},
    {"tags": {"$in": ["t1", "t2"]}},
    {"$or": [{"topic": "bread"}, {"n": {"$gt": 35}}]},
    {"$and": [{"topic": "tea"}, {"n": {"$lte": 12}}]},
    {"deep": {"$exists": True}},
]


@pytest_asyncio.fixture(params=["original", "ours"])
async def by_either(
    request: pytest.FixtureRequest, alone: OriginalStore, vectors: LibSQLVector
) -> str:
    """The index ``docs``, made and filled by one of the sides."""
    if request.param == "original":
        await alone.vector.createIndex(indexName="docs", dimension=DIMENSION)
        await alone.vector.upsert(indexName="docs", ids=IDS, vectors=VECTORS, metadata=METADATA)
    else:
        await vectors.create_index("docs", dimension=DIMENSION)
        await vectors.upsert("docs", ids=IDS, vectors=VECTORS, metadata=METADATA)
    return str(request.param)


async def answers(alone, seed: int, where: dict | None, top_k: int) -> list[dict]:
    found = await alone.vector.query(
        indexName="docs", queryVector=vector(seed), topK=top_k, filter=where, includeVector=True
    )
    return sorted(found, key=lambda match: (-round(match["score"], 6), match["id"]))


async def ours_as_theirs(vectors, seed: int, where: dict | None, top_k: int) -> list[dict]:
    found = await vectors.query(
        "docs", query_vector=vector(seed), top_k=top_k, filter=where, include_vector=True
    )
    fields = ("id", "score", "metadata", "vector")
    plain = [{name: getattr(match, name) for name in fields} for match in found]
    return sorted(plain, key=lambda match: (-round(match["score"], 6), match["id"]))


def scores(matches: list[dict]) -> list:
    return [pytest.approx(match.pop("score"), abs=1e-6) for match in matches]


@pytest.mark.parametrize("where", FILTERS, ids=str)
async def test_both_find_the_same_with_the_same_scores(by_either, vectors, alone, where):
    # More than match: the original then looks at every row. Along its graph it misses some.
    for seed in range(100, 105):
        mine = await ours_as_theirs(vectors, seed, where, COUNT + 1)
        original = await answers(alone, seed, where, COUNT + 1)
        assert [match["score"] for match in mine] == scores(original)
        scores(mine)
        assert mine == original
        assert len(mine) >= 5


async def test_both_describe_and_list_the_index_alike(by_either, vectors, alone):
    assert await alone.vector.listIndexes() == await vectors.list_indexes() == ["docs"]
    described = await alone.vector.describeIndex(indexName="docs")
    stats = await vectors.describe_index("docs")
    assert described == {"dimension": DIMENSION, "count": COUNT, "metric": "cosine"}
    assert (stats.dimension, stats.count, stats.metric) == (DIMENSION, COUNT, "cosine")


async def test_the_table_and_the_graph_are_as_the_original_makes_them(original, tmp_path):
    texts = []
    for maker in ("original", "ours"):
        path = tmp_path / f"{maker}.db"
        store = original.store(path)
        async with LibSQLVector(id="ours", url=f"file:{path}") as vectors:
            if maker == "original":
                await store.vector.createIndex(indexName="docs", dimension=3)
                await vectors.describe_index("docs")
            else:
                await vectors.create_index("docs", dimension=3)
            names = (
                "('docs', 'docs_vector_idx', 'docs_vector_idx_shadow', 'libsql_vector_meta_shadow')"
            )
            rows = await vectors.backend.fetch(
                Statement(f"SELECT name, sql FROM sqlite_master WHERE name IN {names}")
            )
        await store.close()
        texts.append({name: "".join(sql.split()).replace('"', "") for name, sql in rows})
    ours_adds = ",documentTEXT,asideINTEGER)"
    theirs_text, our_text = texts[0].pop("docs"), texts[1].pop("docs")
    assert our_text.replace(ours_adds, ")") == theirs_text
    assert texts[0] == texts[1]


async def test_what_the_original_changes_we_find_changed(by_either, vectors, alone):
    await alone.vector.upsert(
        indexName="docs",
        ids=["v01", "new"],
        vectors=[vector(500), vector(501)],
        metadata=[{"x": 1}, {}],
    )
    await alone.vector.updateVector(indexName="docs", id="v02", update={"metadata": {"y": [2]}})
    await alone.vector.updateVector(indexName="docs", id="v03", update={"vector": vector(503)})
    await alone.vector.deleteVector(indexName="docs", id="v04")
    await alone.vector.deleteVectors(indexName="docs", filter={"n": {"$gte": 30}})

    found = {
        m.id: m
        for m in await vectors.query("docs", query_vector=vector(0), top_k=100, include_vector=True)
    }
    assert set(found) == {*IDS[:30], "new"} - {"v04"}
    assert (found["v01"].vector, found["v01"].metadata) == (vector(500), {"x": 1})
    assert (found["v02"].vector, found["v02"].metadata) == (VECTORS[2], {"y": [2]})
    assert (found["v03"].vector, found["v03"].metadata) == (vector(503), METADATA[3])
    assert found["new"].metadata == {}


async def test_what_we_change_the_original_finds_changed(by_either, vectors, alone):
    await vectors.upsert(
        "docs",
        ids=["v01", "new"],
        vectors=[vector(500), vector(501)],
        metadata=[{"x": 1}, {}],
        documents=["a text", None],
    )
    await vectors.update_vector("docs", id="v02", metadata={"y": [2]})
    await vectors.update_vector("docs", id="v03", vector=vector(503))
    await vectors.update_vector("docs", filter={"n": 5}, vector=vector(505), metadata={"z": None})
    await vectors.delete_vector("docs", id="v04")
    await vectors.delete_vectors("docs", filter={"n": {"$gte": 30}})

    # The original asks the graph for what it then finds: a wide filter makes it look at all.
    found = {
        match["id"]: match for match in await answers(alone, 0, {"never": {"$exists": False}}, 100)
    }
    assert set(found) == {*IDS[:30], "new"} - {"v04"}
    assert (found["v01"]["vector"], found["v01"]["metadata"]) == (vector(500), {"x": 1})
    assert (found["v02"]["vector"], found["v02"]["metadata"]) == (VECTORS[2], {"y": [2]})
    assert (found["v03"]["vector"], found["v03"]["metadata"]) == (vector(503), METADATA[3])
    assert (found["v05"]["vector"], found["v05"]["metadata"]) == (vector(505), {"z": None})
    assert found["new"]["metadata"] == {}
    assert (await alone.vector.describeIndex(indexName="docs"))["count"] == 30
    assert [m.document for m in await vectors.query("docs", query_vector=vector(500), top_k=1)] == [
        "a text"
    ]


async def test_the_original_writes_on_after_we_added_what_is_ours(by_either, vectors, alone):
    await vectors.upsert("docs", ids=["mine"], vectors=[vector(600)], documents=["text"])
    await alone.vector.upsert(
        indexName="docs", ids=["mine", "twin"], vectors=[vector(601)] * 2, metadata=[{}, {}]
    )
    await alone.vector.deleteVector(indexName="docs", id="v00")
    await alone.vector.upsert(indexName="docs", ids=["again"], vectors=[VECTORS[0]], metadata=[{}])
    rows = await vectors.backend.fetch(
        Statement("SELECT vector_id FROM docs WHERE aside IS NOT NULL ORDER BY vector_id")
    )
    # Changed in place, equal to another, equal to one that is gone: the graph may lose each of them.
    assert [name for (name,) in rows] == ["again", "mine", "twin"]
    found = await vectors.query("docs", query_vector=vector(601), top_k=2)
    assert [(match.id, match.score) for match in found] == [
        ("mine", pytest.approx(1)),
        ("twin", pytest.approx(1)),
    ]


async def test_metadata_in_sqlites_binary_form_are_read_and_filtered_by(by_either, vectors, alone):
    sql = "UPDATE docs SET metadata = jsonb(metadata)"
    await vectors.backend.execute([Statement(sql)])
    for where in FILTERS:
        found = await vectors.query("docs", query_vector=vector(100), top_k=100, filter=where)
        assert all(match.metadata == METADATA[IDS.index(match.id)] for match in found)
        assert found
    assert len(await vectors.query("docs", query_vector=vector(1), top_k=99, filter={"n": 7})) == 1


async def test_an_index_of_metadata_does_not_disturb_the_original(vectors, alone):
    await vectors.create_index("docs", dimension=DIMENSION, metadata_indexes=["topic", "deep.even"])
    await alone.vector.createIndex(indexName="docs", dimension=DIMENSION)
    await alone.vector.upsert(indexName="docs", ids=IDS, vectors=VECTORS, metadata=METADATA)
    for where in ({"topic": "tea"}, {"deep.even": True}):
        mine = await ours_as_theirs(vectors, 100, where, 50)
        original = await answers(alone, 100, where, 50)
        assert [match["id"] for match in mine] == [match["id"] for match in original]
        assert len(mine) >= COUNT // 3


async def test_an_index_that_the_original_deletes_is_gone_for_us(by_either, vectors, alone):
    await alone.vector.deleteIndex(indexName="docs")
    assert await vectors.list_indexes() == []
    await vectors.create_index("docs", dimension=3, metric="euclidean")
    await vectors.upsert("docs", ids=["a"], vectors=[[1, 2, 3]])
    assert (await alone.vector.describeIndex(indexName="docs"))["dimension"] == 3


async def test_a_store_and_vectors_of_one_process_share_a_file(vectors, alone, empty):
    await vectors.create_index("docs", dimension=DIMENSION)
    async with LibSQLStore(id="store", url=f"file:{empty}") as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        await vectors.upsert("docs", ids=IDS, vectors=VECTORS, metadata=METADATA)
        await store.memory.update_thread("t", title="Tea")
    thread = await alone.memory.getThreadById(threadId="t")
    assert thread["title"] == "Tea"
    assert (await alone.vector.describeIndex(indexName="docs"))["count"] == COUNT
