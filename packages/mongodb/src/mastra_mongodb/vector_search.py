"""Searches of vectors: the stages that a search index answers, and the best of what comes back.

Servers differ in what a score is (Atlas gives ``(1 + cosine) / 2``), so scores are computed here, from
the stored vectors that come with the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from mastra_core.vector.filters import holds
from mastra_core.vector.inmemory import SCORES
from mastra_core.vector.schema import Match, Nearest
from mastra_mongodb.documents import Document
from mastra_mongodb.vector_documents import EXACTLY, metadata_of, text_of, vector_of
from mastra_mongodb.vector_filters import METADATA, searched, wider
from mastra_mongodb.vector_schema import DOCUMENT, Target

# What a search index gives and looks at, at most.
MOST: Final = 10_000
# How many it looks at for each that is wanted, and at least.
LOOKED_AT: Final = 20
LEAST_LOOKED_AT: Final = 200
# How many are asked for where a filter is applied behind the search.
BEHIND: Final = 1000


class Found(NamedTuple):
    """A document that was compared."""

    score: float
    id: str
    document: Mapping[str, Any]


class Best:
    """The best of the documents that were compared with one vector."""

    def __init__(self, target: Target, wanted: Nearest) -> None:
        self.target = target
        self.wanted = wanted
        self._score: Callable[..., float] = SCORES[target.index.metric]
        self._found: dict[str, Found] = {}

    def offer(self, document: Mapping[str, Any]) -> bool:
        """Compare a document, if it has a vector and matches; whether it does."""
        vector = vector_of(document, self.target)
        if vector is None:
            return False
        where = self.wanted.where
        if where is not None and not holds(where, metadata_of(document)):
            return False
        # (Nought added, so that no score is a negative nought.)
        score, name = 0.0 + self._score(self.wanted.vector, vector), str(document["_id"])
        self._found[name] = Found(score, name, document)
        if len(self._found) > 4 * self.wanted.top_k + BEHIND:
            self._found = {one.id: one for one in self.found()}
        return True

    def found(self) -> list[Found]:
        """As many as are wanted, the nearest first."""
        every = sorted(self._found.values(), key=lambda one: (-one.score, one.id))
        return every[: self.wanted.top_k]

    @property
    def enough(self) -> bool:
        """Whether as many as are wanted were found."""
        return len(self._found) >= self.wanted.top_k

    def matches(self) -> list[Match]:
        """What was found, as callers get it."""
        return [self._match(one) for one in self.found()]

    def _match(self, one: Found) -> Match:
        vector = vector_of(one.document, self.target) if self.wanted.include_vector else None
        return Match(
            id=one.id,
            score=one.score,
            metadata=metadata_of(one.document),
            vector=None if vector is None else vector.tolist(),
            document=text_of(one.document),
        )


def projection(target: Target) -> Document:
    """The fields that are needed of a document."""
    return dict.fromkeys(("_id", target.path, METADATA, EXACTLY, DOCUMENT), 1)


def by_nearness(target: Target, wanted: Nearest) -> list[Document]:
    """The stages of a search along the index, with the filter in it or behind it."""
    inside, whole = searched(wanted.where, target.declared)
    keep = min(MOST, 2 * wanted.top_k + LOOKED_AT)
    limit = keep if whole else min(MOST, max(BEHIND, LOOKED_AT * wanted.top_k))
    search: Document = {
        "index": target.search_index,
        "path": target.path,
        "queryVector": wanted.vector.tolist(),
        "numCandidates": min(MOST, max(limit, LOOKED_AT * wanted.top_k, LEAST_LOOKED_AT)),
        "limit": limit,
    }
    if inside is not None:
        search["filter"] = inside
    stages: list[Document] = [{"$vectorSearch": search}]
    behind = None if whole else wider(wanted.where)
    if behind is not None:
        stages += [{"$match": behind}, {"$limit": keep}]
    return [*stages, {"$project": projection(target)}]


def directionless(target: Target, where: Document | None) -> Document:
    """The filter of vectors of noughts, which a search index by cosines does not have: they score 0."""
    noughts: Document = {target.path: {"$type": "array", "$not": {"$elemMatch": {"$ne": 0}}}}
    return noughts if where is None else {"$and": [noughts, where]}


def needs_noughts(best: Sequence[Best]) -> bool:
    """Whether vectors without a direction may be among the wanted: not where all score more."""
    return any(found[-1].score <= 0 for one in best if (found := one.found()))
