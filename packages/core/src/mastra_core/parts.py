"""The parts of a message: the original's V2 format, and what each is for the model framework.

Both sides are plain JSON values here, so that this module needs no model framework. What V2 has no
place for stands in a part's ``providerMetadata.pydantic_ai``; what it knows nothing like is a part
``data-pydantic-ai``, which the original keeps and shows to no model.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from mastra_core.clock import MILLISECOND, iso
from mastra_core.errors import CorruptDataError, InvalidArgumentError
from mastra_core.records import JsonObject
from mastra_core.storage.codec import from_json, to_json

VENDOR: Final = "pydantic_ai"
VERBATIM: Final = "data-pydantic-ai"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

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

URL_KINDS: Final = {"image": "image-url", "audio": "audio-url", "video": "video-url"}
WILDCARDS: Final = {kind: f"{family}/*" for family, kind in URL_KINDS.items()}
FILE_KEYS: Final = ("force_download", "vendor_metadata", "identifier")

# What a field is when it is not given; none of these is stored.
IMPLIED: Final[Mapping[str, Any]] = {
    "force_download": False,
    "outcome": "success",
    "state": "complete",
}


def epoch(text: str | None) -> int | None:
    """Milliseconds since 1970 of an ISO time, which is how parts keep times."""
    return None if text is None else (datetime.fromisoformat(text) - EPOCH) // MILLISECOND


def moment(part: Mapping[str, Any], default: datetime) -> str:
    """The ISO time of a part, or of ``default`` where the part has none."""
    at = part.get("createdAt")
    return iso(EPOCH + at * MILLISECOND if isinstance(at, int) else default)


def rest_of(part: Mapping[str, Any]) -> JsonObject:
    """What a stored part keeps for the model framework beside the fields of V2."""
    metadata = part.get("providerMetadata")
    rest = metadata.get(VENDOR) if isinstance(metadata, Mapping) else None
    return dict(rest) if isinstance(rest, Mapping) else {}


def with_rest(part: JsonObject, rest: Mapping[str, Any]) -> JsonObject:
    """The part with what V2 has no place for, if there is anything."""
    kept = {k: v for k, v in rest.items() if v is not None and (k, v) not in IMPLIED.items()}
    if kept:
        part["providerMetadata"] = {**part.get("providerMetadata", {}), VENDOR: kept}
    return part


def verbatim(place: str, part: Any) -> JsonObject:
    """A part that V2 knows nothing like: of a ``response``, a ``request`` or a ``prompt``."""
    return {"type": VERBATIM, "data": {"in": place, "part": part}}


def verbatim_of(part: Mapping[str, Any], *places: str) -> tuple[str, JsonObject] | None:
    """Where the part of a ``data-pydantic-ai`` part belongs, and what it is; else ``None``."""
    data = part.get("data")
    if part.get("type") != VERBATIM or not isinstance(data, Mapping):
        return None
    place, inner = data.get("in"), data.get("part")
    return (str(place), inner) if place in places and isinstance(inner, dict) else None


def encode_response_part(part: JsonObject) -> JsonObject:
    """The stored part of a part of a model's response."""
    encode = _ENCODERS.get(part["part_kind"])
    return verbatim("response", part) if encode is None else encode(part)


def decode_response_part(part: Mapping[str, Any]) -> JsonObject | None:
    """The part of a model's response, or ``None`` where a model is shown nothing of it."""
    decode = _DECODERS.get(str(part.get("type")))
    return None if decode is None else decode(part)


def _without(part: Mapping[str, Any], *names: str) -> JsonObject:
    return {k: v for k, v in part.items() if k not in names and k != "part_kind"}


def _encode_text(part: JsonObject) -> JsonObject:
    return with_rest({"type": "text", "text": part["content"]}, _without(part, "content"))


def _decode_text(part: Mapping[str, Any]) -> JsonObject | None:
    text = part.get("text")
    if not isinstance(text, str):
        return None
    return {**rest_of(part), "part_kind": "text", "content": text}


