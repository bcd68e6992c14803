"""An exporter of OpenTelemetry that stores spans by the observability domain, on a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from opentelemetry.context import (
    _SUPPRESS_INSTRUMENTATION_KEY,  # pyright: ignore[reportPrivateUsage] (as the exporters of its SDK)
    attach,
    set_value,
)
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from mastra_core.errors import (
    ConfigurationError,
    InvalidArgumentError,
    LimitExceededError,
    MastraError,
    UnavailableError,
)
from mastra_core.otel.buffer import Buffer, Exported
from mastra_core.otel.conversion import span_of
from mastra_core.plugins import open_storage
from mastra_core.storage.store import MastraStorage

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from mastra_core.records import Span

_log = logging.getLogger("mastra_core.otel")
# Pauses between attempts at a store that is down, in seconds.
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
# How often lost spans are told, in seconds.
WARN_EVERY: Final = 30.0


class MastraSpanExporter(SpanExporter):
    """Stores the spans of any instrumented program as traces.

    ``storage`` is a URL, opened and closed here, or a store, which is used on the exporter's thread
    and event loop and should be its own: the program's may be bound to the program's loop.

    Giving it a span never waits and never fails the program: spans wait in memory, at most
    ``max_queue_size`` of together at most ``max_queue_bytes``, and are stored in batches of at most
    ``max_batch_size`` every ``schedule_delay`` seconds, or as soon as a batch is full. While the
    store is down a batch is tried again for ``retry_for`` seconds. What finds no room or no store,
    or is refused, is dropped; ``counts`` says how many, and a warning says so every 30 seconds.

    It batches by itself: ``SimpleSpanProcessor`` does, and ``BatchSpanProcessor`` does no harm.
    """

    def __init__(
        self,
        storage: MastraStorage | str,
        *,
        max_queue_size: int = 10_000,
        max_queue_bytes: int = 64_000_000,
        max_batch_size: int = 500,
        schedule_delay: float = 1.0,
        retry_for: float = 60.0,
    ) -> None:
        for name, number in (
            ("max_queue_size", max_queue_size),
            ("max_queue_bytes", max_queue_bytes),
            ("max_batch_size", max_batch_size),
            ("schedule_delay", schedule_delay),
            ("retry_for", retry_for),
        ):
            _check(name, number)
        self._sizes = (max_queue_size, max_queue_bytes)
        self._most = max_batch_size
        self._delay = schedule_delay
        self._retry_for = retry_for
        self._owned = isinstance(storage, str)
        self._storage = open_storage(storage) if isinstance(storage, str) else storage
        self._spans = self._storage.observability
        # When to have ended, once told to.
        self._until: float | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken: asyncio.Event | None = None
        self._reset()
        _after_fork(self)

    @property
    def counts(self) -> Exported:
        """How many spans were stored and dropped so far, and how many wait."""
        return self._buffer.counts

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take spans to be stored; ``FAILURE`` where some found no room. Returns at once."""
        if self._until is not None:
            return SpanExportResult.FAILURE
        lost = self._buffer.put(spans)
        if lost:
            self._warn(lost, "the queue is full")
        self._start()
        if len(self._buffer) >= self._most:
            self._wake()
        return SpanExportResult.FAILURE if lost else SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until what was taken before is stored (or given up); whether it was in time."""
        self._flushing = True
        self._wake()
        return self._buffer.settled(timeout_millis / 1000)

    def shutdown(self, timeout_millis: int = 30_000) -> None:
        """Store what waits, for at most so long, and end the thread; a URL's store is closed."""
        if self._until is not None:
            return
        self._until = time.monotonic() + timeout_millis / 1000
        self._wake()
        if self._thread is not None:
            self._thread.join(timeout_millis / 1000 + 1)
        left = self.counts.waiting
        if left:
            self._warn(left, "the exporter was shut down before they could be stored")
        self._tell()

    def _reset(self) -> None:
        self._buffer = Buffer(*self._sizes)
        self._starting = threading.Lock()
        self._thread = self._loop = self._woken = self._until = None
        self._flushing = False
        self._untold, self._cause, self._told = 0, "", float("-inf")

    def _start(self) -> None:
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    # A daemon: a program that never shuts its tracing down ends all the same.
                    thread = threading.Thread(target=self._run, name="mastra-spans", daemon=True)
                    thread.start()
                    self._thread = thread

    def _wake(self) -> None:
        loop, woken = self._loop, self._woken
        if loop is not None and woken is not None:
            try:
                loop.call_soon_threadsafe(woken.set)
            except RuntimeError:
                return  # The loop has ended, and so has the storing.

    def _run(self) -> None:
        # What the store's own driver does is no part of the program's traces.
        attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, value=True))
        asyncio.run(self._work())

    async def _work(self) -> None:
        self._woken = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        try:
            while self._until is None or (len(self._buffer) and time.monotonic() < self._until):
                self._woken.clear()
                if self._until is None and len(self._buffer) < self._most and not self._flushing:
                    await self._pause(self._delay)
                self._flushing = False
                while taken := self._buffer.take(self._most):
                    self._buffer.done(taken, await self._handle([span for span, _ in taken]))
                self._tell(WARN_EVERY)
        finally:
            if self._owned:
                await self._storage.close()

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until there is something to do at once."""
        assert self._woken is not None, "made before anything waits"
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _handle(self, taken: Sequence[ReadableSpan]) -> int:
        """How many of these were stored."""
        spans: list[Span] = []
        for read in taken:
            try:
                spans.append(span_of(read))
            except Exception as error:  # noqa: BLE001 (one strange span must not end the storing)
                self._warn(1, f"a span could not be converted: {type(error).__name__}")
        return await self._store(spans)

    async def _store(self, spans: list[Span]) -> int:
        if not spans:
            return 0
        try:
            await self._attempt(spans)
        except (InvalidArgumentError, LimitExceededError) as error:
            if len(spans) == 1:
                self._warn(1, f"a span was refused: {error}")
                return 0
            middle = len(spans) // 2
            return await self._store(spans[:middle]) + await self._store(spans[middle:])
        except MastraError as error:
            self._warn(len(spans), f"{type(error).__name__}: {error}")
            return 0
        except Exception as error:  # noqa: BLE001 (whatever happens, the next spans are stored)
            self._warn(len(spans), f"an unexpected {type(error).__name__}")
            return 0
        return len(spans)

    async def _attempt(self, spans: list[Span]) -> None:
        """Store spans; while the store is down try again, which is safe: a span replaces itself."""
        deadline, pause = time.monotonic() + self._retry_for, FIRST_PAUSE
        while True:
            try:
                await self._spans.batch_create_spans(spans)
            except UnavailableError:
                ends = deadline if self._until is None else min(deadline, self._until)
                left = ends - time.monotonic()
                if left <= 0:
                    raise
                await asyncio.sleep(min(pause, left))
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                return

    def _warn(self, lost: int, cause: str) -> None:
        with self._starting:
            self._untold += lost
            self._cause = cause
        self._tell(WARN_EVERY)

    def _tell(self, after: float = 0.0) -> None:
        """Tell how many spans were lost since it was last told, if that was so many seconds ago."""
        with self._starting:
            lost, cause = self._untold, self._cause
            if not lost or time.monotonic() - self._told < after:
                return
            self._untold, self._told = 0, time.monotonic()
        _log.warning("%d spans were dropped, the last because %s", lost, cause)


def _check(name: str, number: float) -> None:
    whole = name.startswith("max")
    if isinstance(number, bool) or not isinstance(number, int if whole else (int, float)):
        raise ConfigurationError(f"MastraSpanExporter: {name} must be a number, not {number!r}")
    if not number > 0:
        raise ConfigurationError(
            f"MastraSpanExporter: {name} must be greater than 0, not {number!r}"
        )


def _after_fork(exporter: MastraSpanExporter) -> None:
    """Let a child begin anew: it has no thread, and the parent stores what waits in the parent."""
    if hasattr(os, "register_at_fork"):
        known = weakref.ref(exporter)

        def begin() -> None:
            found = known()
            if found is not None:
                found._reset()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

        os.register_at_fork(after_in_child=begin)
