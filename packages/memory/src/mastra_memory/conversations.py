"""Conversations: the threads of an application and their messages, as they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from mastra_core.clock import uuid7
from mastra_core.errors import ConfigurationError
from mastra_core.records import MessagePage, Record, Thread, ThreadPage
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_core.storage.domains.messages import Include
from mastra_core.storage.paging import DateRange, OrderBy, PerPage
from mastra_core.storage.store import MastraStorage


class CloneMetadata(Record, frozen=True, kw_only=True):
    """Which thread a clone was made of, when, and the last message that it took."""

    source_thread_id: str
    cloned_at: datetime
    last_message_id: str | None = None


class Conversations:
    """Threads and messages in the storage of a memory: what changes nothing of their meaning.

    Methods that take ``resource_id`` treat a thread of another resource as not there.
    """

    def __init__(self, storage: MastraStorage | None) -> None:
        if storage is not None and not isinstance(storage, MastraStorage):
            raise ConfigurationError(
                f"storage of Memory must be a store, not {type(storage).__name__}; wrap a single "
                "domain as MastraStorage(id=…, domains={'memory': …})"
            )
        self._own = storage
        self._bound: MastraStorage | None = None

    @property
    def storage(self) -> MastraStorage:
        """The store that everything is kept in."""
        storage = self._own or self._bound
        if storage is None:
            raise ConfigurationError(
                "this memory has no storage; give it one, Memory(storage=…), or put its agent "
                "into a Mastra(storage=…, agents=[…])"
            )
        return storage

    @property
    def _domain(self) -> MemoryStorage:
        return self.storage.memory

    def bind(self, storage: MastraStorage) -> None:
        """Use this storage, unless the memory was made with one of its own."""
        self._bound = storage

    async def create_thread(
        self,
        *,
        resource_id: str,
        thread_id: str | None = None,
        title: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> Thread:
        """Store a new thread of the resource; an agent creates its threads by itself."""
        thread = Thread(
            id=uuid7() if thread_id is None else thread_id,
            resource_id=resource_id,
            title=title,
            metadata=None if metadata is None else dict(metadata),
        )
        return await self._domain.save_thread(thread)

    async def get_thread_by_id(
        self, thread_id: str, *, resource_id: str | None = None
    ) -> Thread | None:
        """The thread, or ``None`` if there is none (or it belongs to another resource)."""
        return await self._domain.get_thread_by_id(thread_id, resource_id=resource_id)

    async def list_threads(
        self,
        *,
        resource_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        page: int = 0,
        per_page: PerPage = 100,
        order_by: OrderBy | Mapping[str, Any] | None = None,
        with_total: bool = True,
    ) -> ThreadPage:
        """A page of threads, newest first; of one resource, and with these metadata, if given."""
        return await self._domain.list_threads(
            resource_id=resource_id,
            metadata=metadata,
            page=page,
            per_page=per_page,
            order_by=order_by,
            with_total=with_total,
        )

    async def save_thread(self, thread: Thread) -> Thread:
        """Store the thread, over the one with its id if its resource has one."""
        return await self._domain.save_thread(thread)

    async def update_thread(
        self,
        thread_id: str,
        *,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        resource_id: str | None = None,
    ) -> Thread:
        """Set the title if given, and the given metadata keys; other keys stay."""
        return await self._domain.update_thread(
            thread_id, title=title, metadata=metadata, resource_id=resource_id
        )

    async def list_messages_by_resource_id(
        self,
        resource_id: str,
        *,
        include: Sequence[Include | Mapping[str, Any]] = (),
        date_range: DateRange | Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        page: int = 0,
        per_page: PerPage = 40,
        order_by: OrderBy | Mapping[str, Any] | None = None,
        with_total: bool = True,
    ) -> MessagePage:
        """A page of all messages of a resource, across its threads, oldest first."""
        return await self._domain.list_messages_by_resource_id(
            resource_id,
            include=include,
            date_range=date_range,
            metadata=metadata,
            page=page,
            per_page=per_page,
            order_by=order_by,
            with_total=with_total,
        )

    def get_clone_metadata(self, thread: Thread) -> CloneMetadata | None:
        """What a thread was cloned from, or ``None`` if it is no clone."""
        try:
            return msgspec.convert((thread.metadata or {}).get("clone"), CloneMetadata)
        except msgspec.ValidationError:
            return None

    def is_clone(self, thread: Thread) -> bool:
        """Whether the thread was made by ``clone_thread``."""
        return self.get_clone_metadata(thread) is not None

    async def get_source_thread(
        self, thread_id: str, *, resource_id: str | None = None
    ) -> Thread | None:
        """The thread that this one was cloned from; ``None`` if it is no clone or that is gone."""
        thread = await self.get_thread_by_id(thread_id, resource_id=resource_id)
        return None if thread is None else await self._source(thread, resource_id)

    async def get_clone_history(
        self, thread_id: str, *, resource_id: str | None = None
    ) -> list[Thread]:
        """The thread and what it comes from, the oldest first."""
        history: list[Thread] = []
        thread = await self.get_thread_by_id(thread_id, resource_id=resource_id)
        while thread is not None and thread.id not in {known.id for known in history}:
            history.append(thread)
            thread = await self._source(thread, resource_id)
        return history[::-1]

    async def _source(self, thread: Thread, resource_id: str | None) -> Thread | None:
        clone = self.get_clone_metadata(thread)
        if clone is None:
            return None
        return await self.get_thread_by_id(clone.source_thread_id, resource_id=resource_id)
