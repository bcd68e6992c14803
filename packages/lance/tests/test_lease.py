"""Turns in object stores, where a row of a table stands for the lock: here on a folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mastra_core.errors import UnavailableError
from mastra_core.storage.store import BackendStore
from mastra_lance.backend import LanceBackend
from mastra_lance.lease import LeaseLedger
from mastra_lance.ledger import Pending
from mastra_lance.options import Settings

from .rows import ids, message, raw, thread

pytestmark = pytest.mark.asyncio


def leased(path: Path, timeout: float = 30.0) -> BackendStore:
    """A store that treats the folder as if it were a bucket."""
    backend = LanceBackend(Settings(uri=str(path), folder=None, timeout=timeout))
    return BackendStore(backend, id="leased")


def ledger(path: Path, *, timeout: float = 5.0, lease: float = 30.0) -> LeaseLedger:
    """The ledger of the folder by itself."""
    database = leased(path).backend._database
    return LeaseLedger(database.connection, timeout, lease)


async def test_concurrent_writers_lose_nothing_of_each_other(tmp_path: Path) -> None:
    """Upserts of one key leave one row, and every change of one thread's metadata is there."""
    stores = [leased(tmp_path) for _ in range(3)]
    await stores[0].init()
    await asyncio.gather(*(one.memory.save_thread(thread("same")) for one in stores))
    assert await ids(tmp_path, "mastra_threads") == ["same"]

    async def change(number: int) -> None:
        for turn in range(3):
            await stores[number].memory.update_thread("same", metadata={f"{number}-{turn}": turn})

    await asyncio.gather(*(change(number) for number in range(3)))
    found = await stores[0].memory.get_thread_by_id("same")
    assert found is not None
    assert set(found.metadata or {}) == {f"{n}-{turn}" for n in range(3) for turn in range(3)}


async def test_only_one_has_the_turn(tmp_path: Path) -> None:
    """The others wait, and are told when it takes too long."""
    first, second = ledger(tmp_path), ledger(tmp_path, timeout=0.3)
    await first.setup()
    async with first.turn():
        with pytest.raises(UnavailableError, match="other writers"):
            async with second.turn():
                raise AssertionError
    async with second.turn():
        assert (await second.state()).tables == {}


async def test_the_lease_of_a_dead_writer_runs_out_and_a_living_ones_does_not(
    tmp_path: Path,
) -> None:
    """It is extended while the turn lasts."""
    first, second = ledger(tmp_path, lease=0.6), ledger(tmp_path, lease=0.6)
    await first.setup()
    async with first.turn():
        table = await raw(tmp_path, "mastra_lance_ledger")
        begun = (await table.query().to_arrow()).to_pylist()[0]
        for _ in range(200):
            await asyncio.sleep(0.02)
            now = (
                await (await raw(tmp_path, "mastra_lance_ledger")).query().to_arrow()
            ).to_pylist()
            if now[0]["until"] > begun["until"]:
                break
        assert now[0]["holder"] == begun["holder"]
        assert now[0]["until"] > begun["until"]
    await (await raw(tmp_path, "mastra_lance_ledger")).update(
        {"holder": "dead", "until": begun["until"] - 60}
    )
    async with second.turn():
        assert (await second.state()).tables == {}


async def test_an_unfinished_write_is_undone_here_too(tmp_path: Path) -> None:
    """The journal is in the same row."""
    store = leased(tmp_path)
    await store.memory.save_messages([message(1)], create=thread())
    table = await raw(tmp_path, "mastra_messages")
    version = await table.version()
    noted = ledger(tmp_path)
    await noted.begin({"mastra_messages": Pending(version, ["`id` IN ('half')"])})
    row = (await table.query().to_arrow()).to_pylist()[0]
    await table.add([{**row, "id": "half"}])
    assert [m.id for m in (await store.memory.list_messages("t")).messages] == ["t-00001"]
    await store.memory.update_thread("t", title="after")
    assert await ids(tmp_path, "mastra_messages") == ["t-00001"]
    await store.close()
