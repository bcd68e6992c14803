"""Optimizing tables: small files joined, indexes brought up to date, old versions removed.

Every commit adds a file that no index knows yet, so that reads get slower until a table is
optimized. That is due whenever the table's version passes a multiple of a number, whichever process
takes it there, and takes at most a twentieth of the time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from lancedb.index import BTree

from mastra_core.errors import UnavailableError
from mastra_core.storage.loops import PerLoop
from mastra_core.storage.schema import Row, Table
from mastra_lance.ledger import Ledger
from mastra_lance.reading import Handles
from mastra_lance.writing import Versions, to_its_end

_log = logging.getLogger(__name__)
# Smaller tables are read through as quickly as by an index.
INDEXED_FROM: Final = 1000
SHARE: Final = 20
# So many commits make it due however long it takes.
OVERDUE: Final = 1000


class Upkeep:
    """The optimizing of one database's tables: by schedule and by hand."""

    def __init__(
        self,
        ledger: Ledger,
        handles: Handles,
        recover: Callable[[], Awaitable[None]],
        *,
        every: int,
        keep: timedelta,
    ) -> None:
        self._ledger = ledger
        self._handles = handles
        self._recover = recover
        self._every = every
        self._keep = keep
        self._running: PerLoop[set[asyncio.Task[None]]] = PerLoop(set)
        self._began: dict[str, tuple[float, float, int]] = {}

    def wrote(self, versions: Mapping[str, Versions], tables: Mapping[str, Table]) -> None:
        """Take note of commits; what is due is begun in the background."""
        for name, (before, after) in versions.items():
            if self._every and before // self._every != after // self._every and name in tables:
                if self._affordable(name, after):
                    self._began[name] = (time.monotonic(), 0.0, after)
                    task = asyncio.ensure_future(self._quietly(tables[name]))
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

    async def _quietly(self, table: Table) -> None:
        try:
            await self.optimize(table)
        except UnavailableError as error:
            _log.info("%s was not optimized, since others write: %s", table.name, error)
        except Exception as error:  # noqa: BLE001 (the write was done; the next turn tries again)
            _log.warning("%s could not be optimized: %s", table.name, error)

    async def optimize(self, table: Table) -> None:
        """Optimize one table, and remove rows that are stored more than once."""
        async with self._ledger.turn():
            await self._recover()
            began = time.monotonic()
            handle = await self._handles.latest(table.name)
            await to_its_end(self._optimize(handle, table))
            version = await handle.version()
            self._began[table.name] = (began, time.monotonic() - began, version)

    async def _optimize(self, handle: Any, table: Table) -> None:
        await remove_doubles(handle, table)
        if await handle.count_rows() >= INDEXED_FROM:
            there = {column for index in await handle.list_indices() for column in index.columns}
            for column in indexed(table):
                if column not in there:
                    await handle.create_index(column, config=BTree())
        await handle.optimize(cleanup_older_than=self._keep)


def indexed(table: Table) -> list[str]:
    """The columns of the key and of the declared indexes: LanceDB has indexes of one column."""
    columns = [column for index in table.indexes for column in index.columns]
    return list(dict.fromkeys([*table.key, *columns]))


async def remove_doubles(handle: Any, table: Table) -> int:
    """Remove rows whose key a later one has, which writers make that do not look; how many."""
    times = [n for n in ("updatedAt", "createdAt") if n in table.positions][:1]
    found = await handle.query().select([*table.key, *times]).with_row_id().to_arrow()
    keys = list(zip(*[found.column(name).to_pylist() for name in table.key], strict=True))
    if len(set(keys)) == len(keys):
        return 0
    when = found.column(times[0]).to_pylist() if times else [0] * len(keys)
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
