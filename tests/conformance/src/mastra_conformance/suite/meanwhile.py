"""Readers and pruning while others write."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mastra_conformance.lab import Lab
from mastra_conformance.races import race, racing, winners
from mastra_conformance.records import message, saved, thread
from mastra_conformance.rows import at
from mastra_conformance.tiers import area
from mastra_core.errors import NotFoundError
from mastra_core.records import Message, Thread
from mastra_core.storage.store import MastraStorage


@area("concurrency")
@pytest.mark.asyncio(loop_scope="function")
class TestReadingWhileWriting:
    """Readers see every row that was there, once, whatever is written meanwhile."""

    async def test_a_walk_sees_every_message_once_while_others_append(self, lab: Lab) -> None:
        """What was there at its beginning is seen, in order, and nothing twice."""
        a, b = racing(lab), racing(lab)
        owner, messages = await saved(a.memory, 1500)
        going = True

        async def append() -> None:
            n = 2000
            while going:
                await b.memory.save_messages([message(owner, n + i) for i in range(20)])
                n += 20
                await asyncio.sleep(0)

        writer = asyncio.create_task(append())
        for _ in range(3):
            seen: list[Message] = []
            async for found in a.memory.iter_messages(owner.id):
                seen.append(found)
                if len(seen) % 100 == 0:
                    await asyncio.sleep(0)
            ids = [found.id for found in seen]
            assert len(ids) == len(set(ids))
            assert ids[:1500] == [m.id for m in messages]
            whole = (await a.memory.list_messages(owner.id, per_page=False)).messages
            times = [m.created_at for m in whole]
            assert times == sorted(set(times))
        going = False
        await writer

    async def test_a_batch_is_seen_whole_or_not_at_all(self, lab: Lab) -> None:
        """A reader never finds half of what one call saves."""
        a, b = racing(lab), racing(lab)
        owner = await a.memory.save_thread(thread())

        async def write() -> None:
            for turn in range(lab.settings.rounds):
                await b.memory.save_messages([message(owner, turn * 50 + i) for i in range(50)])

        async def read() -> None:
            for _ in range(lab.settings.rounds):
                page = await a.memory.list_messages(owner.id, per_page=False)
                assert len(page.messages) % 50 == 0
                await asyncio.sleep(0)

        await asyncio.gather(write(), read(), read())

    async def test_pruning_spares_what_is_written_meanwhile(self, lab: Lab) -> None:
        """A thread that is old goes with its messages, unless it was used: then all of it stays.

        The threads of this test are from before 1976, and so is everything that it prunes.
        """
        a, b = racing(lab), racing(lab)
        policy = {"memory": {"threads": {"max_age": "18300d", "batch_size": 3}}}
        pruning = MastraStorage(id="pruning", default=a, retention=policy)
        for turn in range(max(3, lab.settings.rounds // 5)):
            old = at(-(53 * 365 * 86_400_000) + turn)
            threads: list[Thread] = []
            for _ in range(8):
                owner = thread(created_at=old, updated_at=old)
                await a.memory.save_thread(owner)
                threads.append(owner)
            calls: list[Callable[[], Awaitable[Any]]] = [
                pruning.prune,
                *(
                    lambda o=o: b.memory.save_messages([message(o, 5), message(o, 6)])
                    for o in threads[::2]
                ),
            ]
            outcomes = await race(calls)
            saves = outcomes[1:]
            winners(saves, NotFoundError)
            for owner, outcome in zip(threads[::2], saves, strict=True):
                found = await a.memory.get_thread_by_id(owner.id)
                kept = (await a.memory.list_messages(owner.id)).messages
                assert (found is not None, len(kept)) == (
                    (False, 0) if isinstance(outcome, BaseException) else (True, 2)
                )
            for owner in threads[1::2]:
                assert await a.memory.get_thread_by_id(owner.id) is None
