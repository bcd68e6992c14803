"""``Memory``: the threads of an application, and what an agent recalls of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec

from mastra_core.clock import MILLISECOND
from mastra_core.conversation import Recollection
from mastra_core.errors import ConfigurationError, InvalidArgumentError
from mastra_core.messages import without_open_calls
from mastra_core.records import Message, Thread
from mastra_core.storage.domains.messages import Include
from mastra_core.storage.domains.threads import thread_missing
from mastra_core.storage.domains.windows import Windows
from mastra_core.storage.paging import DateRange, OrderBy, PerPage
from mastra_core.storage.store import MastraStorage
from mastra_core.vector.base import MastraVector
from mastra_core.vector.schema import Filter
from mastra_memory.embedding import Embed, Embedder, EmbedderOptions
from mastra_memory.findings import Finding, RecalledPage, in_order, merged
from mastra_memory.indexed import IndexedConversations
from mastra_memory.options import MemoryOptions, checked
from mastra_memory.semantic import Hit, Scope, SemanticMemory, text_of
from mastra_memory.transcript import transcript

NEWEST_FIRST = OrderBy(field="createdAt", direction="desc")


class Memory(IndexedConversations):
    """What agents remember: threads and their messages, each thread owned by one resource.

    ``storage`` is any store; without one, that of the ``Mastra`` which the agent is part of is
    used. With a ``vector`` store and an ``embedder`` (``provider/model``, or an async callable that
    gives texts their vectors) messages are found by meaning, too; whatever deletes or changes
    messages here keeps their vectors in step.
    """

    def __init__(
        self,
        *,
        storage: MastraStorage | None = None,
        vector: MastraVector | None = None,
        embedder: str | Embed | None = None,
        embedder_options: EmbedderOptions | Mapping[str, Any] | None = None,
        options: MemoryOptions | Mapping[str, Any] | None = None,
    ) -> None:
        self.options = checked(options)
        made = None if embedder is None else Embedder(embedder, embedder_options)
        super().__init__(storage, vector, made, self.options.semantic_recall)

    async def open_turn(self, thread: Thread, asked: Message) -> Recollection:
        """Recall the latest messages of the thread and those like what is asked, and store that.

        Costs one read and one write, with semantic recall one call of the embedder and one search
        more; the write creates the thread if it is new. A thread of another resource is a
        ``NotFoundError``, and nothing of it is read.
        """
        found = await self._recollect(thread, asked)
        history = found.latest
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
        recent = {message.id for message in history}
        recalled = [m for m in in_order(found.around.values()) if m.id not in recent]
        if self.options.filter_incomplete_tool_calls:
            history = without_open_calls(history)
        return Recollection(
            thread=thread,
            history=history,
            asked=asked,
            instructions=transcript(recalled, thread.id),
        )

    async def _recollect(self, thread: Thread, asked: Message) -> Windows:
        hits: list[Hit] = []
        window = None
        if self._semantic is not None:
            window = self._semantic.options.window
            scope = self._scope(thread.id, thread.resource_id)
            hits = await self._semantic.search(text_of(asked), scope)
        latest = int(self.options.last_messages)
        if not hits and not latest:
            return Windows(latest=[], around={})
        return await self._domain.list_windows(
            [hit.anchor for hit in hits],
            before=window.before if window else 0,
            after=window.after if window else 0,
            resource_id=thread.resource_id,
            latest_of=thread.id,
            latest=latest,
        )

    async def close_turn(self, turn: Recollection, answer: Message, *, model: Any) -> Message:
        """Store the answer of a turn in one write, then the vectors of what was said."""
        if not self.options.read_only:
            await self._domain.save_messages([answer])
            await self._learn([turn.asked, answer])
        return answer

    async def close(self) -> None:
        """Wait for what goes on behind the turns, and close the storage and vectors it was given.

        A storage that it shares with a ``Mastra`` is closed by that. Using it again opens it again.
        """
        try:
            if self.vector is not None:
                await self.vector.close()
        finally:
            if self._own is not None:
                await self._own.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def recall(
        self,
        thread_id: str,
        *,
        resource_id: str | None = None,
        vector_search_string: str | None = None,
        per_page: PerPage | None = None,
        page: int = 0,
        order_by: OrderBy | Mapping[str, Any] | None = None,
        date_range: DateRange | Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        include: Sequence[Include | Mapping[str, Any]] = (),
        with_total: bool = True,
    ) -> RecalledPage:
        """A page of a thread's messages: the latest ones, oldest first, unless ``order_by`` is given.

        ``per_page`` is ``last_messages`` if not given; where that is off, only what ``include``
        names comes. With ``vector_search_string`` the messages like it join the page, with their
        neighbours, each message once; ``matches`` and ``recalled`` of the answer tell them apart.
        With ``resource_id`` a thread that is not there for it is a ``NotFoundError``.
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
        findings: list[Finding] = []
        if vector_search_string:
            scope = self._scope(thread_id, resource_id)
            findings = await self._found(vector_search_string, scope)
        return merged(found, findings)

    async def search_messages(
        self,
        query: str,
        *,
        resource_id: str | None = None,
        thread_id: str | None = None,
        top_k: int | None = None,
        filter: Filter | None = None,  # noqa: A002 (the original's name)
    ) -> list[Finding]:
        """The messages most like ``query``, the most alike first, each with its neighbours.

        Among the messages of the resource and of the thread, so far as they are given (one of
        them must be); ``top_k`` and ``filter`` beside those of ``semantic_recall``.
        """
        if resource_id is None and thread_id is None:
            raise InvalidArgumentError("search_messages needs a resource_id or a thread_id")
        return await self._found(query, Scope(thread_id, resource_id), top_k=top_k, chosen=filter)

    async def _found(
        self,
        query: str,
        scope: Scope,
        *,
        top_k: int | None = None,
        chosen: Filter | None = None,
    ) -> list[Finding]:
        semantic = self._required()
        hits = await semantic.search(query, scope, top_k=top_k, filter=chosen)
        window = semantic.options.window
        windows = await self._domain.list_windows(
            [hit.anchor for hit in hits],
            before=window.before,
            after=window.after,
            resource_id=scope.resource_id,
        )
        around = windows.around
        return [
            Finding.of(hit.anchor.id, hit.score, around[hit.anchor.id])
            for hit in hits
            if hit.anchor.id in around
        ]

    def _scope(self, thread_id: str, resource_id: str | None) -> Scope:
        """Where recall looks: in the threads of the resource, or in this one."""
        if self._required().options.scope == "thread":
            return Scope(thread_id, resource_id)
        if resource_id is None:
            raise InvalidArgumentError(
                "semantic recall over a resource's threads needs a resource_id; give one, or set "
                "scope='thread' in semantic_recall"
            )
        return Scope(None, resource_id)

    def _required(self) -> SemanticMemory:
        if self._semantic is None:
            raise ConfigurationError(
                "this memory does not recall by meaning; give it Memory(vector=…, embedder=…, "
                "options={'semantic_recall': True})"
            )
        return self._semantic
