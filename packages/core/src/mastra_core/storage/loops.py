"""What belongs to one event loop: connections and locks for stores that outlive their loops."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Hashable,
    Iterable,
)
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One value for each running event loop, made when first asked for.

    A store may be built outside any loop and used from several in turn; what its driver binds to a
    loop (a session, a pool, a lock) is kept here. Values of loops that are gone are forgotten.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = WeakKeyDictionary()

    def get(self) -> T:
        """The running loop's value."""
        loop = asyncio.get_running_loop()
        value = self._values.get(loop)
        if value is None:
            value = self._values[loop] = self._make()
        return value

    def pop(self) -> T | None:
        """The running loop's value, if one was made; it is forgotten, so that it can be closed."""
        return self._values.pop(asyncio.get_running_loop(), None)


def at_end_of_loop(close: Callable[[], Awaitable[object]]) -> AsyncGenerator[None, None]:
    """Have something closed at the end of the running loop, or when what is returned is dropped.

    Every way to run a loop to its end (``asyncio.run``, ``Runner``) closes its asynchronous
    generators, so one that waits is the place to release what belongs to the loop.
    """

    async def wait() -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await close()

    waiting = wait()
    with contextlib.suppress(StopIteration):
        waiting.__anext__().send(None)
    return waiting


class Turns:
    """Lets tasks that change the same thing take turns, so that they do not race each other.

    Correctness never rests on it (other processes take no turns): it saves the lost attempts.
    """

    def __init__(self) -> None:
        self._locks: PerLoop[WeakValueDictionary[Hashable, asyncio.Lock]] = PerLoop(
            WeakValueDictionary
        )

    def at(self, key: Hashable) -> asyncio.Lock:
        """The running loop's lock for a key; it is forgotten when nobody holds or awaits it."""
        locks = self._locks.get()
        lock = locks.get(key)
        if lock is None:
            lock = locks[key] = asyncio.Lock()
        return lock

    @contextlib.asynccontextmanager
    async def all(self, keys: Iterable[tuple[str, ...]]) -> AsyncGenerator[None, None]:
        """Hold the locks of several keys; everybody takes them in one order, so that nobody is stuck."""
        async with contextlib.AsyncExitStack() as held:
            for key in sorted(set(keys)):
                await held.enter_async_context(self.at(key))
            yield


async def pauses(seconds: float) -> AsyncIterator[None]:
    """Waits between attempts, at random and longer each time, until so many seconds have passed."""
    deadline, pause = time.monotonic() + seconds, 0.001
    while time.monotonic() < deadline:
        await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 (no secret)
        pause = min(pause * 1.5, 0.05)
        yield


class Once:
    """Something that is done once, however many tasks ask at the same time; a failure is not done."""

    def __init__(self) -> None:
        self.done = False
        self._locks: PerLoop[asyncio.Lock] = PerLoop(asyncio.Lock)

    async def run(self, do: Callable[[], Awaitable[None]]) -> None:
        """Do it unless it is done; whoever comes meanwhile waits for the outcome."""
        if self.done:
            return
        async with self._locks.get():
            if not self.done:
                await do()
                self.done = True