def _encode_reasoning(part: JsonObject) -> JsonObject:
    provider, signature = part.get("provider_name"), part.get("signature")
    detail: JsonObject = {"type": "text", "text": part["content"]}
    rest = _without(part, "content", "signature")
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
    return with_rest(stored, rest)


def _decode_reasoning(part: Mapping[str, Any]) -> JsonObject:
    details = [d for d in part.get("details") or () if isinstance(d, Mapping)]
    text = "".join([str(d.get("text") or "") for d in details if d.get("type") == "text"])
    signatures = [d["signature"] for d in details if d.get("signature")]
    redacted = [d.get("data") for d in details if d.get("type") == "redacted"]
    metadata, rest = part.get("providerMetadata"), rest_of(part)
    thinking: JsonObject = {"content": text or part.get("reasoning") or ""}
    if redacted and not rest:
        thinking |= {"id": REDACTED[0], "provider_name": "anthropic"}
    for provider, values in metadata.items() if isinstance(metadata, Mapping) else ():
        if provider in SIGNATURES and isinstance(values, Mapping):
            thinking["provider_name"] = provider
            signatures.append(values.get(SIGNATURES[provider]))
    signatures = redacted or signatures
    thinking["signature"] = next((s for s in signatures if s), None)
    return {**thinking, **rest, "part_kind": "thinking"}


def _encode_call(part: JsonObject) -> JsonObject:
    rest = _without(part, "tool_name", "tool_call_id", "args")
    invocation: JsonObject = {
        "state": "call",
        "toolCallId": part["tool_call_id"],
        "toolName": part["tool_name"],
    }
    given = part.get("args")
    invocation["args"] = given if isinstance(given, dict) else {}
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
        value = from_json(text)
        return (value, to_json(value) == text) if isinstance(value, dict) else ({}, False)
    except (CorruptDataError, InvalidArgumentError):
        return {}, False


def _decode_call(part: Mapping[str, Any]) -> JsonObject | None:
    invocation = part.get("toolInvocation")
    if not isinstance(invocation, Mapping) or not invocation.get("toolName"):
        return None
    rest = rest_of(part)
    rest.pop("result", None)
    given = invocation.get("args")
    form = rest.pop("args", None if isinstance(given, dict) else "json")
    args = {
        "none": None,
        "json": to_json(given) if form == "json" else None,
        "raw": invocation.get("rawInput"),
    }.get(form, given)
    return {
        **rest,
        "part_kind": "builtin-tool-call" if part.get("providerExecuted") else "tool-call",
        "tool_name": invocation["toolName"],
        "tool_call_id": invocation.get("toolCallId") or "",
        "args": args,
    }


def is_call(part: Mapping[str, Any], *, open_only: bool = False) -> bool:
    """Whether the part is a call of a tool; with ``open_only``, one that still has no result."""
    invocation = part.get("toolInvocation")
    if part.get("type") != "tool-invocation" or not isinstance(invocation, Mapping):
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
    rest = _without(result, "content", "tool_name", "tool_call_id", "timestamp")
    if OUTCOMES[state] == outcome:
        rest.pop("outcome", None)
    kept = {k: v for k, v in rest.items() if v is not None}
    if kept:
        with_rest(call, {**rest_of(call), "result": kept})


def decode_result(part: Mapping[str, Any], default: datetime) -> JsonObject | None:
    """The result of a finished tool call, as it goes back to the model; ``None`` if it has none."""
    if not is_call(part) or is_call(part, open_only=True):
        return None
    invocation = part["toolInvocation"]
    outcome = OUTCOMES[invocation["state"]]
    if outcome == "success" and invocation.get("isError"):
        outcome = "failed"
    content = invocation.get("errorText")
    if "result" in invocation:
        content = invocation["result"]
    elif content is None and outcome != "success":
        approval = invocation.get("approval")
        content = (approval.get("reason") if isinstance(approval, Mapping) else None) or outcome
    rest = rest_of(part).get("result")
    return {
        "outcome": outcome,
        **(rest if isinstance(rest, Mapping) else {}),
        "part_kind": "builtin-tool-return" if part.get("providerExecuted") else "tool-return",
        "tool_name": invocation.get("toolName"),
        "tool_call_id": invocation.get("toolCallId") or "",
        "content": content,
        "timestamp": moment(part, default),
    }


