"""Connections: one pool for each event loop and settings, shared by all that use it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import select
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final, TypeAlias, cast
from weakref import WeakSet

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor, OperationalError
from psycopg.conninfo import make_conninfo
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from mastra_core.errors import UnavailableError
from mastra_core.storage.loops import PerLoop, at_end_of_loop
from mastra_core.storage.sql import Statement
from mastra_pg.settings import Settings

Connection: TypeAlias = AsyncConnection[Any]
DEFAULTS: Final = {
    "application_name": "mastra",
    "client_encoding": "UTF8",
    # A network that swallows packets is noticed after half a minute, not after hours.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
# Each statement of a write must see what was committed before it, not before the first.
ISOLATION: Final = r"-c default_transaction_isolation=read\ committed"
PREPARED: Final = 200
_forgotten = itertools.count()
# Connections of callers' pools that were not in autocommit, while they are used here.
_borrowed: WeakSet[AsyncConnection[Any]] = WeakSet()
_ERRORS: Final = select.POLLIN | select.POLLERR | select.POLLHUP


def conninfo(settings: Settings) -> str:
    """What libpq connects with; bounds on time are part of it, so that no call has to set them."""
    target = {
        **DEFAULTS,
        "connect_timeout": str(max(2, round(settings.connect_timeout))),
        **dict(settings.target),
    }
    if settings.prepared:
        # A transaction-mode pooler refuses these parameters, or mixes up whose settings they are.
        bound = f"-c statement_timeout={round(settings.statement_timeout * 1000)}"
        target["options"] = f"{ISOLATION} {bound} {target.get('options', '')}".strip()
    return make_conninfo("", **target)


async def connect(settings: Settings) -> Connection:
    """One connection of its own, whose failure to connect is raised as it is."""
    async with asyncio.timeout(settings.connect_timeout + 1):
        return await AsyncConnection.connect(
            conninfo(settings),
            autocommit=True,
            prepare_threshold=5 if settings.prepared else None,
        )


class _Waiting:
    """The queue of a pool's worker, which gives a cancelled worker nothing more to do."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    async def get(self) -> Any:
        """The next task; what was cancelled while it did the one before ends here."""
        current = asyncio.current_task()
        if current is not None and current.cancelling():
            raise asyncio.CancelledError
        return await self._queue.get()


class Pool(AsyncConnectionPool[Connection]):
    """A pool whose workers end with their loop.

    Opening a connection may swallow that it was cancelled (``asyncio.wait_for`` does where both
    happen at once); the worker would then wait for ever, and ``asyncio.run`` for the worker.
    """

    @classmethod
    async def worker(cls, q: Any) -> None:
        """Do what the queue has, until there is an end."""
        await super().worker(cast("Any", _Waiting(q)))


class SharedPool:
    """The pool of one loop and one set of settings; closed when its last user leaves."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.users: WeakSet[object] = WeakSet()
        self.version = 0
        self._pool: AsyncConnectionPool[Connection] | None = None
        self._opening = asyncio.Lock()
        self._closing: AsyncGenerator[None, None] | None = None
        self._made: WeakSet[Connection] = WeakSet()

    async def opened(self) -> AsyncConnectionPool[Connection]:
        """The open pool.

        A pool would try again and again and only say that it took too long; so the first
        connection is tried here, where what is wrong with it can be told.
        """
        if self._pool is not None:
            return self._pool
        async with self._opening:
            pool = self._pool
            if pool is None:
                tried = await connect(self.settings)
                self.version = tried.info.server_version
                await tried.close()
                pool = Pool(
                    conninfo(self.settings),
                    kwargs={
                        "autocommit": True,
                        "prepare_threshold": 5 if self.settings.prepared else None,
                    },
                    configure=self._configured,
                    min_size=self.settings.min_size,
                    max_size=self.settings.max_size,
                    timeout=self.settings.pool_timeout,
                    open=False,
                    name=f"mastra {self.settings.place}",
                )
                await pool.open()
                self._closing = at_end_of_loop(self._abandon)
                self._pool = pool
        return pool

    async def close(self) -> None:
        """Close the connections; the next use opens them again."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def _configured(self, connection: Connection) -> None:
        connection.prepared_max = PREPARED
        self._made.add(connection)

    async def _abandon(self) -> None:
        """Close all at the end of the loop, which has already cancelled the pool's own tasks.

        Waiting for those raises before the pool has closed its connections.
        """
        with contextlib.suppress(asyncio.CancelledError):
            await self.close()
        for connection in list(self._made):
            await connection.close()


