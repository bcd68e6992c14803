"""The scores domain: what scorers judged of runs, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from mastra_core.errors import ConflictError, InvalidArgumentError
from mastra_core.records import Score, ScorePage
from mastra_core.storage.codec import Codec, check_id
from mastra_core.storage.domain import StorageDomain
from mastra_core.storage.paging import PerPage, options, tenant, window
from mastra_core.storage.schema import Merge, Order, Put, Query, Table, Where
from mastra_core.storage.tables import SCORERS

SCORE: Final = Codec(SCORERS, Score)
NEWEST: Final[Order] = (("createdAt", "desc"),)
SOURCES = ("LIVE", "TEST")
MERGE: Final[Mapping[str, Merge]] = {
    "createdAt": "keep",
    "updatedAt": "advance",
    "organizationId": "match",
    "projectId": "match",
}


class ScoresStorage(StorageDomain):
    """Scores by their scorer, run, entity or span.

    Where ``organization_id`` or ``project_id`` is given, scores of others are as not there.
    """

    name: ClassVar[str] = "scores"
    tables: ClassVar[tuple[Table, ...]] = (SCORERS,)
    retention: ClassVar[Mapping[str, tuple[Table, str]]] = {"scorers": (SCORERS, "createdAt")}

    async def save_score(self, score: Score | Mapping[str, Any]) -> Score:
        """Store a score, over the one with its id if there is one; returns it as stored.

        A mapping needs scorer_id, entity_id, run_id, output, score, scorer, entity and source
        (``"LIVE"`` or ``"TEST"``). A stored score keeps its ``created_at``, and is refused with a
        ``ConflictError`` if it is of another organization or project.
        """
        checked = _checked(options(Score, score, "score"))
        rows = (SCORE.row(checked),)
        if await self.backend.write(Put(SCORERS, rows, "skip")) == [1]:
            return SCORE.records(rows)[0]
        try:
            await self.backend.write(Put(SCORERS, rows, "replace", MERGE))
        except ConflictError:
            raise ConflictError(
                f"Score {checked.id!r} is of another organization or project; it was not changed"
            ) from None
        return await self.get_score_by_id(checked.id) or checked

    async def get_score_by_id(
        self,
        score_id: str,
        *,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> Score | None:
        """The score, or ``None``."""
        own = Where("id", "eq", check_id(score_id, "score_id"))
        where = (own, *tenant(organization_id, project_id))
        return SCORE.record(await self.backend.find(SCORERS, Query(where=where, limit=1)))

    async def list_scores_by_scorer_id(
        self,
        scorer_id: str,
        *,
        entity_id: str | None = None,
        entity_type: str | None = None,
        source: str | None = None,
        organization_id: str | None = None,
        project_id: str | None = None,
        page: int = 0,
        per_page: PerPage = 100,
        with_total: bool = True,
    ) -> ScorePage:
        """A page of a scorer's scores, newest first."""
        where = [Where("scorerId", "eq", check_id(scorer_id, "scorer_id"))]
        if entity_id is not None:
            where.append(Where("entityId", "eq", check_id(entity_id, "entity_id")))
        if entity_type is not None:
            where.append(Where("entityType", "eq", check_id(entity_type, "entity_type")))
        if source is not None:
            where.append(Where("source", "eq", check_id(source, "source")))
        where += tenant(organization_id, project_id)
        return await self._list(tuple(where), page, per_page, with_total=with_total)

    async def list_scores_by_run_id(
        self,
        run_id: str,
        *,
        organization_id: str | None = None,
        project_id: str | None = None,
        page: int = 0,
        per_page: PerPage = 100,
        with_total: bool = True,
    ) -> ScorePage:
        """A page of a run's scores, newest first."""
        where = (
            Where("runId", "eq", check_id(run_id, "run_id")),
            *tenant(organization_id, project_id),
        )
        return await self._list(where, page, per_page, with_total=with_total)

    async def list_scores_by_entity_id(
        self,
        entity_id: str,
        *,
        entity_type: str,
        organization_id: str | None = None,
        project_id: str | None = None,
        page: int = 0,
        per_page: PerPage = 100,
        with_total: bool = True,
    ) -> ScorePage:
        """A page of the scores of one entity (an agent, a workflow …), newest first."""
        where = (
            Where("entityId", "eq", check_id(entity_id, "entity_id")),
            Where("entityType", "eq", check_id(entity_type, "entity_type")),
            *tenant(organization_id, project_id),
        )
        return await self._list(where, page, per_page, with_total=with_total)

    async def list_scores_by_span(
        self,
        trace_id: str,
        *,
        span_id: str,
        organization_id: str | None = None,
        project_id: str | None = None,
        page: int = 0,
        per_page: PerPage = 100,
        with_total: bool = True,
    ) -> ScorePage:
        """A page of the scores of one span, newest first."""
        where = (
            Where("traceId", "eq", check_id(trace_id, "trace_id")),
            Where("spanId", "eq", check_id(span_id, "span_id")),
            *tenant(organization_id, project_id),
        )
        return await self._list(where, page, per_page, with_total=with_total)

    async def _list(
        self, where: tuple[Where, ...], page: int, per_page: PerPage, *, with_total: bool
    ) -> ScorePage:
        asked = window(page, per_page)
        rows, total, more = await self._page(SCORERS, where, NEWEST, asked, with_total=with_total)
        return ScorePage(
            scores=SCORE.records(rows), total=total, page=page, per_page=per_page, has_more=more
        )


def _checked(score: Score) -> Score:
    """The score, if the original would take it too."""
    check_id(score.scorer_id, "scorer_id")
    check_id(score.run_id, "run_id")
    check_id(score.entity_id, "entity_id")
    tenant(score.organization_id, score.project_id)
    if isinstance(score.score, bool) or not isinstance(score.score, (int, float)):
        raise InvalidArgumentError(f"score must be a number, not {type(score.score).__name__}")
    if score.source not in SOURCES:
        raise InvalidArgumentError(f"source must be LIVE or TEST, not {score.source!r}")
    for name, value in (("scorer", score.scorer), ("entity", score.entity)):
        if not isinstance(value, Mapping):
            raise InvalidArgumentError(f"{name} must be an object, not {type(value).__name__}")
    return score