def encode_item(item: Any) -> JsonObject:
    """The stored part of an item of a user's prompt."""
    if isinstance(item, str):
        return {"type": "text", "text": item}
    if item["kind"] == "text-content":
        return with_rest(
            {"type": "text", "text": item["content"]}, {k: item[k] for k in ("kind", "metadata")}
        )
    return _encode_file(item) or verbatim("prompt", item)


def decode_item(part: Mapping[str, Any]) -> Any:
    """The item of a user's prompt, or ``None`` where a model is shown nothing of the part."""
    kind = part.get("type")
    if kind == "text" and isinstance(part.get("text"), str):
        rest = rest_of(part)
        return {**rest, "content": part["text"]} if "kind" in rest else part["text"]
    if kind == "file":
        return _decode_file(part)
    given = verbatim_of(part, "prompt")
    return None if given is None else given[1]


def _encode_file(item: Mapping[str, Any]) -> JsonObject | None:
    kind, media_type = item["kind"], item.get("media_type")
    if kind == "binary":
        data = item["data"].replace("-", "+").replace("_", "/")
        stored = {
            "type": "file",
            "mimeType": media_type,
            "data": f"data:{media_type};base64,{data}",
        }
    elif "url" in item:
        mime = media_type or WILDCARDS.get(kind, "*/*")
        stored = {"type": "file", "mimeType": mime, "data": item["url"]}
        if kind != _url_kind(mime):
            return with_rest(stored, {"kind": kind, **{k: item.get(k) for k in FILE_KEYS}})
    else:
        return None
    return with_rest(stored, {k: item.get(k) for k in FILE_KEYS})


def _url_kind(media_type: str) -> str:
    return URL_KINDS.get(media_type.partition("/")[0], "document-url")


def _decode_file(part: Mapping[str, Any]) -> JsonObject | None:
    data, media_type = part.get("data"), str(part.get("mimeType") or "*/*")
    if not isinstance(data, str):
        return None
    given = rest_of(part)
    rest = {k: given[k] for k in FILE_KEYS if k in given}
    head, comma, body = data.partition(",")
    if data.startswith("data:") and comma:
        media_type = head[5:].partition(";")[0] or media_type
        if not head.endswith(";base64"):
            body = base64.b64encode(unquote_to_bytes(body)).decode()
    elif "://" in data[:32]:
        if rest.get("force_download") == "allow-local":
            # Whoever can write a message must not get a server to fetch from its own network.
            rest["force_download"] = True
        kind = given.get("kind") or _url_kind(media_type)
        known = None if "*" in media_type else media_type
        return {**rest, "kind": kind, "url": data, "media_type": known}
    else:
        body = data
    rest.pop("force_download", None)
    urlsafe = body.replace("+", "-").replace("/", "_")
    return {**rest, "kind": "binary", "data": urlsafe, "media_type": media_type}


def _encode_generated(part: JsonObject) -> JsonObject:
    stored = _encode_file(part["content"])
    if stored is None:
        return verbatim("response", part)
    return with_rest(stored, {**rest_of(stored), **_without(part, "content")})


def _decode_generated(part: Mapping[str, Any]) -> JsonObject | None:
    content = _decode_file(part)
    if content is None or content["kind"] != "binary":
        return None
    return {**_without(rest_of(part), *FILE_KEYS), "part_kind": "file", "content": content}


_ENCODERS: Final[Mapping[str, Callable[[JsonObject], JsonObject]]] = {
    "text": _encode_text,
    "thinking": _encode_reasoning,
    "tool-call": _encode_call,
    "builtin-tool-call": _encode_call,
    "file": _encode_generated,
}
_DECODERS: Final[Mapping[str, Callable[[Mapping[str, Any]], JsonObject | None]]] = {
    "text": _decode_text,
    "reasoning": _decode_reasoning,
    "tool-invocation": _decode_call,
    "file": _decode_generated,
}
