"""Requests that do not need each other, sent at once by a bounded number of threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Spread:
    """Does one thing for many values at once; what that in turn spreads goes one by one."""

    def __init__(self, pool: Callable[[], Executor]) -> None:
        self._pool = pool
        self._inside = threading.local()

    def __call__(self, do: Callable[[T], R], over: Iterable[T]) -> list[R]:
        """The answers for all values, in their order."""
        asked = list(over)
        if len(asked) < 2 or getattr(self._inside, "now", False):
            return [do(one) for one in asked]

        def inside(one: T) -> R:
            # A worker that waited for others of its pool could wait for ever.
            self._inside.now = True
            return do(one)

        return list(self._pool().map(inside, asked))
