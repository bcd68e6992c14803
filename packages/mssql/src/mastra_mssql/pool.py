"""Connections: some threads for each set of settings, each call on one with a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar
from weakref import WeakSet

from mastra_core.errors import UnavailableError
from mastra_core.storage.loops import PerLoop
from mastra_mssql.driver import connect
from mastra_mssql.settings import Settings

T = TypeVar("T")
# After how many seconds a connection is asked whether it still is one, before something is written.
FRESH: Final = 1.0
GRACE: Final = 5.0


class Pool:
    """The connections of some settings, used by threads of its own: drivers wait for the server.

    It belongs to no event loop. A connection on which a call failed is closed, and not used again.
    """

    def __init__(self, settings: Settings, given: Any = None) -> None:
        self.settings = settings
        self.users: WeakSet[object] = WeakSet()
        self.opened = 0
        self._given = given
        self._idle: list[tuple[Any, float]] = []
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._closings = 0
        self._gates = PerLoop(lambda: asyncio.Semaphore(settings.max_size))

    async def run(self, do: Callable[[Any], T], *, writes: bool = False) -> T:
        """What something does on a connection, within the time that there is.

        A call that is cancelled does not wait, though its batch may still be done as a whole; its
        connection is given back when it is.
        """
        gate = self._gates.get()
        try:
            async with asyncio.timeout(self.settings.pool_timeout):
                await gate.acquire()
        except TimeoutError:
            raise self._exhausted() from None
        loop = asyncio.get_running_loop()
        try:
            future = loop.run_in_executor(self._executor(), self._on_connection, do, writes)
        except BaseException:
            gate.release()
            raise
        future.add_done_callback(lambda done: _ended(gate, done))
        bound = self.settings.statement_timeout + self.settings.connect_timeout + GRACE
        try:
            async with asyncio.timeout(bound):
                return await asyncio.shield(future)
        except TimeoutError:
            raise UnavailableError(
                f"{self.settings.place} gave no answer within {bound:g} s; what was to be written "
                "may have been"
            ) from None

    async def close(self) -> None:
        """Close what is idle now, and the rest when it has done its work; use opens it again."""
        with self._lock:
            idle, self._idle = self._idle, []
            threads, self._threads = self._threads, None
            self._closings += 1
        if threads is None:
            return
        # Taking leave of the server waits for it, too.
        loop = asyncio.get_running_loop()
        closing = [loop.run_in_executor(threads, _close, connection) for connection, _ in idle]
        threads.shutdown(wait=False)
        if closing:
            await asyncio.wait(closing, timeout=GRACE)

    def _executor(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(
                    self.settings.max_size, thread_name_prefix="mastra-mssql"
                )
            return self._threads

    def _on_connection(self, do: Callable[[Any], T], writes: bool) -> T:  # noqa: FBT001
        if self._given is not None:
            return self._borrowing(do)
        closings = self._closings
        connection = self._take(writes=writes)
        try:
            answer = do(connection)
        except BaseException:
            _close(connection)
            raise
        with self._lock:
            if closings == self._closings:
                self._idle.append((connection, time.monotonic()))
                return answer
        _close(connection)
        return answer

    def _borrowing(self, do: Callable[[Any], T]) -> T:
        """The same on the caller's connection, which is left as it was."""
        connection = self._given
        by_itself = connection.autocommit
        if not by_itself:
            connection.autocommit = True
        try:
            return do(connection)
        finally:
            if not by_itself:
                connection.autocommit = False

    def _take(self, *, writes: bool) -> Any:
        while True:
            with self._lock:
                if not self._idle:
                    break
                connection, since = self._idle.pop()
            if not writes or time.monotonic() - since < FRESH or _answers(connection):
                return connection
            _close(connection)
        connection = connect(self.settings)
        self.opened += 1
        return connection

    def _exhausted(self) -> UnavailableError:
        return UnavailableError(
            f"all {self.settings.max_size} connections to {self.settings.place} were in use for "
            f"{self.settings.pool_timeout:g} s; raise max_size, or do less at once"
        )


def _ended(gate: asyncio.Semaphore, done: asyncio.Future[Any]) -> None:
    """Let the next call have the connection, also where nobody waits for this one any more."""
    gate.release()
    if not done.cancelled():
        done.exception()


def _answers(connection: Any) -> bool:
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT 1").fetchall()
        cursor.close()
    except Exception:  # noqa: BLE001 (whatever it is, the connection is of no use)
        return False
    return True


def _close(connection: Any) -> None:
    with contextlib.suppress(Exception):
        connection.close()


_pools: dict[Settings, Pool] = {}
_lock = threading.Lock()


def shared(settings: Settings, user: object) -> Pool:
    """The pool of these settings, with one user more."""
    with _lock:
        pool = _pools.get(settings)
        if pool is None:
            pool = _pools[settings] = Pool(settings)
        pool.users.add(user)
        return pool


async def leave(settings: Settings, user: object) -> None:
    """One user less; the last one closes the pool."""
    with _lock:
        pool = _pools.get(settings)
        if pool is None:
            return
        pool.users.discard(user)
        if pool.users:
            return
        del _pools[settings]
    await pool.close()
