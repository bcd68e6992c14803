"""The assistant's message of a turn: steps, each a response of the model and what answered it.

A step begins with a ``step-start`` part, which keeps what is known of the response (model, usage,
provider). Results of tools stand with their calls. JSON values only, as in ``parts``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from mastra_core.attachments import decode_generated, encode_generated
from mastra_core.parts import (
    VENDOR,
    as_object,
    as_objects,
    decode_call,
    decode_reasoning,
    decode_result,
    decode_text,
    encode_call,
    encode_reasoning,
    encode_result,
    encode_text,
    epoch,
    is_call,
    moment,
    rest_of,
    verbatim,
    verbatim_of,
    with_rest,
)
from mastra_core.records import JsonObject, Message

ENCODERS: Final[Mapping[str, Callable[[JsonObject], JsonObject]]] = {
    "text": encode_text,
    "thinking": encode_reasoning,
    "tool-call": encode_call,
    "builtin-tool-call": encode_call,
    "file": encode_generated,
}
DECODERS: Final[Mapping[str, Callable[[JsonObject], JsonObject | None]]] = {
    "text": decode_text,
    "reasoning": decode_reasoning,
    "tool-invocation": decode_call,
    "file": decode_generated,
}

# What the framework notes of a response that is of its run only, or stands elsewhere.
ELSEWHERE: Final = ("kind", "parts", "timestamp", "run_id", "conversation_id")


def encode_answer(models: Iterable[JsonObject]) -> list[JsonObject]:
    """The parts of the assistant's message for the responses and requests of one turn."""
    parts: list[JsonObject] = []
    waiting: dict[str, list[JsonObject]] = {}
    for model in models:
        if model["kind"] == "response":
            step = _encode_step(model)
            parts += step
            waiting = {}
            for part in step:
                if is_call(part, open_only=True):
                    waiting.setdefault(part["toolInvocation"]["toolCallId"], []).append(part)
            continue
        for part in model["parts"]:
            calls = waiting.get(part.get("tool_call_id") or "")
            if part["part_kind"] == "tool-return" and calls:
                encode_result(calls.pop(0), part)
            else:
                parts.append(verbatim("request", part))
    return parts


def _encode_step(response: JsonObject) -> list[JsonObject]:
    rest = {k: v for k, v in response.items() if k not in ELSEWHERE}
    rest["usage"] = {k: v for k, v in as_object(rest.get("usage")).items() if v} or None
    start: JsonObject = {"type": "step-start", "providerMetadata": {VENDOR: {}}}
    if response.get("model_name"):
        start["model"] = response["model_name"]
    if (at := epoch(response.get("timestamp"))) is not None:
        start["createdAt"] = at
    step = [with_rest(start, rest)]
    for part in response["parts"]:
        kind, call = part["part_kind"], step[-1]
        if kind == "builtin-tool-return" and _answers(part, call):
            encode_result(call, part)
        else:
            encode = ENCODERS.get(kind)
            step.append(verbatim("response", part) if encode is None else encode(part))
    return step


def _answers(result: JsonObject, call: JsonObject) -> bool:
    """Whether the provider's result is that of the call right before it."""
    waits = bool(call.get("providerExecuted")) and is_call(call, open_only=True)
    return waits and call["toolInvocation"]["toolCallId"] == result["tool_call_id"]


def decode_answer(message: Message) -> Iterator[JsonObject]:
    """The responses and requests that the assistant's message stands for."""
    step = _Step({}, message)
    for part in parts_of(message):
        begins = part.get("type") == "step-start"
        if begins or step.ends_before(part):
            yield from step.models()
            step = _Step(part if begins else {}, message)
        step.add(part)
    yield from step.models()


class _Step:
    """One response of the model, and what was answered to it: the results of its tool calls."""

    def __init__(self, start: JsonObject, message: Message) -> None:
        self.ours = VENDOR in as_object(start.get("providerMetadata"))
        self.default = message.created_at
        self.response = rest_of(start)
        self.response["timestamp"] = moment(start, self.default)
        self.parts: list[JsonObject] = []
        self.results: list[JsonObject] = []
        self.others: list[JsonObject] = []

    def ends_before(self, part: JsonObject) -> bool:
        """Whether the part is already of the next response, in messages that mark no steps."""
        return bool(self.results) and not self.ours and part.get("type") in {"text", "reasoning"}

    def add(self, part: JsonObject) -> None:
        """Take in one stored part; those that no model is shown change nothing."""
        given = verbatim_of(part, "response", "request")
        if given is not None:
            (self.parts if given[0] == "response" else self.others).append(given[1])
            return
        decode = DECODERS.get(str(part.get("type")))
        decoded = None if decode is None else decode(part)
        if decoded is None:
            return
        self.parts.append(decoded)
        result = decode_result(part, self.default)
        if result is not None:
            native = result["part_kind"] == "builtin-tool-return"
            (self.parts if native else self.results).append(result)

    def models(self) -> Iterator[JsonObject]:
        """The response and the request that follows it, where there is something in them."""
        if self.parts:
            yield {**self.response, "kind": "response", "parts": self.parts}
        if self.results or self.others:
            yield {"kind": "request", "parts": [*self.results, *self.others]}


def parts_of(message: Message) -> list[JsonObject]:
    """The parts of a message, and what old versions kept beside them."""
    content = message.content
    parts = as_objects(message.parts)
    kinds = {part.get("type") for part in parts}
    if "tool-invocation" not in kinds:
        calls = as_objects(content.get("toolInvocations"))
        parts += [{"type": "tool-invocation", "toolInvocation": call} for call in calls]
    if "file" not in kinds:
        parts += [
            {"type": "file", "mimeType": file.get("contentType"), "data": file.get("url")}
            for file in as_objects(content.get("experimental_attachments"))
        ]
    if not kinds & {"text", "error"} and isinstance(content.get("content"), str):
        parts.append({"type": "text", "text": content["content"]})
    return parts
