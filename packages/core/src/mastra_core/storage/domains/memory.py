"""The memory domain: threads, their messages, and what is kept of the resources that own them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from mastra_core.clock import iso, now, uuid7
from mastra_core.errors import ConflictError, NotFoundError
from mastra_core.records import JsonObject, Message, Record, Thread
from mastra_core.storage.codec import check_id
from mastra_core.storage.domains.messages import MESSAGE, PUT_ROWS
from mastra_core.storage.domains.resources import Resources
from mastra_core.storage.domains.threads import THREAD
from mastra_core.storage.domains.windows import MessageWindows
from mastra_core.storage.paging import DateRange, options
from mastra_core.storage.schema import Put, Query, Table, Where
from mastra_core.storage.tables import MESSAGES, OBSERVATIONAL_MEMORY, RESOURCES, THREADS


class CloneOptions(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """Which messages a clone takes: the latest ``message_limit`` of those in the dates and ids."""

    message_limit: int | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    message_ids: list[str] | None = None


class ClonedThread(Record, frozen=True, kw_only=True):
    """A new thread, its messages, and which original message each of them is."""

    thread: Thread
    cloned_messages: list[Message]
    message_id_map: dict[str, str]


class MemoryStorage(MessageWindows, Resources):
    """Threads, messages and resources: what an agent remembers.

    Every thread belongs to one resource. Methods that take ``resource_id`` treat what belongs to
    another resource as not there.
    """

    name: ClassVar[str] = "memory"
    tables: ClassVar[tuple[Table, ...]] = (THREADS, MESSAGES, RESOURCES, OBSERVATIONAL_MEMORY)
    retention: ClassVar[Mapping[str, tuple[Table, str]]] = {
        "threads": (THREADS, "updatedAt"),
        "messages": (MESSAGES, "createdAt"),
        "resources": (RESOURCES, "updatedAt"),
    }

    async def clone_thread(
        self,
        source_thread_id: str,
        *,
        new_thread_id: str | None = None,
        resource_id: str | None = None,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        options: CloneOptions | Mapping[str, Any] | None = None,
        source_resource_id: str | None = None,
    ) -> ClonedThread:
        """Copy a thread and its messages under new ids, in one step; the source stays as it is.

        ``resource_id`` is the owner of the copy (default: the source's); with
        ``source_resource_id`` a source of another resource counts as not there. The new thread's
        metadata has ``clone``: the source's id, the time and the last message's id.
        """
        source = await self.get_thread_by_id(source_thread_id, resource_id=source_resource_id)
        if source is None:
            raise NotFoundError(f"Source thread with id {source_thread_id!r} not found")
        messages = await self._selected(source_thread_id, options)
        at = now()
        clone: JsonObject = {"sourceThreadId": source.id, "clonedAt": iso(at)}
        if messages:
            clone["lastMessageId"] = messages[-1].id
        thread = Thread(
            id=uuid7() if new_thread_id is None else check_id(new_thread_id, "new_thread_id"),
            resource_id=source.resource_id if resource_id is None else resource_id,
            title=title or (f"Clone of {source.title}" if source.title else ""),
            metadata={**(metadata or {}), "clone": clone},
            created_at=at,
            updated_at=at,
        )
        copies = [
            msgspec.structs.replace(
                message, id=uuid7(), thread_id=thread.id, resource_id=thread.resource_id
            )
            for message in messages
        ]
        await self._insert_clone(thread, copies)
        pairs = zip(messages, copies, strict=True)
        stored = await self.get_thread_by_id(thread.id)
        return ClonedThread(
            thread=stored or thread,
            cloned_messages=copies,
            message_id_map={old.id: new.id for old, new in pairs},
        )

    async def _insert_clone(self, thread: Thread, copies: Sequence[Message]) -> None:
        rows = [MESSAGE.row(message) for message in copies]
        chunks = [rows[i : i + PUT_ROWS] for i in range(0, len(rows), PUT_ROWS)]
        try:
            await self.backend.write(
                Put(THREADS, (THREAD.row(thread),), "fail"),
                *(Put(MESSAGES, chunk, "fail") for chunk in chunks),
            )
        except ConflictError:
            raise ConflictError(f"Thread with id {thread.id!r} already exists") from None

    async def _selected(
        self, thread_id: str, given: CloneOptions | Mapping[str, Any] | None
    ) -> list[Message]:
        chosen = options(CloneOptions, given, "options") if given is not None else CloneOptions()
        where: tuple[Where, ...] = (Where("thread_id", "eq", thread_id),)
        where += DateRange(start=chosen.start_date, end=chosen.end_date).conditions("createdAt")
        if chosen.message_ids is not None:
            where += (Where("id", "in", tuple(chosen.message_ids)),)
        latest = Query(where=where, order=(("createdAt", "desc"),), limit=chosen.message_limit)
        return MESSAGE.records(await self.backend.find(MESSAGES, latest))[::-1]
