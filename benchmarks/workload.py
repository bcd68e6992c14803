"""The work that every system does: sizes, messages, and the interface that a system implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

OWNER = "owner"
"""Whose the threads with messages are."""
USER = "user"
"""Who has the 10,000 threads that are listed."""
THREADS = 10_000
SIZES = {"1k": 1_000, "10k": 10_000, "100k": 100_000}
"""The threads of which the last 40 messages are read."""
APPENDED = ("appended", 10_000)
"""The thread that is appended to, apart from those that are read, so that these keep their size."""
LAST = 40
NEWEST = 20
BATCH = 100
START = datetime(2024, 1, 1, tzinfo=UTC)
TEXT = (
    "The invoice of the second quarter is attached. It lists the three deliveries to the "
    'warehouse in Basel, two of them "express", and the credit note of 14 May. Please compare '
    "the amounts with the order, tell me which of them differ, and draft a short answer to the "
    "supplier that asks for a corrected invoice, in polite and \u00e9legant French."
)
"""About 300 characters, with quotes and a letter beyond ASCII, for JSON and UTF-8 to work on."""
SNAPSHOT_BYTES = 50_000


@dataclass(frozen=True)
class Message:
    """One message as an application has it in hand, before any system's own classes."""

    id: str
    thread: str
    role: str
    content: dict[str, Any]
    created_at: datetime


class Messages:
    """An endless supply of messages, whose ids and times go up."""

    def __init__(self, first: datetime = START) -> None:
        self._made = (first - START) // timedelta(milliseconds=1)

    def of(self, thread: str, count: int) -> list[Message]:
        """Return the next `count` messages of a thread."""
        return [self._next(thread) for _ in range(count)]

    def batches(self, thread: str, count: int, size: int) -> Iterator[list[Message]]:
        """Return `count` messages of a thread in lists of at most `size`."""
        for done in range(0, count, size):
            yield self.of(thread, min(size, count - done))

    def _next(self, thread: str) -> Message:
        self._made += 1
        return Message(
            id=f"message-{self._made:028}",
            thread=thread,
            role="user" if self._made % 2 else "assistant",
            content={"format": 2, "parts": [{"type": "text", "text": TEXT}]},
            created_at=START + timedelta(milliseconds=self._made),
        )


def snapshot(number: int = 0) -> dict[str, Any]:
    """Return a workflow snapshot of about 50 KB of JSON: steps with their payloads and outputs.

    Every number gives another one of the same length: SQLite does not write what has not changed.
    """
    step = {"status": "success", "startedAt": 1704067200000 + number, "endedAt": 1704067201234}
    one = len(TEXT) * 2 + 170
    context = {
        f"step-{number:03}": {
            **step,
            "payload": {"messages": [{"role": "user", "text": TEXT}]},
            "output": {"text": TEXT, "usage": {"input": 812, "output": 164, "cost": 0.00231}},
        }
        for number in range(SNAPSHOT_BYTES // one)
    }
    return {
        "runId": "run",
        "status": "suspended",
        "value": {},
        "context": context,
        "activePaths": [3],
        "suspendedPaths": {"step-003": [3]},
        "resumeLabels": {},
        "waitingPaths": {},
        "serializedStepGraph": [],
        "timestamp": 1704067201234,
    }


class System(ABC):
    """One system under measurement, with its database in a file or on a server.

    `seed` writes the same data into every system, `open` gets ready to measure. The rest are the
    cells. What an operation takes is made by `inputs` outside the measured time: the objects that
    an application would have in hand, in the classes that the system's documentation asks for.
    """

    package: ClassVar[str]
    """The distribution whose version the tables name; none is the standard library."""
    settings: ClassVar[str]
    """What the database was told, in words."""
    absent: ClassVar[frozenset[str]] = frozenset()
    """The cells that the system has no call for."""

    blocking: ClassVar[bool] = False
    """Whether its calls block their thread, so that calls at once need threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.messages = Messages()
        self.sizes = dict((*SIZES.items(), APPENDED))
        """The threads with messages that `seed` writes, and how many these are."""
        self.threads = THREADS
        """How many threads of the user `seed` writes."""

    @abstractmethod
    async def seed(self) -> None:
        """Create the tables and write the data, unmeasured."""

    @abstractmethod
    async def open(self) -> None:
        """Connect to what `seed` wrote."""

    async def close(self) -> None:  # noqa: B027 - most systems need nothing
        """Let go of the database."""

    @abstractmethod
    def inputs(self, messages: Sequence[Message]) -> Any:
        """Turn messages into what `append` takes."""

    @abstractmethod
    async def append(self, batch: Any) -> None:
        """Add the messages to their thread, and note on the thread that it changed."""

    @abstractmethod
    async def last(self, thread: str) -> Sequence[Any]:
        """Return the last 40 messages, content decoded."""

    @abstractmethod
    async def newest_threads(self) -> Sequence[Any]:
        """Return the 20 threads of the user that changed last."""

    @abstractmethod
    async def save_snapshot(self, value: dict[str, Any]) -> None:
        """Replace the snapshot of one workflow run."""

    @abstractmethod
    async def load_snapshot(self) -> Any:
        """Return the snapshot, decoded."""
