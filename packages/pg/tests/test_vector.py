"""What only pgvector does: indexes that answer, searches that go on, its types, and other people's tables."""

from __future__ import annotations

import asyncio
import math
import random
from array import array
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import pytest_asyncio
from psycopg_pool import AsyncConnectionPool

from mastra_core import Thread
from mastra_core.errors import ConflictError, InvalidArgumentError, SchemaError, UnavailableError
from mastra_core.plugins import open_vector
from mastra_core.storage.sql import Statement
from mastra_pg import PgVector, PostgresStore

from .conftest import VectorFactory
from .test_connections import Pooler, connections, gone, named
from .vector_kinds import ByGraph

pytestmark = pytest.mark.asyncio

DIMENSION = 8


def some(count: int, seed: int = 1, dimension: int = DIMENSION) -> list[array[float]]:
    numbers = random.Random(seed)
    return [array("f", [numbers.gauss(0, 1) for _ in range(dimension)]) for _ in range(count)]


def turned(degrees: float) -> list[float]:
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]


@pytest.fixture
def vectors(postgres) -> VectorFactory:
    """Vector stores on a schema of this test."""
    return VectorFactory(postgres.url, f"s{uuid4().hex}")


class Graphs(VectorFactory):
    kind = ByGraph


@pytest_asyncio.fixture
async def store(vectors):
    async with vectors() as opened:
        yield opened


@pytest_asyncio.fixture
async def graph(postgres):
    """A store that asks the graph, with the index ``docs``."""
    async with Graphs(postgres.url, f"s{uuid4().hex}")() as opened:
        await opened.create_index("docs", dimension=DIMENSION)
        yield opened


async def rows(store: PgVector, sql: str, *params: Any) -> list[tuple]:
    return [tuple(row) for row in await store.backend.fetch(Statement(sql, params))]


async def run(store: PgVector, *statements: str) -> None:
    for sql in statements:
        await store.backend.execute([Statement(sql)])


def schema(store: PgVector) -> str:
    return store.backend.dialect.schema


def ids(matches) -> list[str]:
    return [match.id for match in matches]


@asynccontextmanager
async def watched(store: PgVector):
    """What the store asks, in round trips of several statements each."""
    sent: list[list[Statement]] = []
    fetch, fetch_many = store.backend.fetch, store.backend.fetch_many

    async def one(statement):
        sent.append([statement])
        return await fetch(statement)

    async def many(statements):
        sent.append(list(statements))
        return await fetch_many(statements)

    store.backend.fetch, store.backend.fetch_many = one, many
    try:
        yield sent
    finally:
        store.backend.fetch, store.backend.fetch_many = fetch, fetch_many


async def plan(store: PgVector, asked: list[Statement]) -> str:
    """How the server goes about the last statement of a round trip."""
    *before, last = asked
    explained = Statement(f"EXPLAIN {last.sql}", last.params)
    answers = await store.backend.fetch_many([*before, explained])
    return "\n".join(line for (line,) in answers[-1])


