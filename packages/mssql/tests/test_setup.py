"""Setting up: over what the original made, beside others, and what options are refused."""

from __future__ import annotations

import asyncio

import pytest

from mastra_conformance.records import message, thread
from mastra_conformance.rows import row
from mastra_core import Thread
from mastra_core.errors import ConfigurationError, LimitExceededError, SchemaError
from mastra_core.storage.schema import Put, Query, Where
from mastra_core.storage.tables import MESSAGES, TABLES, THREADS
from mastra_mssql import MSSQLStore
from mastra_mssql.backend import _run, open_backend
from mastra_mssql.schema import ORIGINAL
from mastra_mssql.settings import connection_string, settings

# As the original makes them, but for line ends: without a collation they have the database's.
THREADS_THERE = (
    "CREATE TABLE [{0}].[mastra_threads] ([id] NVARCHAR(255) PRIMARY KEY NOT NULL, "
    "[resourceId] NVARCHAR(400) NOT NULL, [title] NVARCHAR(400) NOT NULL, "
    "[metadata] NVARCHAR(MAX), [createdAt] DATETIME2(7) NOT NULL, "
    "[updatedAt] DATETIME2(7) NOT NULL)"
)
MESSAGES_THERE = (
    "CREATE TABLE [{0}].[mastra_messages] ([id] NVARCHAR(255) PRIMARY KEY NOT NULL, "
    "[thread_id] NVARCHAR(400) NOT NULL, [content] NVARCHAR(MAX) NOT NULL, "
    "[role] NVARCHAR(400) NOT NULL, [type] NVARCHAR(400) NOT NULL, "
    "[createdAt] DATETIME2(7) NOT NULL, {1})"
)


async def run(store, *texts):
    """Run statements on a connection of the store."""
    for text in texts:
        await store.backend._pool().run(lambda connection, text=text: _run(connection, text))


async def catalogue(store):
    columns, indexes = await store.backend.fetch_many(store.backend._schema.catalogue())
    return store.backend._schema.existing(columns, indexes), columns


@pytest.mark.asyncio
async def test_names_and_widths_are_the_originals(factory):
    async with factory() as store:
        existing, columns = await catalogue(store)
    prefix = factory.schema
    assert set(existing) == {table.name for table in TABLES}
    for table in TABLES:
        assert existing[table.name].columns == {*table.names, "seq_id"}
    named = {(table, f"{prefix}_{name}") for table, name, _ in ORIGINAL}
    assert named <= {(table, index) for table, has in existing.items() for index in has.indexes}
    workflows, spans = existing["mastra_workflow_snapshot"], existing["mastra_ai_spans"]
    assert f"{prefix}_mastra_workflow_snapshot_workflow_name_run_id_key" in workflows.indexes
    assert f"{prefix}_mastra_ai_spans_traceid_spanid_pk" in spans.indexes
    assert "mastra_messages_by_thread_created" in existing["mastra_messages"].indexes
    sizes = {(t, c): (size, collation) for t, c, _, size, collation in columns}
    exact = "Latin1_General_100_BIN2"
    assert sizes["mastra_threads", "id"] == (510, exact)
    assert sizes["mastra_threads", "resourceId"] == (800, exact)
    assert sizes["mastra_ai_spans", "userId"] == (200, exact)
    assert sizes["mastra_workflow_snapshot", "run_id"] == (510, exact)
    assert sizes["mastra_messages", "content"] == (-1, exact)


@pytest.mark.asyncio
async def test_a_second_look_finds_nothing_missing(factory, sent):
    async with factory() as store:
        existing, _ = await catalogue(store)
        assert store.backend._schema.missing(TABLES, existing) == []


@pytest.mark.asyncio
async def test_the_originals_indexes_can_be_left_out(factory):
    async with factory(default_indexes=False) as store:
        existing, _ = await catalogue(store)
    names = {name for has in existing.values() for name in has.indexes}
    assert not [name for name in names if name.endswith("_idx")]


@pytest.mark.asyncio
async def test_many_stores_that_set_up_at_once_all_succeed(factory):
    stores = [factory() for _ in range(4)]
    await asyncio.gather(*(store.memory.list_threads() for store in stores))
    existing, _ = await catalogue(stores[0])
    assert stores[0].backend._schema.missing((THREADS, MESSAGES), existing) == []
    await asyncio.gather(*(store.close() for store in stores))


