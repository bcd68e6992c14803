"""What either side makes in PostgreSQL: the other's columns and keys, and nothing is disturbed."""

from __future__ import annotations

import msgspec
import pytest

from mastra_core.records import Thread
from mastra_core.storage.tables import TABLES

from .databases import Postgres, new_postgres
from .plain import plain
from .test_threads import THREAD

pytestmark = pytest.mark.asyncio
SCHEMAS = ("public", "agents_1", "Agents_1")
NAMES = [table.name for table in TABLES]

COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, column_default
FROM information_schema.columns WHERE table_schema = $1 AND table_name = ANY($2) ORDER BY 1, 2
"""
# Constraints of columns being there are in COLUMNS; some versions list them here too.
CONSTRAINTS = """
SELECT c.conrelid::regclass::text, c.conname, pg_get_constraintdef(c.oid) FROM pg_constraint c
JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = $1 AND t.relname = ANY($2) AND c.contype <> 'n' ORDER BY 1, 2
"""
INDEXES = """
SELECT i.relname, pg_get_indexdef(i.oid), x.indisvalid FROM pg_index x
JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE n.nspname = $1 AND t.relname = ANY($2) ORDER BY 1
"""
TRIGGERS = """
SELECT tgname, pg_get_triggerdef(g.oid) FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid
JOIN pg_namespace n ON n.oid = t.relnamespace WHERE n.nspname = $1 AND NOT tgisinternal ORDER BY 1
"""


def looked(place: Postgres, query: str) -> list[tuple]:
    return place.run(query, place.schema, NAMES)


def everything(place: Postgres) -> list[list[tuple]]:
    triggers = place.run(TRIGGERS, place.schema)
    return [*(looked(place, query) for query in (COLUMNS, CONSTRAINTS, INDEXES)), triggers]


async def set_up(place: Postgres) -> None:
    async with place.ours() as store:
        await store.init()


@pytest.fixture(params=SCHEMAS)
def mine(request, postgres):
    """A schema that only we set up, at first."""
    with new_postgres(postgres.url, request.param) as place:
        yield place


@pytest.fixture
def other(mine, postgres):
    """The schema of the same name that only the original set up, at first."""
    with new_postgres(postgres.url, mine.schema) as place:
        yield place


async def original_set_up(original, place: Postgres) -> None:
    # A process of the original makes a schema of one name only once, in whatever database.
    place.run(f'CREATE SCHEMA IF NOT EXISTS "{place.schema}"')
    theirs = original.store(place.url)
    await theirs.init()
    await theirs.close()


async def test_both_sides_make_the_same_columns_keys_and_indexes(original, mine, other):
    await set_up(mine)
    await original_set_up(original, other)

    assert looked(mine, COLUMNS) == looked(other, COLUMNS)
    assert looked(mine, CONSTRAINTS) == looked(other, CONSTRAINTS)
    assert set(looked(mine, INDEXES)) >= set(looked(other, INDEXES))


async def test_the_original_changes_nothing_of_a_database_of_ours(original, mine, other):
    await set_up(mine)
    before = everything(mine)
    await original_set_up(original, mine)

    after = everything(mine)
    assert after[:3] == before[:3]
    # It adds its trigger, as in a database of its own.
    await original_set_up(original, other)
    assert after[3] == everything(other)[3]


async def test_we_change_nothing_of_a_database_of_the_original(original, other):
    await original_set_up(original, other)
    before = everything(other)
    await set_up(other)

    columns, constraints, indexes, triggers = everything(other)
    assert [columns, constraints, triggers] == [before[0], before[1], before[3]]
    assert set(indexes) >= set(before[2])
    assert all(valid for _, _, valid in indexes)


async def test_setting_up_again_and_again_in_turns_changes_nothing_more(original, mine):
    await set_up(mine)
    await original_set_up(original, mine)
    before = everything(mine)
    await set_up(mine)
    await original_set_up(original, mine)

    assert everything(mine) == before


async def test_both_sides_set_up_one_new_database_at_once(original, new_database):
    theirs = original.store(new_database.url)
    async with new_database.ours() as ours:
        starting = theirs.init()
        await ours.init()
        await starting
        await ours.memory.save_thread(msgspec.convert(THREAD, Thread))
        assert plain(await theirs.memory.getThreadById(threadId="thread-1")) == THREAD
    await theirs.close()


async def test_the_original_sets_up_a_database_in_which_we_have_data(original, new_database):
    async with new_database.ours() as store:
        await store.memory.save_thread(msgspec.convert(THREAD, Thread))
    theirs = original.store(new_database.url)
    await theirs.init()

    assert plain(await theirs.memory.getThreadById(threadId="thread-1")) == THREAD
    await theirs.close()


async def test_indexes_are_added_to_tables_of_the_original_that_have_rows(original, new_database):
    theirs = original.store(new_database.url)
    await theirs.init()
    await theirs.memory.saveThread(thread=THREAD)
    await set_up(new_database)

    indexes = {name: valid for name, _, valid in looked(new_database, INDEXES)}
    assert indexes["mastra_threads_by_resource_updated"] is True
    async with new_database.ours() as store:
        assert plain(await store.memory.get_thread_by_id("thread-1")) == THREAD
    await theirs.close()
