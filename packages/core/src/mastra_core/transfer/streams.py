"""All rows of a table in order of its key: bounded pages, read ahead, again where a read failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Final, TypeVar

from mastra_core.errors import UnavailableError
from mastra_core.storage.backend import Backend
from mastra_core.storage.schema import Order, Query, Row, Table
from mastra_core.transfer.fingerprints import keys_of

T = TypeVar("T")
FIRST_ROWS: Final = 50
MOST_ROWS: Final = 4000
# About how much text a page has: a store of large snapshots is read a few rows at a time.
PAGE_CHARACTERS: Final = 4_000_000
# Pages that wait to be written while the next one is read.
AHEAD: Final = 2
PAUSES: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


async def patiently(do: Callable[[], Awaitable[T]]) -> T:
    """Do what is safe to repeat; again, with growing pauses, while the database is not there."""
    for pause in PAUSES:
        try:
            return await do()
        except UnavailableError:
            await asyncio.sleep(pause)
    return await do()


async def pages(
    backend: Backend, table: Table, after: Row | None = None
) -> AsyncGenerator[Sequence[Row], None]:
    """The rows behind a key, in order of the key, each key once.

    Page after page continues by key, so that the last one costs what the first one does, and a
    stream that was broken off goes on from the last key that was seen.
    """
    order: Order = tuple([(name, "asc") for name in table.key])
    size, last = min(FIRST_ROWS, backend.limits.page_rows), after
    while True:
        query = Query(order=order, limit=size, after=last)
        rows = await patiently(lambda query=query: backend.find(table, query))  # type: ignore[misc]
        if rows:
            keys = keys_of(table, rows)
            each = rows if len(set(keys)) == len(rows) else dict(zip(keys, rows, strict=True)).values()
            yield list(each)
            last = keys[-1]
        if len(rows) < size:
            return
        size = _next_size(size, rows)


def _next_size(size: int, rows: Sequence[Row]) -> int:
    """How many rows the next page may have, by how long those of this one were."""
    length = sum([len(value) for row in rows for value in row if isinstance(value, str)])
    fitting = PAGE_CHARACTERS * len(rows) // max(length, 1)
    return max(1, min(fitting, size * 2, MOST_ROWS))


async def ahead(stream: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The same items, some of them read while the one before is still worked on."""
    queue: asyncio.Queue[T | _End] = asyncio.Queue(AHEAD)

    async def read() -> None:
        end = _End()
        try:
            async with aclosing(stream):
                async for item in stream:
                    await queue.put(item)
        except Exception as error:  # noqa: BLE001 (raised where the items are taken)
            end.error = error
        await queue.put(end)

    reading = asyncio.create_task(read())
    try:
        while not isinstance(item := await queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading


class _End:
    """What comes behind the last item, with the error that it ended by, if it did."""

    error: Exception | None = None
