"""Messages as they are stored, and as the model framework has them: both ways, nothing lost.

One turn is a user's message and one assistant message; each request to the model within the turn
is a step of that message, which begins with a ``step-start`` part. Times are kept in milliseconds,
results of tools stand with their calls, and instructions belong to the agent, not to its messages.
Parts that no model is shown (sources, errors, data) stay in storage and are left out here.

The functions that need the framework (``mastra-core[agent]``) import it when they are called.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from mastra_core.clock import MILLISECOND, from_iso, instant, iso, milliseconds
from mastra_core.parts import (
    VENDOR,
    decode_item,
    decode_response_part,
    decode_result,
    encode_item,
    encode_response_part,
    encode_result,
    epoch,
    is_call,
    moment,
    rest_of,
    verbatim,
    verbatim_of,
    with_rest,
)
from mastra_core.records import JsonObject, Message
from mastra_core.storage.codec import from_json, to_json

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, UserContent

_log = logging.getLogger("mastra_core")

# What the framework notes about one run only.
RUN_FIELDS = ("kind", "parts", "instructions", "run_id", "conversation_id")
PROMPTS = {"user-prompt": "user", "system-prompt": "system"}


def to_model_messages(messages: Sequence[Message]) -> list[ModelMessage]:
    """What a model is shown of stored messages, in their order.

    What the framework does not take (a part of a newer version, a damaged file) is left out.
    """
    from pydantic_ai.messages import ModelMessagesTypeAdapter  # noqa: PLC0415

    decoded = [model for message in messages for model in _decode(message)]
    try:
        return ModelMessagesTypeAdapter.validate_json(to_json(decoded, "messages for the model"))
    except ValueError:
        shown: list[ModelMessage] = []
        for model in decoded:
            shown += _salvaged(model)
        return shown


def from_model_messages(
    models: Sequence[ModelMessage], *, thread_id: str, resource_id: str | None
) -> list[Message]:
    """Messages to store for those of the framework: one of the assistant for each turn."""
    found: list[Message] = []
    turn: list[JsonObject] = []

    def add(role: str, content: JsonObject, at: str | None) -> None:
        asked = from_iso(at)
        created = instant() if asked is None else milliseconds(asked)
        if found:
            created = max(created, found[-1].created_at + MILLISECOND)
        found.append(
            Message(
                thread_id=thread_id,
                resource_id=resource_id,
                role=role,
                content=content,
                created_at=created,
            )
        )

    def end_turn() -> None:
        if any(model["kind"] == "response" for model in turn):
            at = [model.get("timestamp") for model in turn if model["kind"] == "response"][-1]
            add("assistant", {"format": 2, "parts": _answer_parts(turn)}, at)
            turn.clear()

    for model in _dumped(models):
        asks = {part["part_kind"] for part in model["parts"]}
        if model["kind"] == "request" and asks & set(PROMPTS) and "tool-return" not in asks:
            end_turn()
            for part in model["parts"]:
                if part["part_kind"] in PROMPTS:
                    add(PROMPTS[part["part_kind"]], _prompt_content(part), part.get("timestamp"))
            model["parts"] = [p for p in model["parts"] if p["part_kind"] not in PROMPTS]
        turn.append(model)
    end_turn()
    return found


def prompt_content(content: str | Sequence[UserContent]) -> JsonObject:
    """The stored content of what a user says: text, files, images, audio."""
    from pydantic_ai.messages import ModelRequest, UserPromptPart  # noqa: PLC0415

    (dumped,) = _dumped([ModelRequest(parts=[UserPromptPart(content)])])
    return _prompt_content(dumped["parts"][0])


def answer_parts(models: Sequence[ModelMessage]) -> list[JsonObject]:
    """The parts of the assistant's message for the responses and tool results of one turn."""
    return _answer_parts(_dumped(models))


def without_open_calls(messages: Iterable[Message]) -> list[Message]:
    """The messages without tool calls that have no result: no provider accepts such a history."""
    kept: list[Message] = []
    for message in messages:
        parts = [part for part in _parts(message) if not _waits(part)]
        if len(parts) == len(_parts(message)):
            kept.append(message)
        elif any(part.get("type") != "step-start" for part in parts):
            content = {k: v for k, v in message.content.items() if k != "toolInvocations"}
            content["parts"] = parts
            kept.append(msgspec.structs.replace(message, content=content))
    return kept


def _waits(part: Mapping[str, Any]) -> bool:
    """Whether this program would have to answer the call; providers answer their own."""
    return is_call(part, open_only=True) and not part.get("providerExecuted")


def _dumped(models: Sequence[ModelMessage]) -> list[JsonObject]:
    from pydantic_ai.messages import ModelMessagesTypeAdapter  # noqa: PLC0415

    dumped: list[JsonObject] = from_json(ModelMessagesTypeAdapter.dump_json(list(models)))
    return dumped


def _prompt_content(part: JsonObject) -> JsonObject:
    given = part["content"]
    parts = [encode_item(item) for item in ([given] if isinstance(given, str) else given)]
    if parts and (at := epoch(part.get("timestamp"))) is not None:
        parts[0]["createdAt"] = at
    named = ("content", "timestamp", "part_kind")
    return with_rest(
        {"format": 2, "parts": parts}, {k: v for k, v in part.items() if k not in named}
    )


