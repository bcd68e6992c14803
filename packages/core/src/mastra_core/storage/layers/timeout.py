"""A bound for each operation: what takes longer is cancelled, and is an ``UnavailableError``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from mastra_core.errors import ConfigurationError, UnavailableError
from mastra_core.storage.backend import Backend
from mastra_core.storage.layers.base import LayerBackend, Operation

T = TypeVar("T")


class Timeout(msgspec.Struct, frozen=True, kw_only=True):
    """Cancels an operation that takes longer than ``seconds``; ``setup`` is the bound of set-up.

    The error is an ``UnavailableError``. A write that was cancelled may have been done all the
    same. A driver that works inside this process without waiting cannot be cancelled.
    """

    seconds: float = 30.0
    setup: float = 300.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            bound: object = getattr(self, name)
            if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not bound > 0:
                raise ConfigurationError(
                    f"Timeout: {name} must be a number of seconds above 0, not {bound!r}"
                )

    def over(self, backend: Backend) -> TimeoutBackend:
        """The backend with its operations bounded."""
        return TimeoutBackend(backend, self)


class TimeoutBackend(LayerBackend):
    """A backend whose operations are bounded in time."""

    def __init__(self, inner: Backend, options: Timeout) -> None:
        super().__init__(inner)
        self._options = options

    async def _through(self, operation: Operation, do: Callable[[], Awaitable[T]]) -> T:
        options = self._options
        bound = options.setup if operation.kind == "setup" else options.seconds
        try:
            async with asyncio.timeout(bound):
                return await do()
        except TimeoutError as error:
            perhaps = " (it may have been done all the same)" if operation.kind == "write" else ""
            raise UnavailableError(
                f"{self.name} did not end the {operation.kind} of {', '.join(operation.tables)} "
                f"within {bound:g} s{perhaps}; try again, or allow it more time"
            ) from error
