"""Setting up: beside others, over what the original made, and without keeping writers out."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from mastra_core import Message, Thread
from mastra_core.errors import ConfigurationError, SchemaError
from mastra_core.storage.tables import MESSAGES, TABLES
from mastra_pg import PostgresStore
from mastra_pg.dialect import TWIN, timestamps

pytestmark = pytest.mark.asyncio
CONTENT = {"format": 2, "parts": [{"type": "text", "text": "hello"}]}


async def indexes(session, schema):
    """Each index with its definition, and whether it may be used."""
    sql = (
        "SELECT i.relname, pg_get_indexdef(i.oid), x.indisvalid FROM pg_index x "
        "JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace "
        "WHERE n.nspname = %s"
    )
    return {r[0]: (r[1], r[2]) for r in await (await session.execute(sql, (schema,))).fetchall()}


async def columns(session, schema, table):
    sql = (
        "SELECT column_name, data_type, is_nullable, column_default FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position"
    )
    return await (await session.execute(sql, (schema, table))).fetchall()


async def test_columns_are_the_originals_with_a_twin_of_every_time(factory, session):
    async with factory():
        pass
    kinds = {
        "text": "text",
        "timestamp": "timestamp without time zone",
        "json": "jsonb",
        "integer": "integer",
        "float": "double precision",
        "boolean": "boolean",
    }
    for table in TABLES:
        nullable = {True: "YES", False: "NO", None: "NO"}
        own = [(c.name, kinds[c.type], nullable[c.nullable], None) for c in table.columns]
        twin = "timestamp with time zone"
        twins = [(name + TWIN, twin, "YES", "now()") for name in timestamps(table)]
        assert await columns(session, factory.schema, table.name) == own + twins


async def test_keys_and_indexes_have_the_names_that_the_original_looks_for(factory, session):
    async with factory():
        pass
    found = await indexes(session, factory.schema)
    prefix = factory.schema
    assert {
        f"{prefix}_mastra_threads_resourceid_createdat_idx"[:63],
        f"{prefix}_mastra_ai_spans_metadata_gin_idx"[:63],
        f"{prefix}_mastra_workflow_snapshot_workflow_name_run_id_key"[:63],
        f"{prefix}_mastra_ai_spans_traceid_spanid_pk"[:63],
        "mastra_messages_by_thread_created",
        "mastra_messages_pkey",
    } <= set(found)
    assert all(valid for _, valid in found.values())


async def test_a_second_look_changes_nothing(factory, session):
    async with factory():
        pass
    before = await indexes(session, factory.schema)
    asked = "SELECT max(oid::bigint) FROM pg_class"
    newest = await (await session.execute(asked)).fetchone()
    async with factory():
        pass
    assert await indexes(session, factory.schema) == before
    assert await (await session.execute(asked)).fetchone() == newest


async def test_the_originals_indexes_can_be_left_out(factory, session):
    async with factory(default_indexes=False):
        pass
    found = await indexes(session, factory.schema)
    assert not [name for name in found if "metadata_gin" in name]
    assert "mastra_messages_by_thread_created" in found


async def test_many_stores_that_set_up_at_once_all_succeed(factory, session):
    stores = [factory(max_size=1, pool_timeout=60 + i) for i in range(6)]
    await asyncio.gather(*(store.init() for store in stores))
    await asyncio.gather(*(store.memory.list_threads() for store in stores))
    await asyncio.gather(*(store.close() for store in stores))
    assert all(valid for _, valid in (await indexes(session, factory.schema)).values())


async def without_index(factory, session, index="mastra_messages_by_thread_created"):
    """A database with rows, as it is where the original was at work."""
    async with factory() as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        message = Message(id="m", thread_id="t", resource_id="r", role="user", content=CONTENT)
        await store.memory.save_messages([message])
    await session.execute(f'DROP INDEX "{factory.schema}"."{index}"')
    return index


async def test_an_index_on_rows_is_made_while_others_write(factory, session, other, postgres):
    index = await without_index(factory, session)
    insert = f'UPDATE "{factory.schema}".mastra_messages SET role = %s'
    # Somebody is writing: until this ends, nobody may lock all writers out behind it.
    await session.execute("BEGIN")
    await session.execute(insert, ("a",))
    setting_up = asyncio.create_task(factory().init())
    building = "SELECT count(*) FROM pg_stat_progress_create_index WHERE relid = %s::regclass"
    relation = f'"{factory.schema}".mastra_messages'
    while (await (await other.execute(building, (relation,))).fetchone())[0] == 0:
        await asyncio.sleep(0.01)
    async with await psycopg.AsyncConnection.connect(postgres.url, autocommit=True) as third:
        await third.execute("SET lock_timeout = '2s'")
        new = f"INSERT INTO {relation} SELECT 'new', thread_id, content, role, type, \"createdAt\""
        await third.execute(f"{new} FROM {relation} LIMIT 1")
    assert not setting_up.done()
    await session.execute("COMMIT")
    await setting_up
    assert (await indexes(session, factory.schema))[index][1] is True


async def test_an_index_that_was_left_half_made_is_made_again(factory, session):
    index = "mastra_messages_by_thread_created"
    async with factory() as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        message = Message(id="m", thread_id="t", resource_id="r", role="user", content=CONTENT)
        await store.memory.save_messages([message])
    named = f'"{factory.schema}"."{index}"'
    broken = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass"
    await session.execute(broken, (named,))
    async with factory():
        pass
    assert (await indexes(session, factory.schema))[index][1] is True


async def test_columns_that_an_older_version_lacked_are_added_and_old_times_stay(factory, session):
    schema = factory.schema
    await session.execute(f'CREATE SCHEMA "{schema}"')
    await session.execute(
        f'CREATE TABLE "{schema}".mastra_messages (id TEXT PRIMARY KEY, thread_id TEXT NOT NULL, '
        'content TEXT NOT NULL, role TEXT NOT NULL, type TEXT NOT NULL, "createdAt" TIMESTAMP '
        "NOT NULL)"
    )
    await session.execute(
        f"INSERT INTO \"{schema}\".mastra_messages VALUES ('m', 't', '{{}}', 'user', 'v2', "
        "'2020-01-02 03:04:05.678')"
    )
    async with factory() as store:
        (message,) = (await store.memory.list_messages("t")).messages
    assert message.created_at.isoformat() == "2020-01-02T03:04:05.678000+00:00"
    found = await columns(session, schema, MESSAGES.name)
    assert [row[0] for row in found][-2:] == ["createdAtZ", "resourceId"]
    assert found[-2][3] == "now()"


async def test_a_table_of_a_newer_version_is_refused_in_words(factory, session):
    async with factory():
        pass
    table = f'"{factory.schema}".mastra_threads'
    await session.execute(f"ALTER TABLE {table} ADD COLUMN tenant TEXT NOT NULL")
    with pytest.raises(SchemaError, match="requires tenant"):
        await factory().init()


async def test_two_schemas_of_one_database_know_nothing_of_each_other(factory):
    beside = factory.empty()
    async with factory() as one, beside() as two:
        await one.memory.save_thread(Thread(id="t", resource_id="r", title="one"))
        assert await two.memory.get_thread_by_id("t") is None
        await two.memory.save_thread(Thread(id="t", resource_id="r", title="two"))
        assert (await one.memory.get_thread_by_id("t")).title == "one"


@pytest.mark.parametrize(
    "name", ["", "a b", 'a"; DROP SCHEMA public --', "1a", "a" * 64, "ä", None, 5, "a-b", "a\n"]
)
async def test_a_schema_name_that_is_none_is_refused(name):
    with pytest.raises(ConfigurationError, match="schema_name"):
        PostgresStore(id="s", connection_string="postgresql://u:s3cr3t@h/d", schema_name=name)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "needs a connection_string"),
        ({"connection_string": ""}, "connection_string must be"),
        ({"connection_string": "mysql://u:s3cr3t@h/d"}, "no 'mysql' URLs"),
        ({"connection_string": "postgresql://u:s3cr3t@h:port/d"}, "port .* must be a number"),
        ({"connection_string": "postgresql://u:s3cr3t@h/d?nonsense=1"}, "cannot be understood"),
        ({"connection_string": "s3cr3t"}, "cannot be understood"),
        ({"connection_string": "postgresql://h/d", "host": "h"}, "either connection_string or"),
        ({"host": "h", "ssl": "maybe"}, "ssl must be"),
        ({"host": "h", "max_size": 0}, "pool needs"),
        ({"host": "h", "min_size": 3, "max_size": 2}, "pool needs"),
        ({"host": "h", "statement_timeout": 0}, "statement_timeout must be"),
        ({"host": "h", "colour": 1}, "no option colour"),
    ],
)
async def test_an_option_that_is_wrong_says_so_and_shows_no_password(options, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        PostgresStore(id="s", **options)
    error = caught.value
    while error is not None:
        assert "s3cr3t" not in f"{error!r} {error}"
        error = error.__cause__ if error.__suppress_context__ else error.__context__


async def test_parts_and_a_connection_string_of_the_same_place_are_the_same(postgres, factory):
    place, _, database = postgres.url.partition("//")[2].partition("/")
    user, _, address = place.partition("@")
    host, _, port = address.partition(":")
    parts = {"host": host, "port": int(port or 5432), "user": user, "database": database}
    async with factory() as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
    other = PostgresStore(id="s", schema_name=factory.schema, ssl=False, **parts)
    async with other:
        assert await other.memory.get_thread_by_id("t") is not None
