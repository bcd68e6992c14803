"""Searches of vectors: LanceDB finds them, and their scores are computed once more in 64 bits."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any, Final

from mastra_core.vector.schema import Index, Match, Metric, Nearest
from mastra_lance.conditions import all_of, member
from mastra_lance.driver import ArrowTable, np, pa
from mastra_lance.literals import name
from mastra_lance.vector_filters import translated
from mastra_lance.vector_tables import (
    ASIDE,
    DISTANCES,
    DOCUMENT,
    ID,
    LONG,
    METADATA,
    SHORT,
    VECTOR,
    metadata_of,
)

DISTANCE: Final = "_distance"
# As many more are asked for than are wanted: 32 bits may confuse the order of the last ones.
SPARE: Final = 16
BATCH: Final = 8192
COLUMNS: Final = [ID, VECTOR, METADATA, DOCUMENT]


async def search(handle: Any, index: Index, wanted: Nearest) -> list[Match]:
    """The ``top_k`` nearest that match, nearest first, perhaps with some that follow them."""
    where = "" if wanted.where is None else translated(wanted.where)
    length = math.hypot(*wanted.vector)
    if index.metric == "cosine" and not length:
        return await _any(handle, wanted, where)
    if index.metric != "cosine" and length > LONG:
        return await _scanned(handle, index, wanted, where)
    vector = wanted.vector
    if not SHORT < length < LONG and index.metric == "cosine":
        vector = array("f", [number / length for number in vector])
    usual = f"NOT {name(ASIDE)}"
    found = await _nearest(handle, index, vector, all_of([where, usual]), wanted.top_k)
    matches = _scored(found, index.metric, wanted)
    if await handle.count_rows(name(ASIDE)):
        matches += await _scanned(handle, index, wanted, all_of([where, name(ASIDE)]))
    return matches


async def _nearest(
    handle: Any, index: Index, vector: array[float], where: str, top_k: int
) -> ArrowTable:
    """At least ``top_k`` rows, if there are so many, with all that are as near as the last of them."""
    limit = top_k + SPARE
    while True:
        query = handle.query().nearest_to(vector.tolist()).column(VECTOR)
        query = query.distance_type(DISTANCES[index.metric]).where(where).limit(limit)
        found = await query.select([*COLUMNS, DISTANCE]).to_arrow()
        distances = sorted(found.column(DISTANCE).to_pylist())
        if len(distances) < limit or distances[-1] > distances[top_k - 1]:
            return found
        limit *= 4


async def _any(handle: Any, wanted: Nearest, where: str) -> list[Match]:
    """What matches, by id: a vector of zeros is as near to any as to any other."""
    query = handle.query()
    query = query.where(where) if where else query
    found = await query.select([ID]).to_arrow()
    ids = sorted(found.column(ID).to_pylist())[: wanted.top_k]
    if not ids:
        return []
    rows = await handle.query().where(member(ID, ids)).select(COLUMNS).to_arrow()
    return [_match(row, 0.0, wanted) for row in rows.to_pylist()]


async def _scanned(handle: Any, index: Index, wanted: Nearest, where: str) -> list[Match]:
    """The nearest of all rows that match, each of them compared here."""
    query = handle.query()
    query = query.where(where) if where else query
    matches: list[Match] = []
    async for batch in await query.select(COLUMNS).to_batches(max_batch_length=BATCH):
        matches += _scored(pa.Table.from_batches([batch]), index.metric, wanted)
        matches.sort(key=lambda match: (-match.score, match.id))
        del matches[wanted.top_k :]
    return matches


def _scored(found: ArrowTable, metric: Metric, wanted: Nearest) -> list[Match]:
    if not found.num_rows:
        return []
    flat = found.column(VECTOR).combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = flat.reshape(found.num_rows, -1).astype(np.float64)
    scores = scored(vectors, np.asarray(wanted.vector, dtype=np.float64), metric)
    names = [ID, METADATA, DOCUMENT, *([VECTOR] if wanted.include_vector else [])]
    rows = found.select(names).to_pylist()
    return [_match(row, score, wanted) for row, score in zip(rows, scores, strict=True)]


def scored(vectors: Any, wanted: Any, metric: Metric) -> Sequence[float]:
    """The scores of rows of vectors; sums of 32-bit numbers' products fit into 64 bits."""
    if metric == "euclidean":
        distances = np.sqrt(((vectors - wanted) ** 2).sum(axis=1))
        result: list[float] = (1.0 / (1.0 + distances)).tolist()
        return result
    products = vectors @ wanted
    if metric == "cosine":
        lengths = np.sqrt((vectors**2).sum(axis=1)) * math.sqrt(float(wanted @ wanted))
        safe = np.where(lengths > 0, lengths, 1.0)
        products = np.clip(np.where(lengths > 0, products / safe, 0.0), -1.0, 1.0)
    dots: list[float] = (products + 0.0).tolist()
    return dots


def _match(row: dict[str, Any], score: float, wanted: Nearest) -> Match:
    return Match(
        id=row[ID],
        score=score,
        metadata=metadata_of(row[METADATA]),
        vector=row[VECTOR] if wanted.include_vector else None,
        document=row[DOCUMENT],
    )
