"""What only libSQL's vectors do: a graph that forgets, rows beside it, indexes of metadata, the catalogue."""

from __future__ import annotations

import asyncio
import random
from array import array
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mastra_core.errors import ConflictError, InvalidArgumentError, NotFoundError, UnsupportedError
from mastra_core.plugins import open_vector
from mastra_core.records import Thread
from mastra_core.storage.sql import Statement
from mastra_libsql import LibSQLStore, LibSQLVector

from .test_traps import Ticker

pytestmark = pytest.mark.asyncio

DIMENSION = 16
TOPICS = 40


class Numbers:
    """An endless supply of vectors that lie in clusters."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._topics = [self._gauss(1.0) for _ in range(TOPICS)]

    def _gauss(self, width: float) -> list[float]:
        return [self._random.gauss(0, width) for _ in range(DIMENSION)]

    def one(self) -> array[float]:
        topic = self._random.choice(self._topics)
        return array("f", [a + b for a, b in zip(topic, self._gauss(0.5), strict=True)])

    def many(self, count: int) -> list[array[float]]:
        return [self.one() for _ in range(count)]


class ByGraph(LibSQLVector):
    """Never looks at all vectors because they are few."""

    small = 0


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file:{tmp_path}/vectors.db"


@pytest_asyncio.fixture(params=["file", "memory"])
async def graph(request: pytest.FixtureRequest, url: str) -> AsyncIterator[ByGraph]:
    """A store that asks the graph, with the index ``docs``."""
    place = ":memory:" if request.param == "memory" else url
    async with ByGraph(id="graph", url=place) as store:
        await store.create_index("docs", dimension=DIMENSION)
        yield store


@pytest_asyncio.fixture
async def store(url: str) -> AsyncIterator[LibSQLVector]:
    async with LibSQLVector(id="vectors", url=url) as opened:
        yield opened


async def rows(store: LibSQLVector, sql: str, *params: Any) -> list[tuple]:
    return [tuple(row) for row in await store.backend.fetch(Statement(sql, params))]


async def run(store: LibSQLVector, *statements: str) -> None:
    await store.backend.execute([Statement(sql) for sql in statements])


async def found(store: LibSQLVector, vector: Any, top_k: int, **query: Any) -> set[str]:
    return {m.id for m in await store.query("docs", query_vector=vector, top_k=top_k, **query)}


async def test_the_graph_finds_what_a_look_at_all_finds(graph: ByGraph) -> None:
    numbers = Numbers()
    await graph.upsert("docs", vectors=numbers.many(600))
    hits = 0
    for vector in numbers.many(30):
        along = await found(graph, vector, 10)
        truth = await rows(
            graph,
            "SELECT vector_id FROM docs ORDER BY vector_distance_cos(embedding, ?) LIMIT 10",
            vector.tobytes(),
        )
        hits += len(along & {name for (name,) in truth})
    assert hits >= 0.95 * 300


async def test_all_of_several_equal_vectors_are_found_also_after_the_first_is_deleted(
    graph: ByGraph,
) -> None:
    numbers = Numbers()
    await graph.upsert("docs", vectors=numbers.many(300))
    groups = [(vector, [f"{n}-{i}" for i in range(5)]) for n, vector in enumerate(numbers.many(20))]
    for vector, names in groups:
        await graph.upsert("docs", ids=names, vectors=[vector] * 5)
    for vector, names in groups:
        assert await found(graph, vector, 5) == set(names)
    await graph.delete_vectors("docs", ids=[names[0] for _, names in groups])
    for vector, names in groups:
        assert set(names[1:]) <= await found(graph, vector, 5)


async def test_a_vector_stored_again_after_it_was_deleted_is_found(graph: ByGraph) -> None:
    numbers = Numbers()
    given = numbers.many(400)
    names = await graph.upsert("docs", vectors=given)
    await graph.delete_vectors("docs", ids=names[:100])
    again = await graph.upsert("docs", vectors=given[:100])
    for name, vector in zip(again, given, strict=False):
        assert name in await found(graph, vector, 1)


@pytest.mark.parametrize("how", ["upsert", "update", "in place"])
async def test_a_vector_that_changed_is_found_where_it_is_and_not_where_it_was(
    graph: ByGraph, how: str
) -> None:
    numbers = Numbers()
    given = numbers.many(300)
    names = await graph.upsert("docs", vectors=given)
    changed = dict(zip(names[:60], numbers.many(60), strict=True))
    for name, vector in changed.items():
        if how == "upsert":
            await graph.upsert("docs", ids=[name], vectors=[vector])
        elif how == "update":
            await graph.update_vector("docs", id=name, vector=vector)
        else:
            # As the original does it.
            sql = "UPDATE docs SET embedding = ? WHERE vector_id = ?"
            await graph.backend.execute([Statement(sql, [vector.tobytes(), name])])
    for (name, vector), before in zip(changed.items(), given, strict=False):
        assert await found(graph, vector, 1) == {name}
        assert await found(graph, before, 1) != {name}


async def test_an_unchanged_vector_keeps_its_place_in_the_graph(graph: ByGraph) -> None:
    (vector,) = Numbers().many(1)
    await graph.upsert("docs", ids=["a"], vectors=[vector], metadata=[{"n": 1}])
    before = await rows(graph, "SELECT rowid FROM docs")
    await graph.upsert("docs", ids=["a"], vectors=[vector], metadata=[{"n": 2}], documents=["x"])
    assert await rows(graph, "SELECT rowid FROM docs") == before
    (match,) = await graph.query("docs", query_vector=vector)
    assert (match.metadata, match.document) == ({"n": 2}, "x")


async def test_no_row_gets_the_number_of_one_that_was_deleted(graph: ByGraph) -> None:
    first, second = Numbers().many(2)
    await graph.upsert("docs", ids=["a"], vectors=[first])
    ((before,),) = await rows(graph, "SELECT rowid FROM docs")
    await graph.delete_vector("docs", id="a")
    await graph.upsert("docs", ids=["b"], vectors=[second])
    ((after,),) = await rows(graph, "SELECT rowid FROM docs")
    # A number beyond 2 ** 53 would be none for the original.
    assert before < after < 2**53


async def test_rebuilding_makes_a_graph_without_what_was_beside_it(graph: ByGraph) -> None:
    numbers = Numbers()
    given = numbers.many(60)
    names = await graph.upsert("docs", vectors=given)
    await graph.delete_vectors("docs", ids=names[:20])
    await graph.upsert("docs", vectors=[*given[:20], given[30]])
    assert await rows(graph, "SELECT count(*) FROM docs WHERE aside = 1") == [(21,)]
    await graph.rebuild_index("docs")
    # Of the two equal ones the second stays beside the graph.
    assert await rows(graph, "SELECT count(*) FROM docs WHERE aside = 1") == [(1,)]
    assert await rows(graph, "SELECT count(*) FROM docs_vector_gone") == [(0,)]
    assert len(await found(graph, given[30], 61)) == 61


async def test_rare_matches_are_found_though_the_graph_passes_them_by(graph: ByGraph) -> None:
    numbers = Numbers()
    metadata = [{"rare": n % 100 == 0, "n": n} for n in range(700)]
    await graph.upsert("docs", vectors=numbers.many(700), metadata=metadata)
    for vector in numbers.many(5):
        assert len(await found(graph, vector, 7, filter={"rare": True})) == 7
        assert len(await found(graph, vector, 300, filter={"rare": False})) == 300
        assert len(await found(graph, vector, 1000)) == 700
        (match,) = await graph.query("docs", query_vector=vector, filter={"n": 641})
        assert match.metadata == {"rare": False, "n": 641}


async def test_a_search_of_all_takes_steps_and_lets_other_tasks_run(
    graph: ByGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mastra_libsql.vector.STEP", 50)
    numbers = Numbers()
    names = [f"{n:03}" for n in range(330)]
    await graph.upsert(
        "docs", ids=names, vectors=numbers.many(330), metadata=[{"n": n} for n in range(330)]
    )
    (vector,) = numbers.many(1)
    async with Ticker() as ticker:
        matches = await graph.query("docs", query_vector=vector, top_k=300)
    assert len(matches) == 300
    assert [match.score for match in matches] == sorted((m.score for m in matches), reverse=True)
    assert ticker.turns >= 330 // 50
    assert await found(graph, vector, 9, filter={"n": {"$gte": 325}}) == set(names[325:])


async def test_storing_many_does_not_stall_the_loop(store: LibSQLVector) -> None:
    await store.create_index("docs", dimension=DIMENSION)
    async with Ticker() as ticker:
        await store.upsert("docs", vectors=Numbers().many(500))
    assert ticker.turns >= 500 // 8
    assert (await store.describe_index("docs")).count == 500


async def test_an_index_of_metadata_answers_filters_on_text_and_on_binary_json(
    graph: ByGraph,
) -> None:
    options = {"max_neighbors": 8}
    await graph.delete_index("docs")
    await graph.create_index(
        "docs", dimension=DIMENSION, options=options, metadata_indexes=["user", "deep.n"]
    )
    numbers = Numbers()
    metadata: list[dict[str, Any]] = [{"user": f"u{n % 20}", "deep": {"n": n}} for n in range(200)]
    metadata[3] = {"user": ["u3", "u4"], "deep": {"n": [3, 300]}}
    metadata[1], metadata[2] = {"user": '["u4"]'}, {"user": '{"u": 4}'}
    metadata[8], metadata[9] = {"user": ["[", "u1"]}, {"user": {"u": 4}}
    names = [f"{n:03}" for n in range(200)]
    await graph.upsert("docs", ids=names, vectors=numbers.many(200), metadata=metadata)
    await run(graph, "UPDATE docs SET metadata = jsonb(metadata) WHERE rowid % 2")
    (vector,) = numbers.many(1)
    sent: list[Statement] = []
    fetch = graph.backend.fetch

    async def noted(statement: Statement) -> Any:
        sent.append(statement)
        return await fetch(statement)

    graph.backend.fetch = noted  # type: ignore[method-assign]
    for where, expected in (
        ({"user": "u4"}, {"003", *names[4::20]}),
        ({"user": {"$in": ["u4", "u5"]}}, {"003", *names[4::20], *names[5::20]}),
        ({"$and": [{"deep.n": 300}, {"user": {"$ne": "x"}}]}, {"003"}),
        ({"deep.n": 7.0}, {"007"}),
        ({"user": "u4", "deep.n": {"$gt": 100}}, set(names[104::20])),
        ({"deep.n": {"$gt": 100}, "user": {"$in": ["u4"]}}, set(names[104::20])),
        ({"user": '["u4"]'}, {"001"}),
        ({"user": '{"u": 4}'}, {"002"}),
        ({"user": "["}, {"008"}),
        ({"user": {"$in": ["[", '["u4"]', "u3"]}}, {"001", "003", "008", *names[23::20]}),
    ):
        sent.clear()
        assert await found(graph, vector, 50, filter=where) == expected
        asked = sent[-1]
        plan = await rows(graph, f"EXPLAIN QUERY PLAN {asked.sql}", *asked.params)
        assert "docs_metadata_" in str(plan)
        assert "SCAN docs" not in str(plan)


async def test_metadata_that_are_no_json_match_as_if_there_were_none(store: LibSQLVector) -> None:
    await store.create_index("docs", dimension=2, metadata_indexes=["k"])
    await store.upsert(
        "docs", ids=["a", "b", "c", "d"], vectors=[[1, 0]] * 4, metadata=[{"k": 1}] * 4
    )
    await run(
        store,
        "UPDATE docs SET metadata = 'no json' WHERE vector_id = 'b'",
        "UPDATE docs SET metadata = NULL WHERE vector_id = 'c'",
        "UPDATE docs SET metadata = '[1]' WHERE vector_id = 'd'",
    )
    assert await found(store, [1, 0], 9, filter={"k": 1}) == {"a"}
    assert await found(store, [1, 0], 9, filter={"k": {"$ne": 1}}) == {"b", "c", "d"}
    assert await found(store, [1, 0], 9, filter={"k": {"$exists": False}}) == {"b", "c", "d"}
    assert {m.id: m.metadata for m in await store.query("docs", query_vector=[1, 0])} == {
        "a": {"k": 1},
        "b": {},
        "c": {},
        "d": {},
    }
    await store.delete_vectors("docs", filter={"k": {"$nin": [1, 2]}})
    assert (await store.describe_index("docs")).count == 1


async def test_a_filter_of_very_many_branches_is_not_too_deep(store: LibSQLVector) -> None:
    await store.create_index("docs", dimension=2)
    await store.upsert("docs", ids=["a"], vectors=[[1, 0]], metadata=[{"k": 1999}])
    where = {"$or": [{"k": n, "j": {"$exists": False}} for n in range(2000)]}
    assert await found(store, [1, 0], 1, filter=where) == {"a"}


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("kind", ["diskann", "flat"])
async def test_the_metric_is_known_again(url: str, metric: str, kind: str) -> None:
    async with LibSQLVector(id="a", url=url) as a:
        await a.create_index("docs", dimension=2, metric=metric, options={"type": kind})
        await a.upsert("docs", ids=["a"], vectors=[[0, 3]])
    async with LibSQLVector(id="b", url=url) as b:
        stats = await b.describe_index("docs")
        assert (stats.dimension, stats.metric, stats.count) == (2, metric, 1)
        (match,) = await b.query("docs", query_vector=[4, 0])
        assert match.score == pytest.approx(0 if metric == "cosine" else 1 / 6)
        has_graph = await rows(b, "SELECT 1 FROM sqlite_master WHERE name = 'docs_vector_idx'")
        assert bool(has_graph) is (kind == "diskann")


async def test_the_options_of_an_index_are_libsqls(store: LibSQLVector) -> None:
    options = {
        "max_neighbors": 10,
        "compress_neighbors": "float8",
        "alpha": 1.3,
        "search_l": 50,
        "insert_l": 40,
    }
    await store.create_index("docs", dimension=4, metric="euclidean", options=options)
    ((sql,),) = await rows(store, "SELECT sql FROM sqlite_master WHERE name = 'docs_vector_idx'")
    assert sql.endswith(
        "(libsql_vector_idx(embedding, 'metric=l2', 'max_neighbors=10', 'compress_neighbors=float8', "
        "'alpha=1.3', 'search_l=50', 'insert_l=40'))"
    )
    for wrong in ({"max_neighbors": 0}, {"compress_neighbors": "zip"}, {"lists": 5}):
        with pytest.raises(InvalidArgumentError, match="libSQL index"):
            await store.create_index("other", dimension=4, options=wrong)
    assert await store.list_indexes() == ["docs"]


async def test_the_inner_product_is_refused(store: LibSQLVector) -> None:
    with pytest.raises(UnsupportedError, match="no dotproduct metric; it has cosine, euclidean"):
        await store.create_index("docs", dimension=4, metric="dotproduct")


@pytest.mark.parametrize("name", ["mastra_threads", "Docs"])
async def test_the_name_of_another_table_is_refused(
    store: LibSQLVector, url: str, name: str
) -> None:
    await store.create_index("docs", dimension=4)
    async with LibSQLStore(id="store", url=url) as other:
        await other.init()
    with pytest.raises(ConflictError, match="take another name"):
        await store.create_index(name, dimension=4)
    assert await store.list_indexes() == ["docs"]


@pytest.mark.parametrize(
    "name", ["document", "aside", "embedding", "vector_id", "select", "F32_BLOB"]
)
async def test_an_index_may_be_called_as_a_column_is(store: LibSQLVector, name: str) -> None:
    await store.create_index(name, dimension=2, metadata_indexes=["k"])
    await store.upsert(name, ids=["a", "b"], vectors=[[1, 0]] * 2, documents=["x", "y"])
    await store.delete_vector(name, id="a")
    assert [m.document for m in await store.query(name, query_vector=[1, 0])] == ["y"]
    assert await store.list_indexes() == [name]


async def test_between_a_step_and_many_all_are_looked_at_in_steps(
    store: LibSQLVector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mastra_libsql.vector.STEP", 20)
    monkeypatch.setattr(LibSQLVector, "small", 100)
    await store.create_index("docs", dimension=DIMENSION)
    numbers = Numbers()
    given = numbers.many(101)
    names = await store.upsert("docs", vectors=given[:100])
    sent: list[str] = []
    fetch = store.backend.fetch

    async def noted(statement: Statement) -> Any:
        sent.append(statement.sql)
        return await fetch(statement)

    store.backend.fetch = noted  # type: ignore[method-assign]
    for name, vector in zip(names, given, strict=False):
        assert await found(store, vector, 1) == {name}
    assert not any("vector_top_k" in sql for sql in sent)
    await store.upsert("docs", vectors=given[100:])
    await store.query("docs", query_vector=given[0], top_k=1)
    assert "vector_top_k" in sent[-1]


@pytest.mark.parametrize("name", ["sqlite_docs", "SQLITE_docs", "libsql_docs", "docs_vector_gone"])
async def test_names_that_belong_to_the_engine_are_refused(store: LibSQLVector, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="cannot be the name"):
        await store.create_index(name, dimension=4)


async def test_an_index_that_is_deleted_leaves_nothing(store: LibSQLVector) -> None:
    await store.create_index("docs", dimension=2, metadata_indexes=["k"])
    await store.upsert("docs", ids=["a", "b"], vectors=[[1, 0], [0, 1]])
    await store.delete_vector("docs", id="a")
    await store.delete_index("docs")
    left = await rows(store, "SELECT name FROM sqlite_master WHERE name LIKE 'docs%'")
    assert left == []
    await store.create_index("docs", dimension=3)
    await store.upsert("docs", ids=["a"], vectors=[[1, 0, 0]])
    assert (await store.describe_index("docs")).dimension == 3


async def test_another_store_finds_documents_once_they_are_there(url: str) -> None:
    made = """CREATE TABLE docs (id SERIAL PRIMARY KEY, vector_id TEXT UNIQUE NOT NULL,
    embedding F32_BLOB(2), metadata TEXT DEFAULT '{}');
    CREATE INDEX docs_vector_idx ON docs (libsql_vector_idx(embedding));
    INSERT INTO docs (vector_id, embedding) VALUES ('a', vector32('[1,0]')), ('b', vector32('[1,0]'))"""
    async with LibSQLVector(id="a", url=url) as a, LibSQLVector(id="b", url=url) as b:
        await run(a, *made.split(";"))
        assert await found(a, [1, 0], 2) == await found(b, [1, 0], 2) == {"a", "b"}
        await a.upsert("docs", ids=["c"], vectors=[[1, 0]], documents=["text"])
        assert [m.document for m in await b.query("docs", query_vector=[1, 0])] == [
            None,
            None,
            "text",
        ]
        # Of what was there before, one of the equal rows is marked, and the new one.
        assert await rows(a, "SELECT vector_id FROM docs WHERE aside = 1") == [("b",), ("c",)]


async def test_vectors_and_a_store_share_a_file_in_one_process(
    store: LibSQLVector, url: str
) -> None:
    await store.create_index("docs", dimension=DIMENSION)
    given = Numbers().many(60)
    async with LibSQLStore(id="store", url=url) as storage:

        async def save(number: int) -> None:
            await storage.memory.save_thread(Thread(id=str(number), resource_id="r"))

        upserts = [store.upsert("docs", ids=[f"{n}"], vectors=[v]) for n, v in enumerate(given)]
        await asyncio.gather(*upserts, *map(save, range(60)))
        assert (await storage.memory.list_threads()).total == 60
    assert (await store.describe_index("docs")).count == 60


async def test_two_stores_create_one_index_at_the_same_time(url: str) -> None:
    stores = [LibSQLVector(id=f"s{n}", url=url) for n in range(4)]
    await asyncio.gather(*(s.create_index("docs", dimension=2) for s in stores))
    await asyncio.gather(*(s.upsert("docs", vectors=[[n, 1]]) for n, s in enumerate(stores)))
    assert (await stores[0].describe_index("docs")).count == 4
    for one in stores:
        await one.close()


async def test_an_index_made_anew_by_another_store_is_noticed(url: str) -> None:
    async with LibSQLVector(id="a", url=url) as a, LibSQLVector(id="b", url=url) as b:
        await a.create_index("docs", dimension=2)
        await a.upsert("docs", ids=["a"], vectors=[[1, 0]])
        await b.delete_index("docs")
        with pytest.raises(NotFoundError, match="'docs' does not exist"):
            await a.query("docs", query_vector=[1, 0])
        await b.create_index("docs", dimension=3)
        await a.upsert("docs", ids=["a"], vectors=[[1, 0, 0]])
        assert await found(a, [1, 0, 0], 1) == {"a"}


async def test_an_encrypted_file_has_vectors(url: str) -> None:
    async with LibSQLVector(id="a", url=url, encryption_key="secret-key-1") as store:
        await store.create_index("docs", dimension=2)
        await store.upsert("docs", ids=["a"], vectors=[[1, 0]], documents=["a remarkable text"])
        assert "secret-key-1" not in f"{store!r} {store.backend!r}"
    data = b"".join(file.read_bytes() for file in Path(url.removeprefix("file:")).parent.iterdir())
    assert b"a remarkable text" not in data


async def test_a_url_opens_a_vector_store(url: str) -> None:
    async with open_vector(url, synchronous="FULL") as store:
        assert type(store) is LibSQLVector
        await store.create_index("docs", dimension=2)
        assert await store.list_indexes() == ["docs"]
