"""Vectors as Qdrant's points and back.

A point's payload is the metadata, as the original stores them. Qdrant has ids that are UUIDs or
unsigned integers; any other id becomes a UUID made of it. What a point cannot hold as it was is beside
the metadata under one key, ``_mastra``: the id, the document, metadata that Qdrant would change, and the
numbers of a vector that it stores at length 1. It counts only while it belongs to the rest of the
point, so that what others write later wins.
"""

from __future__ import annotations

import base64
import math
import re
import uuid
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from qdrant_client import models

from mastra_core.records import JsonObject
from mastra_core.storage.codec import from_json, to_json
from mastra_core.vector.schema import Index, Item

PointId: TypeAlias = int | str

OURS: Final = "_mastra"
NAMESPACE: Final = uuid.UUID("6b0f0f0e-5d0c-5e0b-9a7c-6d6173747261")
UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,19}")
INT64: Final = 2**63
UINT64: Final = 2**64
# Levels of nesting that a server reads are 128; what is deeper is kept as text only.
LEVELS: Final = 64
# How far a vector at length 1 may be from what is stored, and still be it.
CLOSE: Final = 1e-4


def point_id(name: str) -> PointId:
    """The id of a point: UUIDs and unsigned integers as they are, all others as UUIDs of theirs."""
    if UUID.fullmatch(name):
        return name
    if NUMBER.fullmatch(name) and int(name) < UINT64:
        return int(name)
    return str(uuid.uuid5(NAMESPACE, name))


def point(item: Item, index: Index) -> models.PointStruct:
    """A vector as a point."""
    return models.PointStruct(
        id=point_id(item.id),
        vector=item.vector.tolist(),
        payload=payload(
            item.id, item.metadata_json, item.document, numbers(item.vector) if unit(index) else None
        ),
    )


def payload(name: str, metadata_json: str, document: str | None, kept: str | None) -> JsonObject:
    """Metadata as a payload, with what a point cannot hold beside them."""
    metadata: JsonObject = from_json(metadata_json)
    near = _near(metadata)
    beside: dict[str, Any] = {}
    if str(point_id(name)) != name:
        beside["id"] = name
    if document is not None:
        beside["document"] = document
    if kept is not None:
        beside["vector"] = kept
    if near != metadata or OURS in metadata or _text(near) != _text(metadata):
        beside["metadata"] = metadata_json
    near.pop(OURS, None)
    return {**near, OURS: beside} if beside else near


def unit(index: Index) -> bool:
    """Whether Qdrant stores the vectors of an index at length 1."""
    return index.metric == "cosine"


def numbers(vector: array[float]) -> str:
    """A vector's numbers, bit for bit, as text."""
    return base64.b64encode(vector.tobytes()).decode("ascii")


class Read:
    """A point that was read: its id, metadata, document and vector."""

    def __init__(self, key: PointId, found: Mapping[str, Any] | None, vector: Any = None) -> None:
        rest = dict(found or {})
        ours: Any = rest.pop(OURS, None)
        self._beside = cast("Mapping[str, Any]", ours) if isinstance(ours, Mapping) else {}
        self._rest = rest
        self._vector = cast("list[float] | None", vector if isinstance(vector, list) else None)
        self.key = key
        name = self._beside.get("id")
        self.id = name if isinstance(name, str) and point_id(name) == key else str(key)

    @property
    def document(self) -> str | None:
        """The text that the vector stands for."""
        text = self._beside.get("document")
        return text if isinstance(text, str) else None

    @property
    def metadata_json(self) -> str:
        """The metadata as text: as it was given, while the payload is what was stored with it."""
        exact = self._beside.get("metadata")
        if isinstance(exact, str):
            near = _near(from_json(exact))
            near.pop(OURS, None)
            if near == self._rest:
                return exact
        return _text(self._rest)

    @property
    def metadata(self) -> JsonObject:
        """The metadata."""
        value: JsonObject = from_json(self.metadata_json) if "metadata" in self._beside else self._rest
        return value

    @property
    def kept(self) -> str | None:
        """The numbers of the vector as they were given, as text, if they are kept beside it."""
        text = self._beside.get("vector")
        return text if isinstance(text, str) else None

    @property
    def vector(self) -> list[float] | None:
        """The vector as it was given, while it has the direction of the one that is stored."""
        stored, kept = self._vector, self.kept
        if stored is None or kept is None:
            return stored
        given = array("f")
        try:
            given.frombytes(base64.b64decode(kept, validate=True))
        except ValueError:
            return stored
        length = math.hypot(*given)
        same = len(given) == len(stored) and all(
            abs(x / (length or 1.0) - y) <= CLOSE for x, y in zip(given, stored, strict=True)
        )
        return given.tolist() if same else stored


def _text(value: Any) -> str:
    return to_json(value, "metadata")


def _near(value: Any, levels: int = LEVELS) -> Any:
    """The value itself where Qdrant holds it, else what comes nearest to it."""
    if isinstance(value, int) and not isinstance(value, bool) and not -INT64 <= value < INT64:
        try:
            return float(value)
        except OverflowError:
            return str(value)
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        if not levels:
            return _text(members)
        return {key: _near(member, levels - 1) for key, member in members.items()}
    if isinstance(value, list):
        members = cast("Sequence[Any]", value)
        return [_near(member, levels - 1) for member in members] if levels else _text(members)
    return value
