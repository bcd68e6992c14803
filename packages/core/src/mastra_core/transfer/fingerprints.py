"""Rows in the one form that all databases agree on, and sums of them that know no order.

Databases spell the same value differently: JSONB sorts keys and drops spaces, some keep microseconds,
some make ``1`` of ``1.0``. A fingerprint is of what such spellings have in common.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, cast

import msgspec

from mastra_core.clock import milliseconds
from mastra_core.errors import CorruptDataError
from mastra_core.storage.codec import clean_text, from_json, to_json
from mastra_core.storage.schema import ColumnType, Row, Table, Value

BYTES: Final = 16
MODULUS: Final = 1 << 8 * BYTES
INT64: Final = 2**63
_sorted = msgspec.json.Encoder(order="sorted").encode
_encode = msgspec.json.Encoder().encode
# Where there may be a number that can be spelt otherwise.
_DECIMAL = re.compile(r"\d[.eE]|\d{19}")


class Tally(msgspec.Struct):
    """How many rows there were, and the sum of their fingerprints: the same in whatever order."""

    rows: int = 0
    total: int = 0

    def add(self, digests: Sequence[int]) -> None:
        """Count rows by their fingerprints."""
        self.rows += len(digests)
        self.total = (self.total + sum(digests)) % MODULUS

    @property
    def checksum(self) -> str:
        """The sum as 32 hexadecimal digits."""
        return f"{self.total:032x}"


def cleaned(table: Table, rows: Sequence[Row]) -> Sequence[Row]:
    """The rows without what few databases keep: U+0000 and half surrogate pairs in texts.

    What is written here never has them, but other programs' rows may; keys are left to the
    database, since a changed key would be another row.
    """
    if not rows:
        return rows
    columns: list[Any] = list(zip(*rows, strict=True))
    changed = False
    for i, column in enumerate(table.columns):
        if column.type not in {"text", "json"} or column.name in table.key:
            continue
        joined = "".join([value for value in columns[i] if value is not None])
        json = column.type == "json"
        if joined.isascii() and "\0" not in joined and not (json and "\\u0000" in joined):
            continue
        clean = _clean_json if json else clean_text
        columns[i] = [None if value is None else clean(value) for value in columns[i]]
        changed = True
    return list(zip(*columns, strict=True)) if changed else rows


def _clean_json(text: str) -> str:
    if "\\u0000" in text or clean_text(text) != text:
        return to_json(from_json(clean_text(text)))
    return text


def keys_of(table: Table, rows: Sequence[Row]) -> list[Row]:
    """The key of each row."""
    at = [table.positions[name] for name in table.key]
    return [tuple([row[i] for i in at]) for row in rows]


def fingerprints(table: Table, rows: Sequence[Row]) -> list[int]:
    """A number of 128 bits for each row, as ``cleaned`` leaves it: the same in every database."""
    return [
        int.from_bytes(blake2b(_encode(row), digest_size=BYTES).digest(), "big")
        for row in canonical(table, rows)
    ]


def fingerprints_by_key(table: Table, rows: Sequence[Row]) -> Mapping[Row, int]:
    """The same, by the key of each row."""
    return dict(zip(keys_of(table, rows), fingerprints(table, rows), strict=True))


def canonical(table: Table, rows: Sequence[Row]) -> Sequence[Row]:
    """Cleaned rows with values in the form that all databases agree on."""
    if not rows:
        return rows
    columns: list[Any] = list(zip(*rows, strict=True))
    for i, form in _forms(table):
        columns[i] = [None if value is None else form(value) for value in columns[i]]
    return list(zip(*columns, strict=True))


@functools.cache
def _forms(table: Table) -> Sequence[tuple[int, Callable[[Any], Value]]]:
    found = [(i, FORMS.get(column.type)) for i, column in enumerate(table.columns)]
    return [(i, form) for i, form in found if form is not None]


def _time(at: datetime) -> datetime:
    return milliseconds(at)


def _float(value: float) -> Value:
    return float(value) if math.isfinite(value) else str(float(value))


def _json(text: str) -> str:
    try:
        value = from_json(text)
    except CorruptDataError:
        return text
    if _DECIMAL.search(text):
        value = _whole(value)
    return _sorted(value).decode()


def _whole(value: Any) -> Any:
    """The value with each number in one spelling: whole ones as integers, huge ones as texts."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value) or not -INT64 <= value < INT64:
            return f"number {float(value)!r}"
        return int(value) if value == int(value) else value
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {key: _whole(member) for key, member in items}
    if isinstance(value, list):
        return [_whole(member) for member in cast("Sequence[Any]", value)]
    return value


FORMS: Final[Mapping[ColumnType, Callable[[Any], Value]]] = {
    "timestamp": _time,
    "json": _json,
    "float": _float,
    "boolean": bool,
    "integer": int,
    "bigint": int,
}
