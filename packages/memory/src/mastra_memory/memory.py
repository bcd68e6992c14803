"""``Memory``: the threads of an application, and what an agent recalls of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from mastra_core.clock import MILLISECOND, uuid7
from mastra_core.conversation import Recollection
from mastra_core.errors import ConfigurationError
from mastra_core.messages import without_open_calls
from mastra_core.records import Message, MessagePage, Record, Thread, ThreadPage
from mastra_core.storage.domains.memory import ClonedThread, CloneOptions, MemoryStorage
from mastra_core.storage.domains.messages import Include, MessageUpdate
from mastra_core.storage.domains.threads import thread_missing
from mastra_core.storage.paging import DateRange, OrderBy, PerPage
from mastra_core.storage.store import MastraStorage
from mastra_memory.options import MemoryOptions, checked

NEWEST_FIRST = OrderBy(field="createdAt", direction="desc")


class CloneMetadata(Record, frozen=True, kw_only=True):
    """Which thread a clone was made of, when, and the last message that it took."""

    source_thread_id: str
    cloned_at: datetime
    last_message_id: str | None = None


class Memory:
    """What agents remember: threads and their messages, each thread owned by one resource.

    ``storage`` is any store; without one, that of the ``Mastra`` which the agent is part of is
    used. Methods that take ``resource_id`` treat a thread of another resource as not there.
    """

    def __init__(
        self,
        *,
        storage: MastraStorage | None = None,
        options: MemoryOptions | Mapping[str, Any] | None = None,
    ) -> None:
        if storage is not None and not isinstance(storage, MastraStorage):
            raise ConfigurationError(
                f"storage of Memory must be a store, not {type(storage).__name__}; wrap a single "
                "domain as MastraStorage(id=…, domains={'memory': …})"
            )
        self.options = checked(options)
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

    async def open_turn(self, thread: Thread, asked: Message) -> Recollection:
        """Recall the latest messages of the thread, and store what is asked after them.

        Costs one read and one write; the write creates the thread if it is new. A thread of another
        resource is a ``NotFoundError``, and nothing of it is read.
        """
        history: list[Message] = []
        if self.options.last_messages:
            page = await self._domain.list_messages(
                thread.id,
                resource_id=thread.resource_id,
                per_page=int(self.options.last_messages),
                order_by=NEWEST_FIRST,
                with_total=False,
            )
            history = page.messages[::-1]
        if history:
            # Another machine's clock may be ahead: what is asked comes after what it answers to.
            after = max(asked.created_at, history[-1].created_at + MILLISECOND)
            asked = msgspec.structs.replace(asked, created_at=after)
        if not self.options.read_only:
            await self._domain.save_messages([asked], create=thread)
        elif not history:
            stored = await self._domain.get_thread_by_id(thread.id)
            if stored is not None and stored.resource_id != thread.resource_id:
                raise thread_missing(thread.id, thread.resource_id)
        if self.options.filter_incomplete_tool_calls:
            history = without_open_calls(history)
        return Recollection(thread=thread, history=history, asked=asked)

    async def close_turn(self, turn: Recollection, answer: Message, *, model: Any) -> Message:
        """Store the answer of a turn, in one write."""
        if not self.options.read_only:
            await self._domain.save_messages([answer])
        return answer

    async def close(self) -> None:
        if self._own is not None:
            await self._own.close()

    async def recall(
        self,
        thread_id: str,
        *,
        resource_id: str | None = None,
        per_page: PerPage | None = None,
        page: int = 0,
        order_by: OrderBy | Mapping[str, Any] | None = None,
        date_range: DateRange | Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        include: Sequence[Include | Mapping[str, Any]] = (),
        with_total: bool = True,
    ) -> MessagePage:
        """A page of a thread's messages: the latest ones, oldest first, unless ``order_by`` is given.

        ``per_page`` is ``last_messages`` if not given; where that is off, only what ``include``
        names comes. With ``resource_id`` a thread that is not there for it is a ``NotFoundError``.
        """
        if per_page is None:
            per_page = int(self.options.last_messages)
        latest = order_by is None and per_page is not False
        found = await self._domain.list_messages(
            thread_id,
            resource_id=resource_id,
            include=include,
            date_range=date_range,
            metadata=metadata,
            page=page,
            per_page=per_page,
            order_by=NEWEST_FIRST if latest else order_by,
            with_total=with_total,
        )
        if not found.messages and resource_id is not None:
            thread = await self._domain.get_thread_by_id(thread_id, resource_id=resource_id)
            if thread is None:
                raise thread_missing(thread_id, resource_id)
        if latest:
            found = msgspec.structs.replace(found, messages=found.messages[::-1])
        return found

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

    async def delete_thread(self, thread_id: str, *, resource_id: str | None = None) -> None:
        """Delete the thread and its messages; an unknown one is no error."""
        await self._domain.delete_thread(thread_id, resource_id=resource_id)

    async def save_messages(self, messages: Sequence[Message]) -> list[Message]:
        """Store messages of threads that exist, all or none; messages of ``system`` are left out."""
        said = [message for message in messages if message.role != "system"]
        return await self._domain.save_messages(said) if said else []

    async def update_messages(
        self,
        updates: Sequence[MessageUpdate | Mapping[str, Any]],
        *,
        resource_id: str | None = None,
    ) -> list[Message]:
        """Change messages by id and return them as stored; unknown ids are left out."""
        return await self._domain.update_messages(updates, resource_id=resource_id)

    async def delete_messages(
        self, message_ids: Sequence[str], *, resource_id: str | None = None
    ) -> None:
        """Delete messages by id; unknown ids are no error."""
        await self._domain.delete_messages(message_ids, resource_id=resource_id)

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
        """Copy a thread and its messages under new ids, in one step."""
        return await self._domain.clone_thread(
            source_thread_id,
            new_thread_id=new_thread_id,
            resource_id=resource_id,
            title=title,
            metadata=metadata,
            options=options,
            source_resource_id=source_resource_id,
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
