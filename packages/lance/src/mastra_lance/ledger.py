"""Who writes, and what is unfinished: a lock and a journal beside the tables of one database.

LanceDB commits one table at a time and knows no unique keys. So writers take turns, and a write of
several commits is noted before its first one: which tables, as they were, and which rows. Readers
look at the note and read such tables as they were; who takes the next turn undoes what was left.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from mastra_core.errors import CorruptDataError, UnavailableError
from mastra_core.storage.loops import PerLoop, pauses
from mastra_lance.locking import try_lock, unlock

LOCK: Final = ".mastra-lock"
JOURNAL: Final = ".mastra-journal"


class Pending(msgspec.Struct, frozen=True):
    """One table of an unfinished write: as which version it was, and filters of what may differ."""

    version: int
    filters: list[str]


class State(msgspec.Struct, frozen=True):
    """What the journal says; ``generation`` counts the writes that were noted."""

    generation: int = 0
    tables: dict[str, Pending] = {}


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(State).decode


def decoded(text: bytes | str) -> State:
    """The state of a journal's text."""
    try:
        return _decode(text) if text else State()
    except msgspec.MsgspecError as error:
        raise CorruptDataError(f"the journal of unfinished writes is damaged: {error}") from error


def encoded(state: State) -> bytes:
    """The journal's text."""
    return _encode(state)


class Ledger(ABC):
    """The lock and the journal of one database; tasks of one loop come in the order they asked."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._tasks: PerLoop[asyncio.Lock] = PerLoop(asyncio.Lock)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """The only turn to write, among all processes; waits for it, or is ``UnavailableError``."""
        deadline = time.monotonic() + self._timeout
        try:
            async with asyncio.timeout(self._timeout):
                await self._tasks.get().acquire()
        except TimeoutError as error:
            raise self._busy() from error
        try:
            async with self._alone(max(0.0, deadline - time.monotonic())):
                yield
        finally:
            self._tasks.get().release()

    async def begin(self, tables: Mapping[str, Pending]) -> None:
        """Note what is about to be written."""
        state = await self.state()
        await self._note(State(state.generation + 1, dict(tables)))

    async def end(self) -> None:
        """Note that everything is written, or undone."""
        state = await self.state()
        await self._note(State(state.generation + 1))

    def _busy(self) -> UnavailableError:
        return UnavailableError(
            f"other writers held the database for more than {self._timeout:g} seconds; try again"
        )

    @abstractmethod
    def _alone(self, seconds: float) -> contextlib.AbstractAsyncContextManager[None]: ...

    @abstractmethod
    async def state(self) -> State:
        """What the journal says now."""

    @abstractmethod
    async def _note(self, state: State) -> None: ...

    @abstractmethod
    async def setup(self) -> None:
        """Create what is missing."""


class FileLedger(Ledger):
    """Two files in the folder of the database.

    The lock is the operating system's, so that it ends with the process that holds it.
    """

    def __init__(self, folder: Path, timeout: float) -> None:
        super().__init__(timeout)
        self._folder = folder

    async def setup(self) -> None:
        """Create the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)

    async def state(self) -> State:
        """What the journal says; a database without one has no unfinished write."""
        try:
            return decoded((self._folder / JOURNAL).read_bytes())
        except FileNotFoundError:
            return State()

    async def _note(self, state: State) -> None:
        path = self._folder / JOURNAL
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_bytes(encoded(state))
        beside.replace(path)

    @contextlib.asynccontextmanager
    async def _alone(self, seconds: float) -> AsyncGenerator[None]:
        file = await self._locked(seconds)
        try:
            yield
        finally:
            unlock(file)
            file.close()

    async def _locked(self, seconds: float) -> IO[Any]:
        file = (self._folder / LOCK).open("ab")
        try:
            if try_lock(file):
                return file
            async for _ in pauses(seconds):
                if try_lock(file):
                    return file
        except BaseException:
            file.close()
            raise
        file.close()
        raise self._busy()
