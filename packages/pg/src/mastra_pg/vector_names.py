"""What the indexes of a table of vectors are called: as the original calls its own."""

from __future__ import annotations

import hashlib
from typing import Final

# PostgreSQL cuts longer names, so that two may become one.
NAME_BYTES: Final = 63
_PRIMES: Final = (2654435761, 2246822519, 3266489917, 668265263, 374761393)
_MASK: Final = 0xFFFFFFFF


def near(index: str) -> str:
    """The index by nearness."""
    return _short(f"{index}_vector_idx", index, "vi")


def unique(index: str) -> str:
    """The unique index of namespaces and ids."""
    return _short(f"{index}_namespace_vector_id_idx", index, "ns")


def nought(index: str) -> str:
    """Ours: the rows without a direction, which no index by the angle has."""
    return _short(f"{index}_vector_nought", index, "vn")


def metadata(index: str, key: str) -> str:
    """The index of the text at a metadata key."""
    return _hashed(index, key, "md")


def values(index: str, key: str) -> str:
    """Ours: the index of the values at a metadata key, whatever their type, and of their elements."""
    return _hashed(index, key, "mv")


def _hashed(index: str, key: str, kind: str) -> str:
    found = f"{xxh32(key.encode()):x}"
    if len(index) > 55 - len(found):
        # Of two long names the beginnings may be the same; the original's indexes are mixed up then.
        found = f"{xxh32(f'{index}.{key}'.encode()):x}"
    return f"{index[: 55 - len(found)]}_{kind}_{found}_idx"


def _short(name: str, index: str, kind: str) -> str:
    """The name, or where that is too long another, by the original's rule for its unique index."""
    if len(name) <= NAME_BYTES:
        return name
    suffix = f"_{kind}_{hashlib.sha256(index.encode()).hexdigest()[:32]}_idx"
    return index[: NAME_BYTES - len(suffix)] + suffix


def xxh32(data: bytes) -> int:
    """The 32 bits of xxHash, with the seed 0."""
    p1, p2, p3, p4, p5 = _PRIMES
    whole = len(data) - len(data) % 16
    lanes = [(p1 + p2) & _MASK, p2, 0, -p1 & _MASK]
    for i in range(0, whole, 4):
        lane = lanes[i // 4 % 4] + int.from_bytes(data[i : i + 4], "little") * p2
        lanes[i // 4 % 4] = _turned(lane, 13) * p1 & _MASK
    found = sum(map(_turned, lanes, (1, 7, 12, 18))) if whole else p5
    found = (found + len(data)) & _MASK
    end = len(data) - len(data) % 4
    for i in range(whole, end, 4):
        word = int.from_bytes(data[i : i + 4], "little")
        found = _turned(found + word * p3, 17) * p4 & _MASK
    for byte in data[end:]:
        found = _turned(found + byte * p5, 11) * p1 & _MASK
    found = (found ^ found >> 15) * p2 & _MASK
    found = (found ^ found >> 13) * p3 & _MASK
    return found ^ found >> 16


def _turned(value: int, bits: int) -> int:
    value &= _MASK
    return (value << bits | value >> (32 - bits)) & _MASK
