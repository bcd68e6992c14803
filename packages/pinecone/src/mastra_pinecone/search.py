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
# How far the scores of two equal vectors may be from each other.
ROUNDED: Final = 1e-6


class Search:
    """What one vector is looked for with, and what was found.

    ``done`` says that no other request is needed, ``cut`` that more may match than one finds,
    ``noughts`` that vectors of noughts are to be looked for by themselves.
    """

    def __init__(self, index: Index, wanted: Nearest) -> None:
        self.index = index
        self.wanted = wanted
        self.asked = values_of(wanted.vector)
        # Of distances it is not documented whether they are squared: they are measured here.
        self.values = wanted.include_vector or index.metric == "euclidean"
        self.limit = wanted.top_k
        self.found: dict[str, Match] = {}
        self.done = self.cut = self.noughts = False

    def take(self, rows: Sequence[tuple[Read, float]]) -> None:
        """Take the nearest of what may match, and ask for more of them next time."""
        for read, score in rows:
            self._add(read, score)
        whole = len(rows) < self.limit
        enough = self._enough(rows[-1][1] if rows else 0.0)
        self.cut = not whole and not enough and self.limit == TOP_K
        self.done = whole or enough or self.cut
        # Noughts, which are stored in some direction, may be farther away than they are.
        self.noughts = self._turned and not whole and self._least < 0
        self.limit = min(self.limit * WIDER, TOP_K)

    @property
    def _turned(self) -> bool:
        """Whether Pinecone takes vectors of noughts for others, as it does where directions count."""
        return self.index.metric == "cosine" and any(self.wanted.vector)

    @property
    def _least(self) -> float:
        """The lowest score of the ``top_k`` nearest."""
        scores = sorted((match.score for match in self.found.values()), reverse=True)
        return scores[self.wanted.top_k - 1] if len(scores) >= self.wanted.top_k else 0.0

    def _enough(self, last: float) -> bool:
        """Whether nothing that was not found is nearer than the ``top_k`` nearest; ``last`` is the farthest."""
        if len(self.found) < self.wanted.top_k:
            return False
        return not self._turned or self._least >= min(last, 1.0) - ROUNDED

    def take_noughts(self, rows: Sequence[tuple[Read, float]]) -> None:
        """Take vectors of noughts."""
        for read, _ in rows:
            self._add(read, 0.0)

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
