"""A gate of threads: many who read go through at once, who writes goes alone."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Hashable
from contextlib import AbstractContextManager, contextmanager
from typing import Final
from weakref import WeakValueDictionary

# What is counted inside when one is there alone.
ALONE: Final = -1


class Gate:
    """Lets threads in as they come, so that neither readers nor writers wait for ever.

    Who leaves lets the next ones in, before anybody who comes later can be quicker. A thread that is
    inside must not ask to go in again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._waiting: deque[tuple[bool, threading.Event]] = deque()

    def together(self) -> AbstractContextManager[None]:
        """Be inside with others who are there together, but with nobody who is alone."""
        return self._inside_as(alone=False)

    def alone(self) -> AbstractContextManager[None]:
        """Be inside with nobody else."""
        return self._inside_as(alone=True)

    @contextmanager
    def _inside_as(self, *, alone: bool) -> Generator[None]:
        self._enter(alone=alone)
        try:
            yield
        finally:
            self._leave()

    def _enter(self, *, alone: bool) -> None:
        with self._lock:
            if not self._waiting and self._let_in(alone=alone):
                return
            turn = threading.Event()
            self._waiting.append((alone, turn))
        turn.wait()

    def _leave(self) -> None:
        with self._lock:
            self._inside = 0 if self._inside == ALONE else self._inside - 1
            while self._waiting and self._let_in(alone=self._waiting[0][0]):
                self._waiting.popleft()[1].set()

    def _let_in(self, *, alone: bool) -> bool:
        if self._inside == ALONE or (alone and self._inside):
            return False
        self._inside = ALONE if alone else self._inside + 1
        return True


class Gates:
    """One gate for each key, for everybody in this process; it is forgotten when nobody uses it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gates: WeakValueDictionary[Hashable, Gate] = WeakValueDictionary()

    def at(self, key: Hashable) -> Gate:
        """The gate of a key."""
        with self._lock:
            gate = self._gates.get(key)
            if gate is None:
                gate = self._gates[key] = Gate()
            return gate
