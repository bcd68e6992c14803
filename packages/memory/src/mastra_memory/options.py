"""What a memory does, as it is configured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mastra_core.errors import ConfigurationError, InvalidArgumentError
from mastra_core.storage.paging import options


class MemoryOptions(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """How much an agent remembers.

    ``last_messages`` is how many of a thread's messages the model is shown again (``False`` or 0:
    none). With ``read_only`` an agent's turns are not stored. ``filter_incomplete_tool_calls``
    leaves out tool calls that have no result; without it they are shown as interrupted.
    """

    last_messages: int | bool = 10
    read_only: bool = False
    filter_incomplete_tool_calls: bool = True


def checked(given: MemoryOptions | Mapping[str, Any] | None) -> MemoryOptions:
    """The options, of which none is unknown or cannot be."""
    if given is None:
        return MemoryOptions()
    if isinstance(given, Mapping):
        fields = msgspec.structs.fields(MemoryOptions)
        known = {name for field in fields for name in (field.name, field.encode_name)}
        unknown = sorted(str(key) for key in given if key not in known)
        if unknown:
            names = ", ".join(field.name for field in fields)
            raise ConfigurationError(
                f"Memory has no option {', '.join(map(repr, unknown))}; it has {names}"
            )
    try:
        chosen = options(MemoryOptions, given, "options of Memory")
    except InvalidArgumentError as error:
        raise ConfigurationError(str(error)) from error
    if chosen.last_messages is True or chosen.last_messages < 0:
        raise ConfigurationError(
            f"last_messages must be a number >= 0, or False for none, not {chosen.last_messages!r}"
        )
    return chosen
