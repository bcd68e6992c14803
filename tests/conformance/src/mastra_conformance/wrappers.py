"""Backends around the adapter's own: one that counts, one that fails as networks do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, TypeAlias, TypeVar

from mastra_core.errors import UnavailableError
from mastra_core.storage.backend import Backend
from mastra_core.storage.schema import Change, Query, Row, Table, Where

T = TypeVar("T")
Cut: TypeAlias = Literal["before", "after"]


class Wrapper(Backend):
    """Passes every operation on; ``operations`` counts them, one for each round trip."""

    def __init__(self, inner: Backend) -> None:
        super().__init__()
        self.inner = inner
        self.operations: list[str] = []
        # What an instance says of its class holds for the wrapper too.
        self.capabilities = inner.capabilities  # type: ignore[misc]
        self.limits = inner.limits  # type: ignore[misc]
        self.name = inner.name  # type: ignore[misc]

    async def around(self, what: str, do: Callable[[], Awaitable[T]]) -> T:
        """One operation; a subclass does more."""
        self.operations.append(what)
        return await do()

    def declare(self, *tables: Table) -> None:
        """Passed on."""
        self.inner.declare(*tables)

    async def setup(self, tables: Sequence[Table] = ()) -> None:
        """Passed on; setting up is counted as no operation."""
        await self.inner.setup(tables)

    async def find(self, table: Table, query: Query) -> list[Row]:
        """Passed on."""
        return await self.around(f"find {table.name}", lambda: self.inner.find(table, query))

    async def find_many(self, table: Table, queries: Sequence[Query]) -> list[list[Row]]:
        """Passed on; one round trip however many queries, none where there are none."""
        if not queries:
            return []
        return await self.around(
            f"find_many {table.name}", lambda: self.inner.find_many(table, queries)
        )

    async def count(self, table: Table, where: Sequence[Where] = ()) -> int:
        """Passed on."""
        return await self.around(f"count {table.name}", lambda: self.inner.count(table, where))

    async def write(self, *changes: Change) -> list[int]:
        """Passed on."""
        tables = "+".join(dict.fromkeys(change.table.name for change in changes))
        return await self.around(f"write {tables}", lambda: self.inner.write(*changes))

    async def server(self) -> str:
        """Passed on."""
        return await self.inner.server()

    async def close(self) -> None:
        """Passed on."""
        await self.inner.close()

    async def _setup(self, tables: Sequence[Table]) -> None:
        raise AssertionError("a wrapper passes public operations on")

    async def _find(self, table: Table, query: Query) -> list[Row]:
        raise AssertionError("a wrapper passes public operations on")

    async def _count(self, table: Table, where: Sequence[Where]) -> int:
        raise AssertionError("a wrapper passes public operations on")

    async def _write(self, changes: Sequence[Change]) -> list[int]:
        raise AssertionError("a wrapper passes public operations on")


class Faulty(Wrapper):
    """Cuts the connection at chosen operations: before they are sent, or after they were done.

    ``plan`` has one entry for each operation to come; behind its end all goes well.
    """

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.plan: list[Cut | None] = []

    async def around(self, what: str, do: Callable[[], Awaitable[T]]) -> T:
        """One operation, cut if it is planned to be."""
        cut = self.plan.pop(0) if self.plan else None
        if cut == "before":
            raise UnavailableError(f"the connection was cut before: {what}")
        done = await super().around(what, do)
        if cut == "after":
            raise UnavailableError(f"the connection was cut after: {what}")
        return done


class Yielding(Wrapper):
    """Lets other tasks in before and behind every operation, as a network does by itself.

    Backends that never wait would otherwise run whole domain calls one after the other, and hide
    what happens when they overlap.
    """

    async def around(self, what: str, do: Callable[[], Awaitable[T]]) -> T:
        """One operation, among those of others."""
        for _ in range(random.randrange(3)):
            await asyncio.sleep(0)
        done = await super().around(what, do)
        for _ in range(random.randrange(3)):
            await asyncio.sleep(0)
        return done
