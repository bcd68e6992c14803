"""Keys as text: parts that sort as their values do, joined so that no two keys are the same text."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Sequence
from datetime import datetime
from typing import Final, cast

from mastra_core.clock import iso
from mastra_core.errors import InvalidArgumentError
from mastra_core.storage.schema import Column, Value

# A part ends with a blank. Inside of parts everything up to "!" is written as "!" and a later
# character, so END sorts before, and PAST directly behind, whatever continues a part.
END: Final = " "
PAST: Final = "!"
PRESENT: Final = "="
ABSENT: Final = "~"
LOW: Final = re.compile("[\x00-!]")
SHIFT: Final = 0x40
INT64: Final = 2**63

# What the service takes, in bytes.
PARTITION_BYTES: Final = 2048
SORT_BYTES: Final = 1024
DIGEST: Final = 32


def escaped(text: str) -> str:
    """The text without the characters that end parts; sorts as the text does."""
    if LOW.search(text) is None:
        return text
    return LOW.sub(lambda found: PAST + chr(ord(found[0]) + SHIFT), text)


def _plain(column: Column, value: Value) -> str:
    kind = column.type
    if kind == "timestamp":
        return iso(cast("datetime", value))
    if kind in {"integer", "bigint"}:
        return f"{int(cast('int', value)) + INT64:020d}"
    if kind == "boolean":
        return "1" if value else "0"
    if kind == "float":
        (bits,) = struct.unpack(">Q", struct.pack(">d", float(cast("float", value)) + 0.0))
        return f"{bits ^ (INT64 * 2 - 1 if bits >> 63 else INT64):016x}"
    return escaped(str(value))


def part(column: Column, value: Value) -> str:
    """A value as part of a key: sorts as the values of the column do, the absent one last."""
    if column.nullable is False:
        if value is None:
            raise InvalidArgumentError(f"{column.name} must have a value")
        return _plain(column, value)
    return ABSENT if value is None else PRESENT + _plain(column, value)


def joined(columns: Sequence[Column], values: Sequence[Value]) -> str:
    """The parts of several columns, each ended."""
    return "".join([part(c, v) + END for c, v in zip(columns, values, strict=True)])


def bounded(text: str, limit: int = SORT_BYTES) -> str:
    """The text as a key that the service takes: the end of a longer one becomes a digest.

    Such keys stay apart, and sort by what is left of their beginning.
    """
    if len(text) * 4 <= limit:
        return text
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    digest = hashlib.sha256(encoded).hexdigest()[:DIGEST]
    beginning = encoded[: limit - DIGEST - 1].decode(errors="ignore")
    return f"{beginning}{digest}{END}"