@pytest.mark.parametrize("where", [None, {"even": True}, {"$not": {"n": {"$gte": 900}}}], ids=str)
@pytest.mark.parametrize("kind", ["vector", "halfvec", "sparsevec"])
async def test_the_index_answers_with_and_without_a_filter_in_one_round_trip(graph, where, kind):
    await graph.create_index("other", dimension=DIMENSION, options={"vector_type": kind})
    metadata = [{"n": n, "even": n % 2 == 0} for n in range(1000)]
    await graph.upsert("other", vectors=some(1000), metadata=metadata)
    (wanted,) = some(1, seed=2)
    await graph.query("other", query_vector=wanted, filter=where)
    async with watched(graph) as sent:
        found = await graph.query("other", query_vector=wanted, filter=where)
    assert len(found) == 10
    assert len(sent) == 1
    assert "Index Scan using other_vector_idx" in await plan(graph, sent[0])
    # What was set is set for that transaction only.
    ((scans, sorts),) = await rows(
        graph, "SELECT current_setting('enable_seqscan'), current_setting('enable_sort')"
    )
    assert (scans, sorts) == ("on", "on")


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dotproduct"])
async def test_the_graph_finds_nearly_all_that_a_look_at_all_finds(graph, metric):
    await graph.create_index("other", dimension=DIMENSION, metric=metric)
    await graph.upsert("other", vectors=some(2000), metadata=[{"n": n % 10} for n in range(2000)])
    operator = {"cosine": "<=>", "euclidean": "<->", "dotproduct": "<#>"}[metric]
    hits = 0
    for wanted in some(20, seed=2):
        found = await graph.query("other", query_vector=wanted, filter={"n": 3})
        truth = await rows(
            graph,
            f"SELECT vector_id FROM \"{schema(graph)}\".other WHERE metadata->>'n' = '3' "
            f"ORDER BY embedding {operator} $1::vector LIMIT 10",
            str(wanted.tolist()),
        )
        hits += len({*ids(found)} & {name for (name,) in truth})
    assert hits >= 0.95 * 200


@pytest.mark.parametrize("kind", ["hnsw", "ivfflat"])
async def test_few_far_matches_among_20_000_are_all_found_in_their_order(vectors, kind):
    async with vectors() as store:
        await store.create_index("docs", dimension=2, options={"type": kind})
        near = [turned(n / 400) for n in range(20_000)]
        far = [turned(90 + n) for n in range(20)]
        names = [f"near{n:05}" for n in range(20_000)] + [f"far{n:02}" for n in range(20)]
        metadata = [{"far": n >= 20_000} for n in range(20_020)]
        await store.upsert("docs", ids=names, vectors=near + far, metadata=metadata)
        if kind == "ivfflat":
            await store.build_index("docs")
        for top_k in (1, 10, 20, 50):
            found = await store.query(
                "docs", query_vector=[1, 0], top_k=top_k, filter={"far": True}
            )
            assert ids(found) == names[20_000:][:top_k]
        found = await store.query("docs", query_vector=[1, 0], filter={"far": False})
        assert len(found) == 10
        assert all(match.score > 0.999 for match in found)


async def test_a_search_goes_on_in_the_graph_until_there_are_enough(graph):
    metadata = [{"rare": n % 20 == 0} for n in range(3000)]
    await graph.upsert("docs", vectors=some(3000), metadata=metadata)
    (wanted,) = some(1, seed=3)
    await graph.query("docs", query_vector=wanted)
    async with watched(graph) as sent:
        found = await graph.query("docs", query_vector=wanted, top_k=50, filter={"rare": True})
    # Of the 100 that the graph has at hand about 5 match; there was no second look, at all rows.
    assert len(found) == 50
    assert len(sent) == 1


async def test_an_index_of_metadata_answers_filters_exactly(store):
    await store.create_index("docs", dimension=2, metadata_indexes=["user", "deep.n", "it's"])
    count = 3000
    metadata: list[dict[str, Any]] = [
        {"user": f"u{n % 300}", "deep": {"n": n}, "it's": n % 500} for n in range(count)
    ]
    metadata[7] = {"user": ["u1", "u2"], "deep": {"n": [5.0, "x"]}}
    names = [f"v{n:04}" for n in range(count)]
    vectors = [turned(n / 100) for n in range(count)]
    await store.upsert("docs", ids=names, vectors=vectors, metadata=metadata)
    await run(store, f'ANALYZE "{schema(store)}".docs')
    await store.query("docs", query_vector=[1, 0])
    for where, expected in (
        ({"user": "u1"}, sorted([*names[1::300], names[7]])),
        ({"user": {"$in": ["u1", "u3"]}}, sorted([*names[1::300], *names[3::300], names[7]])),
        ({"deep.n": 5}, [names[5], names[7]]),
        ({"it's": 4, "user": {"$ne": "u4"}}, [n for n in names[4::500] if int(n[1:]) % 300 != 4]),
        ({"$or": [{"user": "u9"}, {"deep.n": 3.0}]}, sorted([*names[9::300], names[3]])),
    ):
        async with watched(store) as sent:
            found = await store.query("docs", query_vector=[1, 0], top_k=50, filter=where)
        assert ids(found) == expected
        ((asked,),) = sent
        text = await plan(store, [asked])
        assert "Bitmap Index Scan on docs_mv_" in text
        assert "Seq Scan on docs" not in text


