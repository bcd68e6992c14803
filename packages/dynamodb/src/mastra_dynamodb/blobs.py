"""Values that are too large for an item, in items of their own that the row refers to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import uuid4

import msgspec

from mastra_core.errors import LimitExceededError
from mastra_dynamodb.entities import Item
from mastra_dynamodb.spread import Spread
from mastra_dynamodb.wire import GET_KEYS, Key, Wire, key_of, size_of

# A row keeps so much itself, so that its present and its next form fit into one item of 400 KB.
INLINE_BYTES: Final = 190_000
CHUNK_BYTES: Final = 380_000
CHUNKS: Final = 100
SMALL: Final = 1_000
BLOB: Final = "_blob"
PREFIX: Final = "mastra_blob#"


class Split(msgspec.Struct, frozen=True):
    """An item that is small enough, and the chunks of what was taken out of it."""

    item: Item
    chunks: list[Item]


def split(item: Item, keep: Mapping[str, Item]) -> Split:
    """The item without its largest texts, as far as needed; ``keep`` goes into every chunk."""
    size = size_of(item)
    if size <= INLINE_BYTES:
        return Split(item, [])
    texts = {name: value["S"] for name, value in item.items() if "S" in value}
    sizes = {name: len(text.encode()) for name, text in texts.items()}
    taken: dict[str, str] = {}
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if size <= INLINE_BYTES or sizes[name] < SMALL:
            break
        taken[name] = texts[name]
        size -= sizes[name]
    data = msgspec.json.encode(taken)
    pieces = [data[i : i + CHUNK_BYTES] for i in range(0, len(data), CHUNK_BYTES)]
    if size > INLINE_BYTES or len(pieces) > CHUNKS:
        raise LimitExceededError(
            f"a row of {size_of(item):,} bytes is too large: at most {CHUNKS * CHUNK_BYTES:,} in "
            "large values, and little beside them"
        )
    name = uuid4().hex
    rest = {key: value for key, value in item.items() if key not in taken}
    rest[BLOB] = {"M": {"id": {"S": name}, "n": {"N": str(len(pieces))}}}
    chunks = [
        {**keep, **_keys((PREFIX + name, f"{i:04d}")), "data": {"B": piece}}
        for i, piece in enumerate(pieces)
    ]
    return Split(rest, chunks)


def keys_of_blob(item: Item) -> list[Key]:
    """The keys of the chunks that an item refers to."""
    if BLOB not in item:
        return []
    blob = item[BLOB]["M"]
    return [(PREFIX + blob["id"]["S"], f"{i:04d}") for i in range(int(blob["n"]["N"]))]


def whole(wire: Wire, items: Sequence[Item], spread: Spread) -> list[Item | None]:
    """The items with what was taken out of them; ``None`` for one that was replaced meanwhile."""
    keys = [key for item in items for key in keys_of_blob(item)]
    if not keys:
        return list(items)
    batches = [keys[i : i + GET_KEYS] for i in range(0, len(keys), GET_KEYS)]
    found = {key_of(chunk): chunk for batch in spread(wire.get, batches) for chunk in batch}
    return [_whole(item, found) if BLOB in item else item for item in items]


def _whole(item: Item, found: Mapping[Key, Item]) -> Item | None:
    pieces: list[bytes] = []
    for key in keys_of_blob(item):
        if key not in found:
            return None
        data = found[key]["data"]["B"]
        pieces.append(bytes(getattr(data, "value", data)))
    texts = msgspec.json.decode(b"".join(pieces), type=dict[str, str])
    return {**item, **{name: {"S": text} for name, text in texts.items()}}


def _keys(key: Key) -> Item:
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}
