"""What does not fit into one request, in portions that do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def portions(found: Sequence[T], sizes: Sequence[int], count: int, limit: int) -> Iterator[list[T]]:
    """The sequence in pieces of at most so many members and so many bytes; one too large is alone."""
    piece: list[T] = []
    total = 0
    for one, size in zip(found, sizes, strict=True):
        if piece and (len(piece) == count or total + size > limit):
            yield piece
            piece, total = [], 0
        piece.append(one)
        total += size
    if piece:
        yield piece