async def test_indexes_of_metadata_have_the_originals_name_too(store):
    await store.create_index("docs", dimension=2, metadata_indexes=["thread_id", "a.b"])
    found = dict(
        await rows(
            store, "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = $1", schema(store)
        )
    )
    assert "btree (((metadata ->> 'thread_id'::text)))" in found["docs_md_57d95f6b_idx"]
    assert "gin (((metadata -> 'thread_id'::text)) jsonb_path_ops)" in found["docs_mv_57d95f6b_idx"]


async def test_nothing_of_a_filter_is_in_the_text_of_a_statement(store):
    await store.create_index("docs", dimension=2)
    await store.upsert("docs", ids=["a"], vectors=[[1, 0]], metadata=[{"x'); --": "y'); --"}])
    async with watched(store) as sent:
        where = {"x'); --": {"$in": ["y'); --", 5]}, "z'); --": {"$exists": False}}
        assert ids(await store.query("docs", query_vector=[1, 0], filter=where)) == ["a"]
    assert "--" not in "".join(statement.sql for asked in sent for statement in asked)


async def test_vectors_without_a_direction_score_0_along_the_graph_too(graph):
    given = [[1.0, *[0.0] * 7], [0.0] * 8, [-1.0, *[0.0] * 7]]
    await graph.upsert("docs", ids=["near", "nought", "far"], vectors=given)
    found = await graph.query("docs", query_vector=given[0], top_k=3)
    assert [(match.id, round(match.score, 6)) for match in found] == [
        ("near", 1.0),
        ("nought", 0.0),
        ("far", -1.0),
    ]
    found = await graph.query("docs", query_vector=[0.0] * 8)
    assert {match.score for match in found} == {0.0}


async def test_ivfflat_is_made_of_the_rows_that_are_there(store):
    await store.create_index(
        "docs", dimension=DIMENSION, options={"type": "ivfflat", "ivf": {"lists": 20}}
    )
    with pytest.raises(InvalidArgumentError, match="store vectors first"):
        await store.build_index("docs")
    vectors = some(1500)
    await store.upsert("docs", vectors=vectors, metadata=[{"n": n} for n in range(1500)])
    wanted = vectors[7]
    before = await store.query("docs", query_vector=wanted, top_k=5)
    async with watched(store) as sent:
        await store.query("docs", query_vector=wanted, top_k=5)
    assert "docs_vector_idx" not in await plan(store, sent[-1])
    await store.build_index("docs")
    async with watched(store) as sent:
        found = await store.query("docs", query_vector=wanted, top_k=5)
    assert "Index Scan using docs_vector_idx" in await plan(store, sent[-1])
    # The list whose centre is nearest is always looked at, and holds the vector itself; how many of
    # its neighbours are in the lists looked at is chance.
    assert len(found) == 5
    assert ids(found)[0] == ids(before)[0]
    assert [m.score for m in found] == sorted((m.score for m in found), reverse=True)
    found = await store.query("docs", query_vector=wanted, top_k=400, filter={"n": {"$lt": 400}})
    assert len(found) == 400


