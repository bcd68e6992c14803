"""Copying every table of every domain from one store into another, in bounded memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, TypeAlias

import msgspec

from mastra_core.storage.backend import Backend
from mastra_core.storage.schema import Row, Table
from mastra_core.storage.store import MastraStorage
from mastra_core.transfer.arrivals import Arrived, arrive
from mastra_core.transfer.comparison import compare_table
from mastra_core.transfer.fingerprints import Tally, fingerprints, keys_of
from mastra_core.transfer.journal import Journal
from mastra_core.transfer.progress import Progress, Tell, silent
from mastra_core.transfer.routes import Route, routes
from mastra_core.transfer.streams import ahead, pages, patiently

# Rows with their fingerprints.
Page: TypeAlias = tuple[Sequence[Row], Sequence[int]]
# How many pages the target is given at a time: it stores one while the next is made ready for it.
AT_ONCE: Final = 2


class CopiedTable(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy did to one table.

    ``resumed`` rows were there from a copy that was broken off. ``verified`` says that the target
    has every row of the source as it is; ``others`` is how many more it has. Where it is false
    ``missing`` and ``different`` say how many rows are not there, or not the same. ``None`` is not
    looked at.
    """

    domain: str
    table: str
    rows: int
    checksum: str
    new: int = 0
    same: int = 0
    replaced: int = 0
    resumed: int = 0
    verified: bool | None = None
    missing: int = 0
    different: int = 0
    others: int = 0


async def copy(
    source: MastraStorage,
    target: MastraStorage,
    *,
    domains: Sequence[str] = (),
    overwrite: bool = False,
    verify: bool = True,
    journal: Journal | None = None,
    progress: Tell | None = None,
) -> list[CopiedTable]:
    """Copy all rows of the source into the target; what was done, table by table.

    Rows of the target stay: those that are the same are left alone, and one with the same key and
    other values is a ``ConflictError`` unless ``overwrite`` says that it may go. Copying twice is
    copying once. With a ``journal`` in a file, a copy that was killed is continued. The source
    may be used meanwhile; what changes in it behind the copy shows as different.
    """
    told = progress or silent
    steps = journal or Journal()
    found: list[CopiedTable] = []
    for route in routes(source, target, domains):
        copied = await _copy_table(route, steps, told, overwrite=overwrite)
        found.append(await _verified(route, copied, told) if verify else copied)
    if all(table.verified is not False for table in found):
        steps.end()
    else:
        for table in found:
            if table.verified is False:
                steps.forget(table.table)
    return found


async def _copy_table(
    route: Route, journal: Journal, progress: Tell, *, overwrite: bool
) -> CopiedTable:
    table, source, target = route.table, route.source, route.target
    total = await patiently(lambda: source.count(table))
    place = journal.place(table.name)
    if place.rows and await patiently(lambda: target.count(table)) < place.rows:
        # The target is not the one that the journal tells of.
        journal.forget(table.name)
        place = journal.place(table.name)
    tally, arrived = place.tally(), Arrived()
    progress(Progress(table.name, tally.rows, total))
    written = _written(target, table, _summed(source, table, place.key), overwrite=overwrite)
    async with aclosing(written) as stream:
        async for rows, digests, what in stream:
            arrived += what
            tally.add(digests)
            journal.reach(table.name, keys_of(table, rows[-1:])[0], tally)
            progress(Progress(table.name, tally.rows, max(total, tally.rows)))
    return CopiedTable(
        domain=route.domain,
        table=table.name,
        rows=tally.rows,
        checksum=tally.checksum,
        new=arrived.new,
        same=arrived.same,
        replaced=arrived.replaced,
        resumed=place.rows,
    )


async def _written(
    target: Backend, table: Table, source: AsyncGenerator[Page, None], *, overwrite: bool
) -> AsyncGenerator[tuple[Sequence[Row], Sequence[int], Arrived], None]:
    """The pages once they are stored, in their order; the target is given the next one meanwhile."""
    waiting: deque[tuple[Page, asyncio.Task[Arrived]]] = deque()
    try:
        async with aclosing(ahead(source)) as stream:
            async for page in stream:
                storing = arrive(target, table, page[0], overwrite=overwrite)
                waiting.append((page, asyncio.create_task(storing)))
                if len(waiting) == AT_ONCE:
                    (rows, digests), task = waiting.popleft()
                    yield rows, digests, await task
        while waiting:
            (rows, digests), task = waiting.popleft()
            yield rows, digests, await task
    finally:
        for _, task in waiting:
            task.cancel()
        await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)


async def _summed(source: Backend, table: Table, after: Row | None) -> AsyncGenerator[Page, None]:
    """Pages with the fingerprints of their rows, which are made while the target writes."""
    async with aclosing(pages(source, table, after)) as stream:
        async for rows in stream:
            yield rows, fingerprints(table, rows)


async def _verified(route: Route, copied: CopiedTable, progress: Tell) -> CopiedTable:
    """What the target has of a table; row by row only where the sums differ.

    They do where it had other rows before, or the source changed meanwhile.
    """
    table = route.table
    tally = Tally()
    async with aclosing(ahead(pages(route.target, table))) as stream:
        async for rows in stream:
            tally.add(fingerprints(table, rows))
            progress(Progress(table.name, tally.rows, max(tally.rows, copied.rows), verifying=True))
    if (tally.rows, tally.checksum) == (copied.rows, copied.checksum):
        return msgspec.structs.replace(copied, verified=True)
    found = await compare_table(route.domain, table, route.source, route.target)
    return msgspec.structs.replace(
        copied,
        verified=not found.only_first and not found.different,
        missing=found.only_first,
        different=found.different,
        others=found.only_second,
    )
