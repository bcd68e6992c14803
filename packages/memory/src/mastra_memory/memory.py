"""``Memory``: the threads of an application, and what an agent recalls of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec
from msgspec import UNSET, UnsetType

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
from mastra_memory.processors import MessageProcessor, apply
from mastra_memory.semantic import Hit, Scope, SemanticMemory, text_of
from mastra_memory.titles import Titles
from mastra_memory.transcript import transcript
from mastra_memory.working_memory import WorkingMemory, in_thread, without_updates

NEWEST_FIRST = OrderBy(field="createdAt", direction="desc")


class Memory(IndexedConversations):
    """What agents remember: threads and their messages, each thread owned by one resource.

    ``storage`` is any store; without one, that of the ``Mastra`` which the agent is part of is
    used. With a ``vector`` store and an ``embedder`` (``provider/model``, or an async callable that
    gives texts their vectors) messages are found by meaning, too; whatever deletes or changes
    messages here keeps their vectors in step. ``processors`` choose or trim, one after another,
    what of the last messages the model is shown.
    """

    def __init__(
        self,
        *,
        storage: MastraStorage | None = None,
        vector: MastraVector | None = None,
        embedder: str | Embed | None = None,
        embedder_options: EmbedderOptions | Mapping[str, Any] | None = None,
        options: MemoryOptions | Mapping[str, Any] | None = None,
        processors: Sequence[MessageProcessor] = (),
    ) -> None:
        self.options = checked(options)
        made = None if embedder is None else Embedder(embedder, embedder_options)
        super().__init__(storage, vector, made, self.options.semantic_recall)
        self.processors = tuple(processors)
        kept, named = self.options.working_memory, self.options.generate_title
        self._working = None if kept is None else WorkingMemory(kept)
        self._titles = None if named is None else Titles(named)

    async def open_turn(self, thread: Thread, asked: Message) -> Recollection:
        """Recall the latest messages of the thread and those like what is asked, and store that.

        Costs one read and one write, with working memory one more read at the same time, with
        semantic recall one call of the embedder and one search more; the write creates the thread
        if it is new. A thread of another resource is a ``NotFoundError``, and nothing of it is read.
        """
        found, known = await self._gathered(thread, asked)
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
        told = [transcript(recalled, thread.id)]
        tools: tuple[Any, ...] = ()
        if self._working is not None:
            told.insert(0, self._working.instructions(known, read_only=self.options.read_only))
            if not self.options.read_only:
                owner = {"thread_id": thread.id, "resource_id": thread.resource_id}
                tools = (self._working.tool(self._domain, shown=known, **owner),)
        return Recollection(
            thread=thread,
            history=await apply(self.processors, history),
            asked=asked,
            instructions="\n\n".join(text for text in told if text),
            tools=tools,
        )

    async def _gathered(self, thread: Thread, asked: Message) -> tuple[Windows, str | None]:
        """What was said, and at the same time what working memory holds of the turn's user.

        That of a new thread is the text that it is given.
        """
        if self._working is None:
            return await self._recollect(thread, asked), None
        found, known = await asyncio.gather(
            self._recollect(thread, asked),
            self._working.read(self._domain, thread_id=thread.id, resource_id=thread.resource_id),
        )
        if known is None and self._working.options.scope == "thread":
            known = in_thread(thread)
        return found, known

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
        """Store the answer of a turn in one write, then the vectors of what was said.

        A title, if the thread needs one, is made behind that; ``close`` waits for it.
        """
        if self.options.read_only:
            return answer
        stored = answer if self._working is None else without_updates(answer)
        said = [turn.asked]
        if stored is not None:
            await self._domain.save_messages([stored])
            said.append(stored)
        await self._learn(said)
        if self._titles is not None:
            self._titles.begin(self._domain, turn, model)
        return answer if stored is None else stored

    async def settle(self) -> None:
        """Wait for the titles that are still being made in this event loop."""
        if self._titles is not None:
            await self._titles.settle()

    async def close(self) -> None:
        """Wait for what goes on behind the turns, and close the storage and vectors it was given.

        A storage that it shares with a ``Mastra`` is closed by that. Using it again opens it again.
        """
        await self.settle()
        try:
            if self.vector is not None:
                await self.vector.close()
        finally:
            if self._own is not None:
                await self._own.close()

    async def update_thread(
        self,
        thread_id: str,
        *,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        resource_id: str | None = None,
    ) -> Thread:
        """Set the title if given, and the given metadata keys; other keys stay.

        With ``title=""`` the thread is given one again after its next turn, where titles are made.
        """
        thread = await super().update_thread(
            thread_id, title=title, metadata=metadata, resource_id=resource_id
        )
        if title == "":
            self._forget_title(thread_id)
        return thread

    async def delete_thread(self, thread_id: str, *, resource_id: str | None = None) -> None:
        """Delete the thread and its messages, their vectors first; an unknown one is no error."""
        await super().delete_thread(thread_id, resource_id=resource_id)
        self._forget_title(thread_id)

    def _forget_title(self, thread_id: str) -> None:
        if self._titles is not None:
            self._titles.forget(self._domain, thread_id)

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

    async def get_working_memory(
        self, *, thread_id: str | None = None, resource_id: str | None = None
    ) -> str | None:
        """The working memory of the resource (or thread, after the scope); ``None`` if there is none.

        Markdown, or with a schema JSON text.
        """
        return await self._kept().read(self._domain, thread_id=thread_id, resource_id=resource_id)

    async def update_working_memory(
        self,
        working_memory: str | Mapping[str, Any],
        *,
        thread_id: str | None = None,
        resource_id: str | None = None,
        expected: str | UnsetType | None = UNSET,
    ) -> str:
        """Change the working memory; what is then stored.

        Markdown takes the place of what is there: with ``expected``, what it was made from, only if
        that is still there, else it is a ``ConflictError``. With a schema a mapping is merged into
        what is there (``None`` deletes a key), and concurrent changes lose nothing.
        """
        return await self._kept().update(
            self._domain,
            working_memory,
            thread_id=thread_id,
            resource_id=resource_id,
            expected=expected,
        )

    def get_working_memory_template(self) -> str:
        """What working memory looks like when it is empty: Markdown, or the JSON schema as text."""
        return self._kept().template()

    def _storable(self, message: Message) -> Message | None:
        """Nothing of those of ``system``, and of others no working memory: that has a place of its own."""
        stored = super()._storable(message)
        return stored if stored is None or self._working is None else without_updates(stored)

    def _kept(self) -> WorkingMemory:
        if self._working is None:
            raise ConfigurationError(
                "this memory has no working memory; give it options={'working_memory': True}"
            )
        return self._working

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