async def test_an_index_can_be_built_with_other_options_and_taken_away(store, vectors):
    await store.create_index("docs", dimension=DIMENSION, metric="euclidean")
    await store.upsert("docs", vectors=some(30))
    for options, method in (
        ({"type": "hnsw", "hnsw": {"m": 24, "ef_construction": 100}}, "USING hnsw"),
        ({"type": "ivfflat"}, "USING ivfflat"),
        ({"type": "flat"}, ""),
    ):
        await store.build_index("docs", options=options)
        found = await rows(
            store,
            "SELECT indexdef FROM pg_indexes WHERE schemaname = $1 AND indexname = 'docs_vector_idx'",
            schema(store),
        )
        assert [method in text for (text,) in found] == ([True] if method else [])
        async with vectors() as other:
            # Known again without an index too.
            assert (await other.describe_index("docs")).metric == "euclidean"
    with pytest.raises(InvalidArgumentError, match="of the type vector; that stays"):
        await store.build_index("docs", options={"vector_type": "halfvec"})


@pytest.mark.parametrize(
    ("dimension", "options", "kind"),
    [
        (2000, {}, "vector(2000)"),
        (2001, {}, "halfvec(2001)"),
        (3072, {}, "halfvec(3072)"),
        (3072, {"type": "flat"}, "vector(3072)"),
        (4001, {"type": "flat", "vector_type": "halfvec"}, "halfvec(4001)"),
        (20_000, {"vector_type": "sparsevec"}, "sparsevec(20000)"),
    ],
)
async def test_the_type_follows_from_the_length(store, dimension, options, kind):
    await store.create_index("docs", dimension=dimension, options=options)
    table = f'"{schema(store)}".docs'
    ((found,),) = await rows(
        store,
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = $1::regclass AND attname = 'embedding'",
        table,
    )
    assert found == kind
    given = [0.0] * dimension
    given[0], given[-1] = 0.5, -2.0
    await store.upsert("docs", ids=["a"], vectors=[given])
    (match,) = await store.query("docs", query_vector=given, include_vector=True)
    assert match.vector == given
    assert match.score == pytest.approx(1)


@pytest.mark.parametrize(
    ("dimension", "options", "told"),
    [
        (4001, {}, "use vectors that are shorter, or the type flat"),
        (2001, {"vector_type": "vector"}, "use the vector_type halfvec, vectors that are shorter"),
        (16_001, {"type": "flat"}, "or the vector_type sparsevec"),
        (3, {"type": "ivfflat", "vector_type": "sparsevec"}, "use the type hnsw, or flat"),
        (3, {"hnsw": {"m": 40, "ef_construction": 50}}, "at least 2"),
        (3, {"hnsw": {"m": 1}}, "m"),
        (3, {"vector_type": "bit"}, "vector_type"),
    ],
)
async def test_what_cannot_be_is_refused_with_what_to_do(store, dimension, options, told):
    with pytest.raises(InvalidArgumentError, match=told):
        await store.create_index("docs", dimension=dimension, options=options)
    assert await store.list_indexes() == []


async def test_numbers_beyond_16_bits_are_refused_where_16_bits_are_kept(store):
    await store.create_index("docs", dimension=2, options={"vector_type": "halfvec"})
    with pytest.raises(InvalidArgumentError, match="halfvec"):
        await store.upsert("docs", ids=["a"], vectors=[[70_000, 0]])
    await store.upsert("docs", ids=["a"], vectors=[[0.1, 1]])
    (match,) = await store.query("docs", query_vector=[0.1, 1], include_vector=True)
    assert match.vector == pytest.approx([0.1, 1], rel=2**-11)
    assert match.vector != [0.1, 1]


