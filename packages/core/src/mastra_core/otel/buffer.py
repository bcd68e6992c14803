"""Spans that wait to be stored: bounded in number and in size, with a count of all that became of them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

# What a span takes apart from its texts, in bytes, as far as a bound of memory needs to know.
SPAN_BYTES = 1000


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the spans so far: stored, given up, and still waiting."""

    stored: int
    dropped: int
    waiting: int


class Buffer:
    """A queue between the threads of a program and the one that stores; nobody waits to put into it."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._waiting: deque[tuple[ReadableSpan, int]] = deque()
        self._bytes = 0
        self._taken = 0
        self._stored = 0
        self._dropped = 0
        self._changed = threading.Condition()

    def put(self, spans: Sequence[ReadableSpan]) -> int:
        """Put what there is room for, in this order; how many found none."""
        sized = [(span, size(span)) for span in spans]
        with self._changed:
            for number, (span, weight) in enumerate(sized):
                full = len(self._waiting) + self._taken >= self._most
                if full or self._bytes + weight > self._most_bytes:
                    self._dropped += len(sized) - number
                    return len(sized) - number
                self._waiting.append((span, weight))
                self._bytes += weight
        return 0

    def take(self, most: int) -> list[tuple[ReadableSpan, int]]:
        """The next ones; they count as waiting until ``done`` is told what became of them."""
        with self._changed:
            found = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
            self._taken += len(found)
        return found

    def done(self, taken: Sequence[tuple[ReadableSpan, int]], stored: int) -> None:
        """So many of those that were taken are stored, the others are given up."""
        with self._changed:
            self._taken -= len(taken)
            self._bytes -= sum(weight for _, weight in taken)
            self._stored += stored
            self._dropped += len(taken) - stored
            self._changed.notify_all()

    def settled(self, seconds: float) -> bool:
        """Wait until all that was put before is stored or given up; whether it was in time."""
        deadline = time.monotonic() + seconds
        with self._changed:
            ended = self._stored + self._dropped
            wanted = ended + len(self._waiting) + self._taken
            while self._stored + self._dropped < wanted:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return self._stored + self._dropped >= wanted
        return True

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def counts(self) -> Exported:
        """What became of the spans so far."""
        with self._changed:
            waiting = len(self._waiting) + self._taken
            return Exported(stored=self._stored, dropped=self._dropped, waiting=waiting)


def size(span: ReadableSpan) -> int:
    """About how much memory a span holds, in bytes: its texts, and a lump for the rest."""
    texts = sum(len(v) for v in (span.attributes or {}).values() if isinstance(v, str))
    for event in span.events:
        texts += sum(len(v) for v in (event.attributes or {}).values() if isinstance(v, str))
    return SPAN_BYTES + texts
