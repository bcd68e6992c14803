"""Writers of one process: they take turns, and those who wait are done together.

Every write costs some inserts, and a server prefers few large ones. So what comes while a write is
under way waits, and becomes one entry of the journal. Each is still whole or not done by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import Final

from mastra_clickhouse.journal import Journal
from mastra_clickhouse.writes import Attempt
from mastra_core.errors import UnavailableError
from mastra_core.storage.loops import Turns, pauses
from mastra_core.storage.schema import Change

# For so many seconds a write begins again that writers of other processes always came before.
PERSISTENCE: Final = 60.0
# How many writes, and rows that are put, become one entry at most.
TOGETHER, ROWS = 200, 20_000

# Stores on one database take turns too, though they know nothing of each other.
_turns = Turns()


class Waiting:
    """One write that waits for its turn."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes
        self.outcome: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()


class Writers:
    """The writers of one backend on one event loop."""

    def __init__(self, journal: Journal, attempt: Callable[[], Attempt], target: Hashable) -> None:
        self.journal = journal
        self._attempt = attempt
        self._target = target
        self._waiting: list[Waiting] = []
        self._working: asyncio.Task[None] | None = None

    async def write(self, changes: Sequence[Change]) -> list[int]:
        """Apply all changes or none.

        A call that is cancelled while it waits is not done; one that is under way goes on to its
        end.
        """
        waiting = Waiting(changes)
        self._waiting.append(waiting)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await waiting.outcome

    async def settle(self) -> None:
        """Wait until what is under way is done, and marked as done."""
        if self._working is not None:
            await asyncio.wait([self._working])
        await self.journal.settle()

    async def _work(self) -> None:
        try:
            while self._waiting:
                async with _turns.at(self._target):
                    await self._together(self._taken())
        except BaseException:
            for waiting in self._waiting:
                waiting.outcome.cancel()
            self._waiting.clear()
            raise

    def _taken(self) -> list[Waiting]:
        """Those who are done next; who was cancelled meanwhile is left out."""
        ready = [waiting for waiting in self._waiting if not waiting.outcome.done()]
        count, rows = 0, 0
        for waiting in ready[:TOGETHER]:
            rows += sum([len(getattr(change, "rows", ())) for change in waiting.changes])
            if count and rows > ROWS:
                break
            count += 1
        self._waiting = ready[count:]
        return ready[:count]

    async def _together(self, batch: Sequence[Waiting]) -> None:
        """Do some writes as one entry; an error is everybody's, but for those of single writes."""
        try:
            await self._until_first(batch)
        except Exception as error:  # noqa: BLE001 (handed to those who wait)
            for waiting in batch:
                _fail(waiting, error)
        except BaseException:
            for waiting in batch:
                waiting.outcome.cancel()
            raise

    async def _until_first(self, batch: Sequence[Waiting]) -> None:
        """Try until no writer of another process comes in between."""
        if not batch or await self._try(batch):
            return
        async for _ in pauses(PERSISTENCE):
            if await self._try(batch):
                return
        raise UnavailableError(
            "ClickHouse: writers of other processes always came first; nothing was written"
        )

    async def _try(self, batch: Sequence[Waiting]) -> bool:
        head = await self.journal.head()
        attempt = self._attempt()
        await attempt.read([change for waiting in batch for change in waiting.changes])
        done: list[tuple[Waiting, list[int]]] = []
        failed: list[tuple[Waiting, Exception]] = []
        for waiting in batch:
            try:
                done.append((waiting, attempt.apply(waiting.changes)))
            except Exception as error:  # noqa: BLE001 (handed to whoever waits)
                failed.append((waiting, error))
        position = self.journal.position(head)
        blocks = attempt.blocks(position)
        if blocks:
            if not await self.journal.commit(head, position, blocks):
                return False
            await self.journal.finish(head, position, blocks)
        elif failed and not await self.journal.is_newest(head):
            # What was read may have been half of another process's write.
            return False
        for waiting, counts in done:
            if not waiting.outcome.done():
                waiting.outcome.set_result(counts)
        for waiting, reason in failed:
            _fail(waiting, reason)
        return True


def _fail(waiting: Waiting, error: Exception) -> None:
    if not waiting.outcome.done():
        waiting.outcome.set_exception(error)
