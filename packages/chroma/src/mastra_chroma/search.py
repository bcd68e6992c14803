"""One search: what was found so far, and whether more must be looked for."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Final

from mastra_chroma.filters import Where
from mastra_chroma.records import Read
from mastra_chroma.service import Body, Rows
from mastra_core.vector.filters import holds
from mastra_core.vector.inmemory import SCORES
from mastra_core.vector.schema import Index, Match, Nearest

# How many times as many are asked for where what was found did not all match.
WIDER: Final = 8


class Search:
    """What one vector is looked for with, and what was found; ``limit`` is the most of one request.

    ``done`` says that no other request of its kind is needed, ``short`` that fewer than ``top_k``
    were found, so that records may have been left out.
    """

    def __init__(self, index: Index, wanted: Nearest, *, limit: int) -> None:
        self.index = index
        self.wanted = wanted
        self.found: dict[str, Match] = {}
        self.seen: set[str] = set()
        # What was found while it was changed: its vector is not that of its metadata.
        self.torn: set[str] = set()
        self.done = False
        self._most = limit
        self._limit = min(wanted.top_k, limit)

    @property
    def short(self) -> bool:
        """Whether fewer were found than asked for."""
        return len(self.found) < self.wanted.top_k

    def body(self, vectors: Sequence[array[float]], where: Where | None) -> Body:
        """The request for these vectors, of which all are at the same point."""
        include = ["metadatas", "documents", "distances"]
        if self.wanted.include_vector:
            include.append("embeddings")
        body: Body = {
            "query_embeddings": list(vectors),
            "n_results": self._limit,
            "include": include,
        }
        return body if where is None else {**body, "where": where}

    def take(self, rows: Rows) -> None:
        """Take the nearest of what may match, and ask for more of them next time."""
        distances = rows.distances or []
        for number, distance in enumerate(distances):
            # Where 32 bits do not hold a distance, the record is looked at by itself.
            if distance is not None:
                self._add(rows, number, self._score(distance))
        whole = len(rows.ids) < self._limit or self._limit == self._most
        self.done = whole or not self.short
        self._limit = min(self._limit * WIDER, self._most)

    def add(self, rows: Rows) -> None:
        """Take what was left out, and again what was torn; it comes with its vectors."""
        score = SCORES[self.index.metric]
        for number, embedding in enumerate(rows.embeddings or []):
            if rows.ids[number] in self.torn or rows.ids[number] not in self.seen:
                vector = array("f", self._read(rows, number).vector or embedding)
                self._add(rows, number, score(self.wanted.vector, vector), again=True)

    def drop(self, names: Iterable[str]) -> None:
        """Forget records that were looked at again, and are not there any more."""
        for name in names:
            self.torn.discard(name)
            self.found.pop(name, None)

    def _score(self, distance: float) -> float:
        if self.index.metric == "euclidean":
            return float(1 / (1 + max(0.0, distance) ** 0.5))
        if self.index.metric == "cosine":
            return max(-1.0, min(1.0, 1 - distance))
        return 1 - distance

    def _add(self, rows: Rows, number: int, score: float, *, again: bool = False) -> None:
        read = self._read(rows, number)
        self.seen.add(read.id)
        # One without metadata may have had none, or was deleted between its vector and its metadata.
        bare = not again and rows.metadatas is not None and rows.metadatas[number] is None
        (self.torn.add if read.torn or bare else self.torn.discard)(read.id)
        self.found.pop(read.id, None)
        metadata = read.metadata
        if holds(self.wanted.where, metadata):
            self.found[read.id] = Match(
                id=read.id,
                score=score,
                metadata=metadata,
                vector=read.vector if self.wanted.include_vector else None,
                document=read.document,
            )

    @staticmethod
    def _read(rows: Rows, number: int) -> Read:
        return Read(
            rows.ids[number],
            rows.metadatas[number] if rows.metadatas else None,
            rows.documents[number] if rows.documents else None,
            rows.embeddings[number] if rows.embeddings else None,
        )
