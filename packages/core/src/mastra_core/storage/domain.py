"""What all storage domains share: tables on a backend, set-up, and the retry of lost races."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar, TypeVar

from mastra_core.errors import ConflictError
from mastra_core.storage.backend import Backend
from mastra_core.storage.schema import Table

T = TypeVar("T")
ATTEMPTS = 200


class StorageDomain:
    """One domain over one backend; every rule is here or in a subclass, none in an adapter.

    ``retention`` names the tables that may be pruned by age, with the column that gives the age.
    """

    name: ClassVar[str]
    tables: ClassVar[tuple[Table, ...]]
    retention: ClassVar[Mapping[str, tuple[Table, str]]] = {}

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        backend.declare(*self.tables)

    async def init(self) -> None:
        """Create what is missing of the domain's tables; otherwise done by the first operation."""
        await self.backend.setup(self.tables)

    async def close(self) -> None:
        """Release what the backend opened; using the domain again opens it again."""
        await self.backend.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.backend!r})"


async def until_applied(attempt: Callable[[], Awaitable[T]]) -> T:
    """Read, change and write again until no other writer came in between.

    ``attempt`` reads, and writes on condition of what it read. The waits are random and grow, so
    that many writers of one row all get their turn.
    """
    for number in range(1, ATTEMPTS):
        try:
            return await attempt()
        except ConflictError:
            await asyncio.sleep(random.uniform(0, min(0.05, 0.001 * number)))  # noqa: S311
    return await attempt()
