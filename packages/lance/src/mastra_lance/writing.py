"""Writes of rows: planned on what is stored, then committed table by table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from mastra_core.storage.schema import Change, Row, Table, Where
from mastra_lance.commits import Commit, Commits, Steps
from mastra_lance.conditions import all_of, condition, keys_among
from mastra_lance.layout import Layout
from mastra_lance.ledger import Pending
from mastra_lance.literals import literal
from mastra_lance.plan import KEYS, Part, Plan
from mastra_lance.reading import Handles, Reader, latest_first

Versions: TypeAlias = tuple[int, int]
# Longer rows are quicker as Arrow than as text.
SHORT: Final = 20_000


class Writer:
    """The writes of one database's rows."""

    def __init__(
        self,
        commits: Commits,
        handles: Handles,
        reader: Reader,
        layout: Callable[[Table], Awaitable[Layout]],
    ) -> None:
        self._commits = commits
        self._handles = handles
        self._reader = reader
        self._layout = layout

    async def write(self, changes: Sequence[Change]) -> tuple[list[int], Mapping[str, Versions]]:
        """The numbers of rows, and the versions of each table before and after."""
        async with self._commits.turn():
            plan = Plan(self._reader, self._part)
            counts = await plan.apply(changes)
            steps = {
                name: Steps(Pending(part.version, part.filters), commits_of(part))
                for name, part in plan.parts.items()
            }
            await self._commits.commit(steps)
        return counts, {
            name: (one.pending.version, one.pending.version + len(one.commits))
            for name, one in steps.items()
        }

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
    if stored is not None and latest_first(layout.table):
        # Of rows that the original doubled it is the later one that was read.
        at = stored[layout.table.positions["updatedAt"]]
        where = all_of([where, condition(layout.table, Where("updatedAt", "eq", at))])
    return lambda: handle.update(updates_sql=values, where=where)


def _merge(handle: Any, layout: Layout, rows: Sequence[Row]) -> Commit:
    def merge() -> Awaitable[Any]:
        builder = handle.merge_insert(list(layout.table.key))
        builder = builder.when_matched_update_all().when_not_matched_insert_all()
        merged: Awaitable[Any] = builder.execute(layout.encoded(rows))
        return merged

    return merge