OLD = (
    'CREATE TABLE "{s}".docs (id SERIAL PRIMARY KEY, vector_id TEXT UNIQUE NOT NULL, '
    "embedding vector(2), metadata JSONB DEFAULT '{{}}'::jsonb)"
)
NEW = (
    'CREATE TABLE "{s}".docs (id SERIAL PRIMARY KEY, vector_id TEXT NOT NULL, embedding vector(2), '
    "metadata JSONB DEFAULT '{{}}'::jsonb, namespace VARCHAR(255) NOT NULL DEFAULT 'default')"
)
UNIQUE = 'CREATE UNIQUE INDEX docs_namespace_vector_id_idx ON "{s}".docs (namespace, vector_id)'
LISTS = 'CREATE INDEX docs_vector_idx ON "{s}".docs USING ivfflat (embedding vector_l2_ops) WITH (lists = 100)'
ROWS = "INSERT INTO \"{s}\".docs (vector_id, embedding) VALUES ('a', '[1,0]'), ('b', '[0,1]')"


@pytest.mark.parametrize("made", [(OLD, LISTS), (NEW, UNIQUE, LISTS)], ids=["old", "new"])
async def test_tables_of_the_original_are_used_as_they_are(store, made):
    await store.create_index("made_first", dimension=2)
    await run(store, *(sql.format(s=schema(store)) for sql in (*made, ROWS)))
    assert await store.list_indexes() == ["docs", "made_first"]
    stats = await store.describe_index("docs")
    assert (stats.dimension, stats.count, stats.metric) == (2, 2, "euclidean")
    assert ids(await store.query("docs", query_vector=[1, 0])) == ["a", "b"]
    await store.upsert("docs", ids=["b", "c"], vectors=[[5, 0], [1, 0]], documents=["text", None])
    found = await store.query("docs", query_vector=[5, 0], include_vector=True)
    assert [(m.id, m.vector, m.document) for m in found] == [
        ("b", [5, 0], "text"),
        ("a", [1, 0], None),
        ("c", [1, 0], None),
    ]
    columns = await rows(
        store,
        "SELECT column_name FROM information_schema.columns WHERE table_schema = $1 "
        "AND table_name = 'docs' ORDER BY ordinal_position",
        schema(store),
    )
    added = [name for (name,) in columns][4:]
    assert added == (["document"] if made[0] is OLD else ["namespace", "document"])


async def test_other_namespaces_of_the_original_are_left_alone(store):
    await store.create_index("docs", dimension=2)
    await run(
        store,
        f"INSERT INTO \"{schema(store)}\".docs (vector_id, embedding, namespace) VALUES ('a', '[1,0]', 'theirs')",
    )
    await store.upsert("docs", ids=["a"], vectors=[[0, 1]])
    assert (await store.describe_index("docs")).count == 1
    assert len(await store.query("docs", query_vector=[1, 0])) == 1
    await store.delete_vectors("docs", filter={"k": {"$exists": False}})
    assert await rows(store, f'SELECT namespace FROM "{schema(store)}".docs') == [("theirs",)]


async def test_a_table_without_a_unique_index_can_be_read_but_not_written(store):
    await store.create_index("made_first", dimension=2)
    await run(store, *(sql.format(s=schema(store)) for sql in (NEW, ROWS)))
    assert len(await store.query("docs", query_vector=[1, 0])) == 2
    with pytest.raises(SchemaError, match=r"create one on \(namespace, vector_id\)"):
        await store.upsert("docs", ids=["a"], vectors=[[1, 0]])


async def test_the_name_of_another_table_is_refused(store, vectors):
    async with PostgresStore(
        id="store", connection_string=vectors.server, schema_name=vectors.schema
    ) as other:
        await other.init()
    with pytest.raises(ConflictError, match="take another name"):
        await store.create_index("mastra_threads", dimension=4)
    assert await store.list_indexes() == []


async def test_names_as_long_as_postgresql_takes_are_apart(store):
    names = ["x" * 62 + end for end in "ab"]
    for number, name in enumerate(names):
        await store.create_index(name, dimension=2, metadata_indexes=["k"])
        await store.upsert(name, ids=["a"], vectors=[[1, 0]], metadata=[{"k": number}])
    assert await store.list_indexes() == names
    for number, name in enumerate(names):
        (found,) = await store.query(name, query_vector=[1, 0], filter={"k": number})
        assert found.metadata == {"k": number}
    made = await rows(
        store,
        "SELECT tablename, count(*) FROM pg_indexes WHERE schemaname = $1 GROUP BY 1 ORDER BY 1",
        schema(store),
    )
    assert made == [(name, 6) for name in names]


