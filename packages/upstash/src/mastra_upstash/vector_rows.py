"""Vectors as Upstash Vector keeps them: metadata as the original writes them, texts as ``data``.

The service keeps 48 KB of metadata beside a vector, and numbers perhaps as floats. Metadata that
are larger, or have integers that a float would change, stand whole in ``data`` (up to 1 MB) beside
the text, and shortened where filters look at them.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec

from mastra_core.errors import LimitExceededError
from mastra_core.records import JsonObject
from mastra_core.storage.codec import from_json, to_json
from mastra_upstash.vector_filters import EXACT, SHORTENED, TEXT_LENGTH

METADATA_BYTES: Final = 48_000
DATA_BYTES: Final = 1_000_000
# What ``data`` begins with if it is more than a text.
WHOLE: Final = '{"mastra_row":'
_DIGITS: Final = re.compile(r"\d{16}")


class Row(msgspec.Struct):
    """A vector as the service answers it."""

    id: str | int
    score: float = 0.0
    vector: list[float] | None = None
    metadata: JsonObject | None = None
    data: str | None = None

    @property
    def key(self) -> str:
        """Its id."""
        return str(self.id)

    @property
    def complete(self) -> bool:
        """Whether its metadata are all there without its ``data``."""
        return SHORTENED not in (self.metadata or {})


class Whole(msgspec.Struct, frozen=True, omit_defaults=True):
    """What ``data`` holds beyond a plain text; ``metadata`` if those beside are not all of it."""

    document: str | None = None
    metadata: JsonObject | None = None


class _Data(msgspec.Struct, frozen=True):
    mastra_row: Whole


class Beside(msgspec.Struct, frozen=True):
    """What stands beside a vector, as it is sent."""

    metadata: msgspec.Raw
    data: str | None

    @property
    def size(self) -> int:
        """About how many bytes it has."""
        return len(bytes(self.metadata)) + 4 * len(self.data or "")


def whole(row: Row) -> Whole:
    """The text and the metadata of a row."""
    plain = row.metadata or {}
    if row.data is None or not row.data.startswith(WHOLE):
        return Whole(row.data, plain)
    try:
        found = from_json(row.data, _decode).mastra_row
    except Exception:  # noqa: BLE001 (somebody else's text that begins like ours)
        return Whole(row.data, plain)
    return Whole(found.document, plain if found.metadata is None else found.metadata)


_decoder: Final = msgspec.json.Decoder(_Data)


def _decode(text: str | bytes) -> _Data:
    return _decoder.decode(text)


def beside(metadata_json: str, document: str | None, key: str) -> Beside:
    """What is sent beside a vector; what is too large for the service is refused."""
    plain = document is None or bool(document and not document.startswith(WHOLE))
    text = metadata_json.encode()
    metadata: JsonObject = from_json(text) if _doubtful(metadata_json) else {}
    if len(text) <= METADATA_BYTES and not _inexact(metadata) and SHORTENED not in metadata:
        data = document if plain else _enveloped(Whole(document))
        return _checked(Beside(msgspec.Raw(text), data), key)
    metadata = metadata or from_json(text)
    short = to_json({**_shortened(metadata), SHORTENED: True})
    data = _enveloped(Whole(document, metadata))
    return _checked(Beside(msgspec.Raw(short.encode()), data), key)


def _enveloped(found: Whole) -> str:
    return msgspec.json.encode(_Data(found)).decode()


def _checked(found: Beside, key: str) -> Beside:
    size = len(bytes(found.metadata))
    if size > METADATA_BYTES:
        raise LimitExceededError(
            f"the metadata of vector {key!r} have {size:,} bytes even with their long texts "
            f"shortened; Upstash Vector takes {METADATA_BYTES:,}; nothing was sent"
        )
    held = 0 if found.data is None else len(found.data.encode())
    if held > DATA_BYTES:
        raise LimitExceededError(
            f"vector {key!r} has {held:,} bytes of text and metadata; Upstash Vector takes "
            f"{DATA_BYTES:,} of each; nothing was sent"
        )
    return found


def _doubtful(text: str) -> bool:
    """Whether there may be an integer that a float does not hold, or a key of ours."""
    return SHORTENED in text or _DIGITS.search(text) is not None


def _inexact(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_inexact, cast("JsonObject", value).values()))
    if isinstance(value, list):
        return any(map(_inexact, cast("Sequence[Any]", value)))
    return isinstance(value, int) and abs(value) > EXACT


def _shortened(value: Any) -> Any:
    """The value with the beginnings of its long texts."""
    if isinstance(value, dict):
        return {key: _shortened(one) for key, one in cast("JsonObject", value).items()}
    if isinstance(value, list):
        return [_shortened(one) for one in cast("Sequence[Any]", value)]
    if isinstance(value, str) and len(value) > TEXT_LENGTH:
        return f"{value[:TEXT_LENGTH]}…"
    return value


def padded(vector: array[float], dimension: int) -> list[float]:
    """The vector with noughts at its end, which change neither an angle nor a distance."""
    return vector.tolist() + [0.0] * (dimension - len(vector))


def cut(vector: Sequence[float], dimension: int) -> array[float]:
    """The vector as it was stored."""
    return array("f", vector[:dimension])


class Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    """A vector to store, as it is sent."""

    id: str
    vector: list[float]
    metadata: msgspec.Raw
    data: str | None = None


def changed(row: Row, metadata_json: str) -> dict[str, Any]:
    """What is sent to give a row other metadata; its text stays."""
    found = beside(metadata_json, whole(row).document, row.key)
    change: dict[str, Any] = {
        "id": row.key,
        "metadata": found.metadata,
        "metadataUpdateMode": "OVERWRITE",
    }
    if found.data == row.data:
        return change
    # Nothing takes ``data`` away again, so that what says nothing more stands there.
    return {**change, "data": _enveloped(Whole()) if found.data is None else found.data}
