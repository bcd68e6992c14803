"""What an agent and its memory say to each other: a turn is opened, and closed with its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from mastra_core.errors import InvalidArgumentError
from mastra_core.records import JsonObject, Message, Thread
from mastra_core.storage.codec import check_id
from mastra_core.storage.paging import options
from mastra_core.storage.store import MastraStorage


class ThreadChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A thread by id, with the title and metadata that it gets if it is not there yet."""

    id: str
    title: str = ""
    metadata: JsonObject | None = None


class Conversation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``memory`` argument of a call: which thread goes on, and whose it is."""

    thread: str | ThreadChoice
    resource: str


class Recollection(msgspec.Struct, frozen=True, kw_only=True):
    """An opened turn: what the memory holds of its thread, and what was asked, as it is stored.

    ``instructions`` are told to the model in this turn beside the agent's own (what was recalled, and
    what is known of the user), ``tools`` are those by which it changes its memory.
    """

    thread: Thread
    history: list[Message]
    asked: Message
    instructions: str = ""
    tools: tuple[Any, ...] = ()


class AgentMemory(Protocol):
    """What an agent asks of its memory; ``mastra_memory.Memory`` is one."""

    def bind(self, storage: MastraStorage) -> None:
        """Keep everything in this storage, unless the memory was made with one of its own."""
        ...

    async def open_turn(self, thread: Thread, asked: Message) -> Recollection:
        """Recall what came before, and store what was asked; creates the thread if it is new.

        A thread of another resource is a ``NotFoundError``, and nothing of it is read.
        """
        ...

    async def close_turn(self, turn: Recollection, answer: Message, *, model: Any) -> Message:
        """Store the answer, or what there is of one and the error that ended the turn.

        What is stored is returned. ``model`` is the agent's, for what the memory has a model write.
        """
        ...

    async def close(self) -> None:
        """Wait for what goes on behind the turns, and close what the memory was made with."""
        ...


def thread_of(memory: Conversation | Mapping[str, Any]) -> Thread:
    """The thread that the ``memory`` argument of a call names, as it is created if it is new."""
    if isinstance(memory, Mapping):
        missing = [key for key in ("thread", "resource") if not memory.get(key)]
        if missing:
            raise InvalidArgumentError(
                f"memory has no {' and no '.join(missing)}; give the thread and the resource that "
                "owns it, as memory={'thread': 'convo_123', 'resource': 'user_123'}"
            )
    chosen = options(Conversation, memory, "memory")
    thread = chosen.thread
    if isinstance(thread, str):
        thread = ThreadChoice(id=thread)
    return Thread(
        id=check_id(thread.id, "thread"),
        resource_id=check_id(chosen.resource, "resource"),
        title=thread.title,
        metadata=thread.metadata,
    )
