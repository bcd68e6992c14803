"""Repeating what failed because the database was unavailable, where a repetition does no harm."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from mastra_core.errors import ConfigurationError, ConflictError, UnavailableError
from mastra_core.storage.backend import Backend, Capability
from mastra_core.storage.layers.base import LayerBackend, Operation
from mastra_core.storage.layers.repetition import (
    counted_again,
    known_counts,
    repeatable,
    stands,
    witness,
)
from mastra_core.storage.schema import Change

T = TypeVar("T")


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Repeats what raised ``UnavailableError``: at most ``attempts`` in all, none after ``seconds``.

    Pauses are random, from half of ``first_pause`` (in seconds) on, and double up to
    ``longest_pause``. Set-up and reads are always repeated. A write is repeated where doing it
    twice leaves what doing it once does, or where it would notice that it was done (see
    ``repetition``); any other one is not, and fails as it does without this layer.

    Where a repetition finds that rows are not as the write expects, and nothing proves that the
    first attempt was done, the error is an ``UnavailableError`` that says so: a ``ConflictError``
    would promise that nothing was written.
    """

    attempts: int = 4
    seconds: float = 10.0
    first_pause: float = 0.05
    longest_pause: float = 2.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            number: object = getattr(self, name)
            kinds = int if name == "attempts" else (int, float)
            if isinstance(number, bool) or not isinstance(number, kinds) or not number > 0:
                raise ConfigurationError(f"Retry: {name} must be above 0, not {number!r}")

    def waits(self) -> Iterator[float]:
        """The seconds to wait before each further attempt, until no more are allowed."""
        deadline, pause = time.monotonic() + self.seconds, self.first_pause
        for _ in range(self.attempts - 1):
            wait = random.uniform(pause / 2, pause)  # noqa: S311 (no secret)
            if time.monotonic() + wait > deadline:
                return
            yield wait
            pause = min(pause * 2, self.longest_pause)

    async def repeat(self, do: Callable[[], Awaitable[T]]) -> T:
        """Do what may be done more than once, again and again while the database is not there."""
        waits = self.waits()
        while True:
            try:
                return await do()
            except UnavailableError:
                wait = next(waits, None)
                if wait is None:
                    raise
            await asyncio.sleep(wait)

    def over(self, backend: Backend) -> RetryBackend:
        """The backend with what failed repeated."""
        return RetryBackend(backend, self)


class RetryBackend(LayerBackend):
    """A backend that repeats what failed because the one beneath was unavailable."""

    def __init__(self, inner: Backend, options: Retry) -> None:
        super().__init__(inner)
        self._options = options

    async def _through(self, operation: Operation, do: Callable[[], Awaitable[T]]) -> T:
        return await self._options.repeat(do)

    async def _write(self, changes: Sequence[Change]) -> list[int]:
        waits, first = self._options.waits(), None
        while True:
            try:
                counts = await self.inner.write(*changes)
            except UnavailableError as error:
                first = first or error
                wait = next(waits, None)
                if wait is None or not repeatable(changes, atomic=self._atomic):
                    raise
            except ConflictError as error:
                if first is None:
                    raise
                return await self._found(changes, first, error)
            else:
                return counts if first is None else await self._recounted(changes, counts)
            await asyncio.sleep(wait)

    @property
    def _atomic(self) -> bool:
        return Capability.ATOMIC_WRITE in self.capabilities

    async def _found(
        self, changes: Sequence[Change], first: UnavailableError, conflict: ConflictError
    ) -> list[int]:
        """The counts of a write that an earlier attempt had done; else that attempt's error."""
        row, counts = witness(changes), known_counts(changes)
        if self._atomic and row is not None and counts is not None:
            operation = Operation("find", (row.table.name,))
            if await self._through(operation, lambda: stands(self.inner, *row)):
                return counts
        raise UnavailableError(
            f"{first}; when it was repeated, rows were not as the write expects: it may have been "
            "done. Read what is stored before you write again"
        ) from conflict

    async def _recounted(self, changes: Sequence[Change], counts: list[int]) -> list[int]:
        """The counts, where rows that a lost answer told of are counted as put by this write."""
        operation = Operation("find", tuple([change.table.name for change in changes]))
        return await self._through(operation, lambda: counted_again(self.inner, changes, counts))
