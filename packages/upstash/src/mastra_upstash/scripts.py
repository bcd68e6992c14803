"""The Lua scripts: what must be one step, and one request."""

from __future__ import annotations

import functools
import hashlib
from importlib.resources import files
from typing import Final, Literal, TypeAlias

import msgspec

ScriptName: TypeAlias = Literal["setup", "read", "write", "index"]
SHARDS: Final = "0123456789abcdef"


class Script(msgspec.Struct, frozen=True):
    """A script's text and the digest by which the server knows it."""

    text: str
    digest: str


@functools.cache
def script(name: ScriptName) -> Script:
    """A script, behind the functions that all of them share; comments are not sent."""
    texts = [
        files("mastra_upstash").joinpath("lua", f"{part}.lua").read_text()
        for part in ("rows", name)
    ]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    text = "\n".join([line for line in lines if line and not line.startswith("--")])
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
