"""Writers take turns, and a write of several tables is whole or not there, whoever dies when."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from mastra_core.errors import CorruptDataError, StorageError, UnavailableError
from mastra_lance import LanceStore, writing
from mastra_lance.ledger import JOURNAL, LOCK
from mastra_lance.locking import try_lock, unlock

from .rows import ids, message, raw, thread

pytestmark = pytest.mark.asyncio

# A process that appends to the thread of another one, and dies when one of two tables is written.
DIES = """
import asyncio, os, sys
from mastra_core.records import Message
from mastra_lance import LanceStore, writing

update = writing._update

def dying(*given):
    commit = update(*given)
    async def late():
        await asyncio.sleep(1)
        os._exit(9)
    return late

writing._update = dying

async def main():
    store = LanceStore(sys.argv[1])
    content = {"format": 2, "parts": [{"type": "text", "text": "half"}]}
    await store.memory.save_messages([
        Message(id=f"half-{n}", thread_id="t", resource_id="r", role="user", content=content)
        for n in range(3)
    ])

asyncio.run(main())
"""


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[LanceStore]:
    """A store with one thread of two messages."""
    async with LanceStore(tmp_path / "db") as made:
        await made.memory.save_messages([message(1), message(2)], create=thread())
        yield made


def journal(path: Path) -> dict[str, object]:
    """The tables of the unfinished write that is noted."""
    tables: dict[str, object] = json.loads((path / JOURNAL).read_bytes())["tables"]
    return tables


async def listed(store: LanceStore) -> list[str]:
    """The ids of the thread's messages."""
    return [m.id for m in (await store.memory.list_messages("t", per_page=False)).messages]


async def test_of_two_tables_none_is_written_if_one_fails(
    store: LanceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The messages were there already when the thread could not be written."""
    written = asyncio.Event()
    found: list[list[str]] = []

    def failing(*_: object) -> object:
        async def fail() -> None:
            while len(await ids(tmp_path / "db", "mastra_messages")) == 2:
                await asyncio.sleep(0.005)
            found.append(await listed(LanceStore(tmp_path / "db")))
            written.set()
            raise OSError("the disk had enough")

        return fail

    monkeypatch.setattr(writing, "_update", failing)
    with pytest.raises(StorageError, match="the disk had enough"):
        await store.memory.save_messages([message(3), message(4)])
    assert written.is_set()
    # A reader in the middle of it saw what was before.
    assert found == [["t-00001", "t-00002"]]
    assert await ids(tmp_path / "db", "mastra_messages") == ["t-00001", "t-00002"]
    assert journal(tmp_path / "db") == {}
    monkeypatch.undo()
    await store.memory.save_messages([message(5)])
    assert await listed(store) == ["t-00001", "t-00002", "t-00005"]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with half a write, of a process that is dead."""
    path = tmp_path_factory.mktemp("left") / "db"

    async def fill() -> None:
        async with LanceStore(path) as made:
            await made.memory.save_messages([message(1), message(2)], create=thread())

    asyncio.run(fill())
    ran = subprocess.run([sys.executable, "-c", DIES, str(path)], check=False, capture_output=True)
    assert ran.returncode == 9, ran.stderr.decode()
    return path


@pytest.fixture
def half(left: Path, tmp_path: Path) -> Path:
    """The same for this test alone."""
    shutil.copytree(left, tmp_path / "half")
    return tmp_path / "half"


async def test_what_a_dead_process_left_is_never_seen_and_undone_by_the_next_writer(
    half: Path,
) -> None:
    """Readers need not write for that."""
    path, store = half, LanceStore(half)
    assert set(journal(path)) == {"mastra_messages", "mastra_threads"}
    assert len(await ids(path, "mastra_messages")) == 5
    assert await listed(store) == ["t-00001", "t-00002"]
    assert await listed(LanceStore(path)) == ["t-00001", "t-00002"]
    await store.memory.update_thread("t", title="after")
    assert journal(path) == {}
    assert await ids(path, "mastra_messages") == ["t-00001", "t-00002"]
    found = await store.memory.get_thread_by_id("t")
    assert found is not None
    assert found.title == "after"


async def test_undoing_leaves_what_others_wrote_since(half: Path) -> None:
    """The original takes no turns: its rows of other keys stay."""
    path, store = half, LanceStore(half)
    table = await raw(path, "mastra_messages")
    row = (await table.query().where("id = 't-00001'").to_arrow()).to_pylist()[0]
    await table.add([{**row, "id": "foreign"}])
    await store.memory.update_thread("t", title="after")
    assert await ids(path, "mastra_messages") == ["foreign", "t-00001", "t-00002"]


async def test_concurrent_upserts_of_one_key_leave_one_row(tmp_path: Path) -> None:
    """LanceDB itself would store each of them."""
    stores = [LanceStore(tmp_path / "db") for _ in range(6)]
    await stores[0].init()
    await asyncio.gather(*(one.memory.save_thread(thread("same")) for one in stores))
    assert await ids(tmp_path / "db", "mastra_threads") == ["same"]


async def test_who_waits_too_long_for_a_turn_is_told_and_nothing_is_written(
    store: LanceStore, tmp_path: Path
) -> None:
    """Another process holds the lock."""
    other = LanceStore(tmp_path / "db", timeout=0.1)
    with (tmp_path / "db" / LOCK).open("ab") as file:
        assert try_lock(file)
        with pytest.raises(UnavailableError, match=r"other writers .* 0\.1 seconds"):
            await other.memory.save_thread(thread("late"))
        unlock(file)
    await other.memory.save_thread(thread("in time"))
    assert await ids(tmp_path / "db", "mastra_threads") == ["in time", "t"]


async def test_waiting_for_a_turn_can_be_cancelled(store: LanceStore, tmp_path: Path) -> None:
    """At once, though the lock is never given back."""
    with (tmp_path / "db" / LOCK).open("ab") as file:
        assert try_lock(file)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await store.memory.save_thread(thread("late"))
    assert await ids(tmp_path / "db", "mastra_threads") == ["t"]


async def test_a_damaged_journal_is_an_error_that_says_so(
    store: LanceStore, tmp_path: Path
) -> None:
    """It is not taken for an empty one."""
    (tmp_path / "db" / JOURNAL).write_bytes(b'{"generation": 1, "tabl')
    with pytest.raises(CorruptDataError, match="journal of unfinished writes is damaged"):
        await store.memory.get_thread_by_id("t")
