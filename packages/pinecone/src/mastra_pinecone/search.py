"""One search: what was found so far, and whether more must be looked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mastra_core.vector.filters import holds
from mastra_core.vector.inmemory import SCORES
from mastra_core.vector.schema import Index, Match, Nearest
from mastra_pinecone.records import Read, values_of

TOP_K: Final = 10_000
# How many times as many are asked for where what was found did not all match.
WIDER: Final = 8


class Search:
    """What one vector is looked for with, and what was found.

    ``done`` says that no other request is needed, ``cut`` that more may match than one finds.
    """

    def __init__(self, index: Index, wanted: Nearest) -> None:
        self.index = index
        self.wanted = wanted
        self.asked = values_of(wanted.vector)
        # Of distances it is not documented whether they are squared: they are measured here.
        self.values = wanted.include_vector or index.metric == "euclidean"
        self.limit = wanted.top_k
        self.found: dict[str, Match] = {}
        self.done = self.cut = False

    def take(self, rows: Sequence[tuple[Read, float]]) -> None:
        """Take the nearest of what may match, and ask for more of them next time."""
        for read, score in rows:
            self._add(read, score)
        whole = len(rows) < self.limit
        enough = len(self.found) >= self.wanted.top_k
        self.cut = not whole and not enough and self.limit == TOP_K
        self.done = whole or enough or self.cut
        self.limit = min(self.limit * WIDER, TOP_K)

    def add(self, reads: Sequence[Read]) -> None:
        """Take what may match, with its vectors."""
        for read in reads:
            if read.id not in self.found and read.vector is not None:
                self._add(read, SCORES[self.index.metric](self.wanted.vector, read.vector))

    def _add(self, read: Read, score: float) -> None:
        metadata = read.metadata
        if not holds(self.wanted.where, metadata):
            return
        vector = read.vector
        self.found[read.id] = Match(
            id=read.id,
            score=self._score(read, score),
            metadata=metadata,
            vector=vector.tolist() if vector is not None and self.wanted.include_vector else None,
            document=read.document,
        )

    def _score(self, read: Read, score: float) -> float:
        if self.index.metric == "euclidean":
            vector = read.vector
            return SCORES["euclidean"](self.wanted.vector, vector) if vector is not None else 0.0
        if read.nought or not any(self.wanted.vector):
            return 0.0
        return max(-1.0, min(1.0, score)) if self.index.metric == "cosine" else score
