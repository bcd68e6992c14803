"""Commits of several tables as one write: noted before, and undone where one of them fails."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import msgspec

from mastra_lance.ledger import Ledger, Pending
from mastra_lance.reading import Handles

Commit: TypeAlias = Callable[[], Awaitable[Any]]
T = TypeVar("T")


class Steps(msgspec.Struct, frozen=True):
    """What is to be committed of one table, in order, and what to note of it before."""

    pending: Pending
    commits: Sequence[Commit]


class Commits:
    """The turns of one database: whoever has one commits, and first undoes what was left."""

    def __init__(self, ledger: Ledger, handles: Handles) -> None:
        self._ledger = ledger
        self._handles = handles

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """The only turn to write, with all tables as finished writes left them."""
        async with self._ledger.turn():
            await to_its_end(self._recover())
            yield

    async def commit(self, steps: Mapping[str, Steps]) -> None:
        """Commit all steps of all tables or none; only for who has the turn.

        Once begun it comes to an end, also when the caller is cancelled.
        """
        todo = {name: one for name, one in steps.items() if one.commits}
        if todo:
            await to_its_end(self._commit(todo))

    async def _commit(self, steps: Mapping[str, Steps]) -> None:
        if sum([len(one.commits) for one in steps.values()]) == 1:
            await _in_turn(next(iter(steps.values())).commits)
            return
        await self._ledger.begin({name: one.pending for name, one in steps.items()})
        outcomes = await asyncio.gather(
            *(_in_turn(one.commits) for one in steps.values()), return_exceptions=True
        )
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if failed:
            await self._recover()
            raise failed[0]
        await self._ledger.end()

    async def _recover(self) -> None:
        """Undo what an unfinished write left."""
        state = await self._ledger.state()
        if state.tables:
            for name, pending in state.tables.items():
                await self._undo(name, pending)
            await self._ledger.end()

    async def _undo(self, name: str, pending: Pending) -> None:
        """The noted rows as they were. Rows of others, and this done twice, change nothing."""
        handle, before = await self._handles.latest(name), await self._handles.latest(name)
        if await handle.version() == pending.version:
            return
        await before.checkout(pending.version)
        for filters in pending.filters:
            old = await before.query().where(filters).to_arrow()
            await handle.delete(filters)
            if old.num_rows:
                await handle.add(old)


async def _in_turn(steps: Sequence[Commit]) -> None:
    for step in steps:
        await step()


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Do something that must not stop half-way: a cancelled caller waits for it, then stops."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise
