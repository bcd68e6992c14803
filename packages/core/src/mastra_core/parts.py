"""The parts of a message: the original's V2 format, and what each is for the model framework.

Both sides are plain JSON values here, so that this module needs no model framework. What V2 has no
place for stands in a part's ``providerMetadata.pydantic_ai``; what it knows nothing like is a part
``data-pydantic-ai``, which the original keeps and shows to no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

from mastra_core.clock import MILLISECOND, iso
from mastra_core.errors import CorruptDataError, InvalidArgumentError
from mastra_core.records import JsonObject
from mastra_core.storage.codec import from_json, to_json

VENDOR: Final = "pydantic_ai"
VERBATIM: Final = "data-pydantic-ai"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = 253_402_300_799_999  # the last millisecond of the year 9999

# States of a tool call that has its result; one in any other state still waits for it.
OUTCOMES: Final = {"result": "success", "output-error": "failed", "output-denied": "denied"}
STATES: Final = {"success": "result", "denied": "output-denied"}

# Where each provider's own SDK looks for the signature of reasoning.
SIGNATURES: Final = {
    "anthropic": "signature",
    "bedrock": "signature",
    "google": "thoughtSignature",
    "openai": "reasoningEncryptedContent",
}
REDACTED: Final = ("redacted_thinking", "redacted_content")

# What a field is when it is not given; none of these is stored.
IMPLIED: Final[Mapping[str, Any]] = {
    "force_download": False,
    "outcome": "success",
    "state": "complete",
}


def as_object(value: Any) -> JsonObject:
    """The value if it is a JSON object, else an empty one: foreign data may be anything."""
    return cast(JsonObject, value) if isinstance(value, dict) else {}


def as_objects(value: Any) -> list[JsonObject]:
    """The JSON objects of a JSON array; none if the value is something else."""
    if type(value) is not list:
        return []
    members = cast(list[object], value)
    return [cast(JsonObject, member) for member in members if isinstance(member, dict)]


def epoch(text: str | None) -> int | None:
    """Milliseconds since 1970 of an ISO time, which is how parts keep times."""
    return None if text is None else (datetime.fromisoformat(text) - EPOCH) // MILLISECOND


def moment(part: JsonObject, default: datetime) -> str:
    """The ISO time of a part, or of ``default`` where the part has none."""
    at = part.get("createdAt")
    if not isinstance(at, int) or not 0 <= at <= LATEST:
        return iso(default)
    return iso(EPOCH + at * MILLISECOND)


def rest_of(part: JsonObject) -> JsonObject:
    """What a stored part keeps for the model framework beside the fields of V2."""
    return dict(as_object(as_object(part.get("providerMetadata")).get(VENDOR)))


def with_rest(part: JsonObject, rest: JsonObject) -> JsonObject:
    """The part with what V2 has no place for, if there is anything."""
    kept = {k: v for k, v in rest.items() if v is not None and (k, v) not in IMPLIED.items()}
    if kept:
        part["providerMetadata"] = {**as_object(part.get("providerMetadata")), VENDOR: kept}
    return part


def without(part: JsonObject, *names: str) -> JsonObject:
    """The fields of the framework's part that have no place of their own in V2."""
    return {k: v for k, v in part.items() if k not in names and k != "part_kind"}


def verbatim(place: str, part: Any) -> JsonObject:
    """A part that V2 knows nothing like: of a ``response``, a ``request`` or a ``prompt``."""
    return {"type": VERBATIM, "data": {"in": place, "part": part}}


def verbatim_of(part: JsonObject, *places: str) -> tuple[str, JsonObject] | None:
    """Where the part of a ``data-pydantic-ai`` part belongs, and what it is; else ``None``."""
    data = as_object(part.get("data"))
    inner = as_object(data.get("part"))
    if part.get("type") != VERBATIM or data.get("in") not in places or not inner:
        return None
    return str(data["in"]), inner


def encode_text(part: JsonObject) -> JsonObject:
    """The stored part of a text of the model."""
    return with_rest({"type": "text", "text": part["content"]}, without(part, "content"))


def decode_text(part: JsonObject) -> JsonObject | None:
    """The text of the model in a stored part."""
    text = part.get("text")
    if not isinstance(text, str):
        return None
    return {**rest_of(part), "part_kind": "text", "content": text}


def encode_reasoning(part: JsonObject) -> JsonObject:
    """The stored part of reasoning, with its signature where each provider's SDK looks for it."""
    provider, signature = part.get("provider_name"), part.get("signature")
    detail: JsonObject = {"type": "text", "text": part["content"]}
    foreign: JsonObject = {}
    if part.get("id") in REDACTED and not part["content"]:
        detail = {"type": "redacted", "data": signature or ""}
        foreign = {"redactedData": signature}
    elif signature is not None:
        detail["signature"] = signature
        foreign = {SIGNATURES[provider]: signature} if provider in SIGNATURES else {}
    stored: JsonObject = {"type": "reasoning", "reasoning": "", "details": [detail]}
    if foreign and provider:
        stored["providerMetadata"] = {provider: foreign}
    return with_rest(stored, without(part, "content", "signature"))


