"""What a careful programmer writes on a driver of SQLite, on our tables: the floor of the ratios."""

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from workload import LAST, NEWEST, USER, Message, System

from systems.tables import (
    MESSAGE_COLUMNS,
    THREAD_COLUMNS,
    decode,
    encode,
    fill,
    row,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

INSERT = f"INSERT INTO mastra_messages ({MESSAGE_COLUMNS}) VALUES (?,?,?,?,?,?,?)"
TOUCH = "UPDATE mastra_threads SET updatedAt = ? WHERE id = ?"
LAST_MESSAGES = (
    f"SELECT {MESSAGE_COLUMNS} FROM mastra_messages WHERE thread_id = ? "
    f"ORDER BY createdAt DESC, id DESC LIMIT {LAST}"
)
NEWEST_THREADS = (
    f"SELECT {THREAD_COLUMNS} FROM mastra_threads WHERE resourceId = ? "
    f"ORDER BY updatedAt DESC, id DESC LIMIT {NEWEST}"
)
SAVE = (
    "INSERT INTO mastra_workflow_snapshot "
    "(workflow_name, run_id, snapshot, createdAt, updatedAt) VALUES (?,?,?,?,?) "
    "ON CONFLICT (workflow_name, run_id) "
    "DO UPDATE SET snapshot = excluded.snapshot, updatedAt = excluded.updatedAt"
)
moment = datetime.fromisoformat
LOAD = "SELECT snapshot FROM mastra_workflow_snapshot WHERE workflow_name = ? AND run_id = ?"


class Bare(System):
    """Rows as tuples with JSON and times decoded, one connection, no thread hops.

    An append inserts and touches the thread in one transaction that is rolled back when anything
    fails, also when there is no such thread. There are no records, and no check of what is read.
    """

    synchronous: ClassVar[str] = "NORMAL"

    @abstractmethod
    def connect(self) -> Any:
        """Open the file in the driver's autocommit mode."""

    @abstractmethod
    def insert(self, rows: Sequence[tuple[str, ...]]) -> None:
        """Insert many rows the driver's fastest way."""

    async def seed(self) -> None:
        await fill(self.folder / "mastra.db", self.messages)

    async def open(self) -> None:
        self.connection = self.connect()
        self.execute = self.connection.execute
        self.execute("PRAGMA journal_mode = WAL").fetchall()
        self.execute(f"PRAGMA synchronous = {self.synchronous}")
        # As our adapter has it, so that a difference is not one of settings.
        self.execute("PRAGMA cache_size = -16000")
        self.execute("PRAGMA temp_store = MEMORY")

    async def close(self) -> None:
        if hasattr(self, "connection"):
            self.connection.close()

    def inputs(self, messages: Sequence[Message]) -> Any:
        return messages

    async def append(self, batch: Any) -> None:
        rows = [row(message) for message in batch]
        self.execute("BEGIN IMMEDIATE")
        try:
            if len(rows) == 1:
                self.execute(INSERT, rows[0])
            else:
                self.insert(rows)
            self._touch(batch[0].thread)
            self.execute("COMMIT")
        except BaseException:
            self.execute("ROLLBACK")
            raise

    def _touch(self, thread: str) -> None:
        touched = self.execute(TOUCH, (text(datetime.now(UTC)), thread)).rowcount
        if touched != 1:
            raise LookupError(thread)

    async def last(self, thread: str) -> Sequence[Any]:
        return [
            (id_, of, decode(content), role, kind, moment(at), owner)
            for id_, of, content, role, kind, at, owner in self.execute(
                LAST_MESSAGES, (thread,)
            ).fetchall()
        ]

    async def newest_threads(self) -> Sequence[Any]:
        return [
            (
                id_,
                owner,
                title,
                decode(metadata) if metadata else None,
                moment(created),
                moment(updated),
            )
            for id_, owner, title, metadata, created, updated in self.execute(
                NEWEST_THREADS, (USER,)
            ).fetchall()
        ]

    async def save_snapshot(self, value: dict[str, Any]) -> None:
        now = text(datetime.now(UTC))
        self.execute(SAVE, ("workflow", "run", encode(value).decode(), now, now))

    async def load_snapshot(self) -> Any:
        found = self.execute(LOAD, ("workflow", "run")).fetchone()
        return None if found is None else decode(found[0])
