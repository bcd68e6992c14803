"""A database made by either side has the other's tables, and neither disturbs the other's indexes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from mastra_core.records import Thread
from mastra_core.storage.tables import TABLES
from mastra_libsql import LibSQLStore

from .plain import plain
from .test_threads import THREAD

pytestmark = pytest.mark.asyncio


def columns(path: Path) -> dict[str, dict[str, tuple]]:
    """The columns of our tables: the name gives the type, and whether NULL and the key are there."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            table.name: {
                name: (kind, required, bool(key))
                for _, name, kind, required, _, key in connection.execute(
                    f"PRAGMA table_info({table.name})"
                )
            }
            for table in TABLES
        }


def indexes(path: Path) -> set[str]:
    """The names of all indexes but those that SQLite makes by itself."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()
    return {name for (name,) in rows if not name.startswith("sqlite_")}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A file that only we set up, at first."""
    return tmp_path / "mine.db"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A file that only the original set up, at first."""
    return tmp_path / "other.db"


async def set_up(path: Path) -> None:
    async with LibSQLStore(id="ours", url=f"file:{path}") as store:
        await store.init()


async def test_both_sides_make_the_same_columns(original, mine, other):
    await set_up(mine)
    theirs = original.store(other)
    await theirs.init()
    await theirs.close()

    assert columns(mine) == columns(other)


async def test_the_original_changes_nothing_of_a_database_of_ours(original, mine):
    await set_up(mine)
    before = columns(mine), indexes(mine)
    theirs = original.store(mine)
    await theirs.init()
    await theirs.close()

    assert columns(mine) == before[0]
    assert indexes(mine) >= before[1]


async def test_we_change_nothing_of_a_database_of_the_original(original, other):
    theirs = original.store(other)
    await theirs.init()
    await theirs.close()
    before = columns(other), indexes(other)
    await set_up(other)

    assert columns(other) == before[0]
    assert indexes(other) >= before[1]


async def test_setting_up_again_and_again_in_turns_changes_nothing_more(original, mine):
    theirs = original.store(mine)
    await set_up(mine)
    await theirs.init()
    before = columns(mine), indexes(mine)
    await set_up(mine)
    await theirs.init()
    await theirs.close()

    assert (columns(mine), indexes(mine)) == before


async def test_the_original_sets_up_a_database_in_which_we_have_data(original, mine):
    async with LibSQLStore(id="ours", url=f"file:{mine}") as store:
        await store.memory.save_thread(msgspec.convert(THREAD, Thread))
    theirs = original.store(mine)
    await theirs.init()

    assert plain(await theirs.memory.getThreadById(threadId="thread-1")) == THREAD
    await theirs.close()


async def test_both_sides_set_up_one_new_file_at_once(original, mine):
    theirs = original.store(mine)
    ours = LibSQLStore(id="ours", url=f"file:{mine}")
    try:
        starting = theirs.init()
        await ours.init()
        await starting
        await ours.memory.save_thread(msgspec.convert(THREAD, Thread))
        assert plain(await theirs.memory.getThreadById(threadId="thread-1")) == THREAD
    finally:
        await ours.close()
        await theirs.close()


async def test_older_tables_without_todays_columns_are_completed(original, mine):
    with closing(sqlite3.connect(mine)) as connection:
        connection.execute(
            "CREATE TABLE mastra_messages (id TEXT PRIMARY KEY, thread_id TEXT NOT NULL,"
            " content TEXT NOT NULL, role TEXT NOT NULL, type TEXT NOT NULL,"
            ' "createdAt" TEXT NOT NULL)'
        )
        connection.execute(
            "INSERT INTO mastra_messages VALUES"
            " ('m', 't', '{\"format\":2,\"parts\":[]}', 'user', 'v2', '2026-01-02T03:04:05.678Z')"
        )
        connection.commit()
    await set_up(mine)
    theirs = original.store(mine)
    await theirs.init()

    expected = {"id": "m", "threadId": "t", "role": "user", "content": {"format": 2, "parts": []}}
    found = (await theirs.memory.listMessages(threadId="t"))["messages"]
    assert [{k: v for k, v in plain(m).items() if k != "createdAt"} for m in found] == [expected]
    async with LibSQLStore(id="ours", url=f"file:{mine}") as store:
        assert plain((await store.memory.list_messages("t")).messages[0]) == plain(found[0])
    await theirs.close()
