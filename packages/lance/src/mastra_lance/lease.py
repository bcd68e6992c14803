"""The lock and the journal of a database in an object store: one row of a table of their own.

Object stores have no locks, but LanceDB's commits there are optimistic: of two updates of one row
the later one is done again on what the earlier one left. So a turn is a lease: whoever finds it free
or run out takes it, and extends it while the write lasts.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from mastra_core.errors import UnavailableError
from mastra_core.storage.loops import pauses
from mastra_lance.driver import pa
from mastra_lance.ledger import Ledger, State, decoded, encoded
from mastra_lance.literals import literal, name

TABLE: Final = "mastra_lance_ledger"
LEASE: Final = 30.0
EVERY: Final = 100
KEPT: Final = timedelta(minutes=1)
_SCHEMA: Final = pa.schema(
    [
        pa.field("holder", pa.string()),
        pa.field("until", pa.float64()),
        pa.field("journal", pa.string()),
    ]
)
_FREE: Final = pa.Table.from_pylist([{"holder": "", "until": 0.0, "journal": ""}], schema=_SCHEMA)


class LeaseLedger(Ledger):
    """A table with one row: who writes, until when, and what is unfinished."""

    def __init__(
        self, connection: Callable[[], Awaitable[Any]], timeout: float, lease: float = LEASE
    ) -> None:
        super().__init__(timeout)
        self._connection = connection
        self._lease = lease

    async def setup(self) -> None:
        """Create the table with its row; of several that try one succeeds."""
        connection = await self._connection()
        with contextlib.suppress(ValueError):
            await connection.open_table(TABLE)
            return
        try:
            await connection.create_table(TABLE, _FREE)
        except ValueError as error:
            if "already exists" not in str(error):
                raise

    async def state(self) -> State:
        """What the journal says; a database without one has no unfinished write."""
        try:
            table = await self._table()
        except ValueError as error:
            if "was not found" in str(error):
                return State()
            raise
        rows = (await table.query().select(["journal"]).limit(1).to_arrow()).to_pylist()
        return decoded(rows[0]["journal"]) if rows else State()

    async def _note(self, state: State) -> None:
        table = await self._table()
        await table.update({"journal": encoded(state).decode()})

    @contextlib.asynccontextmanager
    async def _alone(self, seconds: float) -> AsyncGenerator[None]:
        holder = uuid4().hex
        await self._taken(holder, seconds)
        begun = int(await (await self._table()).version())
        extending = asyncio.ensure_future(self._extend(holder))
        try:
            yield
        finally:
            extending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await extending
            table = await self._table()
            await table.update(
                {"holder": "", "until": 0.0}, where=f"{name('holder')} = {literal(holder)}"
            )
            if begun // EVERY != int(await table.version()) // EVERY:
                # Every turn leaves some versions, which nobody needs.
                await table.optimize(cleanup_older_than=KEPT)

    async def _taken(self, holder: str, seconds: float) -> None:
        if await self._take(holder):
            return
        async for _ in pauses(seconds):
            if await self._take(holder):
                return
        raise self._busy()

    async def _take(self, holder: str) -> bool:
        free = f"{name('holder')} = '' OR {name('until')} < {literal(time.time())}"
        table = await self._table()
        # An update that finds nothing would still commit a version.
        if not await table.count_rows(free):
            return False
        done = await table.update(
            {"holder": holder, "until": time.time() + self._lease}, where=free
        )
        return bool(done.rows_updated)

    async def _extend(self, holder: str) -> None:
        mine = f"{name('holder')} = {literal(holder)}"
        while True:
            await asyncio.sleep(self._lease / 3)
            table = await self._table()
            done = await table.update({"until": time.time() + self._lease}, where=mine)
            if not done.rows_updated:
                raise UnavailableError("the turn to write was lost: it was not extended in time")

    async def _table(self) -> Any:
        connection = await self._connection()
        return await connection.open_table(TABLE)