_shared: PerLoop[dict[Settings, SharedPool]] = PerLoop(dict)


def shared(settings: Settings, user: object) -> SharedPool:
    """The running loop's pool for these settings, with one user more."""
    pools = _shared.get()
    pool = pools.get(settings)
    if pool is None:
        pool = pools[settings] = SharedPool(settings)
    pool.users.add(user)
    return pool


async def leave(settings: Settings, user: object) -> None:
    """One user less; the last one closes the pool."""
    pools = _shared.get()
    pool = pools.get(settings)
    if pool is None:
        return
    pool.users.discard(user)
    if not pool.users:
        del pools[settings]
        await pool.close()


def alive(connection: Connection) -> bool:
    """Whether an idle connection is still one, without asking the server.

    A server that ended it has said so: there is something to read. It costs microseconds, so that
    it is asked before every use, and nothing is sent on a connection that cannot answer.
    """
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), _ERRORS)
    if not poll.poll(0):
        return True
    with contextlib.suppress(OperationalError):
        # Other things may be read, too: notices, and settings that changed.
        connection.pgconn.consume_input()
        return connection.pgconn.status == 0 and not poll.poll(0)
    return False


async def take(pool: AsyncConnectionPool[Connection], settings: Settings) -> Connection:
    """A live connection of the pool, to be given back by ``give``."""
    try:
        connection = await pool.getconn(settings.pool_timeout)
        if not alive(connection):
            connection = await _another(pool, settings, connection)
    except PoolTimeout:
        raise exhausted(pool, settings) from None
    if not connection.autocommit:
        await connection.set_autocommit(True)
        _borrowed.add(connection)
    return connection


async def _another(
    pool: AsyncConnectionPool[Connection], settings: Settings, dead: Connection
) -> Connection:
    """A live connection instead of one that the server ended; after a restart all are."""
    deadline = time.monotonic() + settings.pool_timeout
    while True:
        await dead.close()
        await pool.putconn(dead)
        connection = await pool.getconn(max(0.001, deadline - time.monotonic()))
        if alive(connection):
            return connection
        dead = connection


async def give(pool: AsyncConnectionPool[Connection], connection: Connection) -> None:
    """Give a connection back as it was."""
    if connection in _borrowed:
        _borrowed.discard(connection)
        if not connection.closed:
            await connection.set_autocommit(False)
    await pool.putconn(connection)


def exhausted(pool: AsyncConnectionPool[Connection], settings: Settings) -> UnavailableError:
    """Why a pool gave no connection."""
    found = pool.get_stats()
    size, most = found.get("pool_size", 0), pool.max_size
    seconds = f"{settings.pool_timeout:g} s"
    if found.get("connections_errors") and size < most:
        return UnavailableError(
            f"{settings.place} gave no connection within {seconds}: the server cannot be reached"
        )
    return UnavailableError(
        f"all {most} connections to {settings.place} were in use for {seconds}; raise max_size, or "
        "do less at once"
    )


async def sent(connection: Connection, statement: Statement) -> AsyncRawCursor[Any]:
    """The cursor of a statement that was executed, whatever the connection's own kind of rows."""
    cursor = AsyncRawCursor(connection, row_factory=tuple_row)
    # As bytes, since type checkers believe that other text than literals is dangerous.
    await cursor.execute(statement.sql.encode(), statement.params)
    return cursor


async def pipelined(
    connection: Connection, statements: Sequence[Statement]
) -> list[AsyncRawCursor[Any]]:
    """The cursors of statements that were sent together, and are one transaction."""
    try:
        async with connection.pipeline():
            return [await sent(connection, statement) for statement in statements]
    except psycopg.Error:
        if not connection.closed:
            # The server skipped what came behind the failure, but the driver believes that it
            # prepared statements there. This makes both forget all of them: the driver looks at
            # the outcome of a text only when it meets it for the first time.
            await sent(connection, Statement(f"DEALLOCATE ALL /* {next(_forgotten)} */"))
        raise
