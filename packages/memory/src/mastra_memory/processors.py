"""Message processors: what a model is shown of the messages that were recalled."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, cast, runtime_checkable

from mastra_core.errors import ConfigurationError, MastraError
from mastra_core.parts import as_object, as_objects
from mastra_core.records import JsonObject, Message
from mastra_core.storage.codec import to_json
from mastra_memory.removal import without_calls

CHARACTERS: Final = 4  # of a token, about, in English; other languages have fewer
FILE_TOKENS: Final = 1_000  # of an image or another file: providers count from 85 to some thousands


class ProcessorError(MastraError):
    """A message processor failed; its text says which, its cause is what was raised."""


@runtime_checkable
class MessageProcessor(Protocol):
    """Anything that chooses or changes recalled messages before a model is shown them."""

    def process(self, messages: list[Message], /) -> list[Message] | Awaitable[list[Message]]:
        """The messages to go on with, oldest first; what is stored stays as it is."""
        ...


class TokenLimiter:
    """Keeps the newest messages that fit into ``limit`` tokens; none is cut in two.

    ``count`` gives the tokens of a message. By default about four characters are one token, over
    texts, reasoning, and calls of tools with arguments and results as JSON; a file is 1,000.
    """

    def __init__(self, limit: int, *, count: Callable[[Message], int] | None = None) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ConfigurationError(f"limit of TokenLimiter must be tokens >= 1, not {limit!r}")
        self.limit = limit
        self.count = count or estimated_tokens

    def process(self, messages: list[Message], /) -> list[Message]:
        """The newest messages within the budget; from the first on that exceeds it, none."""
        left, first = self.limit, len(messages)
        while first and (left := left - self.count(messages[first - 1])) >= 0:
            first -= 1
        return messages[first:]

    def __repr__(self) -> str:
        return f"TokenLimiter({self.limit})"


class ToolCallFilter:
    """Leaves out the calls of these tools with their results; of all tools, if none are named."""

    def __init__(self, exclude: Sequence[str] | None = None) -> None:
        if isinstance(exclude, str):
            raise ConfigurationError(
                f"exclude of ToolCallFilter must be a list of names, as [{exclude!r}]"
            )
        self.exclude = None if exclude is None else tuple(exclude)

    def process(self, messages: list[Message], /) -> list[Message]:
        """The messages without the calls; those of which nothing is left are not among them."""
        rest = [without_calls(message, self.exclude) for message in messages]
        return [message for message in rest if message is not None]

    def __repr__(self) -> str:
        return f"ToolCallFilter(exclude={self.exclude!r})"


def estimated_tokens(message: Message) -> int:
    """About how many tokens a message is, rounded up; see ``TokenLimiter``."""
    parts = as_objects(message.content.get("parts"))
    if not parts:
        return -(-len(message.text) // CHARACTERS)
    files = len([part for part in parts if part.get("type") == "file"])
    characters: int = sum(map(_characters, parts))
    return -(-characters // CHARACTERS) + files * FILE_TOKENS


async def apply(processors: Sequence[MessageProcessor], messages: list[Message]) -> list[Message]:
    """The messages after one processor after the other.

    What a processor raises, and an answer that is no list of messages, is a ``ProcessorError``.
    """
    for number, processor in enumerate(processors, 1):
        name = f"message processor {number} of {len(processors)} ({type(processor).__name__})"
        try:
            answer: Any = processor.process(list(messages))
            found: Any = await answer if inspect.isawaitable(answer) else answer
        except Exception as error:
            raise ProcessorError(f"{name} raised {type(error).__name__}: {error}") from error
        messages = cast("list[Message]", found)
        if not isinstance(found, list) or not all(isinstance(m, Message) for m in messages):
            raise ProcessorError(f"{name} must give a list of messages, not {found!r:.80}")
    return messages


def _characters(part: JsonObject) -> int:
    kind = part.get("type")
    if kind == "text":
        return len(str(part.get("text") or ""))
    if kind == "reasoning":
        texts = [detail.get("text") for detail in as_objects(part.get("details"))]
        return sum(len(str(text)) for text in texts if text) or len(
            str(part.get("reasoning") or "")
        )
    if kind == "tool-invocation":
        call = as_object(part.get("toolInvocation"))
        shown = [call.get(key) for key in ("args", "result", "errorText")]
        said = [value if isinstance(value, str) else to_json(value) for value in shown if value]
        return len(str(call.get("toolName") or "")) + sum(map(len, said))
    return 0