def decode_reasoning(part: JsonObject) -> JsonObject:
    """The reasoning in a stored part, ours or the original's."""
    details, rest = as_objects(part.get("details")), rest_of(part)
    text = "".join([str(d.get("text") or "") for d in details if d.get("type") == "text"])
    signatures = [d.get("signature") for d in details]
    redacted = [d.get("data") for d in details if d.get("type") == "redacted"]
    thinking: JsonObject = {"content": text or part.get("reasoning") or ""}
    if redacted and not rest:
        thinking |= {"id": REDACTED[0], "provider_name": "anthropic"}
    for provider, values in as_object(part.get("providerMetadata")).items():
        if provider in SIGNATURES:
            thinking["provider_name"] = provider
            signatures.append(as_object(values).get(SIGNATURES[provider]))
    thinking["signature"] = next((s for s in redacted or signatures if s), None)
    return {**thinking, **rest, "part_kind": "thinking"}


def encode_call(part: JsonObject) -> JsonObject:
    """The stored part of a tool call, which has no result yet."""
    rest = without(part, "tool_name", "tool_call_id", "args")
    given = part.get("args")
    invocation: JsonObject = {
        "state": "call",
        "toolCallId": part["tool_call_id"],
        "toolName": part["tool_name"],
        "args": as_object(given),
    }
    if given is None:
        rest["args"] = "none"
    elif isinstance(given, str):
        invocation["args"], exact = _parsed(given)
        rest["args"] = "json" if exact else "raw"
        if not exact:
            invocation["rawInput"] = given
    stored: JsonObject = {"type": "tool-invocation", "toolInvocation": invocation}
    if part["part_kind"] == "builtin-tool-call":
        stored["providerExecuted"] = True
    return with_rest(stored, rest)


def _parsed(text: str) -> tuple[JsonObject, bool]:
    """The arguments of a call as an object, and whether writing that gives the same text again.

    Providers cache prompts by their exact text, so that a call must go back as it came.
    """
    try:
        value = as_object(from_json(text))
        return value, to_json(value) == text
    except (CorruptDataError, InvalidArgumentError):
        return {}, False


def decode_call(part: JsonObject) -> JsonObject | None:
    """The tool call in a stored part."""
    invocation, rest = as_object(part.get("toolInvocation")), without(rest_of(part), "result")
    if not invocation.get("toolName"):
        return None
    args = invocation.get("args")
    form = rest.pop("args", None if isinstance(args, dict) else "json")
    if form == "json":
        args = to_json(args)
    elif form is not None:
        args = invocation.get("rawInput")
    return {
        **rest,
        "part_kind": "builtin-tool-call" if part.get("providerExecuted") else "tool-call",
        "tool_name": invocation["toolName"],
        "tool_call_id": invocation.get("toolCallId") or "",
        "args": args,
    }


def is_call(part: JsonObject, *, open_only: bool = False) -> bool:
    """Whether the part is a call of a tool; with ``open_only``, one that still has no result."""
    invocation = as_object(part.get("toolInvocation"))
    if part.get("type") != "tool-invocation" or not invocation:
        return False
    return not open_only or invocation.get("state") not in OUTCOMES


def encode_result(call: JsonObject, result: JsonObject) -> None:
    """Put the result of a tool into the stored part of its call."""
    invocation, content = call["toolInvocation"], result.get("content")
    outcome = result.get("outcome", "success")
    state = invocation["state"] = STATES.get(outcome, "output-error")
    if state == "output-error" and isinstance(content, str):
        invocation["errorText"] = content
    else:
        invocation["result"] = content
    if state == "output-denied":
        invocation["approval"] = {"id": invocation["toolCallId"], "approved": False}
    if (at := epoch(result.get("timestamp"))) is not None:
        call["createdAt"] = at
    rest = without(result, "content", "tool_name", "tool_call_id", "timestamp")
    if OUTCOMES[state] == outcome:
        rest.pop("outcome", None)
    kept = {k: v for k, v in rest.items() if v is not None}
    if kept:
        with_rest(call, {**rest_of(call), "result": kept})


def decode_result(part: JsonObject, default: datetime) -> JsonObject | None:
    """The result of a finished tool call, as it goes back to the model; ``None`` if it has none."""
    if not is_call(part) or is_call(part, open_only=True):
        return None
    invocation = as_object(part["toolInvocation"])
    outcome = OUTCOMES[invocation["state"]]
    if outcome == "success" and invocation.get("isError"):
        outcome = "failed"
    content = invocation.get("errorText")
    if "result" in invocation:
        content = invocation["result"]
    elif content is None and outcome != "success":
        content = as_object(invocation.get("approval")).get("reason") or outcome
    return {
        "outcome": outcome,
        **as_object(rest_of(part).get("result")),
        "part_kind": "builtin-tool-return" if part.get("providerExecuted") else "tool-return",
        "tool_name": invocation.get("toolName"),
        "tool_call_id": invocation.get("toolCallId") or "",
        "content": content,
        "timestamp": moment(part, default),
    }
