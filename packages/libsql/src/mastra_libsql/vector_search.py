"""Searches of vectors as statements: by looking at every row, at those of an index, or along the graph."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any, Final, cast

from mastra_core.errors import CorruptDataError
from mastra_core.storage.codec import from_json
from mastra_core.storage.sql import Statement
from mastra_core.vector.schema import Match, Metric, Nearest
from mastra_libsql.vector_filters import Params, narrowed, translated
from mastra_libsql.vector_schema import Shape

# The graph looks at some hundred vectors: so few that looking at this many takes no longer.
SMALL: Final = 10_000
# So few rows of an index are looked at one by one.
FEW: Final = 4_000
# A step of a long scan: the engine holds the interpreter for some 10 ms.
STEP: Final = 4_096
# The distance of a row. Between a vector of zeros and any other there is no angle (NULL): their
# score is 0. What 32 bits cannot say of very short and very long ones is infinite, which JSON cannot.
BOUNDED: Final = {
    "cosine": "COALESCE(max(-3.0, min(3.0, vector_distance_cos(embedding, ?1))), 1.0)",
    "euclidean": "min(1e308, vector_distance_l2(embedding, ?1))",
}
# Between these lengths the engine computes cosines well.
SHORT, LONG = 1e-6, 1e6
# Of the graph's answers some are in the wrong order, or no longer there.
SPARE: Final = 16


class Search:
    """One search of one index; every statement answers (of how many, rowid, distance, row …)."""

    def __init__(self, shape: Shape, wanted: Nearest) -> None:
        self.shape = shape
        self.wanted = wanted
        self.table = f'"{shape.index.name}"'
        self.vector = _scaled(wanted.vector, shape.index.metric).tobytes()
        self.nowhere = shape.index.metric == "cosine" and not any(wanted.vector)
        # As many as the graph's own list has; beyond, it finds only what it happened to pass.
        self.reach = shape.search_l if wanted.where else wanted.top_k + wanted.top_k // 2 + SPARE

    def small(self, most: int, bound: int) -> Statement:
        """How many rows there are, up to one more than ``most``; if at most ``bound``, the nearest."""
        params, distance = self._begin()
        limit = params.add(most + 1)
        counted = f"SELECT count(*) n FROM (SELECT 1 FROM {self.table} LIMIT {limit})"
        inner = (
            f"SELECT rowid r, {distance} d FROM {self.table} WHERE (SELECT n FROM counted) <= "
            f"{params.add(bound)} AND embedding IS NOT NULL{self._filtered(params)} "
            f"ORDER BY d, vector_id LIMIT {params.add(self.wanted.top_k)}"
        )
        return self._statement(f"counted AS MATERIALIZED ({counted})", "counted", inner, params)

    def few(self) -> Statement | None:
        """The nearest of the rows that an index of metadata leads to, if few match the filter."""
        params, distance = self._begin()
        where = self.wanted.where
        parts = () if where is None else narrowed(where, self.shape.indexed, params)
        if not parts:
            return None
        head = f"SELECT rowid r, vector_id v, {distance} d FROM {self.table} WHERE embedding IS NOT NULL"
        matching = " UNION ALL ".join([f"{head} AND {part}" for part in parts])
        matching += f" LIMIT {params.add(FEW + 1)}"
        inner = (
            f"SELECT r, d FROM matching WHERE (SELECT n FROM counted) <= {params.add(FEW)} "
            f"ORDER BY d, v LIMIT {params.add(self.wanted.top_k)}"
        )
        tables = (
            f"matching AS MATERIALIZED ({matching}), "
            "counted AS MATERIALIZED (SELECT count(*) n FROM matching)"
        )
        return self._statement(tables, "counted", inner, params)

    def graph(self) -> Statement | None:
        """The nearest along the graph, and what it may have lost; the number says how far it saw.

        A vector of zeros is near to nothing.
        """
        if not self.shape.graph or self.nowhere or self.reach > self.shape.search_l:
            return None
        params, distance = self._begin()
        index = params.add(f"{self.shape.index.name}_vector_idx")
        near = f"SELECT id i FROM vector_top_k({index}, ?1, {params.add(self.reach)})"
        if "aside" in self.shape.columns:
            near += f" UNION SELECT rowid FROM {self.table} WHERE aside IS NOT NULL"
        seen = (
            f"SELECT t.rowid r, t.vector_id v, {distance} d, t.metadata FROM ({near}) "
            f"CROSS JOIN {self.table} t ON t.rowid = i WHERE t.embedding IS NOT NULL"
        )
        where = self._filtered(params)
        inner = (
            f"SELECT r, d FROM seen WHERE 1{where} ORDER BY d, v "
            f"LIMIT {params.add(self.wanted.top_k)}"
        )
        tables = f"seen AS MATERIALIZED ({seen})"
        return self._statement(tables, "(SELECT max(d) n FROM seen)", inner, params)

    def step(self, after: int | None, size: int) -> Statement:
        """The nearest of the next rows behind a rowid; the number is the last rowid looked at."""
        params, distance = self._begin()
        start = "" if after is None else f" WHERE rowid > CAST({params.add(str(after))} AS INTEGER)"
        part = f"SELECT rowid r FROM {self.table}{start} ORDER BY rowid LIMIT {params.add(size)}"
        bounds = f"SELECT max(r) n, min(r) low FROM ({part})"
        inner = (
            f"SELECT rowid r, {distance} d FROM {self.table} WHERE rowid BETWEEN "
            "(SELECT low FROM bounds) AND (SELECT n FROM bounds) AND embedding IS NOT NULL"
            f"{self._filtered(params)} ORDER BY d, vector_id LIMIT {params.add(self.wanted.top_k)}"
        )
        return self._statement(f"bounds AS MATERIALIZED ({bounds})", "bounds", inner, params)

    def counted(self, rows: Sequence[Any]) -> bool:
        """Whether few matched, so that all of them were looked at."""
        return bool(rows[0][0] <= FEW)

    def enough(self, rows: Sequence[Any]) -> bool:
        """Whether the graph's answer is whole: as many as wanted, or it saw all that score enough."""
        found = [row for row in rows if row[1] is not None]
        if len(found) >= self.wanted.top_k:
            return True
        least, farthest = self.wanted.min_score, rows[0][0]
        return least is not None and farthest is not None and self._score(farthest) < least

    def matches(self, rows: Sequence[Any]) -> list[Match]:
        """What the rows of an answer hold."""
        return [self._match(row) for row in rows if row[1] is not None]

    def _begin(self) -> tuple[Params, str]:
        """The parameters with the vector as the first, and the distance of a row from it."""
        return Params(self.vector), BOUNDED[self.shape.index.metric]

    def _filtered(self, params: Params) -> str:
        where = self.wanted.where
        return "" if where is None else f" AND {translated(where, params)}"

    def _statement(self, tables: str, counted: str, inner: str, params: Params) -> Statement:
        """The number, and beside it the rows that the inner select leads to; at least one row."""
        vector = "t.embedding" if self.wanted.include_vector else "NULL"
        document = "t.document" if "document" in self.shape.columns else "NULL"
        metadata = "CASE typeof(t.metadata) WHEN 'blob' THEN json(t.metadata) ELSE t.metadata END"
        return Statement(
            f"WITH {tables}, nearest AS MATERIALIZED ({inner}) "
            f"SELECT c.n, t.rowid, f.d, t.vector_id, {metadata}, {vector}, {document} "
            f"FROM {counted} c LEFT JOIN nearest f ON 1 LEFT JOIN {self.table} t ON t.rowid = f.r",
            params.values,
        )

    def _match(self, row: Sequence[Any]) -> Match:
        _, _, distance, name, metadata, embedding, document = row
        return Match(
            id=name,
            score=self._score(distance),
            metadata=_object(metadata),
            vector=None if embedding is None else array("f", bytes(embedding)).tolist(),
            document=document,
        )

    def _score(self, distance: float) -> float:
        if self.shape.index.metric == "euclidean":
            return 1 / (1 + distance)
        return max(-1.0, min(1.0, 1.0 - distance))


def _scaled(vector: array[float], metric: Metric) -> array[float]:
    """The vector, or where it is very short or long and only its direction counts, one of length 1."""
    length = math.hypot(*vector) if metric == "cosine" else 1.0
    if not length or SHORT < length < LONG:
        return vector
    return array("f", [number / length for number in vector])


def _object(text: Any) -> dict[str, Any]:
    """The metadata of a row, of which those that are no object have none."""
    try:
        value: object = from_json(text) if isinstance(text, str) else None
    except CorruptDataError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
