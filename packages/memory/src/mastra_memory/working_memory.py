"""Working memory: the text (or object) that an agent keeps of a user, and brings up to date itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from mastra_core.errors import (
    ConfigurationError,
    ConflictError,
    InvalidArgumentError,
    LimitExceededError,
)
from mastra_core.records import JsonObject, Message, Thread
from mastra_core.storage.codec import clean_text, to_json
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_memory.memory_prompts import DEFAULT_TEMPLATE, told
from mastra_memory.memory_schema import GivenSchema, MemorySchema, merged, parsed
from mastra_memory.removal import without_blocks, without_calls

if TYPE_CHECKING:
    import pydantic_ai

TOOL: Final = "updateWorkingMemory"
TAG: Final = "working_memory"
KEY: Final = "workingMemory"  # in the metadata of a thread
MOST_BYTES: Final = 64 * 1024

Change = Callable[[str | None], str]


class WorkingMemoryOptions(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What is kept of a user, and how.

    ``scope`` is ``resource`` (one memory for all threads of a user) or ``thread``. It is Markdown
    after a ``template``, or with a ``schema`` (a pydantic model, a ``msgspec.Struct``, a JSON
    schema) an object. ``version`` ``vnext`` lets the model change parts of the Markdown.
    """

    enabled: bool = True
    scope: Literal["resource", "thread"] = "resource"
    template: str | None = None
    schema: GivenSchema | None = None
    version: Literal["stable", "vnext"] = "stable"

    def __post_init__(self) -> None:
        if self.schema is not None and self.template is not None:
            raise ConfigurationError("working memory has a template or a schema, not both")
        if self.schema is not None and self.version == "vnext":
            raise ConfigurationError(
                "version vnext of working memory changes parts of a text; with a schema the "
                "stable version changes single fields"
            )


