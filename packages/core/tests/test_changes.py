"""Changes by functions: against writers that keep the time of a row, and that never stop."""

from __future__ import annotations

import pytest

from mastra_core.clock import now
from mastra_core.errors import ConflictError
from mastra_core.records import Resource, Thread
from mastra_core.storage import domain
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.schema import Update, Where
from mastra_core.storage.store import BackendStore
from mastra_core.storage.tables import RESOURCES, THREADS

pytestmark = pytest.mark.asyncio


class Meanwhile(InMemoryBackend):
    """After each of the next reads, somebody else changes the row as the original's writers may."""

    def __init__(self):
        super().__init__()
        self.changes = []

    async def _find(self, table, query):
        rows = await super()._find(table, query)
        if self.changes:
            await super()._write([self.changes.pop(0)])
        return rows


@pytest.fixture
def backend():
    return Meanwhile()


@pytest.fixture
def memory(backend):
    return BackendStore(backend, id="s").memory


def written(table, key, at, **values):
    return Update(table, (Where("id", "eq", key),), {**values, "updatedAt": at})


async def test_working_memory_that_changed_without_its_time_is_read_again(backend, memory):
    at = now()
    await memory.save_resource(Resource(id="r", working_memory="one", updated_at=at))
    backend.changes = [written(RESOURCES, "r", at, workingMemory=text) for text in ("two", None)]
    seen = []

    def change(text):
        seen.append(text)
        return f"{text}!"

    assert (await memory.change_working_memory("r", change)).working_memory == "None!"
    assert seen == ["one", "two", None]


async def test_metadata_that_changed_without_their_time_are_read_again(backend, memory):
    at = now()
    await memory.save_thread(Thread(id="t", resource_id="r", metadata={"a": 1}, updated_at=at))
    backend.changes = [
        written(THREADS, "t", at, metadata='{"a":2}'),
        written(THREADS, "t", at, metadata=None, title="New"),
    ]
    changed = await memory.change_thread_metadata("t", lambda found: {**found, "b": 1})
    assert (changed.metadata, changed.title) == ({"b": 1}, "New")
    assert await memory.get_thread_by_id("t") == changed


async def test_a_thread_that_moves_meanwhile_is_not_changed_for_its_old_owner(backend, memory):
    at = now()
    await memory.save_thread(Thread(id="t", resource_id="r", metadata={}, updated_at=at))
    backend.changes = [written(THREADS, "t", at, resourceId="other")]
    with pytest.raises(LookupError):
        await memory.change_thread_metadata("t", lambda _: {"a": 1}, resource_id="r")
    thread = await memory.get_thread_by_id("t")
    assert thread is not None
    assert (thread.resource_id, thread.metadata) == ("other", {})


async def test_a_change_that_others_always_come_before_is_a_conflict(backend, memory, monkeypatch):
    monkeypatch.setattr(domain, "ATTEMPTS", 3)
    at = now()
    await memory.save_resource(Resource(id="r", working_memory="0", updated_at=at))
    backend.changes = [written(RESOURCES, "r", at, workingMemory=f"{n}") for n in range(1, 10)]
    seen = []

    def change(text):
        seen.append(text)
        return "mine"

    with pytest.raises(ConflictError):
        await memory.change_working_memory("r", change)
    assert seen == ["0", "1", "2"]
    found = await memory.get_resource_by_id("r")
    assert found is not None
    assert found.working_memory == "3"
