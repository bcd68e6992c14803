"""Vectors as Chroma's records and back.

A record's metadata are ours, as the original stores them: texts, numbers, booleans and lists of one
kind of these. What Chroma cannot hold as it was is kept beside them as JSON, under ``_mastra.json``,
and what filters may ask of it is there once more under dotted keys. ``_mastra.loose`` names the keys of
which Chroma does not have all that filters ask. What is kept beside counts only while it belongs to
the rest of the record, so that what others write later wins.
"""

from __future__ import annotations

import base64
import math
from array import array
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeAlias, cast

from mastra_core.records import JsonObject
from mastra_core.storage.codec import to_json
from mastra_core.vector.flat import JSON, LOOSE, OURS, Flat
from mastra_core.vector.schema import Item

Held: TypeAlias = dict[str, Any]

VECTOR: Final = "_mastra.vector"
# A document cannot be taken away: it is replaced by an empty one, which is none.
NO_DOCUMENT: Final = "_mastra.no_document"
INT64: Final = 2**63
# Integers that doubles hold.
EXACT: Final = 2**53
# How many dotted keys a record has at most: each is a row of its own in Chroma.
DOTTED: Final = 64
# Powers of ten that doubles hold.
POWER: Final = 22
# How far, in parts of it, a number may be from what was given.
NEAR: Final = 1e-14
# How far a vector may be from the one that is kept beside it, in parts of its length.
CLOSE: Final = 1e-4
# Below it 32 bits do not hold the square of a length, and nothing comes back as it was.
TINY: Final = 1e-15


def can_be_key(key: str) -> bool:
    """Whether Chroma takes metadata under a key, and it is none of ours or its own."""
    return bool(key) and not key.startswith(("#", "$", "chroma:", OURS))


def metadata_of(item: Item, *, keep_vector: bool) -> Held:
    """What is stored as the metadata of a record."""
    held = held_of(item.metadata)
    if keep_vector:
        held[VECTOR] = numbers(item.vector)
    return held


def held_of(metadata: Mapping[str, Any]) -> Held:
    """Metadata as Chroma holds them, with the rest of them beside."""
    apart = FLAT.apart(metadata)
    held: Held = dict(apart.held)
    if apart.beside:
        held[JSON] = to_json(apart.beside, "metadata")
    if apart.loose:
        held[LOOSE] = sorted(apart.loose)
    return held


def replacing(old: Mapping[str, Any] | None, new: Held) -> Held:
    """The metadata to send for a record that has others: Chroma keeps what is not named."""
    gone = dict.fromkeys(key for key in old or {} if key not in new)
    return {**gone, **new}


def numbers(vector: array[float]) -> str:
    """A vector's numbers, bit for bit, as text."""
    return base64.b64encode(vector.tobytes()).decode("ascii")


class Read:
    """A record that was read: its metadata, document and vector."""

    def __init__(
        self,
        name: str,
        found: Mapping[str, Any] | None,
        document: str | None = None,
        vector: Sequence[float] | None = None,
    ) -> None:
        self.id = name
        self._stored = dict(found or {})
        self._document = document
        self._vector = vector

    @property
    def metadata(self) -> JsonObject:
        """The metadata as they were given, or as others have changed them."""
        return FLAT.read(self._stored)

    @property
    def document(self) -> str | None:
        """The text that the vector stands for."""
        return self._document if self._document or NO_DOCUMENT not in self._stored else None

    @property
    def vector(self) -> list[float] | None:
        """The vector as it was given, while it has the direction of the one that is stored."""
        if self._vector is None:
            return None
        stored = array("f", [x or 0.0 for x in self._vector])
        given = self._kept
        return (given if given is not None and _same(given, stored) else stored).tolist()

    @property
    def torn(self) -> bool:
        """Whether the vector is another than belongs to the metadata: one of them was just changed."""
        return (
            self._vector is not None
            and self._kept is not None
            and self.vector != self._kept.tolist()
        )

    @property
    def _kept(self) -> array[float] | None:
        """The vector that is kept beside the metadata."""
        text = self._stored.get(VECTOR)
        given = array("f")
        try:
            given.frombytes(base64.b64decode(text, validate=True) if isinstance(text, str) else b"")
        except ValueError:
            return None
        return given or None


def _same(given: array[float], stored: array[float]) -> bool:
    """Whether two vectors have one direction; of very short ones it cannot be told."""
    if len(given) != len(stored):
        return False
    one, two = math.hypot(*given), math.hypot(*stored)
    if min(one, two) < TINY:
        return max(one, two) < TINY or not two
    return all(abs(x / one - y / two) <= CLOSE for x, y in zip(given, stored, strict=True))


def _as_stored(found: Any, held: Any) -> bool:
    if isinstance(found, float) and isinstance(held, float):
        return math.isclose(found, held, rel_tol=NEAR)
    return bool(found == held)


def _near(value: Any) -> Any:
    """What compares with everything as the value does; ``None`` if Chroma has nothing like it."""
    if _holds(value):
        return value
    if isinstance(value, (int, float)):
        try:
            return float(value) + 0.0
        except OverflowError:
            return None
    if isinstance(value, list):
        items = cast("Sequence[Any]", value)
        near = [_near(item) for item in items if type(item) in (int, float) and abs(item) < EXACT]
        short = len(near) == len(items) and all(map(_short, map(float, near)))
        return [float(item) for item in near] if short and near else None
    return None


def _holds(value: Any) -> bool:
    """Whether Chroma gives a value back as it is."""
    if isinstance(value, list):
        items = cast("Sequence[Any]", value)
        kinds = {cast("type[object]", type(item)) for item in items}
        return len(kinds) == 1 and all(map(_holds_one, items))
    return _holds_one(value)


def _short(value: float) -> bool:
    """Whether Chroma reads a number as it is: of others the last bit is another one."""
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    small = isinstance(exponent, int) and abs(exponent) <= POWER
    return small and int("".join(map(str, digits))) < EXACT and not (value == 0 and sign)


def _holds_one(value: Any) -> bool:
    kind = cast("type[object]", type(value))
    if kind is int:
        return bool(-INT64 <= value < INT64)
    if kind is float:
        return _short(value)
    return kind is str or kind is bool


FLAT: Final = Flat(takes=can_be_key, holds=_holds, near=_near, same=_as_stored, most=DOTTED)