async def test_two_schemas_are_apart_wherever_the_extension_is(vectors, postgres):
    one, two = vectors(), vectors.empty()()
    async with one, two:
        await one.create_index("docs", dimension=2)
        await two.create_index("docs", dimension=3, metric="dotproduct")
        await one.upsert("docs", ids=["a"], vectors=[[1, 0]])
        await two.upsert("docs", ids=["b"], vectors=[[1, 0, 2]])
        assert ids(await one.query("docs", query_vector=[1, 0])) == ["a"]
        assert [(m.id, m.score) for m in await two.query("docs", query_vector=[1, 0, 2])] == [
            ("b", 5)
        ]
        assert await one.list_indexes() == await two.list_indexes() == ["docs"]


async def test_an_extension_that_is_in_no_search_path_is_found(postgres):
    name = f"d{uuid4().hex}"
    async with await psycopg.AsyncConnection.connect(postgres.url, autocommit=True) as session:
        await session.execute(f"CREATE DATABASE {name}")
        url = postgres.url.rpartition("/")[0] + f"/{name}"
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as there:
            await there.execute("CREATE SCHEMA elsewhere")
            await there.execute("CREATE EXTENSION vector SCHEMA elsewhere")
        async with ByGraph(id="v", connection_string=url, schema_name="ours") as store:
            for kind in ("vector", "halfvec", "sparsevec"):
                index = f"docs_{kind}"
                options = {"vector_type": kind}
                await store.create_index(index, dimension=2, options=options)
                await store.upsert(index, ids=["a", "b"], vectors=[[1, 0], [0, 1]])
                await store.update_vector(index, id="b", vector=[1, 1])
                found = await store.query(index, query_vector=[1, 0], include_vector=True)
                assert [(m.id, m.vector) for m in found] == [("a", [1, 0]), ("b", [1, 1])]
            await store.build_index("docs_vector")
        await session.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_vectors_and_a_store_of_the_same_settings_share_connections(vectors, session):
    options = {"connection_string": named(vectors), "schema_name": vectors.schema, "max_size": 1}
    name = vectors.schema[:60]
    async with PostgresStore(id="s", **options) as storage, PgVector(id="v", **options) as store:
        await storage.memory.save_thread(Thread(id="t", resource_id="r"))
        await store.create_index("docs", dimension=2)
        await store.upsert("docs", ids=["a"], vectors=[[1, 0]])
        assert ids(await store.query("docs", query_vector=[1, 0])) == ["a"]
        assert await connections(session, name) == 1
    await gone(session, name)


async def test_a_pool_of_the_callers_is_used_and_not_closed(vectors):
    async with AsyncConnectionPool(vectors.server, min_size=1, open=False) as pool:
        store = PgVector(id="v", pool=pool, schema_name=vectors.schema)
        async with store:
            await store.create_index("docs", dimension=2)
            await store.upsert("docs", ids=["a"], vectors=[[1, 0]])
            await store.build_index("docs")
            assert ids(await store.query("docs", query_vector=[1, 0])) == ["a"]
        async with pool.connection() as connection:
            assert await (await connection.execute("SELECT 1")).fetchone() == (1,)


