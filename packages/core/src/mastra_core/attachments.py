"""Files in messages: stored parts hold a URL or a data URI, the model framework a kind for each."""

from __future__ import annotations

import base64
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from mastra_core.parts import rest_of, verbatim, verbatim_of, with_rest, without
from mastra_core.records import JsonObject

URL_KINDS: Final = {"image": "image-url", "audio": "audio-url", "video": "video-url"}
FAMILIES: Final = {kind: f"{family}/*" for family, kind in URL_KINDS.items()}
ANY: Final = "*/*"
BESIDE: Final[tuple[str, ...]] = ("force_download", "vendor_metadata", "identifier")


def encode_item(item: Any) -> JsonObject:
    """The stored part of an item of a user's prompt."""
    if isinstance(item, str):
        return {"type": "text", "text": item}
    if item["kind"] == "text-content":
        rest = {name: item.get(name) for name in ("kind", "metadata")}
        return with_rest({"type": "text", "text": item["content"]}, rest)
    return encode_file(item) or verbatim("prompt", item)


def decode_item(part: JsonObject) -> Any:
    """The item of a user's prompt, or ``None`` where a model is shown nothing of the part."""
    if part.get("type") == "text" and isinstance(part.get("text"), str):
        rest = rest_of(part)
        return {**rest, "content": part["text"]} if "kind" in rest else part["text"]
    if part.get("type") == "file":
        return decode_file(part)
    given = verbatim_of(part, "prompt")
    return None if given is None else given[1]


def encode_file(item: JsonObject) -> JsonObject | None:
    """The stored part of a file: its bytes as a data URI, or its URL; ``None`` for other things."""
    kind, media_type = item["kind"], item.get("media_type")
    rest = {name: item.get(name) for name in BESIDE}
    if kind == "binary":
        # The framework writes bytes with the alphabet for URLs, data URIs have the other one.
        data = item["data"].replace("-", "+").replace("_", "/")
        uri = f"data:{media_type};base64,{data}"
        return with_rest({"type": "file", "mimeType": media_type, "data": uri}, rest)
    if "url" not in item:
        return None
    mime = media_type or FAMILIES.get(kind, ANY)
    if kind != _url_kind(mime):
        rest["kind"] = kind
    return with_rest({"type": "file", "mimeType": mime, "data": item["url"]}, rest)


def decode_file(part: JsonObject) -> JsonObject | None:
    """The file in a stored part, by URL or by content."""
    data, media_type = part.get("data"), str(part.get("mimeType") or ANY)
    if not isinstance(data, str):
        return None
    rest = rest_of(part)
    beside = {name: rest[name] for name in BESIDE if name in rest}
    if "://" in data[:32] and not data.startswith("data:"):
        if beside.get("force_download") == "allow-local":
            # Whoever can write a message must not make a server fetch from its own network.
            beside["force_download"] = True
        known = None if "*" in media_type else media_type
        kind = rest.get("kind") or _url_kind(media_type)
        return {**beside, "kind": kind, "url": data, "media_type": known}
    head, comma, body = data.partition(",")
    if not (comma and head.startswith("data:")):
        body = data
    else:
        media_type = head[5:].partition(";")[0] or media_type
        if not head.endswith(";base64"):
            body = base64.b64encode(unquote_to_bytes(body)).decode()
    urlsafe = body.replace("+", "-").replace("/", "_")
    return {**beside, "kind": "binary", "data": urlsafe, "media_type": media_type}


def encode_generated(part: JsonObject) -> JsonObject:
    """The stored part of a file that a model made."""
    stored = encode_file(part["content"])
    if stored is None:
        return verbatim("response", part)
    return with_rest(stored, {**rest_of(stored), **without(part, "content")})


def decode_generated(part: JsonObject) -> JsonObject | None:
    """The file that a model made; one that is only a URL is not shown to a model again."""
    content = decode_file(part)
    if content is None or content["kind"] != "binary":
        return None
    return {**without(rest_of(part), *BESIDE), "part_kind": "file", "content": content}


def _url_kind(media_type: str) -> str:
    return URL_KINDS.get(media_type.partition("/")[0], "document-url")
