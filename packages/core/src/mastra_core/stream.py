"""The answer of an agent while it is being made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Self

from pydantic_ai import AgentRunResultEvent
from pydantic_ai.agent import AgentRunEvents
from pydantic_ai.messages import (
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
)

from mastra_core.errors import MastraError, StreamAbandoned
from mastra_core.turn import AgentResult, Turn


class AgentStream:
    """A turn that goes on as its text is read; read on to finish it, close it to abandon it.

    As a context manager it is closed at the end. One that is dropped without reading to the end is
    closed too, by the event loop. What is stored of an abandoned turn is that of a failed one.
    """

    def __init__(
        self, events: AbstractAsyncContextManager[AgentRunEvents[str]], turn: Turn
    ) -> None:
        self._events = events
        self._turn = turn
        self._texts = self._read()
        self._begun = False
        self._result: AgentResult | None = None
        self._error: BaseException | None = None

    @property
    def text_stream(self) -> AsyncIterator[str]:
        """The pieces of the answer's text as they come; iterating again goes on where it stopped.

        When it ends, the answer is stored. What the model or a tool raises comes out here.
        """
        return self._texts

    async def result(self) -> AgentResult:
        """The whole answer; reads what is left of the stream."""
        async for _ in self.text_stream:
            pass
        if self._result is None:
            raise self._error or StreamAbandoned("the stream was closed before its end")
        return self._result

    async def aclose(self) -> None:
        """Stop the model if it has not ended, and store that the turn was abandoned."""
        await self._texts.aclose()
        if not self._begun:
            self._begun = True
            self._error = StreamAbandoned("the stream was closed before it was read")
            await self._turn.fail([], self._error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _read(self) -> AsyncGenerator[str, None]:
        run: AgentRunEvents[str] | None = None
        self._begun = True
        try:
            async with self._events as run:
                async for event in run:
                    if isinstance(event, AgentRunResultEvent):
                        break
                    if text := _text_of(event):
                        yield text
        except GeneratorExit:
            self._error = StreamAbandoned("the stream was closed before its end")
            await self._end(run, self._error)
            raise
        except (Exception, asyncio.CancelledError) as error:
            self._error = error
            await self._end(run, error)
            raise
        await self._end(run, None)

    async def _end(self, run: AgentRunEvents[str] | None, error: BaseException | None) -> None:
        """Store how the turn ended; a run that got to its end is an answer however it was left."""
        done = None if run is None else run.result
        if done is not None:
            try:
                messages = await self._turn.complete(done.new_messages())
            except MastraError as unsaved:
                self._error = unsaved
                raise
            self._result = AgentResult(text=done.output, messages=messages, usage=done.usage)
        elif error is not None:
            await self._turn.fail([] if run is None else run.new_messages(), error)


def _text_of(event: Any) -> str:
    if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
        return event.part.content
    if isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
        return event.delta.content_delta
    return ""
