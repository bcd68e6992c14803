"""openai-agents' own session over stdlib `sqlite3`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents import SQLiteSession
from workload import APPENDED, LAST, SIZES, TEXT, Message, System

if TYPE_CHECKING:
    from collections.abc import Sequence


class OpenAISQLite(System):
    """`SQLiteSession`: one object per conversation, no listing of sessions, no snapshots."""

    package = "openai-agents"
    settings = "WAL, synchronous FULL (it opens its own connections)"
    absent = frozenset({"newest_threads", "save_snapshot", "load_snapshot"})

    async def seed(self) -> None:
        await self.open()
        for thread, size in (*SIZES.items(), APPENDED):
            for batch in self.messages.batches(thread, size, 5_000):
                await self.sessions[thread].add_items(self.inputs(batch))

    async def open(self) -> None:
        path = self.folder / "openai.db"
        self.sessions = {thread: SQLiteSession(thread, path) for thread in (*SIZES, APPENDED[0])}

    async def close(self) -> None:
        for session in self.sessions.values():
            session.close()

    def inputs(self, messages: Sequence[Message]) -> Any:
        return [{"role": message.role, "content": TEXT} for message in messages]

    async def append(self, batch: Any) -> None:
        await self.sessions[APPENDED[0]].add_items(batch)

    async def last(self, thread: str) -> Sequence[Any]:
        return await self.sessions[thread].get_items(limit=LAST)

    async def newest_threads(self) -> Sequence[Any]:
        raise NotImplementedError

    async def save_snapshot(self, value: dict[str, Any]) -> None:
        raise NotImplementedError

    async def load_snapshot(self) -> Any:
        raise NotImplementedError
