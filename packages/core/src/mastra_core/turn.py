"""A turn of an agent: what is stored of it before the model is called, and what when it has ended.

What was asked is stored first, the whole answer when it is there. A turn that fails, is cancelled
or is abandoned stores, marked by an ``error`` part at the end, only the steps whose tools have run:
what they did is done, and the next turn has to know. A text that was not finished is not kept. A
tool that was still running then is marked as interrupted. If the process dies, what was asked is
there and no answer is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from typing import Any, Final, TypedDict, TypeVar

from pydantic_ai import FunctionToolset
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    ToolCallPart,
    UserContent,
    repair_messages,
)
from pydantic_ai.usage import RunUsage

from mastra_core.clock import MILLISECOND, instant, iso, now
from mastra_core.conversation import AgentMemory, Recollection
from mastra_core.errors import MastraError
from mastra_core.messages import answer_parts, prompt_content, to_model_messages
from mastra_core.parts import encode_result, is_call
from mastra_core.records import JsonObject, Message, Thread

INTERRUPTED: Final = "There is no result: the turn ended while this tool was running."

_unfinished: set[asyncio.Task[Any]] = set()


T = TypeVar("T")


class RunOptions(TypedDict):
    """What a run of the model framework is given beside the prompt."""

    message_history: list[ModelMessage]
    instructions: str | None
    toolsets: list[FunctionToolset[None]] | None


@dataclass(frozen=True, kw_only=True)
class AgentResult:
    """What a turn came to: the answer, the messages of the turn as they are stored, the usage."""

    text: str
    messages: list[Message]
    usage: RunUsage


class Turn:
    """One question and its answer, with what the memory holds of the thread before."""

    def __init__(self, opened: Recollection, memory: AgentMemory | None, model: Any) -> None:
        self.opened = opened
        self.history = repair_messages(to_model_messages(opened.history))
        self._memory = memory
        self._model = model

    @classmethod
    async def open(
        cls,
        prompt: str | Sequence[UserContent],
        memory: AgentMemory | None,
        thread: Thread | None,
        *,
        model: Any,
    ) -> Turn:
        """Store what is asked and recall what came before; without a thread there is neither."""
        asked = Message(
            thread_id=thread.id if thread else "",
            resource_id=thread.resource_id if thread else None,
            role="user",
            content=prompt_content(prompt),
        )
        if memory is None or thread is None:
            nowhere = Thread(id="", resource_id="")
            return cls(Recollection(thread=nowhere, history=[], asked=asked), None, model)
        return cls(await memory.open_turn(thread, asked), memory, model)

    @property
    def run_options(self) -> RunOptions:
        """What a run of the model is given beside the prompt."""
        tools = self.opened.tools
        return {
            "message_history": self.history,
            "instructions": self.opened.instructions or None,
            "toolsets": [FunctionToolset(list(tools), id="memory")] if tools else None,
        }

    async def complete(self, models: Sequence[ModelMessage]) -> list[Message]:
        """Store the answer; the messages of the turn."""
        answer = self._answer(answer_parts(_after_prompt(models)))
        if self._memory is not None:
            answer = await self._close(self._memory, answer)
        return [self.opened.asked, answer]

    async def fail(self, models: Sequence[ModelMessage], error: BaseException) -> None:
        """Store what was done until the error, and that there was one; never raises instead of it.

        The text of the error is not stored: it may hold what the thread's reader must not see.
        """
        if self._memory is None:
            return
        name = type(error).__name__
        message = f"The turn ended before its answer was complete ({name})."
        parts = _done_parts(models)
        parts.append({"type": "error", "error": {"name": name, "message": message}})
        try:
            await self._close(self._memory, self._answer(parts))
        except MastraError as unsaved:
            error.add_note(f"That the turn failed could not be stored either: {unsaved}")

    async def _close(self, memory: AgentMemory, answer: Message) -> Message:
        return await _to_the_end(memory.close_turn(self.opened, answer, model=self._model))

    def _answer(self, parts: list[JsonObject]) -> Message:
        asked = self.opened.asked
        return Message(
            thread_id=asked.thread_id,
            resource_id=asked.resource_id,
            role="assistant",
            content={"format": 2, "parts": parts},
            created_at=max(instant(), asked.created_at + MILLISECOND),
        )


def _after_prompt(models: Sequence[ModelMessage]) -> list[ModelMessage]:
    return list(dropwhile(lambda model: not isinstance(model, ModelResponse), models))


def _done_parts(models: Sequence[ModelMessage]) -> list[JsonObject]:
    """The steps that ran tools, with a mark on each tool that has no result."""
    kept: list[ModelMessage] = []
    keep = False
    for model in _after_prompt(models):
        if isinstance(model, ModelResponse):
            called = any(isinstance(part, ToolCallPart) for part in model.parts)
            keep = called and model.state == "complete"
        if keep:
            kept.append(model)
    parts = answer_parts(kept)
    for part in parts:
        if is_call(part, open_only=True) and not part.get("providerExecuted"):
            encode_result(
                part,
                {"outcome": "interrupted", "content": INTERRUPTED, "timestamp": iso(now())},
            )
    return parts


async def _to_the_end(write: Coroutine[Any, Any, T]) -> T:
    """Write to the end even if the caller is cancelled meanwhile, who is then not kept waiting."""
    task = asyncio.ensure_future(write)
    _unfinished.add(task)
    task.add_done_callback(_unfinished.discard)
    return await asyncio.shield(task)
