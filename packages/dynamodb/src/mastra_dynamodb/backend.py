"""DynamoDB as a backend: one table, a client of boto3, and a few threads that it blocks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Final, TypeVar

from mastra_core.errors import MastraError
from mastra_core.storage.backend import Backend, Capability, Limits
from mastra_core.storage.schema import Change, Query, Row, Table, Where
from mastra_dynamodb.errors import translated
from mastra_dynamodb.layout import TableLayout
from mastra_dynamodb.options import DynamoDBOptions, checked
from mastra_dynamodb.rows import Rows
from mastra_dynamodb.spread import Spread
from mastra_dynamodb.table import described, is_shared
from mastra_dynamodb.transactions import Transactions
from mastra_dynamodb.wire import THREADS, Wire, keep_discreet, make_client
from mastra_dynamodb.writes import Writes

T = TypeVar("T")
# Values of more than 190 KB are split over several items; this is what is sensible, not what fits.
VALUE_BYTES: Final = 8_000_000
EXPIRY: Final = ("ttl", "expiresAt")


class DynamoDBBackend(Backend):
    """One DynamoDB table.

    The driver blocks, so every operation is a job of a bounded number of threads, from its first
    request to its last: a cancelled task does not stop it half-way. Reads are consistent, unless
    the table is shared with the TypeScript framework, whose indexes are not.
    """

    name: ClassVar[str] = "DynamoDB"
    limits: ClassVar[Limits] = Limits(value_bytes=VALUE_BYTES)

    def __init__(self, options: DynamoDBOptions) -> None:
        super().__init__()
        self._options = options
        self.place = options.table_name
        self._shared = options.shared
        if options.shared:
            self._eventual()
        lifetimes = options.lifetimes()
        expiry = tuple(dict.fromkeys((*EXPIRY, *(life.attribute for life in lifetimes.values()))))
        self._expiry = expiry
        self._layouts: dict[str, TableLayout] = {}
        self._lock = threading.Lock()
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._wire = Wire(self._client, options.table_name, options.timeout)
        self._spread = Spread(lambda: self._pool("requests"))
        transactions = Transactions(self._wire, self._spread)
        self._rows = Rows(self._wire, transactions, self._layout, self._spread, expiry)
        self._writes = Writes(self._wire, transactions, self._rows, self._layout, lifetimes)

    def __repr__(self) -> str:
        return f"DynamoDBBackend({self._options.table_name!r})"

    def declare(self, *tables: Table) -> None:
        """Say which tables will be used; the first declaration of each says which indexes it has.

        An index that only some of the writers knew would lack what the others write. So those that
        are added later, as for ``retention``, are done without.
        """
        super().declare(*(self._declared.get(table.name, table) for table in tables))

    async def server(self) -> str:
        """The address that the client talks to, which has answered."""

        def ask() -> str:
            described(self._wire)
            return str(self._wire.client.meta.endpoint_url)

        return await self._job(ask)

    async def adopt(self, *tables: Table) -> int:
        """Give rows that the TypeScript framework wrote their index items; how many there were.

        Reads the whole table once for each of ``tables`` (default: all that are declared).
        """
        await self.setup(tables)
        chosen = tables or tuple(self._declared.values())
        return await self._job(lambda: sum([self._writes.adopt(table) for table in chosen]))

    async def _setup(self, tables: Sequence[Table]) -> None:
        await self._job(lambda: self._look(create=self._options.create_table))

    async def _lacking(self, tables: Sequence[Table]) -> Sequence[str] | None:
        there = await self._job(lambda: described(self._wire))
        return [] if there is not None else [f"CreateTable {self._options.table_name}"]

    async def _find(self, table: Table, query: Query) -> list[Row]:
        return await self._job(lambda: self._rows.find(table, query))

    async def _find_many(self, table: Table, queries: Sequence[Query]) -> list[list[Row]]:
        return await self._job(
            lambda: self._spread(lambda query: self._rows.find(table, query), queries)
        )

    async def _sweep(self, table: Table, limit: int, after: Row | None) -> list[Row]:
        return await self._job(lambda: self._rows.sweep(table, limit, after))

    async def _count(self, table: Table, where: Sequence[Where]) -> int:
        return await self._job(lambda: self._rows.count(table, where))

    async def _write(self, changes: Sequence[Change]) -> list[int]:
        return await self._job(lambda: self._writes.write(changes))

    async def _close(self) -> None:
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
            client = self._wire.forget()
        for pool in pools:
            pool.shutdown(wait=False)
        if client is not None and self._options.client is None:
            client.close()

    def _client(self) -> Any:
        keep_discreet()
        options = self._options
        if options.client is not None:
            return options.client
        return make_client(
            options.settings(), workers=2 * options.max_workers, timeout=options.timeout
        )

    def _look(self, *, create: bool = False) -> None:
        """Look at the table, create it if that is allowed, and see whose indexes it has."""
        shared = is_shared(self._wire, create=create, shared=self._options.shared)
        if shared:
            self._eventual()
        if shared is not self._shared:
            self._shared = shared
            self._layouts = {}

    def _eventual(self) -> None:
        promised = type(self).capabilities - {Capability.CONSISTENT_READ}
        self.capabilities = promised  # type: ignore[misc]

    def _layout(self, table: Table) -> TableLayout:
        if self._shared is None:
            self._look()
        found = self._layouts.get(table.name)
        if found is None:
            declared = self._declared.get(table.name, table)
            found = TableLayout(declared, shared=bool(self._shared), expiry=self._expiry)
            self._layouts[table.name] = found
        return found

    async def _job(self, do: Callable[[], T]) -> T:
        """Do something that blocks, in one of the threads for it."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool("calls"), do)
        except MastraError:
            raise
        except Exception as error:
            known = translated(error, self._options.table_name, "answer")
            if known is None:
                raise
            raise known from error

    def _pool(self, name: str) -> ThreadPoolExecutor:
        with self._lock:
            pool = self._pools.get(name)
            if pool is None:
                pool = self._pools[name] = ThreadPoolExecutor(
                    self._options.max_workers, thread_name_prefix=f"{THREADS}-{name}"
                )
            return pool


def open_backend(**given: Any) -> DynamoDBBackend:
    """The backend of a table; nothing is opened before the first operation."""
    return DynamoDBBackend(checked(given))
