"""Optimizing tables: small files joined, indexes brought up to date, old versions removed.

Every commit adds a file that no index knows yet, so that reads get slower until a table is
optimized. That is due whenever the table's version passes a multiple of a number, whichever process
takes it there, and takes at most a twentieth of the time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta
from typing import Any, Final

import msgspec

from mastra_core.errors import UnavailableError
from mastra_core.storage.loops import PerLoop
from mastra_core.storage.schema import Row, Table
from mastra_lance.commits import Commits
from mastra_lance.driver import BTree
from mastra_lance.reading import Handles
from mastra_lance.writing import Versions

_log = logging.getLogger(__name__)
# Smaller tables are read through as quickly as by an index.
INDEXED_FROM: Final = 1000
SHARE: Final = 20
# So many commits make it due however long it takes.
OVERDUE: Final = 1000


class Care(msgspec.Struct, frozen=True):
    """What optimizing has to know of a table: its key, what tells the later of two rows, its indexes."""

    name: str
    key: tuple[str, ...]
    time: str = ""
    indexed: tuple[str, ...] = ()


def care_of(table: Table) -> Care:
    """The same of a table of rows: LanceDB has indexes of one column."""
    columns = [column for index in table.indexes for column in index.columns]
    indexed = tuple(dict.fromkeys([*table.key, *columns]))
    times = [name for name in ("updatedAt", "createdAt") if name in table.positions]
    return Care(table.name, table.key, times[0] if times else "", indexed)


class Upkeep:
    """The optimizing of one database's tables: by schedule and by hand."""

    def __init__(
        self,
        commits: Commits,
        handles: Handles,
        *,
        every: int,
        keep: timedelta,
    ) -> None:
        self._commits = commits
        self._handles = handles
        self._every = every
        self._keep = keep
        self._running: PerLoop[set[asyncio.Task[None]]] = PerLoop(set)
        self._began: dict[str, tuple[float, float, int]] = {}

    def wrote(self, care: Care, versions: Versions) -> None:
        """Take note of commits; if optimizing is due now, it begins in the background."""
        before, after = versions
        due = bool(self._every) and before // self._every != after // self._every
        if due and self._affordable(care.name, after):
            self._began[care.name] = (time.monotonic(), 0.0, after)
            task = asyncio.ensure_future(self._quietly(care))
            running = self._running.get()
            running.add(task)
            task.add_done_callback(running.discard)

    def _affordable(self, name: str, version: int) -> bool:
        began, took, at = self._began.get(name, (0.0, 0.0, version))
        return time.monotonic() - began >= SHARE * took or version - at >= OVERDUE

    async def settled(self) -> None:
        """Wait for what is under way in this loop."""
        running = self._running.get()
        if running:
            await asyncio.wait(set(running))

    async def _quietly(self, care: Care) -> None:
        try:
            await self.optimize(care)
        except UnavailableError as error:
            _log.info("%s was not optimized, since others write: %s", care.name, error)
        except Exception as error:  # noqa: BLE001 (the write was done; the next turn tries again)
            _log.warning("%s could not be optimized: %s", care.name, error)

    async def optimize(self, care: Care) -> None:
        """Optimize one table, and remove rows that are stored more than once."""
        async with self._commits.turn():
            began = time.monotonic()
            handle = await self._handles.latest(care.name)
            await remove_doubles(handle, care)
            if await handle.count_rows() >= INDEXED_FROM:
                await _add_indexes(handle, care)
            await handle.optimize(cleanup_older_than=self._keep)
            version = await handle.version()
            self._began[care.name] = (began, time.monotonic() - began, version)


async def _add_indexes(handle: Any, care: Care) -> None:
    there = {column for index in await handle.list_indices() for column in index.columns}
    for column in care.indexed:
        if column not in there:
            await handle.create_index(column, config=BTree())


async def remove_doubles(handle: Any, care: Care) -> int:
    """Remove rows whose key a later one has, which writers make that do not look; how many."""
    columns = [*care.key, *([care.time] if care.time else [])]
    found = await handle.query().select(columns).with_row_id().to_arrow()
    keys = list(zip(*[found.column(name).to_pylist() for name in care.key], strict=True))
    if len(set(keys)) == len(keys):
        return 0
    when = found.column(care.time).to_pylist() if care.time else [0] * len(keys)
    kept: dict[Row, tuple[Any, int]] = {}
    surplus: list[int] = []
    for key, at, row in zip(keys, when, found.column("_rowid").to_pylist(), strict=True):
        rank = (at or 0, row)
        loser = min(rank, kept[key]) if key in kept else None
        kept[key] = max(rank, kept.get(key, rank))
        if loser is not None:
            surplus.append(loser[1])
    for i in range(0, len(surplus), INDEXED_FROM):
        some = ", ".join([str(row) for row in surplus[i : i + INDEXED_FROM]])
        await handle.delete(f"_rowid IN ({some})")
    return len(surplus)
