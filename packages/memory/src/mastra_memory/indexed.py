"""Conversations whose messages have vectors: whatever changes the one keeps the other in step."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mastra_core.errors import ConfigurationError
from mastra_core.records import Message, Thread
from mastra_core.storage.domains.memory import ClonedThread, CloneOptions
from mastra_core.storage.domains.messages import MessageUpdate
from mastra_core.storage.store import MastraStorage
from mastra_core.vector.base import MastraVector
from mastra_memory.conversations import Conversations
from mastra_memory.embedding import Embedder
from mastra_memory.options import SemanticRecall
from mastra_memory.semantic import SemanticMemory

# How many messages are embedded together, and how many wait for an embedder that fails.
TOGETHER = 100
BEHIND = 1000

_log = logging.getLogger("mastra_memory")


class IndexedConversations(Conversations):
    """Threads and messages that are found by meaning, where there is a vector store for it.

    Vectors are deleted with what they stand for whenever there is a vector store, and made only
    where semantic recall is on.
    """

    def __init__(
        self,
        storage: MastraStorage | None,
        vector: MastraVector | None,
        embedder: Embedder | None,
        recall: SemanticRecall | None,
    ) -> None:
        super().__init__(storage)
        if vector is not None and not isinstance(vector, MastraVector):
            raise ConfigurationError(
                f"vector of Memory must be a vector store, not {type(vector).__name__}"
            )
        for name, given in (("vector", vector), ("embedder", embedder)):
            if recall is not None and given is None:
                raise ConfigurationError(f"semantic_recall needs Memory({name}=…)")
        self.vector = vector
        self._vectors = None if vector is None else SemanticMemory(vector, embedder, recall)
        self._semantic = None if recall is None else self._vectors
        self._behind: list[Message] = []

    async def save_messages(self, messages: Sequence[Message]) -> list[Message]:
        """Store messages of threads that exist, all or none; messages of ``system`` are left out.

        They are embedded before anything is stored. Should storing the vectors fail, the messages
        are there, and the same call mends it.
        """
        said = [kept for m in messages if (kept := self._storable(m)) is not None]
        if not said:
            return []
        if self._semantic is None:
            return await self._domain.save_messages(said)
        embedded = await self._semantic.embed(said)
        stored = await self._domain.save_messages(said)
        await self._semantic.store(embedded, await self._threads_of(said))
        return stored

    def _storable(self, message: Message) -> Message | None:
        """What is stored of a message: nothing of those of ``system``."""
        return None if message.role == "system" else message

    async def update_messages(
        self,
        updates: Sequence[MessageUpdate | Mapping[str, Any]],
        *,
        resource_id: str | None = None,
    ) -> list[Message]:
        """Change messages by id and return them as stored; unknown ids are left out."""
        stored = await self._domain.update_messages(updates, resource_id=resource_id)
        await self._index(stored)
        return stored

    async def delete_messages(
        self, message_ids: Sequence[str], *, resource_id: str | None = None
    ) -> None:
        """Delete messages by id, their vectors first; unknown ids are no error."""
        if self._vectors is not None and message_ids:
            await self._vectors.forget(message_ids=message_ids, resource_id=resource_id)
        await self._domain.delete_messages(message_ids, resource_id=resource_id)

    async def delete_thread(self, thread_id: str, *, resource_id: str | None = None) -> None:
        """Delete the thread and its messages, their vectors first; an unknown one is no error."""
        if self._vectors is None:
            await self._domain.delete_thread(thread_id, resource_id=resource_id)
            return
        async with self._vectors.turns.at(thread_id):
            await self._vectors.forget(thread_id=thread_id, resource_id=resource_id)
            await self._domain.delete_thread(thread_id, resource_id=resource_id)

    async def update_thread_resource_id(self, thread_id: str, *, resource_id: str) -> Thread:
        """Give the thread, its messages and their vectors to another resource."""
        if self._vectors is not None:
            await self._vectors.forget(thread_id=thread_id)
        thread = await self._domain.update_thread_resource_id(thread_id, resource_id=resource_id)
        await self.reindex(thread_id=thread_id)
        return thread

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
        """Copy a thread and its messages under new ids; a copy without its vectors is undone."""
        clone = await self._domain.clone_thread(
            source_thread_id,
            new_thread_id=new_thread_id,
            resource_id=resource_id,
            title=title,
            metadata=metadata,
            options=options,
            source_resource_id=source_resource_id,
        )
        try:
            await self._index(clone.cloned_messages, new=True)
        except BaseException:
            await asyncio.shield(self.delete_thread(clone.thread.id))
            raise
        return clone

    async def reindex(self, *, thread_id: str | None = None, resource_id: str | None = None) -> int:
        """Make the vectors of messages anew: of a thread, of a resource's threads, or of all.

        For messages that were stored without them, or by another model. How many messages it were.
        """
        if self._semantic is None:
            return 0
        count = 0
        page = 0
        threads = [thread_id] if thread_id is not None else None
        while threads is None or threads:
            if thread_id is None:
                found = await self.list_threads(
                    resource_id=resource_id, page=page, per_page=TOGETHER, with_total=False
                )
                threads, page = [thread.id for thread in found.threads], page + 1
            for name in threads or ():
                count += await self._reindexed(name, resource_id)
            if thread_id is not None:
                break
        return count

    async def _reindexed(self, thread_id: str, resource_id: str | None) -> int:
        count = 0
        waiting: list[Message] = []
        async for message in self._domain.iter_messages(thread_id, resource_id=resource_id):
            waiting.append(message)
            if len(waiting) == TOGETHER:
                await self._index(waiting)
                count, waiting = count + TOGETHER, []
        await self._index(waiting)
        return count + len(waiting)

    async def _index(self, messages: Sequence[Message], *, new: bool = False) -> None:
        """Embed messages that are stored, and store their vectors."""
        if self._semantic is None:
            return
        for i in range(0, len(messages), TOGETHER):
            some = messages[i : i + TOGETHER]
            embedded = await self._semantic.embed(some)
            await self._semantic.store(embedded, await self._threads_of(some), new=new)

    async def _learn(self, said: list[Message]) -> None:
        """Make the vectors of a turn's messages; what cannot be made now is made with the next turn.

        The answer has been given and stored, so that nothing of this may fail the turn.
        """
        if self._semantic is None:
            return
        waiting, self._behind = [*self._behind, *said], []
        try:
            embedded = await self._semantic.embed(waiting)
            async with self._semantic.turns.at(said[0].thread_id):
                # Somebody may have deleted the thread while the model was still answering.
                ids = [message.id for message in waiting]
                there = {m.id for m in await self._domain.list_messages_by_id(ids)}
                kept = [one for one in embedded if one.message.id in there]
                await self._semantic.store(kept, await self._threads_of(waiting), new=True)
        except Exception:  # noqa: BLE001 (whatever an embedder raises)
            self._behind = waiting[-BEHIND:]
            _log.warning("messages are stored, but cannot be found by meaning yet", exc_info=True)

    async def _threads_of(self, messages: Iterable[Message]) -> dict[str, Thread]:
        ids = list(dict.fromkeys(message.thread_id for message in messages))
        found = await asyncio.gather(*(self._domain.get_thread_by_id(name) for name in ids))
        return {thread.id: thread for thread in found if thread is not None}