async def test_behind_a_transaction_pooler_searches_go_along_the_graph(vectors):
    parts = psycopg.conninfo.conninfo_to_dict(vectors.server)
    place = parts["host"], int(parts["port"]), parts["user"], parts["dbname"]
    async with Pooler(*place) as pooler:
        url = f"postgresql://u@127.0.0.1:{pooler.port}/d?sslmode=disable&gssencmode=disable"
        options = {"schema_name": vectors.schema, "prepared_statements": False, "max_size": 6}
        async with ByGraph(id="v", connection_string=url, **options) as store:
            await store.create_index("docs", dimension=DIMENSION)
            given = some(400)
            names = [f"v{n:03}" for n in range(400)]
            metadata = [{"n": n, "third": n % 3 == 0} for n in range(400)]
            await store.upsert("docs", ids=names, vectors=given, metadata=metadata)

            async def turn(n: int) -> None:
                await store.upsert(
                    "docs", ids=[names[n]], vectors=[given[n]], metadata=[metadata[n]]
                )
                (found,) = await store.query("docs", query_vector=given[n], top_k=1)
                assert found.id == names[n]
                found = await store.query(
                    "docs", query_vector=given[n], top_k=100, filter={"third": True}
                )
                assert len(found) == 100

            await asyncio.gather(*(turn(n) for n in range(40)))
            await store.build_index("docs")
            await turn(50)


async def test_a_search_that_takes_too_long_is_ended(vectors):
    async with vectors() as store:
        await store.create_index("docs", dimension=2)
        await store.upsert("docs", ids=["a"], vectors=[[1, 0]])
    async with vectors(statement_timeout=1) as store:
        await store.describe_index("docs")
        async with await psycopg.AsyncConnection.connect(vectors.server) as blocking:
            await blocking.execute(f'LOCK TABLE "{vectors.schema}".docs')
            with pytest.raises(UnavailableError, match="could not read"):
                await store.query("docs", query_vector=[1, 0])


async def test_a_long_build_has_no_bound_on_its_time(vectors):
    async with vectors() as store:
        await store.create_index("docs", dimension=2)
        await store.upsert("docs", ids=["a"], vectors=[[1, 0]])
    async with vectors(statement_timeout=1) as store:
        async with await psycopg.AsyncConnection.connect(vectors.server) as blocking:
            await blocking.execute(
                f"INSERT INTO \"{vectors.schema}\".docs (vector_id) VALUES ('b')"
            )
            building = asyncio.create_task(store.build_index("docs"))
            done, _ = await asyncio.wait([building], timeout=2)
            assert not done
            await blocking.rollback()
        await building
        assert ids(await store.query("docs", query_vector=[1, 0])) == ["a"]


async def test_secrets_are_not_shown(vectors):
    url = "postgresql://user:a-secret@127.0.0.1:1/db"
    store = PgVector(id="v", connection_string=url, connect_timeout=1)
    assert "a-secret" not in repr(store) + repr(store.backend) + str(vars(store.backend))
    with pytest.raises(UnavailableError) as caught:
        await store.list_indexes()
    assert "a-secret" not in f"{caught.value!r} {caught.value.__cause__!r}"
    await store.close()


async def test_a_url_opens_a_vector_store(vectors):
    async with open_vector(vectors.server, schema_name=vectors.schema) as store:
        assert type(store) is PgVector
        await store.create_index("docs", dimension=2)
        assert await store.list_indexes() == ["docs"]


async def test_metadata_that_are_no_object_have_no_keys(store):
    await store.create_index("docs", dimension=2)
    await store.upsert(
        "docs", ids=["a", "b", "c", "d"], vectors=[[1, 0]] * 4, metadata=[{"k": 1}] * 4
    )
    table = f'"{schema(store)}".docs'
    await run(
        store,
        f"UPDATE {table} SET metadata = NULL WHERE vector_id = 'b'",
        f"UPDATE {table} SET metadata = '[{{\"k\": 1}}]' WHERE vector_id = 'c'",
        f"UPDATE {table} SET metadata = '\"k\"' WHERE vector_id = 'd'",
    )
    found = await store.query("docs", query_vector=[1, 0], filter={"k": {"$ne": 1}})
    assert [(m.id, m.metadata) for m in found] == [("b", {}), ("c", {}), ("d", {})]
    assert ids(await store.query("docs", query_vector=[1, 0], filter={"k": 1})) == ["a"]
