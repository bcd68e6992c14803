"""Messages without what is not to be kept or shown: calls of tools, and marked blocks of text."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from mastra_core.parts import VERBATIM, as_object, as_objects
from mastra_core.records import JsonObject, Message


def without_calls(message: Message, names: Collection[str] | None = None) -> Message | None:
    """The message without the calls of these tools (of all, if ``None``) and what answered them.

    A message without such calls is given back as it is; one of which nothing is left is ``None``.
    Where a step of a model has only reasoning left, that goes too: providers refuse reasoning that
    leads to nothing.
    """
    parts = as_objects(message.content.get("parts"))
    kept: list[JsonObject] = []
    for step in _steps(parts):
        rest = [part for part in step if not _calls(part, names)]
        if len(rest) < len(step) and all(
            p.get("type") in {"step-start", "reasoning"} for p in rest
        ):
            continue
        kept += rest
    content = {**message.content, "parts": kept}
    mirrored = as_objects(message.content.get("toolInvocations"))
    rest = [call for call in mirrored if not _named(call.get("toolName"), names)]
    if len(kept) == len(parts) and len(rest) == len(mirrored):
        return message
    if mirrored:
        content["toolInvocations"] = rest
    return _unless_empty(message, content)


def without_blocks(message: Message, tag: str) -> Message | None:
    """The message without ``<tag>…</tag>`` in its texts; ``None`` if nothing is left of it."""
    parts: list[JsonObject] = []
    changed = False
    for part in as_objects(message.content.get("parts")):
        text = part.get("text")
        if part.get("type") == "text" and isinstance(text, str) and f"<{tag}>" in text:
            rest = _outside(text, tag)
            changed |= rest != text
            if rest != text and not rest:
                continue
            parts.append({**part, "text": rest})
        else:
            parts.append(part)
    content = {**message.content, "parts": parts}
    copy = message.content.get("content")
    if isinstance(copy, str) and _outside(copy, tag) != copy:
        content["content"], changed = _outside(copy, tag), True
    if "parts" not in message.content:
        del content["parts"]
    return _unless_empty(message, content) if changed else message


def _unless_empty(message: Message, content: JsonObject) -> Message | None:
    says = any(part.get("type") != "step-start" for part in as_objects(content.get("parts")))
    text = content.get("content")
    if says or (isinstance(text, str) and text.strip()) or content.get("toolInvocations"):
        return msgspec.structs.replace(message, content=content)
    return None


def _outside(text: str, tag: str) -> str:
    """The text without closed blocks; in one pass, however often the tag is opened."""
    start, end = f"<{tag}>", f"</{tag}>"
    kept: list[str] = []
    at = 0
    while (begin := text.find(start, at)) >= 0:
        close = text.find(end, begin + len(start))
        if close < 0:
            break
        kept.append(text[at:begin])
        at = close + len(end)
    return text if not at else ("".join(kept) + text[at:]).strip()


def _steps(parts: Sequence[JsonObject]) -> list[list[JsonObject]]:
    """The parts in runs that begin with a ``step-start`` each."""
    steps: list[list[JsonObject]] = [[]]
    for part in parts:
        if part.get("type") == "step-start" and steps[-1]:
            steps.append([])
        steps[-1].append(part)
    return steps


def _calls(part: JsonObject, names: Collection[str] | None) -> bool:
    """Whether the part is such a call, or an answer to one that has no place beside its call."""
    if part.get("type") == "tool-invocation":
        return _named(as_object(part.get("toolInvocation")).get("toolName"), names)
    inner = as_object(as_object(part.get("data")).get("part"))
    return part.get("type") == VERBATIM and _named(inner.get("tool_name"), names)


def _named(name: object, names: Collection[str] | None) -> bool:
    return isinstance(name, str) and (names is None or name in names)
