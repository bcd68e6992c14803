"""The bound of an operation: what takes longer is cancelled, and nothing of it stays."""

from __future__ import annotations

import asyncio

import pytest

from mastra_core import Thread, UnavailableError
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.layers import Retry, Timeout


class Slow(InMemoryBackend):
    """Waits for ever before the operations that it is told to, and notes who was cancelled."""

    def __init__(self, *slow):
        super().__init__()
        self.slow = list(slow)
        self.cancelled = []
        self.began = asyncio.Event()

    async def _wait(self, what):
        if what in self.slow:
            self.slow.remove(what)
            self.began.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.append(what)

    async def _setup(self, tables):
        await self._wait("setup")
        await super()._setup(tables)

    async def _find(self, table, query):
        await self._wait("find")
        return await super()._find(table, query)

    async def _count(self, table, where):
        await self._wait("count")
        return await super()._count(table, where)

    async def _write(self, changes):
        await self._wait("write")
        return await super()._write(changes)


@pytest.mark.asyncio
async def test_a_read_that_takes_too_long_is_cancelled_and_unavailable():
    backend = Slow("find")
    memory = MemoryStorage(backend).with_layers(Timeout(seconds=0.01))
    with pytest.raises(UnavailableError) as caught:
        await memory.get_thread_by_id("t")
    told = "memory did not end the find of mastra_threads within 0.01 s; try again"
    assert str(caught.value).startswith(told)
    assert backend.cancelled == ["find"]
    assert await memory.get_thread_by_id("t") is None


@pytest.mark.asyncio
async def test_a_write_that_takes_too_long_says_that_it_may_have_been_done():
    backend = Slow("write")
    memory = MemoryStorage(backend).with_layers(Timeout(seconds=0.01))
    with pytest.raises(UnavailableError, match="may have been done all the same"):
        await memory.save_thread(Thread(id="t", resource_id="r"))
    assert backend.cancelled == ["write"]
    assert await memory.get_thread_by_id("t") is None


@pytest.mark.asyncio
async def test_set_up_has_a_bound_of_its_own():
    backend = Slow("setup")
    memory = MemoryStorage(backend).with_layers(Timeout(seconds=60, setup=0.01))
    with pytest.raises(UnavailableError, match="the setup of mastra_threads, mastra_messages"):
        await memory.get_thread_by_id("t")
    assert await memory.get_thread_by_id("t") is None


@pytest.mark.asyncio
async def test_a_caller_that_is_cancelled_is_cancelled_and_not_timed_out():
    backend = Slow("find")
    memory = MemoryStorage(backend).with_layers(Timeout(seconds=60))
    task = asyncio.create_task(memory.get_thread_by_id("t"))
    await backend.began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert backend.cancelled == ["find"]


@pytest.mark.asyncio
async def test_within_a_retry_each_attempt_has_its_own_bound():
    backend = Slow("find", "find")
    memory = MemoryStorage(backend).with_layers(Retry(first_pause=0.001), Timeout(seconds=0.01))
    assert await memory.get_thread_by_id("t") is None
    assert backend.cancelled == ["find", "find"]


@pytest.mark.asyncio
async def test_around_a_retry_it_bounds_all_attempts_together():
    backend = Slow(*["find"] * 10)
    layers = (Timeout(seconds=0.05), Retry(first_pause=0.001), Timeout(seconds=0.04))
    memory = MemoryStorage(backend).with_layers(*layers)
    with pytest.raises(UnavailableError, match=r"within 0\.05 s"):
        await memory.get_thread_by_id("t")
    assert 1 <= len(backend.cancelled) <= 2
