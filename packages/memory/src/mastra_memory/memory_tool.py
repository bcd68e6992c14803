"""The tool by which a model brings working memory up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic_ai import ModelRetry, RunContext, Tool

from mastra_core.errors import ConflictError, InvalidArgumentError, LimitExceededError
from mastra_core.records import JsonObject
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_memory.working_memory import TOOL, WorkingMemory

TRIES: Final = 10  # an update that other agents come before again and again fails no turn

STABLE: Final[JsonObject] = {
    "type": "object",
    "properties": {
        "memory": {
            "type": "string",
            "description": "The whole working memory as Markdown, also what has not changed.",
        }
    },
    "required": ["memory"],
}
VNEXT: Final[JsonObject] = {
    "type": "object",
    "properties": {
        "newMemory": {
            "type": "string",
            "description": "The text to remember, as Markdown.",
        },
        "searchString": {
            "type": "string",
            "description": "Text of the working memory that newMemory takes the place of, exactly "
            "as it stands there. Without it newMemory is added at the end.",
        },
        "updateReason": {
            "type": "string",
            "enum": [
                "append-new-memory",
                "clarify-existing-memory",
                "replace-irrelevant-memory",
            ],
            "description": "Why; all but append-new-memory (the default) need a searchString.",
        },
    },
    "required": ["newMemory"],
}
APPEND: Final = "append-new-memory"


def made(
    memory: WorkingMemory,
    domain: MemoryStorage,
    *,
    thread_id: str | None,
    resource_id: str | None,
    shown: str | None,
) -> Tool[Any]:
    """The tool of one turn; see ``WorkingMemory.tool``."""
    kept = {"thread_id": thread_id, "resource_id": resource_id}
    update: _Updating
    if memory.schema is not None:
        schema, update = memory.schema.arguments(), _Merging(memory, domain, kept)
        says = "Remember these fields of the working memory; others stay as they are."
    elif memory.options.version == "vnext":
        schema, update = VNEXT, _Amending(memory, domain, kept)
        says = "Add something to the working memory, or replace a part of it."
    else:
        schema, update = STABLE, _Replacing(memory, domain, kept, shown)
        says = "Replace the working memory by its new text; what you leave out is lost."
    tool: Tool[Any] = Tool.from_schema(
        update.call, TOOL, says, schema, takes_ctx=True, sequential=True
    )
    tool.max_retries = TRIES
    return tool


class _Updating:
    """What all forms of the tool share: a model that asks for what cannot be is told, and goes on."""

    def __init__(
        self, memory: WorkingMemory, domain: MemoryStorage, kept: Mapping[str, str | None]
    ) -> None:
        self.memory = memory
        self.domain = domain
        self.kept = kept
        self.lock = asyncio.Lock()

    async def call(self, context: RunContext[Any], /, **arguments: Any) -> JsonObject:
        """Update; the answer is that of the original's tool."""
        async with self.lock:
            try:
                return await self.update(context, arguments)
            except (ConflictError, InvalidArgumentError, LimitExceededError) as error:
                if context.last_attempt:
                    return {"success": False, "message": str(error)}
                raise ModelRetry(str(error)) from error

    async def update(self, context: RunContext[Any], arguments: JsonObject) -> JsonObject:
        raise NotImplementedError


class _Replacing(_Updating):
    """Stable Markdown: the whole text, on condition that it is of what the model has seen."""

    def __init__(
        self,
        memory: WorkingMemory,
        domain: MemoryStorage,
        kept: Mapping[str, str | None],
        shown: str | None,
    ) -> None:
        super().__init__(memory, domain, kept)
        self.seen = shown
        self.stored_in: int | None = None

    async def update(self, context: RunContext[Any], arguments: JsonObject) -> JsonObject:
        text = _text(arguments, "memory")
        if self.memory.is_template(text) and self.seen and not self.memory.is_template(self.seen):
            raise InvalidArgumentError(
                "this is the empty template, and the working memory is not empty; nothing was "
                "stored. Call again with all that is to be kept"
            )
        if self.stored_in == context.run_step:
            # Two calls in one response: the second cannot have been written over the first.
            raise ConflictError(self._changed(self.seen))
        try:
            self.seen = await self.memory.update(self.domain, text, expected=self.seen, **self.kept)
        except ConflictError:
            self.seen = await self.memory.read(self.domain, **self.kept)
            raise ConflictError(self._changed(self.seen)) from None
        self.stored_in = context.run_step
        return {"success": True}

    def _changed(self, present: str | None) -> str:
        return (
            "The working memory has changed since you read it, so yours was not stored. Put what "
            "you want to add into the present one and call again with the whole text. It is now:\n"
            f"{present or '(empty)'}"
        )


class _Merging(_Updating):
    """An object after a schema, of which the model gives what is new."""

    async def update(self, context: RunContext[Any], arguments: JsonObject) -> JsonObject:
        # Some models give the fields themselves, as the original takes them too.
        given = arguments.get("memory", arguments)
        if given is None or given == {}:
            return {"success": True, "message": "There was nothing to change."}
        if not isinstance(given, (str, Mapping)):
            raise InvalidArgumentError(f"memory must be an object, not {type(given).__name__}")
        await self.memory.update(self.domain, cast("str | JsonObject", given), **self.kept)
        return {"success": True}


class _Amending(_Updating):
    """Markdown of which the model gives the part that is new, and what it replaces."""

    async def update(self, context: RunContext[Any], arguments: JsonObject) -> JsonObject:
        reason, searched = arguments.get("updateReason"), arguments.get("searchString")
        if reason not in (None, APPEND) and not searched:
            raise InvalidArgumentError(
                f"updateReason {reason} needs a searchString: the text that newMemory replaces"
            )
        await self.memory.amend(
            self.domain,
            _text(arguments, "newMemory"),
            search_string=_text(arguments, "searchString")
            if searched and reason != APPEND
            else None,
            **self.kept,
        )
        return {"success": True}


def _text(arguments: JsonObject, name: str) -> str:
    value = arguments.get(name)
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{name} must be text, not {type(value).__name__}")
    return value
