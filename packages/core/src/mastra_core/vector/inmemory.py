"""The reference vector store: every vector looked at, gone with the process."""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import mul
from typing import Any, ClassVar, Final, TypeAlias

import msgspec

from mastra_core.storage.codec import from_json
from mastra_core.vector.base import MastraVector
from mastra_core.vector.checks import unknown
from mastra_core.vector.filters import Node, holds
from mastra_core.vector.schema import Index, Item, Match, Nearest

Score: TypeAlias = "Callable[[array[float], array[float]], float]"


class InMemoryVector(MastraVector):
    """Vectors in this process's memory: for tests and trials, exact at any size."""

    name: ClassVar[str] = "memory"

    def __init__(self, *, id: str = "in-memory") -> None:  # noqa: A002 (the original's name)
        super().__init__(id=id)
        self._stored: dict[str, tuple[Index, dict[str, Item]]] = {}

    async def _find_index(self, name: str) -> Index | None:
        found = self._stored.get(name)
        return None if found is None else found[0]

    async def _create_index(
        self, index: Index, options: Any, metadata_indexes: tuple[str, ...]
    ) -> None:
        self._stored.setdefault(index.name, (index, {}))

    async def _list_indexes(self) -> list[str]:
        return list(self._stored)

    async def _count(self, index: Index) -> int:
        return len(self._items(index))

    async def _delete_index(self, index: Index) -> None:
        self._stored.pop(index.name, None)

    async def _upsert(
        self, index: Index, items: Sequence[Item], stale: Node | list[str] | None
    ) -> None:
        stored = self._items(index)
        if stale is not None:
            await self._delete(index, stale)
        stored.update({item.id: item for item in items})

    async def _query(self, index: Index, wanted: Sequence[Nearest]) -> list[list[Match]]:
        return [list(self._nearest(index, one)) for one in wanted]

    def _nearest(self, index: Index, wanted: Nearest) -> Iterator[Match]:
        score = SCORES[index.metric]
        scored = [
            # (Subtracted from nought, so that no score is a negative nought.)
            (0.0 - score(wanted.vector, item.vector), item.id)
            for item in self._items(index).values()
            if holds(wanted.where, item.metadata)
        ]
        for negative, key in heapq.nsmallest(wanted.top_k, scored):
            item = self._items(index)[key]
            yield Match(
                id=key,
                score=0.0 - negative,
                metadata=from_json(item.metadata_json),
                vector=item.vector.tolist() if wanted.include_vector else None,
                document=item.document,
            )

    async def _update(
        self,
        index: Index,
        chosen: Node | list[str],
        vector: array[float] | None,
        metadata_json: str | None,
    ) -> None:
        stored = self._items(index)
        given: dict[str, Any] = {"vector": vector, "metadata_json": metadata_json}
        changes = {name: value for name, value in given.items() if value is not None}
        for key in self._keys(index, chosen):
            stored[key] = msgspec.structs.replace(stored[key], **changes)

    async def _delete(self, index: Index, chosen: Node | list[str]) -> None:
        for key in self._keys(index, chosen):
            del self._items(index)[key]

    def _keys(self, index: Index, chosen: Node | list[str]) -> list[str]:
        stored = self._items(index)
        if isinstance(chosen, list):
            return [key for key in chosen if key in stored]
        return [key for key, item in stored.items() if holds(chosen, item.metadata)]

    def _items(self, index: Index) -> dict[str, Item]:
        if index.name not in self._stored:
            raise unknown(index.name)
        return self._stored[index.name][1]


def _dot(a: array[float], b: array[float]) -> float:
    return float(sum(map(mul, a, b)))


def _cosine(a: array[float], b: array[float]) -> float:
    lengths = math.sqrt(_dot(a, a)) * math.sqrt(_dot(b, b))
    return max(-1.0, min(1.0, _dot(a, b) / lengths)) if lengths else 0.0


def _euclidean(a: array[float], b: array[float]) -> float:
    return 1 / (1 + math.dist(a, b))


SCORES: Final[Mapping[str, Score]] = {
    "cosine": _cosine,
    "euclidean": _euclidean,
    "dotproduct": _dot,
}
