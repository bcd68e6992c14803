"""Messages as they are stored, and as the model framework has them: both ways, nothing lost.

One turn is a message of the user and one of the assistant (see ``steps``). Times are kept in
milliseconds, the results of tools in the order of their calls, and instructions belong to the
agent, not to its messages. Parts that no model is shown (sources, errors, data) stay in storage and
are left out here. The functions that need the framework (``mastra-core[agent]``) import it when
they are called.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from mastra_core.attachments import decode_item, encode_item
from mastra_core.clock import MILLISECOND, from_iso, instant, milliseconds
from mastra_core.parts import epoch, is_call, moment, rest_of, with_rest, without
from mastra_core.records import JsonObject, Message
from mastra_core.steps import decode_answer, encode_answer, parts_of
from mastra_core.storage.codec import from_json, to_json

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, UserContent

_log = logging.getLogger("mastra_core")

ROLES: Final = {"user-prompt": "user", "system-prompt": "system"}


def to_model_messages(messages: Iterable[Message]) -> list[ModelMessage]:
    """What a model is shown of stored messages, in their order.

    What the framework does not take (parts of a newer version, a damaged file) is left out.
    """
    from pydantic_ai.messages import ModelMessagesTypeAdapter  # noqa: PLC0415

    decoded = [model for message in messages for model in _decode(message)]
    try:
        return ModelMessagesTypeAdapter.validate_json(to_json(decoded, "messages"))
    except ValueError:
        return [shown for model in decoded for shown in _salvaged(model)]


def from_model_messages(
    models: Sequence[ModelMessage], *, thread_id: str, resource_id: str | None
) -> list[Message]:
    """The messages to store for those of the framework: one of the assistant for each turn."""
    found: list[Message] = []
    turn: list[JsonObject] = []

    def add(role: str, content: JsonObject, at: str | None) -> None:
        given = from_iso(at)
        created = instant() if given is None else milliseconds(given)
        if found:
            created = max(created, found[-1].created_at + MILLISECOND)
        message = Message(
            thread_id=thread_id,
            resource_id=resource_id,
            role=role,
            content=content,
            created_at=created,
        )
        found.append(message)

    def end_turn() -> None:
        times = [model.get("timestamp") for model in turn if model["kind"] == "response"]
        if times:
            add("assistant", {"format": 2, "parts": encode_answer(turn)}, times[-1])
            turn.clear()

    for model in _dumped(models):
        if model["kind"] == "request" and _asks(model):
            end_turn()
            for part in model["parts"]:
                if role := ROLES.get(part["part_kind"]):
                    add(role, _encode_prompt(part), part.get("timestamp"))
            model["parts"] = [part for part in model["parts"] if part["part_kind"] not in ROLES]
        turn.append(model)
    end_turn()
    return found


def _asks(request: JsonObject) -> bool:
    """Whether the request begins a turn; one with results of tools goes on with a turn."""
    kinds = {part["part_kind"] for part in request["parts"]}
    return bool(kinds & set(ROLES)) and "tool-return" not in kinds


def prompt_content(prompt: str | Sequence[UserContent]) -> JsonObject:
    """The stored content of what a user says: text, files, images, audio."""
    from pydantic_ai.messages import ModelRequest, UserPromptPart  # noqa: PLC0415

    (request,) = _dumped([ModelRequest(parts=[UserPromptPart(prompt)])])
    return _encode_prompt(request["parts"][0])


def answer_parts(models: Sequence[ModelMessage]) -> list[JsonObject]:
    """The parts of the assistant's message for the responses and tool results of one turn."""
    return encode_answer(_dumped(models))


def without_open_calls(messages: Iterable[Message]) -> list[Message]:
    """The messages without tool calls that have no result: no provider takes such a history."""
    kept: list[Message] = []
    for message in messages:
        parts = parts_of(message)
        closed = [p for p in parts if p.get("providerExecuted") or not is_call(p, open_only=True)]
        if len(closed) == len(parts):
            kept.append(message)
        elif any(part.get("type") != "step-start" for part in closed):
            content = {k: v for k, v in message.content.items() if k != "toolInvocations"}
            content["parts"] = closed
            kept.append(msgspec.structs.replace(message, content=content))
    return kept


def _dumped(models: Sequence[ModelMessage]) -> list[JsonObject]:
    from pydantic_ai.messages import ModelMessagesTypeAdapter  # noqa: PLC0415

    dumped: list[JsonObject] = from_json(ModelMessagesTypeAdapter.dump_json(list(models)))
    return dumped


def _encode_prompt(prompt: JsonObject) -> JsonObject:
    given = prompt["content"]
    parts = [encode_item(item) for item in ([given] if isinstance(given, str) else given)]
    if parts and (at := epoch(prompt.get("timestamp"))) is not None:
        parts[0]["createdAt"] = at
    return with_rest({"format": 2, "parts": parts}, without(prompt, "content", "timestamp"))


def _decode(message: Message) -> list[JsonObject]:
    """The framework's messages for a stored one; none for roles that no model is shown."""
    if message.role == "assistant":
        return list(decode_answer(message))
    if message.role not in ROLES.values():
        return []
    parts = parts_of(message)
    prompt = rest_of(message.content)
    prompt["timestamp"] = moment(parts[0] if parts else {}, message.created_at)
    if message.role == "system":
        prompt |= {"part_kind": "system-prompt", "content": message.text}
        return [{"kind": "request", "parts": [prompt]}]
    items = [item for part in parts if (item := decode_item(part)) is not None]
    alone = len(items) == 1 and isinstance(items[0], str)
    prompt |= {"part_kind": "user-prompt", "content": items[0] if alone else items}
    return [{"kind": "request", "parts": [prompt]}] if items else []


def _salvaged(model: JsonObject) -> list[ModelMessage]:
    """The message with those of its parts that the framework takes."""
    bare = {"kind": model["kind"], "timestamp": model.get("timestamp")}
    for message in (model, bare):
        taken = [part for part in model["parts"] if _valid({**message, "parts": [part]})]
        if taken:
            if left := len(model["parts"]) - len(taken):
                _log.warning("the model is not shown %d parts of a message: not understood", left)
            return _valid({**message, "parts": taken})
    return []


def _valid(model: JsonObject) -> list[ModelMessage]:
    from pydantic_ai.messages import ModelMessagesTypeAdapter  # noqa: PLC0415

    try:
        return ModelMessagesTypeAdapter.validate_json(to_json([model], "messages"))
    except ValueError:
        return []
