"""Vectors on PostgreSQL: tables that either side makes, what one stores and the other finds and changes."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from backends import Address

from mastra_core.errors import ConflictError, NotFoundError
from mastra_core.storage.sql import Statement
from mastra_pg import PgVector

from .original import Original, OriginalDomain

pytestmark = pytest.mark.asyncio

DIMENSION = 8
COUNT = 40
NORTH, EAST = [0.0, 1.0], [1.0, 0.0]


class Place(NamedTuple):
    """A schema of a database that both sides use."""

    url: str
    schema: str

    def ours(self) -> PgVector:
        return PgVector(id="ours", connection_string=self.url, schema_name=self.schema)

    def theirs(self, original: Original) -> Any:
        return original.store(f"{self.url}#{self.schema}")


@pytest.fixture(scope="module")
def database(postgres: Address) -> Iterator[str]:
    """A database of this module."""
    name = f"vectors_{uuid4().hex}"
    with psycopg.connect(postgres.url, autocommit=True) as session:
        session.execute(f"CREATE DATABASE {name}")
        yield urlsplit(postgres.url)._replace(path=f"/{name}").geturl()
        session.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def place(database: str) -> Place:
    """A schema of this test."""
    return Place(database, f"s{uuid4().hex}")


@pytest_asyncio.fixture
async def alone(original: Original, place: Place) -> AsyncIterator[OriginalDomain]:
    """The original's vectors."""
    store = place.theirs(original)
    yield store.vector
    await store.close()


@pytest_asyncio.fixture
async def vectors(place: Place) -> AsyncIterator[PgVector]:
    """Ours."""
    async with place.ours() as store:
        yield store


def vector(seed: int) -> list[float]:
    numbers = random.Random(seed)
    return [numbers.randrange(-512, 512) / 8 for _ in range(DIMENSION)]


def metadata(number: int) -> dict[str, Any]:
    return {
        "topic": ["tea", "bread", "rain"][number % 3],
        "n": number,
        "deep": {"word": f"w{number % 4}"},
        "tags": [f"t{number % 5}", "é'\""],
    }


IDS = [f"v{number:02}" for number in range(COUNT)]
VECTORS = [vector(number) for number in range(COUNT)]
METADATA = [metadata(number) for number in range(COUNT)]
# Filters that both sides understand alike.
FILTERS = [
    None,
    {"topic": "tea"},
    {"n": {"$gte": 10, "$lt": 20}},
    {"deep.word": "w1"},
    {"topic": {"$in": ["tea", "rain"]}},
    {"topic": {"$ne": "tea"}},
    {"tags": {"$in": ["t1", "t2"]}},
    {"tags": {"$contains": ["t1", "é'\""]}},
    {"topic": {"$contains": "EA"}},
    {"$or": [{"topic": "bread"}, {"n": {"$gt": 35}}]},
    {"$and": [{"topic": "tea"}, {"n": {"$lte": 12}}]},
    {"$not": {"topic": "tea"}},
    {"deep": {"$exists": True}},
]
KINDS = ["vector", "halfvec", "sparsevec"]


@pytest_asyncio.fixture(params=["original", "ours"])
async def by_either(request: pytest.FixtureRequest, alone: Any, vectors: PgVector) -> str:
    """The index ``docs``, made and filled by one of the sides."""
    if request.param == "original":
        await alone.createIndex(indexName="docs", dimension=DIMENSION)
        await alone.upsert(indexName="docs", ids=IDS, vectors=VECTORS, metadata=METADATA)
    else:
        await vectors.create_index("docs", dimension=DIMENSION)
        await vectors.upsert("docs", ids=IDS, vectors=VECTORS, metadata=METADATA)
    return str(request.param)


