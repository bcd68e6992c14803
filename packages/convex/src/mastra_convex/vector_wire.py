"""Vectors, filters and rows as the functions take and return them."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from mastra_core.errors import LimitExceededError
from mastra_core.records import JsonObject
from mastra_core.storage.codec import from_json
from mastra_core.vector.filters import All, Compare, Node, comparisons
from mastra_core.vector.schema import Index, Item, Match, Nearest

# What one mutation changes: it reads each vector that it stores over, too.
BATCH: Final = 500
BATCH_BYTES: Final = 4_000_000
# A document has at most a mebibyte; this leaves room for its other fields.
VECTOR_BYTES: Final = 1_000_000
NUMBER_BYTES: Final = 9
# More rows than any search finds.
EVERYTHING: Final = 10**9
# Integers beyond are not exact in the functions.
EXACT: Final = 2**53


def packed(vector: array[float]) -> bytes:
    """32-bit floats, the least significant byte first."""
    if sys.byteorder == "little":
        return vector.tobytes()
    swapped = array("f", vector)
    swapped.byteswap()
    return swapped.tobytes()


def unpacked(given: bytes) -> list[float]:
    """The numbers of a vector."""
    found = array("f")
    found.frombytes(given)
    if sys.byteorder != "little":
        found.byteswap()
    return found.tolist()


def filter_text(node: Node | None) -> str | None:
    """A filter for the functions; nothing if there is none, or if numbers in it are not exact there."""
    if node is None or not all(map(_exact, comparisons(node))):
        return None
    return msgspec.json.encode(_plain(node)).decode()


def _exact(compare: Compare) -> bool:
    values = compare.value if isinstance(compare.value, tuple) else (compare.value,)
    return all(-EXACT < one < EXACT for one in values if isinstance(one, (int, float)))


def _plain(node: Node) -> dict[str, Any]:
    if isinstance(node, Compare):
        return msgspec.structs.asdict(node)
    inner = [_plain(one) for one in node.nodes]
    return {"all" if isinstance(node, All) else "any": inner}


def looking(index: Index, wanted: Sequence[Nearest], where: Node | None) -> dict[str, Any]:
    """What is looked for, as the functions take it; with nothing ``wanted`` all that matches."""
    text = filter_text(where)
    applied = where is None or text is not None
    return {
        "index": index.name,
        "dimension": float(index.dimension),
        "vectors": [packed(one.vector) for one in wanted],
        # (What the client leaves out must not take the place of what matches.)
        "limit": float(wanted[0].top_k if wanted and applied else EVERYTHING),
        "where": text,
        "metadata": bool(wanted) or not applied,
        "whole": bool(wanted) and wanted[0].include_vector,
    }


class Found(msgspec.Struct, frozen=True):
    """A vector that was found, with its score for each vector that was looked for."""

    id: str
    scores: tuple[float, ...]
    metadata: JsonObject
    document: str | None
    vector: list[float] | None

    def match(self, position: int) -> Match:
        """What was found for the vector at a position."""
        return Match(
            id=self.id,
            score=self.scores[position],
            metadata=self.metadata,
            document=self.document,
            vector=self.vector,
        )


def found(rows: Sequence[Mapping[str, Any]]) -> Iterator[Found]:
    """Rows of the functions."""
    for row in rows:
        vector = row["vector"]
        yield Found(
            id=row["id"],
            # (Added to nought, so that no score is a negative nought.)
            scores=tuple([0.0 + score for score in row["scores"]]),
            metadata=from_json(row["metadata"]) if row["metadata"] else {},
            document=row["document"],
            vector=None if vector is None else unpacked(vector),
        )


class Change(msgspec.Struct, frozen=True):
    """A change of one vector: as the mutation takes it, and about how many bytes it stores."""

    sent: Mapping[str, Any]
    size: int = 0


def put(item: Item) -> Change:
    """A vector to store; one that is too large is an error."""
    texts = len(item.metadata_json.encode()) + len((item.document or "").encode())
    size = NUMBER_BYTES * len(item.vector) + texts
    if size > VECTOR_BYTES:
        raise LimitExceededError(
            f"the vector {item.id!r} has {size:,} bytes with its metadata and its document, and a "
            f"document of Convex at most {VECTOR_BYTES:,}; nothing was sent"
        )
    fields = {"metadata": item.metadata_json, "document": item.document}
    return Change({"kind": "put", "id": item.id, "vector": packed(item.vector), **fields}, size)


def each(kind: Literal["delete", "update"], names: Sequence[str]) -> list[Change]:
    """The same change of several vectors."""
    return [Change({"kind": kind, "id": name}) for name in names]


def batches(changes: Sequence[Change]) -> Iterator[list[Mapping[str, Any]]]:
    """The changes in parts that one mutation takes."""
    part: list[Mapping[str, Any]] = []
    held = 0
    for change in changes:
        if part and (len(part) == BATCH or held + change.size > BATCH_BYTES):
            yield part
            part, held = [], 0
        part.append(change.sent)
        held += change.size
    if part:
        yield part
