"""``Agent``: instructions, a model and tools, with a memory that goes on over turns and processes.

pydantic-ai calls the model and runs the tools; what is remembered is stored by this library.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from mastra_core.errors import ConfigurationError

try:
    import pydantic_ai
    from pydantic_ai.messages import UserContent
    from pydantic_ai.models import Model
except ModuleNotFoundError as missing:
    raise ConfigurationError(
        "Agent needs pydantic-ai: pip install 'mastra-core[agent]'"
    ) from missing

from mastra_core.conversation import AgentMemory, Conversation, thread_of
from mastra_core.models import find_model
from mastra_core.stream import AgentStream
from mastra_core.turn import AgentResult, Turn

if TYPE_CHECKING:
    from mastra_core.mastra import Mastra

Prompt: TypeAlias = str | Sequence[UserContent]
Instructions: TypeAlias = str | Callable[[], str] | Callable[[], Awaitable[str]]
Tool: TypeAlias = pydantic_ai.Tool[None] | Callable[..., Any]


class Agent:
    """Answers messages with a model and tools; with ``memory=`` on a call it remembers the thread.

    ``model`` is ``provider/model`` or a model of pydantic-ai, ``tools`` are functions with type
    hints (or tools of pydantic-ai), ``instructions`` a text or a function that gives one. What a
    model or a tool raises reaches the caller as it is.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        model: str | Model,
        name: str | None = None,
        instructions: Instructions = "",
        tools: Sequence[Tool] = (),
        memory: AgentMemory | None = None,
    ) -> None:
        if not id or not isinstance(id, str):
            raise ConfigurationError("an agent's id must be a non-empty string")
        if isinstance(model, str) and not re.fullmatch(r"[^/:\s]+[/:]\S+", model):
            raise ConfigurationError(
                f"agent {id!r}: model must be provider/model, as openai/gpt-4o-mini, not {model!r}"
            )
        self.id = id
        self.name = name or id
        self.model = model
        self.instructions = instructions
        self.tools = tuple(tools)
        self.memory = memory

    def bind(self, mastra: Mastra) -> None:
        """Let the memory use the storage of this instance, unless it has one of its own."""
        if self.memory is not None and mastra.storage is not None:
            self.memory.bind(mastra.storage)

    async def generate(
        self, prompt: Prompt, *, memory: Conversation | Mapping[str, Any] | None = None
    ) -> AgentResult:
        """The answer to ``prompt``: a text, or a list of texts and files.

        ``memory={"thread": …, "resource": …}`` names the thread that goes on and its owner: what
        was said there is shown to the model, and what is said now is stored. ``thread`` is an id,
        or ``{"id", "title", "metadata"}`` of which the latter are used if the thread is new.
        """
        runner = self._runner
        turn = await self._open(prompt, memory)
        run = None
        try:
            async with runner.iter(prompt, **turn.run_options) as run:
                async for _ in run:
                    pass
        except (Exception, asyncio.CancelledError) as error:
            await turn.fail([] if run is None else run.new_messages(), error)
            raise
        done = run.result
        assert done is not None
        messages = await turn.complete(done.new_messages())
        return AgentResult(text=done.output, messages=messages, usage=done.usage)

    async def stream(
        self, prompt: Prompt, *, memory: Conversation | Mapping[str, Any] | None = None
    ) -> AgentStream:
        """The answer as it is being made: ``async for text in stream.text_stream``.

        When this returns, what was asked is stored; the model is called as the stream is read.
        """
        runner = self._runner
        turn = await self._open(prompt, memory)
        return AgentStream(runner.run_stream_events(prompt, **turn.run_options), turn)

    async def _open(self, prompt: Prompt, memory: Conversation | Mapping[str, Any] | None) -> Turn:
        if memory is None:
            return await Turn.open(prompt, None, None, model=self.model)
        if self.memory is None:
            raise ConfigurationError(
                f"agent {self.id!r} has no memory; give it one: Agent(…, memory=Memory()) with "
                "Memory from mastra_memory (pip install mastra-memory)"
            )
        return await Turn.open(prompt, self.memory, thread_of(memory), model=self.model)

    @functools.cached_property
    def _runner(self) -> pydantic_ai.Agent[None, str]:
        return pydantic_ai.Agent(
            find_model(self.model),
            name=self.name,
            instructions=self.instructions or None,
            tools=self.tools,
            deps_type=type(None),
        )

    async def close(self) -> None:
        """Wait for what the memory still has to do, and close what it was made with."""
        if self.memory is not None:
            await self.memory.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        model = self.model if isinstance(self.model, str) else self.model.model_name
        return f"Agent(id={self.id!r}, model={model!r})"