def ordered(matches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(matches, key=lambda match: (-round(match["score"], 6), match["id"]))


async def by_theirs(alone: Any, wanted: list[float], where: Any = None, top_k: int = 100) -> Any:
    query = {"indexName": "docs", "queryVector": wanted, "topK": top_k, "includeVector": True}
    # Without it the original leaves out inner products of -1 and less.
    query["minScore"] = -1e9
    return ordered(await alone.query(**query, **({"filter": where} if where else {})))


async def by_ours(
    vectors: PgVector, wanted: list[float], where: Any = None, top_k: int = 100
) -> Any:
    found = await vectors.query(
        "docs", query_vector=wanted, top_k=top_k, filter=where, include_vector=True
    )
    fields = ("id", "score", "metadata", "vector")
    return ordered([{name: getattr(match, name) for name in fields} for match in found])


def scores(matches: list[dict[str, Any]]) -> list[Any]:
    return [pytest.approx(match.pop("score"), abs=1e-6) for match in matches]


@pytest.mark.parametrize("where", FILTERS, ids=str)
async def test_both_find_the_same_with_the_same_scores(by_either, vectors, alone, where):
    for seed in range(100, 103):
        mine = await by_ours(vectors, vector(seed), where)
        original = await by_theirs(alone, vector(seed), where)
        assert [match["score"] for match in mine] == scores(original)
        scores(mine)
        assert mine == original
        assert len(mine) >= 5


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dotproduct"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("maker", ["original", "ours"])
async def test_every_type_and_metric_is_read_by_the_other_side(vectors, alone, maker, kind, metric):
    if maker == "original":
        config = {"type": "hnsw"}
        await alone.createIndex(
            indexName="docs",
            dimension=DIMENSION,
            metric=metric,
            vectorType=kind,
            indexConfig=config,
        )
        await alone.upsert(indexName="docs", ids=IDS, vectors=VECTORS, metadata=METADATA)
    else:
        options = {"vector_type": kind}
        await vectors.create_index("docs", dimension=DIMENSION, metric=metric, options=options)
        await vectors.upsert("docs", ids=IDS, vectors=VECTORS, metadata=METADATA)
    mine = await by_ours(vectors, vector(100))
    original = await by_theirs(alone, vector(100))
    assert [match["score"] for match in mine] == scores(original)
    scores(mine)
    assert mine == original
    assert len(mine) == COUNT
    described = await alone.describeIndex(indexName="docs")
    stats = await vectors.describe_index("docs")
    assert (described["dimension"], described["count"], described["metric"]) == (
        stats.dimension,
        stats.count,
        stats.metric,
    )
    assert (described["metric"], described["type"], described["vectorType"]) == (
        metric,
        "hnsw",
        kind,
    )


async def test_both_list_the_index(by_either, vectors, alone):
    assert await alone.listIndexes() == await vectors.list_indexes() == ["docs"]


async def columns(store: PgVector, place: Place) -> list[tuple[Any, ...]]:
    sql = (
        "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, "
        "pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a LEFT JOIN pg_attrdef d "
        "ON d.adrelid = a.attrelid AND d.adnum = a.attnum "
        "WHERE a.attrelid = $1::regclass AND a.attnum > 0 ORDER BY a.attnum"
    )
    found = await store.backend.fetch(Statement(sql, [f'"{place.schema}".docs']))
    return [tuple(str(part).replace(place.schema, "s") for part in row) for row in found]


async def indexes(store: PgVector, place: Place) -> dict[str, str]:
    sql = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = $1"
    found = await store.backend.fetch(Statement(sql, [place.schema]))
    return {name: text.replace(place.schema, "s") for name, text in found}


async def test_the_table_and_its_indexes_are_as_the_original_makes_them(original, database):
    seen: list[Any] = []
    for maker in ("original", "ours"):
        place = Place(database, f"s{uuid4().hex}")
        theirs = place.theirs(original)
        async with place.ours() as vectors:
            hnsw = {"m": 16, "efConstruction": 64}
            keys = ["thread_id", "résumé's"]
            if maker == "original":
                config = {"type": "hnsw", "hnsw": hnsw}
                await theirs.vector.createIndex(
                    indexName="docs", dimension=3, indexConfig=config, metadataIndexes=keys
                )
            else:
                await vectors.create_index("docs", dimension=3, metadata_indexes=keys)
            seen.append((await columns(vectors, place), await indexes(vectors, place)))
        await theirs.close()
    (their_columns, their_indexes), (our_columns, our_indexes) = seen
    assert our_columns.pop() == ("document", "text", "False", "None")
    assert our_columns == their_columns
    added = our_indexes.keys() - their_indexes.keys()
    assert {name[:8] for name in added} == {"docs_vec", "docs_mv_"}
    assert len(added) == 3
    assert {name: our_indexes[name] for name in their_indexes} == their_indexes
    assert len(their_indexes) == 5


async def test_what_the_original_changes_we_find_changed(by_either, vectors, alone):
    await alone.upsert(
        indexName="docs",
        ids=["v01", "new"],
        vectors=[vector(500), vector(501)],
        metadata=[{"x": 1}, {}],
    )
    await alone.updateVector(indexName="docs", id="v02", update={"metadata": {"y": [2]}})
    await alone.updateVector(indexName="docs", id="v03", update={"vector": vector(503)})
    await alone.deleteVector(indexName="docs", id="v04")
    await alone.deleteVectors(indexName="docs", filter={"n": {"$gte": 30}})
    found = {match["id"]: match for match in await by_ours(vectors, vector(0))}
    assert set(found) == {*IDS[:30], "new"} - {"v04"}
    assert (found["v01"]["vector"], found["v01"]["metadata"]) == (vector(500), {"x": 1})
    assert (found["v02"]["vector"], found["v02"]["metadata"]) == (VECTORS[2], {"y": [2]})
    assert (found["v03"]["vector"], found["v03"]["metadata"]) == (vector(503), METADATA[3])
    assert found["new"]["metadata"] == {}


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
    found = {match["id"]: match for match in await by_theirs(alone, vector(0))}
    assert set(found) == {*IDS[:30], "new"} - {"v04"}
    assert (found["v01"]["vector"], found["v01"]["metadata"]) == (vector(500), {"x": 1})
    assert (found["v02"]["vector"], found["v02"]["metadata"]) == (VECTORS[2], {"y": [2]})
    assert (found["v03"]["vector"], found["v03"]["metadata"]) == (vector(503), METADATA[3])
    assert (found["v05"]["vector"], found["v05"]["metadata"]) == (vector(505), {"z": None})
    assert found["new"]["metadata"] == {}
    assert (await alone.describeIndex(indexName="docs"))["count"] == 30
    (near,) = await vectors.query("docs", query_vector=vector(500), top_k=1)
    assert near.document == "a text"


async def test_setting_up_again_on_either_side_changes_nothing(by_either, vectors, alone, place):
    before = await indexes(vectors, place)
    await vectors.create_index("docs", dimension=DIMENSION)
    await alone.createIndex(indexName="docs", dimension=DIMENSION)
    assert await indexes(vectors, place) == before
    assert (await vectors.describe_index("docs")).count == COUNT


async def test_an_index_that_either_side_deletes_is_gone_for_the_other(by_either, vectors, alone):
    if by_either == "ours":
        await alone.deleteIndex(indexName="docs")
        with pytest.raises(NotFoundError):
            await vectors.query("docs", query_vector=vector(0))
    else:
        await vectors.delete_index("docs")
    assert await vectors.list_indexes() == await alone.listIndexes() == []


async def test_an_extension_that_the_original_put_into_its_schema_is_found(original, postgres):
    name = f"vectors_{uuid4().hex}"
    with psycopg.connect(postgres.url, autocommit=True) as session:
        session.execute(f"CREATE DATABASE {name}")
        url = urlsplit(postgres.url)._replace(path=f"/{name}").geturl()
        theirs = Place(url, "theirs").theirs(original)
        await theirs.vector.createIndex(indexName="docs", dimension=2)
        async with Place(url, "ours").ours() as vectors, Place(url, "theirs").ours() as same:
            await vectors.create_index("docs", dimension=2)
            for store in (vectors, same):
                await store.upsert("docs", ids=["a"], vectors=[EAST])
                assert len(await store.query("docs", query_vector=EAST)) == 1
        assert (await theirs.vector.describeIndex(indexName="docs"))["count"] == 1
        await theirs.close()
        session.execute(f"DROP DATABASE {name} WITH (FORCE)")


# Where the original loses or mixes up what is asked for, and ours does not (see README.md).

STORED = {
    "a": {"tenant": "x", "kind": "note", "n": 5, "deep": {"k": 1}, "flag": True},
    "b": {"tenant": "y", "kind": "note", "n": "5", "flag": "true"},
    "c": {"tenant": "y", "kind": "mail", "n": -3, "flag": False},
    "d": {"kind": "mail"},
}


@pytest_asyncio.fixture
async def both(vectors, alone):
    """Four vectors in one direction; the ids that each side finds with a filter, the original's first."""
    await vectors.create_index("docs", dimension=2)
    await vectors.upsert(
        "docs", ids=list(STORED), vectors=[NORTH] * 4, metadata=list(STORED.values())
    )

    async def find(where: dict[str, Any]) -> tuple[list[str], list[str]]:
        original = await by_theirs(alone, NORTH, where)
        mine = await by_ours(vectors, NORTH, where)
        return [match["id"] for match in original], [match["id"] for match in mine]

    return find


async def test_all_keys_of_a_branch_must_hold_on_postgresql(both):
    where = {"$or": [{"tenant": "x", "kind": "mail"}, {"n": -3}]}
    assert await both(where) == (["a", "c", "d"], ["c"])


async def test_no_condition_beside_a_nested_one_is_lost(both):
    inner = {"$or": [{"kind": "note"}, {"kind": "mail"}], "tenant": "x"}
    assert await both({"$and": [inner, {"kind": "note"}]}) == (["a", "b"], ["a"])


async def test_types_are_told_apart_on_postgresql(both):
    assert await both({"n": 5}) == (["a", "b"], ["a"])
    assert await both({"flag": True}) == (["a", "b"], ["a"])


async def test_what_is_absent_is_not_equal_on_postgresql(both):
    assert await both({"tenant": {"$ne": "x"}}) == (["b", "c"], ["b", "c", "d"])
    assert await both({"tenant": {"$nin": ["x"]}}) == (["b", "c"], ["b", "c", "d"])


async def test_a_nested_key_exists(both):
    assert await both({"deep.k": {"$exists": True}}) == ([], ["a"])


async def test_a_score_that_is_just_enough_is_enough_on_postgresql(vectors, alone):
    await vectors.create_index("docs", dimension=2)
    await vectors.upsert("docs", ids=["a", "b"], vectors=[EAST, [-1.0, 0.0]])
    query = {"indexName": "docs", "queryVector": EAST}
    assert [m["id"] for m in await alone.query(**query, minScore=1)] == []
    # The opposite has -1, which is the original's own least score.
    assert [m["id"] for m in await alone.query(**query)] == ["a"]
    found = await vectors.query("docs", query_vector=EAST, min_score=-1)
    assert [match.id for match in found] == ["a", "b"]


async def test_a_vector_of_zeros_scores_0_and_is_not_the_nearest(vectors, alone):
    await vectors.create_index("docs", dimension=2)
    named = {"ids": ["a", "nought"], "vectors": [EAST, [0.0, 0.0]]}
    await vectors.upsert("docs", **named, metadata=[{"k": 1}, {"k": 1}])
    query = {"indexName": "docs", "queryVector": EAST}
    original = await alone.query(**query, filter={"k": 1})
    assert [(m["id"], m["score"]) for m in original] == [("nought", None), ("a", 1)]
    found = await vectors.query("docs", query_vector=EAST, filter={"k": 1})
    assert [(m.id, m.score) for m in found] == [("a", 1), ("nought", 0)]


async def test_the_metric_of_an_index_that_looks_at_all_is_known(vectors, alone, place):
    config = {"type": "flat"}
    await alone.createIndex(indexName="far", dimension=2, metric="euclidean", indexConfig=config)
    assert (await alone.describeIndex(indexName="far"))["metric"] == "cosine"
    await vectors.create_index("docs", dimension=2, metric="euclidean", options=config)
    await vectors.upsert("docs", ids=["a"], vectors=[[0.0, 3.0]])
    async with place.ours() as other:
        (found,) = await other.query("docs", query_vector=[4.0, 0.0])
    assert found.score == pytest.approx(1 / 6)


async def test_an_index_with_another_dimension_or_metric_is_refused(vectors, alone):
    await vectors.create_index("docs", dimension=2)
    await alone.createIndex(indexName="docs", dimension=7)
    await alone.createIndex(indexName="docs", dimension=2, metric="euclidean")
    described = await alone.describeIndex(indexName="docs")
    assert (described["dimension"], described["metric"]) == (2, "cosine")
    with pytest.raises(ConflictError, match="2 dimensions and the metric cosine, not 7"):
        await vectors.create_index("docs", dimension=7)
    with pytest.raises(ConflictError, match="2 dimensions and the metric cosine, not 2 and eucl"):
        await vectors.create_index("docs", dimension=2, metric="euclidean")
