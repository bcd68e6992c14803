"""Reading beyond what conditions can say: bounded pages, sifted in Python."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from mastra_core.storage.backend import Backend
from mastra_core.storage.paging import Window
from mastra_core.storage.schema import Order, Query, Row, Table, Where, complete


async def scan(
    backend: Backend,
    table: Table,
    where: tuple[Where, ...],
    order: Order,
    *,
    columns: tuple[str, ...] = (),
    size: int = 1000,
) -> AsyncIterator[list[Row]]:
    """All rows that match, in order, a page at a time; ``columns`` must include those of the order.

    Pages continue by key, so that the last one costs what the first one does.
    """
    names = columns or table.names
    positions = [names.index(name) for name, _ in complete(table, order)]
    last: Row | None = None
    while True:
        query = Query(where=where, order=order, limit=size, after=last, columns=columns)
        rows = await backend.find(table, query)
        if rows:
            yield rows
        if len(rows) < size:
            return
        last = tuple([rows[-1][i] for i in positions])


async def sift(
    pages: AsyncIterator[list[Row]],
    keep: Callable[[Sequence[Row]], Awaitable[Sequence[Row]]],
    asked: Window,
    *,
    with_total: bool,
) -> tuple[list[Row], int | None, bool]:
    """The rows of one page of those that ``keep`` leaves, the number of all, and if more follow.

    Without a total it stops at the first row behind the page.
    """
    end = None if asked.limit is None else asked.offset + asked.limit
    found: list[Row] = []
    seen = 0
    async for page in pages:
        kept = await keep(page)
        first = max(0, asked.offset - seen)
        found += kept[first : None if end is None else max(0, end - seen)]
        seen += len(kept)
        if not with_total and end is not None and seen > end:
            return found, None, True
    return found, seen if with_total else None, end is not None and seen > end
