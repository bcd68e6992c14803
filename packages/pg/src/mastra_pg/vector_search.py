"""Searches of vectors as statements: exact ones by distance, and ones in the order of an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from mastra_core.errors import CorruptDataError
from mastra_core.storage.codec import from_json
from mastra_core.storage.sql import Statement
from mastra_core.vector.schema import Match, Nearest
from mastra_pg.vector_backend import numbers_of, sparse, vector
from mastra_pg.vector_filters import Params, narrows, translated
from mastra_pg.vector_schema import NORMS, Shape

# Looking at so many rows takes no longer than the graph does, and misses nothing.
SMALL: Final = 1000
# The same of rows that an index of metadata leads to.
FEW: Final = 2000
# How many candidates the graph keeps while it searches: what pgvector takes at most, and ours at least.
MOST_EF: Final = 1000
EF: Final = 100
# How many rows the graph is followed past, at least and at most, and where nobody has counted them.
LEAST_PASSED: Final = 2000
MOST_PASSED: Final = 20_000
UNCOUNTED: Final = 5000
# Other ways to an answer than the index, and what would take longer than the answer.
UNWANTED: Final[Mapping[str, str]] = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "jit": "off",
}
# The first version that searches on until as many as wanted match the filter.
ITERATES: Final = (0, 8)


class Search:
    """One search of one index; its statements answer (number, id, distance, metadata, vector, document)."""

    def __init__(self, schema: str, shape: Shape, wanted: Nearest, *, ef: int = EF) -> None:
        self.shape = shape
        self.wanted = wanted
        self.ef = ef
        self.table = f'"{schema}"."{shape.index.name}"'
        self.nowhere = shape.index.metric == "cosine" and not any(wanted.vector)

    @property
    def by_graph(self) -> bool:
        """Whether the index by nearness can answer: a vector of noughts is near to nothing."""
        return self.shape.method != "flat" and not self.nowhere

    @property
    def by_index(self) -> bool:
        """Whether indexes of metadata lead to all that match."""
        return narrows(self.wanted.where, self.shape.indexed)

    def bounded(self, bound: int, *, filtered: bool) -> Statement:
        """The nearest, if at most so many rows are there (or match); in any case the number."""
        params = Params(self._vector())
        where = self._where(params)
        counted = where if filtered else self._within()
        most = params.add(bound, "bigint")
        return Statement(
            f"WITH counted AS MATERIALIZED (SELECT count(*) n FROM (SELECT 1 FROM {self.table} "
            f"WHERE {counted} LIMIT {most} + 1) few) SELECT c.n, f.* FROM counted c LEFT JOIN "
            f"({self._exact(params, f'(SELECT n FROM counted) <= {most} AND {where}')}) f ON true",
            params.values,
        )

    def scan(self) -> Statement:
        """The nearest of all rows that match."""
        params = Params(self._vector())
        inner = self._exact(params, self._where(params))
        return Statement(f"SELECT 0, f.* FROM ({inner}) f", params.values)

    def near(self) -> Statement:
        """The nearest in the order of the index, behind ``settings``."""
        params = Params(self._vector())
        distance = self.shape.distance(self._bound())
        where, limit = self._where(params), params.add(self.wanted.top_k, "bigint")
        return Statement(
            f"SELECT 0, vector_id, {distance}, {self._rest()} FROM {self.table} WHERE {where} "
            f"ORDER BY {distance} LIMIT {limit}",
            params.values,
        )

    def noughts(self) -> Statement | None:
        """Those without a direction, which the index does not have: their cosine is 0."""
        shape = self.shape
        if shape.index.metric != "cosine" or not shape.complete:
            return None
        params = Params()
        where, limit = self._where(params), params.add(self.wanted.top_k, "bigint")
        norm = shape.named(NORMS[shape.kind])
        return Statement(
            f"SELECT 0, vector_id, 1.0::float8, {self._rest()} FROM {self.table} "
            f"WHERE {norm}(embedding) = 0 AND {where} "
            f'ORDER BY vector_id COLLATE "C" LIMIT {limit}',
            params.values,
        )

    def settings(self) -> Statement:
        """What makes the server answer by the index, for the transaction that this is sent in."""
        chosen = dict(UNWANTED)
        iterates = self.shape.version >= ITERATES
        if self.shape.method == "hnsw":
            chosen["hnsw.ef_search"] = str(min(MOST_EF, max(self.ef, 2 * self.wanted.top_k)))
            if iterates:
                chosen["hnsw.iterative_scan"] = "strict_order"
                chosen["hnsw.max_scan_tuples"] = str(self._patience())
        else:
            chosen["ivfflat.probes"] = str(max(1, round(self.shape.lists**0.5)))
            if iterates:
                chosen["ivfflat.iterative_scan"] = "relaxed_order"
        params = Params()
        calls = [f"set_config('{k}', {params.add(v)}, true)" for k, v in chosen.items()]
        return Statement(f"SELECT {', '.join(calls)}", params.values)

    def _patience(self) -> int:
        """How many rows are passed in the graph before all are looked at, which costs an eighth a row."""
        eighth = round(self.shape.rows / 8) if self.shape.rows > 0 else UNCOUNTED
        return max(LEAST_PASSED, min(MOST_PASSED, eighth), 4 * self.wanted.top_k)

    def enough(self, rows: Sequence[Any]) -> bool:
        """Whether the index's answer is whole: as many as wanted, or all that score enough."""
        if len(rows) >= self.wanted.top_k:
            return True
        least = self.wanted.min_score
        ordered = self.shape.method == "hnsw" and least is not None
        return ordered and bool(rows) and min(self._score(row[2]) for row in rows) < (least or 0.0)

    def matches(self, rows: Sequence[Any]) -> list[Match]:
        """What the rows of an answer hold."""
        return [self._match(row) for row in rows if row[1] is not None]

    def _vector(self) -> Any:
        numbers = self.wanted.vector
        return sparse(numbers) if self.shape.kind == "sparsevec" else vector(numbers)

    def _bound(self) -> str:
        """The first parameter as the type of the column."""
        if self.shape.kind == "vector":
            return f"$1::{self.shape.named('vector')}"
        given = "text" if self.shape.kind == "sparsevec" else self.shape.named("vector")
        return f"($1::{given})::{self.shape.type_name()}"

    def _exact(self, params: Params, where: str) -> str:
        # The index by nearness has no place for this expression, so that nobody takes it.
        distance = f"COALESCE(NULLIF({self.shape.distance(self._bound())}, 'NaN'::float8), 1)"
        return (
            f"SELECT vector_id, {distance} AS d, {self._rest()} FROM {self.table} "
            f"WHERE embedding IS NOT NULL AND {where} "
            f'ORDER BY d, vector_id COLLATE "C" LIMIT {params.add(self.wanted.top_k, "bigint")}'
        )

    def _rest(self) -> str:
        send = self.shape.named(f"{self.shape.kind}_send")
        vector_term = f"{send}(embedding)" if self.wanted.include_vector else "NULL::bytea"
        document = "document" if "document" in self.shape.columns else "NULL::text"
        return f"metadata::text AS m, {vector_term} AS e, {document} AS t"

    def _within(self) -> str:
        return within(self.shape)

    def _where(self, params: Params) -> str:
        where = self.wanted.where
        if where is None:
            return self._within()
        return f"{self._within()} AND {translated(where, params, self.shape.indexed)}"

    def _match(self, row: Sequence[Any]) -> Match:
        _, name, distance, metadata, embedding, document = row
        return Match(
            id=name,
            score=self._score(distance),
            metadata=_object(metadata),
            vector=None if embedding is None else numbers_of(embedding, self.shape.kind),
            document=document,
        )

    def _score(self, distance: float) -> float:
        match self.shape.index.metric:
            case "euclidean":
                return 1 / (1 + distance)
            case "dotproduct":
                return 0.0 - distance
            case _:
                # Where one has no direction, or is too short for 32 bits to tell.
                return 0.0 if distance != distance else max(-1.0, min(1.0, 1.0 - distance))  # noqa: PLR0124


def within(shape: Shape) -> str:
    """The condition of the rows that belong to us: the original may have others in other namespaces."""
    return "namespace = 'default'" if "namespace" in shape.columns else "true"


def _object(text: Any) -> dict[str, Any]:
    """The metadata of a row, of which those that are no object have none."""
    try:
        value: Any = from_json(text) if isinstance(text, str) else {}
    except CorruptDataError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