@pytest.mark.asyncio
async def test_tables_that_the_original_made_are_used_and_compared_exactly(factory, sent):
    schema = factory.schema
    maker = factory()
    await run(
        maker,
        f"CREATE SCHEMA [{schema}]",
        THREADS_THERE.format(schema),
        f"ALTER TABLE [{schema}].[mastra_threads] ADD seq_id BIGINT IDENTITY(1,1)",
        MESSAGES_THERE.format(schema, "[resourceId] NVARCHAR(400)"),
    )
    async with factory() as store:
        backend = store.backend
        owner = await store.memory.save_thread(thread("r", id="t"))
        await store.memory.save_messages([message(owner, n, id=f"m{n}") for n in range(3)])
        assert len((await store.memory.list_messages("t", per_page=2)).messages) == 2
        assert (await store.memory.list_threads(resource_id="r")).total == 1
        query = Query(where=(Where("id", "in", ("m0", "m2")),), order=(("id", "desc"),))
        assert [r[0] for r in await backend.find(MESSAGES, query)] == ["m2", "m0"]
        # Their collation ignores case: what it finds by an index is compared once more.
        twice = "([id] = ? AND [id] COLLATE Latin1_General_100_BIN2 = ?)"
        assert any(twice in sql for sql in sent if f"[{schema}].[mastra_threads]" in sql)
        existing, _ = await catalogue(store)
        assert "seq_id" in existing["mastra_messages"].columns
        assert "mastra_messages_by_thread_created" in existing["mastra_messages"].indexes
        # The original's title has 400 characters.
        with pytest.raises(LimitExceededError, match="title of mastra_threads has 401"):
            await store.memory.save_thread(thread("r", id="t2", title="x" * 401))
        await store.memory.save_thread(thread("r", id="t2", title="x" * 400))
    await maker.close()


@pytest.mark.asyncio
async def test_how_columns_are_is_seen_without_setting_up(factory):
    maker = factory()
    await run(maker, f"CREATE SCHEMA [{factory.schema}]", THREADS_THERE.format(factory.schema))
    async with factory(disable_init=True) as store:
        with pytest.raises(LimitExceededError, match="401"):
            await store.memory.save_thread(thread("r", id="t2", title="x" * 401))
        await store.memory.save_thread(thread("r", id="t"))
        assert (await store.memory.get_thread_by_id("t")).id == "t"
    await maker.close()


@pytest.mark.asyncio
async def test_columns_that_an_older_version_lacked_are_added(factory):
    schema, maker = factory.schema, factory()
    await run(
        maker,
        f"CREATE SCHEMA [{schema}]",
        MESSAGES_THERE.format(schema, "[seq_id] BIGINT IDENTITY(1,1)"),
        f"INSERT INTO [{schema}].[mastra_messages] ([id], [thread_id], [content], [role], [type], "
        "[createdAt]) VALUES (N'm', N't', N'{}', N'user', N'v2', '2026-01-02T03:04:05')",
    )
    async with factory() as store:
        query = Query(columns=("id", "resourceId"))
        assert await store.backend.find(MESSAGES, query) == [("m", None)]
    await maker.close()


@pytest.mark.asyncio
async def test_a_table_of_a_newer_version_is_refused_in_words(factory):
    schema, maker = factory.schema, factory()
    later = MESSAGES_THERE.format(schema, "[resourceId] NVARCHAR(400), [later] INT NOT NULL")
    await run(maker, f"CREATE SCHEMA [{schema}]", later)
    with pytest.raises(SchemaError, match="requires later, which this version does not know"):
        await maker.memory.list_messages("t")
    await maker.close()


@pytest.mark.asyncio
async def test_two_schemas_of_one_database_know_nothing_of_each_other(factory):
    async with factory() as one, factory.empty()() as two:
        await one.memory.save_thread(Thread(id="t", resource_id="r"))
        assert await two.memory.get_thread_by_id("t") is None


