"""All rows of a table, by key: bounded pages, read ahead, again where a read failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Final, TypeVar

from mastra_core.storage.backend import Backend
from mastra_core.storage.layers.retry import Retry
from mastra_core.storage.schema import Query, Row, Table, Value, Where
from mastra_core.transfer.fingerprints import cleaned, keys_of

T = TypeVar("T")
FIRST_ROWS: Final = 50
MOST_ROWS: Final = 4000
# About how much text a page has: a store of large snapshots is read a few rows at a time.
PAGE_CHARACTERS: Final = 4_000_000
# Of how many rows of a page the length is looked at.
SAMPLE: Final = 50
# Pages that wait to be written while the next one is read.
AHEAD: Final = 2
# How many keys a condition lists.
LISTED: Final = 1000
# A database that is away is asked again for a quarter of a minute.
PATIENCE: Final = Retry(attempts=8, seconds=16.0, first_pause=0.25, longest_pause=8.0)


async def patiently(do: Callable[[], Awaitable[T]]) -> T:
    """Do what is safe to repeat; again, with growing pauses, while the database is not there."""
    return await PATIENCE.repeat(do)


async def pages(
    backend: Backend, table: Table, after: Row | None = None
) -> AsyncGenerator[Sequence[Row], None]:
    """The rows behind a key, in the database's own order of keys, each key once and cleaned.

    A stream that was broken off goes on from the last key that was seen.
    """
    size, last = FIRST_ROWS, after
    while True:
        rows = await patiently(lambda n=size, k=last: backend.sweep(table, limit=n, after=k))  # type: ignore[misc]
        if not rows:
            return
        yield cleaned(table, rows if len(table.key) == 1 else once(table, rows))
        (last,) = keys_of(table, rows[-1:])
        size = _next_size(size, rows)


def once(table: Table, rows: Sequence[Row]) -> Sequence[Row]:
    """Each key once: where the original's libSQL has no key, some rows are there twice."""
    keys = keys_of(table, rows)
    return (
        rows if len(set(keys)) == len(rows) else list(dict(zip(keys, rows, strict=True)).values())
    )


def _next_size(size: int, rows: Sequence[Row]) -> int:
    """How many rows the next page may have, by how long some of this one were."""
    some = rows[:: max(1, len(rows) // SAMPLE)]
    length = sum([len(value) for row in some for value in row if isinstance(value, str)])
    fitting = PAGE_CHARACTERS * len(some) // max(length, 1)
    return max(1, min(fitting, size * 2, MOST_ROWS))


async def with_keys(backend: Backend, table: Table, keys: Sequence[Row]) -> list[Row]:
    """The rows that have these keys, in no order: in one round trip where the database can."""
    groups: dict[Row, list[Value]] = {}
    for key in keys:
        groups.setdefault(key[:-1], []).append(key[-1])
    most = min(backend.limits.page_rows, LISTED)
    queries = [
        Query(
            where=(
                *(Where(n, "eq", v) for n, v in zip(table.key, head, strict=False)),
                Where(table.key[-1], "in", tuple(tails[i : i + most])),
            ),
            limit=len(tails[i : i + most]),
        )
        for head, tails in groups.items()
        for i in range(0, len(tails), most)
    ]
    answers = await patiently(lambda: backend.find_many(table, queries))
    return list(cleaned(table, [row for answer in answers for row in answer]))


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
