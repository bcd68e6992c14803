"""Writes of several tables: noted, committed table by table, and undone where one fails."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from mastra_core.storage.schema import Change, Row, Table
from mastra_lance.conditions import keys_among
from mastra_lance.layout import Layout
from mastra_lance.ledger import Ledger, Pending
from mastra_lance.literals import literal
from mastra_lance.plan import KEYS, Part, Plan
from mastra_lance.reading import Handles, Reader

Commit: TypeAlias = Callable[[], Awaitable[Any]]
Versions: TypeAlias = tuple[int, int]
T = TypeVar("T")
# Longer rows are quicker as Arrow than as text.
SHORT: Final = 20_000


class Writer:
    """The writes of one database."""

    def __init__(
        self,
        ledger: Ledger,
        handles: Handles,
        reader: Reader,
        layout: Callable[[Table], Awaitable[Layout]],
    ) -> None:
        self._ledger = ledger
        self._handles = handles
        self._reader = reader
        self._layout = layout

    async def write(self, changes: Sequence[Change]) -> tuple[list[int], Mapping[str, Versions]]:
        """The numbers of rows, and the versions of each table before and after.

        Once it has begun to commit it comes to an end, also when the caller is cancelled.
        """
        async with self._ledger.turn():
            await self.recover()
            plan = Plan(self._reader, self._part)
            counts = await plan.apply(changes)
            commits = {name: commits_of(part) for name, part in plan.parts.items()}
            await to_its_end(self._commit(plan, commits))
        parts = plan.parts
        return counts, {
            name: (parts[name].version, parts[name].version + len(steps))
            for name, steps in commits.items()
        }

    async def _commit(self, plan: Plan, commits: Mapping[str, Sequence[Commit]]) -> None:
        if sum(map(len, commits.values())) < 2:
            for steps in commits.values():
                for step in steps:
                    await step()
            return
        noted = {
            name: Pending(part.version, part.filters)
            for name, part in plan.parts.items()
            if commits[name]
        }
        await self._ledger.begin(noted)
        outcomes = await asyncio.gather(
            *(_in_turn(steps) for steps in commits.values()), return_exceptions=True
        )
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if failed:
            await self.recover()
            raise failed[0]
        await self._ledger.end()

    async def recover(self) -> None:
        """Undo what an unfinished write left; only for who has the turn."""
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

    async def _part(self, table: Table) -> Part:
        handle = await self._handles.latest(table.name)
        return Part(handle, await self._layout(table), await handle.version())


def commits_of(part: Part) -> list[Commit]:
    """What is to be committed of a table, in order."""
    handle, layout = part.handle, part.layout
    if part.whole:
        return [lambda: handle.delete(part.whole)]
    gone, new, changed = part.gone, part.new, part.changed
    steps = [_deletion(handle, layout, gone[i : i + KEYS]) for i in range(0, len(gone), KEYS)]
    if len(changed) == 1 and not new and _is_short(changed[0]):
        steps.append(_update(handle, layout, changed[0], part.stored[layout.key(changed[0])]))
    elif changed:
        steps.append(_merge(handle, layout, [*changed, *new]))
    elif new:
        steps.append(lambda: handle.add(layout.encoded(new)))
    return steps


def _deletion(handle: Any, layout: Layout, keys: Sequence[Row]) -> Commit:
    return lambda: handle.delete(exactly(layout.table, keys))


def exactly(table: Table, keys: Sequence[Row]) -> str:
    """A filter that rows with these keys meet, and no others."""
    groups: dict[Row, list[Row]] = {}
    for key in keys:
        groups.setdefault(key[:-1], []).append(key)
    return " OR ".join([f"({keys_among(table, group)})" for group in groups.values()])


def _is_short(row: Row) -> bool:
    return sum([len(value) for value in row if isinstance(value, str)]) < SHORT


def _update(handle: Any, layout: Layout, row: Row, stored: Row | None) -> Commit:
    """One row that changes, by what it changes: a merge takes half as long again."""
    pairs = zip(layout.names, row, stored or (), strict=True)
    values = {name: literal(new) for name, new, old in pairs if new != old}
    where = exactly(layout.table, [layout.key(row)])
    return lambda: handle.update(updates_sql=values, where=where)


def _merge(handle: Any, layout: Layout, rows: Sequence[Row]) -> Commit:
    def merge() -> Awaitable[Any]:
        builder = handle.merge_insert(list(layout.table.key))
        builder = builder.when_matched_update_all().when_not_matched_insert_all()
        merged: Awaitable[Any] = builder.execute(layout.encoded(rows))
        return merged

    return merge


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