class WorkingMemory:
    """Reads and changes the working memory of resources or threads, so that no change is lost."""

    def __init__(self, options: WorkingMemoryOptions | None = None) -> None:
        self.options = options or WorkingMemoryOptions()
        given = self.options.schema
        self.schema = None if given is None else MemorySchema(given)

    async def read(
        self, domain: MemoryStorage, *, thread_id: str | None, resource_id: str | None
    ) -> str | None:
        """What is remembered, as text; ``None`` if nothing is, or if the thread is another's."""
        if self.options.scope == "resource":
            resource = await domain.get_resource_by_id(_needed(resource_id, "resource"))
            return (resource and resource.working_memory) or None
        thread = await domain.get_thread_by_id(
            _needed(thread_id, "thread"), resource_id=resource_id
        )
        return None if thread is None else in_thread(thread)

    async def update(
        self,
        domain: MemoryStorage,
        value: str | Mapping[str, Any],
        *,
        thread_id: str | None,
        resource_id: str | None,
        expected: str | UnsetType | None = UNSET,
    ) -> str:
        """Store what is to be remembered; the text as it is then stored.

        Markdown is replaced as a whole; with ``expected`` only if what is stored is still that,
        else it is a ``ConflictError``. With a schema ``value`` (a mapping, or JSON text) is merged
        into what is stored: ``None`` deletes a key, arrays are replaced, and the whole must fit the
        schema afterwards. Concurrent merges lose nothing.
        """
        update = None if self.schema is None else parsed(value)
        if update is None and not isinstance(value, str):
            raise InvalidArgumentError(
                f"working memory is Markdown here, so it must be text, not {type(value).__name__}; "
                "for an object configure a schema"
            )

        def change(stored: str | None) -> str:
            if expected is not UNSET and (stored or None) != (expected or None):
                raise ConflictError(
                    "working memory was changed since it was read, nothing was stored; read it "
                    "again, merge both, and update with expected= what was read"
                )
            return str(value) if update is None else self._merged(stored, update)

        return await self._change(domain, change, thread_id, resource_id)

    async def amend(
        self,
        domain: MemoryStorage,
        new_memory: str,
        *,
        search_string: str | None = None,
        thread_id: str | None,
        resource_id: str | None,
    ) -> str:
        """Put ``new_memory`` in the place of ``search_string``, or at the end; the text as stored.

        It goes to the end also where the searched text is not there (any more). What is there
        already is refused (``InvalidArgumentError``), as is an empty text with nothing to replace.
        Concurrent changes lose nothing.
        """
        if self.schema is not None:
            raise ConfigurationError("working memory with a schema is changed by update, not amend")

        def change(stored: str | None) -> str:
            return self._amended(stored or "", new_memory, search_string)

        return await self._change(domain, change, thread_id, resource_id)

    def template(self) -> str:
        """What the memory looks like when it is empty: Markdown, or the JSON schema as text."""
        if self.schema is not None:
            return to_json(self.schema.json, "schema")
        return (self.options.template or DEFAULT_TEMPLATE).strip()

    def is_template(self, text: str) -> bool:
        """Whether the text is nothing but the empty template, blanks aside."""
        return self.schema is None and text.split() == self.template().split()

    def instructions(self, current: str | None, *, read_only: bool = False) -> str:
        """What the model is told: what is remembered, and unless ``read_only`` how to change it."""
        return told(
            template=self.template(),
            current=current,
            mode="json" if self.schema is not None else self.options.version,
            read_only=read_only,
        )

    def tool(
        self,
        domain: MemoryStorage,
        *,
        thread_id: str | None,
        resource_id: str | None,
        shown: str | None,
    ) -> pydantic_ai.Tool[Any]:
        """The tool ``updateWorkingMemory`` of one turn, whose model was ``shown`` this memory.

        In stable Markdown an update of a memory that another agent has changed since is not stored:
        the model is given the present text, and its next update counts as one of that.
        """
        from mastra_memory.memory_tool import made  # noqa: PLC0415 (the framework comes with it)

        return made(self, domain, thread_id=thread_id, resource_id=resource_id, shown=shown)

    def _merged(self, stored: str | None, update: JsonObject) -> str:
        assert self.schema is not None
        after = merged(stored, update)
        self.schema.check(after)
        return to_json(after, "working memory")

    def _amended(self, stored: str, new_memory: str, search_string: str | None) -> str:
        if search_string and search_string in stored:
            return stored.replace(search_string, new_memory, 1)
        if not new_memory.strip() or self.is_template(new_memory):
            raise InvalidArgumentError(
                "there is nothing new in this; call again when there is something to remember"
            )
        known = {line.strip() for line in stored.splitlines()}
        if all(not line.strip() or line.strip() in known for line in new_memory.splitlines()):
            raise InvalidArgumentError("working memory has this text already; nothing was stored")
        return f"{stored}\n{new_memory}" if stored else new_memory

    async def _change(
        self, domain: MemoryStorage, change: Change, thread_id: str | None, resource_id: str | None
    ) -> str:
        def bounded(stored: str | None) -> str:
            text = clean_text(change(stored))
            if (size := len(text.encode())) > MOST_BYTES:
                raise LimitExceededError(
                    f"working memory would have {size:,} bytes, at most {MOST_BYTES:,} are kept; "
                    "shorten it: it is shown to the model in every turn"
                )
            return text

        if self.options.scope == "resource":
            resource = await domain.change_working_memory(_needed(resource_id, "resource"), bounded)
            return resource.working_memory or ""
        thread = await domain.change_thread_metadata(
            _needed(thread_id, "thread"),
            lambda metadata: {**metadata, KEY: bounded(_text(metadata.get(KEY)))},
            resource_id=resource_id,
        )
        return in_thread(thread) or ""


def in_thread(thread: Thread) -> str | None:
    """The working memory of scope ``thread`` that a thread has; ``None`` if it has none."""
    return _text((thread.metadata or {}).get(KEY))


def without_updates(message: Message) -> Message | None:
    """The message without what is working memory's, as it is stored; ``None`` if nothing is left.

    That are calls of ``updateWorkingMemory``, and ``<working_memory>…</working_memory>`` in texts.
    """
    rest = without_calls(message, (TOOL,))
    return None if rest is None else without_blocks(rest, TAG)


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else to_json(value, "working memory")


def _needed(id_: str | None, scope: str) -> str:
    if id_ is None:
        raise InvalidArgumentError(
            f"working memory is kept for each {scope}, and no {scope}_id was given"
        )
    return id_
