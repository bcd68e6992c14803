"""What a memory does, as it is configured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from mastra_core.errors import ConfigurationError, InvalidArgumentError
from mastra_core.records import JsonObject
from mastra_core.storage.paging import options
from mastra_core.vector.checks import TOP_K
from mastra_memory.titles import TitleOptions
from mastra_memory.working_memory import WorkingMemoryOptions


class MessageRange(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """How many messages come with one that was found, before and after it."""

    before: int = 1
    after: int = 1


class SemanticRecall(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """Recall by meaning: the ``top_k`` messages nearest to what is asked, with their neighbours.

    ``scope`` is all threads of the ``resource``, or this ``thread``. ``threshold`` leaves out what
    scores lower (see ``mastra_core.vector.Match``), ``filter`` what does not match it (metadata of
    the thread, ``role``, ``created_at``, …). ``index_config`` has ``metric`` and the options of the
    vector store's index, ``index_name`` another name for it than the original's.
    """

    top_k: int = 4
    message_range: int | MessageRange = 1
    scope: Literal["resource", "thread"] = "resource"
    threshold: float | None = None
    filter: JsonObject | None = None
    index_config: JsonObject | None = None
    index_name: str | None = None

    @property
    def window(self) -> MessageRange:
        """``message_range`` with both its sides."""
        given = self.message_range
        return given if isinstance(given, MessageRange) else MessageRange(before=given, after=given)


class MemoryOptions(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """How much an agent remembers.

    ``last_messages`` is how many of a thread's messages the model is shown again (``False`` or 0:
    none). ``semantic_recall``, ``working_memory`` and ``generate_title`` are off unless ``True`` or
    their options are given. With ``read_only`` an agent's turns are not stored.
    ``filter_incomplete_tool_calls`` leaves out tool calls that have no result; without it they are
    shown as interrupted.
    """

    last_messages: int | bool = 10
    semantic_recall: SemanticRecall | None = None
    working_memory: WorkingMemoryOptions | None = None
    generate_title: TitleOptions | None = None
    read_only: bool = False
    filter_incomplete_tool_calls: bool = True


PARTS: Mapping[str, type[msgspec.Struct]] = {
    "semantic_recall": SemanticRecall,
    "working_memory": WorkingMemoryOptions,
    "generate_title": TitleOptions,
}


def checked(given: MemoryOptions | Mapping[str, Any] | None) -> MemoryOptions:
    """The options, of which none is unknown or cannot be."""
    if given is None:
        return MemoryOptions()
    chosen = given if isinstance(given, MemoryOptions) else _converted(given)
    if chosen.last_messages is True or chosen.last_messages < 0:
        raise ConfigurationError(
            f"last_messages must be a number >= 0, or False for none, not {chosen.last_messages!r}"
        )
    if chosen.semantic_recall is not None:
        _check_recall(chosen.semantic_recall)
    return chosen


def _converted(given: Mapping[str, Any]) -> MemoryOptions:
    """The options of a mapping: the parts by themselves, for they may hold models and functions."""
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"options of Memory must be a mapping, not {type(given).__name__}")
    fields = msgspec.structs.fields(MemoryOptions)
    names = {name: field.name for field in fields for name in (field.name, field.encode_name)}
    unknown = sorted(str(key) for key in given if key not in names)
    if unknown:
        known = ", ".join(field.name for field in fields)
        raise ConfigurationError(
            f"Memory has no option {', '.join(map(repr, unknown))}; it has {known}"
        )
    values = {names[key]: value for key, value in given.items()}
    parts = {name: _part(name, values.pop(name)) for name in PARTS if name in values}
    try:
        plain = options(MemoryOptions, values, "options of Memory")
    except InvalidArgumentError as error:
        raise ConfigurationError(str(error)) from error
    return msgspec.structs.replace(plain, **parts)


def _part(name: str, given: Any) -> Any:
    """The options of a part: ``True`` is its defaults, ``False`` and ``None`` that it is off."""
    if given is None or given is False:
        return None
    try:
        chosen = options(PARTS[name], {} if given is True else given, name)
    except InvalidArgumentError as error:
        raise ConfigurationError(str(error)) from error
    return None if getattr(chosen, "enabled", True) is False else chosen


def _check_recall(recall: SemanticRecall) -> None:
    if not 1 <= recall.top_k <= TOP_K:
        raise ConfigurationError(f"top_k of semantic_recall must be from 1 to {TOP_K}")
    if min(recall.window.before, recall.window.after) < 0:
        raise ConfigurationError("message_range of semantic_recall must be >= 0")