@pytest.mark.asyncio
async def test_missing_tables_say_what_to_do(factory):
    store = factory(disable_init=True)
    with pytest.raises(SchemaError, match=r"call init\(\)"):
        await store.memory.list_threads()
    with pytest.raises(SchemaError, match=r"call init\(\)"):
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
    await store.close()


@pytest.mark.asyncio
async def test_a_row_over_a_stored_one_is_a_conflict_that_names_its_change(factory):
    from mastra_core.errors import ConflictError

    async with factory() as store:
        first, second = row(THREADS, id="a"), row(THREADS, id="b")
        await store.backend.write(Put(THREADS, [second], "fail"))
        with pytest.raises(ConflictError) as caught:
            await store.backend.write(Put(THREADS, [first], "fail"), Put(THREADS, [second], "fail"))
        assert caught.value.change == 1
        assert await store.backend.count(THREADS) == 1


NAMES = ["", "a b", "a]b", "1a", "a-b", "x" * 64, None]


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_name_that_is_none_is_refused(name):
    with pytest.raises(ConfigurationError, match="schema_name"):
        MSSQLStore(id="s", server="h", schema_name=name)


SECRET = "s3cr3t"
WRONG = [
    ({}, "needs a connection_string"),
    ({"connection_string": ""}, "must be mssql://"),
    ({"connection_string": f"postgres://u:{SECRET}@h/d"}, "no 'postgres' URLs"),
    ({"connection_string": f"mssql://u:{SECRET}@h:port/d"}, "port of the server"),
    ({"connection_string": f"mssql://u:{SECRET}@h/d?nothing=1"}, "has no 'nothing'"),
    ({"connection_string": f"Server=h;Pwd={{{SECRET}"}, "cannot be understood"),
    ({"connection_string": f"Database=d;Password={SECRET}"}, "names no server"),
    ({"connection_string": "Server=h", "password": SECRET}, "either connection_string or password"),
    ({"server": "h", "port": "1", "password": SECRET}, "must be a number"),
    ({"server": "h", "driver": "odbc"}, "driver must be"),
    ({"server": "h", "max_size": 0}, "max_size"),
    ({"server": "h", "statement_timeout": 0}, "statement_timeout"),
    ({"server": "h", "timeout": 1}, "no option timeout"),
    ({"connection": object(), "server": "h"}, "either connection or server"),
]


@pytest.mark.parametrize(("options", "said"), WRONG, ids=[said for _, said in WRONG])
def test_an_option_that_is_wrong_says_so_and_shows_no_password(options, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        MSSQLStore(id="s", **options)
    assert SECRET not in str(caught.value)


SAME = [
    {"connection_string": "mssql://u:p%7Bw%3B@h:1434/d?encrypt=false&trustServerCertificate=true"},
    {
        "connection_string": "Server=tcp:h,1434; Database=d;User Id=u;Password={p{w;};Encrypt=False;Trust Server Certificate=True"
    },
    {
        "connection_string": "Data Source=h,1434;Initial Catalog=d;uid=u;pwd='p{w;';Encrypt=no;TrustServerCertificate=yes;".replace(
            "'p{w;'", "{p{w;}"
        )
    },
    {
        "server": "h",
        "port": 1434,
        "database": "d",
        "user": "u",
        "password": "p{w;",
        "encrypt": False,
        "trust_server_certificate": True,
    },
]


@pytest.mark.parametrize("options", SAME, ids=["url", "ado", "odbc", "parts"])
def test_however_a_database_is_named_it_is_the_same(options):
    found = settings(options)
    assert connection_string(found) == (
        "DATABASE=d;Encrypt=no;PWD={p{w;};SERVER=h,1434;TrustServerCertificate=yes;UID=u"
    )
    assert repr(found) == "Settings('h,1434/d')"
    assert repr(open_backend(options)) == "MSSQLBackend('h,1434/d', schema='dbo')"


def test_connections_are_encrypted_and_certificates_looked_at_unless_said_otherwise():
    text = connection_string(settings({"server": "h", "driver": "pyodbc", "password": "a}b"}))
    assert text == (
        "DRIVER={ODBC Driver 18 for SQL Server};Encrypt=yes;PWD={a}}b};SERVER=h;"
        "TrustServerCertificate=no;APP=mastra"
    )
