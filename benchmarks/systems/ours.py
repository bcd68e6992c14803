"""This project's stores, with their records, checks and conflict rules, whatever the database."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from workload import LAST, NEWEST, OWNER, USER, Message, System

from mastra_core.records import Message as Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mastra_core.storage.store import BackendStore

READS = frozenset({"last_1k", "last_10k", "last_100k", "newest_threads"})
WRITES = frozenset({"append_one", "append_many", "save_snapshot", "load_snapshot"})


class Ours(System):
    """Listings without a total, as an agent reads its memory."""

    with_total: ClassVar[bool] = False

    @abstractmethod
    def connect(self) -> BackendStore:
        """Return the store, not opened yet."""

    async def open(self) -> None:
        self.store = self.connect()
        await self.store.init()

    async def close(self) -> None:
        if hasattr(self, "store"):
            await self.store.close()

    def inputs(self, messages: Sequence[Message]) -> Any:
        return [
            Record(
                id=message.id,
                thread_id=message.thread,
                resource_id=OWNER,
                role=message.role,
                content=message.content,
                created_at=message.created_at,
            )
            for message in messages
        ]

    async def append(self, batch: Any) -> None:
        await self.store.memory.save_messages(batch)

    async def last(self, thread: str) -> Sequence[Any]:
        page = await self.store.memory.list_messages(
            thread,
            per_page=LAST,
            order_by={"field": "createdAt", "direction": "DESC"},
            with_total=self.with_total,
        )
        return page.messages

    async def newest_threads(self) -> Sequence[Any]:
        page = await self.store.memory.list_threads(
            resource_id=USER,
            per_page=NEWEST,
            order_by={"field": "updatedAt", "direction": "DESC"},
            with_total=self.with_total,
        )
        return page.threads

    async def save_snapshot(self, value: dict[str, Any]) -> None:
        await self.store.workflows.persist_workflow_snapshot(
            workflow_name="workflow", run_id="run", snapshot=value
        )

    async def load_snapshot(self) -> Any:
        return await self.store.workflows.load_workflow_snapshot(
            workflow_name="workflow", run_id="run"
        )