def _answer_parts(models: Iterable[JsonObject]) -> list[JsonObject]:
    parts: list[JsonObject] = []
    calls: dict[str, list[JsonObject]] = {}
    for model in models:
        if model["kind"] == "response":
            calls = {}
            step = _encode_step(model)
            for part in step:
                if is_call(part, open_only=True):
                    calls.setdefault(part["toolInvocation"]["toolCallId"], []).append(part)
            parts += step
            continue
        for part in model["parts"]:
            waiting = calls.get(part.get("tool_call_id", ""))
            if part["part_kind"] == "tool-return" and waiting:
                encode_result(waiting.pop(0), part)
            else:
                parts.append(verbatim("request", part))
    return parts


def _encode_step(response: JsonObject) -> list[JsonObject]:
    rest = {k: v for k, v in response.items() if k not in {*RUN_FIELDS, "timestamp"}}
    rest["usage"] = {k: v for k, v in (rest.get("usage") or {}).items() if v} or None
    start: JsonObject = {"type": "step-start", "providerMetadata": {VENDOR: {}}}
    if (at := epoch(response.get("timestamp"))) is not None:
        start["createdAt"] = at
    if response.get("model_name"):
        start["model"] = response["model_name"]
    step = [with_rest(start, rest)]
    for part in response["parts"]:
        call = step[-1]
        if (
            part["part_kind"] == "builtin-tool-return"
            and call.get("providerExecuted")
            and is_call(call, open_only=True)
            and call["toolInvocation"]["toolCallId"] == part["tool_call_id"]
        ):
            encode_result(call, part)
        else:
            step.append(encode_response_part(part))
    return step


def _decode(message: Message) -> list[JsonObject]:
    """The framework's messages for a stored one; none for roles that no model is shown."""
    if message.role == "assistant":
        return [model for step in _steps(message) for model in step.models()]
    if message.role not in PROMPTS.values():
        return []
    parts = _parts(message)
    prompt: JsonObject = rest_of(message.content)
    prompt["timestamp"] = moment(parts[0] if parts else {}, message.created_at)
    if message.role == "system":
        prompt |= {"part_kind": "system-prompt", "content": message.text}
        return [{"kind": "request", "parts": [prompt]}]
    items = [item for part in parts if (item := decode_item(part)) is not None]
    if not items:
        return []
    alone = len(items) == 1 and isinstance(items[0], str)
    prompt |= {"part_kind": "user-prompt", "content": items[0] if alone else items}
    return [{"kind": "request", "parts": [prompt]}]


class _Step:
    """One response of the model, and what was answered to it: the results of its tool calls."""

    def __init__(self, start: Mapping[str, Any], message: Message) -> None:
        self.ours = VENDOR in (start.get("providerMetadata") or {})
        self.message = message
        self.response = rest_of(start)
        self.response["timestamp"] = moment(start, message.created_at)
        self.parts: list[JsonObject] = []
        self.results: list[JsonObject] = []
        self.others: list[JsonObject] = []

    def ends_before(self, part: Mapping[str, Any]) -> bool:
        """Whether the part is already of the next response, in messages that mark no steps."""
        return bool(self.results) and not self.ours and part.get("type") in {"text", "reasoning"}

    def add(self, part: Mapping[str, Any]) -> None:
        """Take in one stored part."""
        given = verbatim_of(part, "response", "request")
        if given is not None:
            (self.parts if given[0] == "response" else self.others).append(given[1])
        elif (decoded := decode_response_part(part)) is not None:
            self.parts.append(decoded)
            result = decode_result(part, self.message.created_at)
            if result is not None:
                native = result["part_kind"] == "builtin-tool-return"
                (self.parts if native else self.results).append(result)

    def models(self) -> Iterator[JsonObject]:
        """The response and the request that follows it, where there is something in them."""
        if self.parts:
            yield {**self.response, "kind": "response", "parts": self.parts}
        if self.results or self.others:
            yield {"kind": "request", "parts": [*self.results, *self.others]}


def _steps(message: Message) -> list[_Step]:
    steps = [_Step({}, message)]
    for part in _parts(message):
        if part.get("type") == "step-start":
            steps.append(_Step(part, message))
        else:
            if steps[-1].ends_before(part):
                steps.append(_Step({}, message))
            steps[-1].add(part)
    return steps


def _parts(message: Message) -> list[JsonObject]:
    """The parts of a message, and those that old versions kept beside them."""
    content = message.content
    parts = [part for part in message.parts if isinstance(part, dict)]
    kinds = {part.get("type") for part in parts}
    if "tool-invocation" not in kinds:
        for call in content.get("toolInvocations") or ():
            parts.append({"type": "tool-invocation", "toolInvocation": call})
    if "file" not in kinds:
        for file in content.get("experimental_attachments") or ():
            parts.append(
                {"type": "file", "mimeType": file.get("contentType"), "data": file.get("url")}
            )
    if not kinds & {"text", "error"} and isinstance(content.get("content"), str):
        parts.append({"type": "text", "text": content["content"]})
    return parts


def _salvaged(model: JsonObject) -> list[ModelMessage]:
    """The message with those of its parts that the framework takes."""
    from pydantic_ai.messages import ModelMessagesTypeAdapter  # noqa: PLC0415

    def taken(message: JsonObject) -> list[ModelMessage]:
        try:
            return ModelMessagesTypeAdapter.validate_json(to_json([message]))
        except ValueError:
            return []

    bare = {k: v for k, v in model.items() if k in {"kind", "timestamp", "parts"}}
    for message in (model, bare):
        if whole := taken(message):
            return whole
        parts = [part for part in model["parts"] if taken({**message, "parts": [part]})]
        if parts:
            _log.warning(
                "%d message parts are not shown to the model", len(bare["parts"]) - len(parts)
            )
            return taken({**message, "parts": parts})
    return []
