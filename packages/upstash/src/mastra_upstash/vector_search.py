"""What is asked of Upstash Vector for a search, and what its answers mean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from mastra_core.vector.filters import holds
from mastra_core.vector.inmemory import SCORES
from mastra_core.vector.schema import Index, Match, Nearest
from mastra_upstash.vector_filters import Sent
from mastra_upstash.vector_rows import Row, cut, padded, whole

# How many vectors the service finds at most.
TOP_K: Final = 1000


class Search:
    """One vector that is looked for, and what was found of it so far."""

    def __init__(self, index: Index, wanted: Nearest, sent: Sent | None) -> None:
        self.index = index
        self.wanted = wanted
        self.sent = sent
        self.found: dict[str, Match] = {}
        self.asked = min(wanted.top_k, TOP_K)
        # Whether the last answer had as many as were asked for, so that there may be more.
        self.full = False

    def request(self, dimension: int) -> dict[str, Any]:
        """What is asked, of an index of this dimension."""
        body: dict[str, Any] = {
            "vector": padded(self.wanted.vector, dimension),
            "topK": self.asked,
            "includeMetadata": True,
            "includeData": True,
            "includeVectors": self.wanted.include_vector,
        }
        return body if self.sent is None else {**body, "filter": self.sent.text}

    def take(self, rows: Sequence[Row]) -> None:
        """What the service answered: the nearest of what it let through."""
        self.full = len(rows) >= self.asked
        self.found = {match.id: match for match in self._matches(rows)}

    def add(self, rows: Sequence[Row]) -> None:
        """More of them, with their vectors."""
        for match in self._matches(rows):
            self.found.setdefault(match.id, match)

    @property
    def short(self) -> bool:
        """Whether there may be matches that the service did not answer.

        It compares a filter with some of the vectors only, as many as its budget allows; so the
        end of what passes a filter is not sure.
        """
        unsure = self.full or self.sent is not None
        return unsure and len(self.found) < self.wanted.top_k

    def widen(self) -> bool:
        """Ask for more the next time, if that may help; whether it may."""
        if not (self.short and self.full and self.asked < TOP_K):
            return False
        self.asked = TOP_K
        return True

    def _matches(self, rows: Sequence[Row]) -> Iterator[Match]:
        for row in rows:
            stored = whole(row)
            metadata = stored.metadata or {}
            if not holds(self.wanted.where, metadata):
                continue
            vector = None if row.vector is None else cut(row.vector, self.index.dimension)
            if vector is None:
                score = scored(self.index.metric, row.score)
            else:
                score = SCORES[self.index.metric](self.wanted.vector, vector)
            given = vector is not None and self.wanted.include_vector
            yield Match(
                id=row.key,
                score=score,
                metadata=metadata,
                vector=vector.tolist() if vector is not None and given else None,
                document=stored.document,
            )


def scored(metric: str, score: float) -> float:
    """What a score of the service, from 0 to 1, is in ours."""
    if metric == "cosine":
        return max(-1.0, min(1.0, 2 * score - 1))
    # The service's is 1 / (1 + the square of the distance).
    return 1 / (1 + math.sqrt(max(0.0, 1 / score - 1))) if score > 0 else 0.0
