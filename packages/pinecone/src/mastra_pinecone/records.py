"""Vectors as Pinecone's records and back.

A record's metadata are ours, as the original stores them: texts, booleans, lists of texts, and
numbers, which Pinecone keeps as doubles. What it cannot hold as it was is kept beside them as JSON,
under ``_mastra.json`` (see ``mastra_core.vector.flat``); the text that a vector stands for, an id that
Pinecone does not take, and that a vector is all noughts, which it does not take either, are there, too.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from mastra_core.errors import LimitExceededError
from mastra_core.records import JsonObject
from mastra_core.storage.codec import from_json, to_json
from mastra_core.vector.flat import JSON, LOOSE, OURS, Flat
from mastra_core.vector.schema import Item

ID: Final = "_mastra.id"
DOCUMENT: Final = "_mastra.document"
NOUGHT: Final = "_mastra.nought"
# Integers that doubles hold.
EXACT: Final = 2**53
DOTTED: Final = 64
ID_CHARACTERS: Final = 512
METADATA_BYTES: Final = 40_960
# In place of noughts: as near to them as 32 bits allow to be told.
ALMOST: Final = 1e-30


def can_be_key(key: str) -> bool:
    """Whether Pinecone takes metadata under a key, and it is none of ours."""
    return bool(key) and not key.startswith(("$", OURS))


def record_id(name: str) -> str:
    """The id of a record: short ones of ASCII as they are, of all others a hash."""
    if (
        name.isascii()
        and name.isprintable()
        and len(name) <= ID_CHARACTERS
        and not name.startswith(OURS)
    ):
        return name
    return f"{OURS}:{hashlib.sha256(name.encode()).hexdigest()}"


def values_of(vector: array[float]) -> list[float]:
    """The numbers to send: Pinecone takes no vector of noughts."""
    return vector.tolist() if any(vector) else [ALMOST, *vector[1:]]


def record(item: Item) -> JsonObject:
    """A vector as a record."""
    return {
        "id": record_id(item.id),
        "values": values_of(item.vector),
        "metadata": metadata_of(
            item.id, item.metadata_json, item.document, nought=not any(item.vector)
        ),
    }


def metadata_of(name: str, metadata_json: str, document: str | None, *, nought: bool) -> JsonObject:
    """What is stored as the metadata of a record; too much of it is a ``LimitExceededError``."""
    apart = FLAT.apart(from_json(metadata_json))
    held: JsonObject = dict(apart.held)
    if apart.beside:
        held[JSON] = to_json(apart.beside, "metadata")
    loose = sorted([*apart.loose, *(f"{key}/" for key in apart.objects)])
    if loose:
        held[LOOSE] = loose
    if record_id(name) != name:
        held[ID] = name
    if document is not None:
        held[DOCUMENT] = document
    if nought:
        held[NOUGHT] = True
    size = len(msgspec.json.encode(held))
    if size > METADATA_BYTES:
        raise LimitExceededError(
            f"the metadata and the document of the vector {name[:80]!r} have {size:,} bytes, and Pinecone "
            f"takes {METADATA_BYTES:,} for each; nothing was stored: keep long texts elsewhere"
        )
    return held


class Read:
    """A record that was read: its id, metadata, document and vector."""

    def __init__(
        self, key: str, found: Mapping[str, Any] | None, values: Sequence[float] | None = None
    ) -> None:
        self.key = key
        self._stored = dict(found or {})
        self._values = values
        name = self._stored.get(ID)
        self.id = name if isinstance(name, str) and record_id(name) == key else key

    @property
    def metadata(self) -> JsonObject:
        """The metadata as they were given, or as others have changed them."""
        return FLAT.read({key: _number(value) for key, value in self._stored.items()})

    @property
    def document(self) -> str | None:
        """The text that the vector stands for."""
        text = self._stored.get(DOCUMENT)
        return text if isinstance(text, str) else None

    @property
    def nought(self) -> bool:
        """Whether the vector is all noughts; unknown where its numbers were not asked for."""
        if self._stored.get(NOUGHT) is not True:
            return False
        return not self._values or all(abs(x) <= ALMOST * 2 for x in self._values)

    @property
    def vector(self) -> array[float] | None:
        """The vector, if it was asked for."""
        if not self._values:
            return None
        return array("f", [0.0] * len(self._values)) if self.nought else array("f", self._values)


def _number(value: Any) -> Any:
    """A value as JSON of the original has it: whole numbers are integers."""
    return (
        int(value)
        if isinstance(value, float) and value.is_integer() and abs(value) < EXACT
        else value
    )


def _holds(value: Any) -> bool:
    """Whether Pinecone gives a value back as it is."""
    kind = cast("type[object]", type(value))
    if kind is int:
        return bool(-EXACT < value < EXACT)
    if kind is float:
        return not value.is_integer()
    if kind is list:
        items = cast("Sequence[object]", value)
        return bool(items) and all(isinstance(one, str) for one in items)
    return kind is str or kind is bool


def _near(value: Any) -> Any:
    """What compares with everything as the value does; ``None`` if Pinecone has nothing like it."""
    if _holds(value):
        return value
    whole = isinstance(value, float) and abs(value) < EXACT
    return _number(value + 0.0) if whole else None


def _same(found: Any, held: Any) -> bool:
    return bool(found == held)


FLAT: Final = Flat(takes=can_be_key, holds=_holds, near=_near, same=_same, most=DOTTED)
