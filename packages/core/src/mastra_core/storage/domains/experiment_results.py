"""The results of experiments: what each attempt at each item gave, once each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

import msgspec
from msgspec import UNSET, UnsetType

from mastra_core.clock import derived_id
from mastra_core.errors import ConflictError, InvalidArgumentError, NotFoundError
from mastra_core.records import (
    ExperimentResult,
    ExperimentResultPage,
    Json,
    JsonObject,
    ReviewStatus,
    ReviewSummary,
)
from mastra_core.storage.codec import check_id
from mastra_core.storage.domains.item_identity import purged
from mastra_core.storage.domains.result_attempts import RESULT, ResultAttempts, check_count
from mastra_core.storage.paging import OrderBy, PerPage, options, order, tenant, window
from mastra_core.storage.scan import scan
from mastra_core.storage.schema import Delete, Order, Query, Update, Value, Where
from mastra_core.storage.tables import EXPERIMENT_RESULTS

RESULT_ORDERS = {"startedAt": "startedAt", "createdAt": "createdAt"}
REVIEWS = get_args(ReviewStatus)


def check_review(status: object) -> None:
    """Refuse what is not the status of a review; ``None`` is that there was none yet."""
    if status is not None and status not in REVIEWS:
        raise InvalidArgumentError(
            f"status of a result must be one of {', '.join(REVIEWS)} or None, not {status!r}"
        )


class ExperimentResults(ResultAttempts):
    """The part of the experiments domain that keeps results.

    A result is known by its experiment, its item and the number of the attempt; there is only one
    of each. Results are of the organization and project of their experiment.
    """

    async def add_experiment_result(
        self,
        experiment_id: str,
        *,
        item_id: str,
        input: Json,  # noqa: A002 (the original's name)
        started_at: datetime,
        completed_at: datetime,
        output: Json = UNSET,
        ground_truth: Json = UNSET,
        error: Json = None,
        item_dataset_version: int | None = None,
        metadata: JsonObject | None = None,
        retry_count: int = 0,
        attempt: int = 0,
        trace_id: str | None = None,
        status: str | None = None,
        tags: Sequence[str] | None = None,
        tool_mock_report: Json = None,
        result_id: str | None = None,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> ExperimentResult:
        """Add what one attempt at one item gave, and return it.

        If there is a result of this attempt, or one with this id, it is a ``ConflictError``; an
        unknown experiment (or another tenant's) is a ``NotFoundError``. Of an item that was purged
        only the fact is kept, not the content.
        """
        draft = _draft(
            experiment_id=experiment_id,
            item_id=item_id,
            input=input,
            started_at=started_at,
            completed_at=completed_at,
            output=output,
            ground_truth=ground_truth,
            error=error,
            item_dataset_version=item_dataset_version,
            metadata=metadata,
            retry_count=retry_count,
            attempt=attempt,
            trace_id=trace_id,
            status=status,
            tags=tags,
            tool_mock_report=tool_mock_report,
            result_id=result_id,
        )
        return await self._write_result(draft, tenant(organization_id, project_id), replace=False)

    async def upsert_experiment_result(
        self,
        experiment_id: str,
        *,
        item_id: str,
        input: Json,  # noqa: A002 (the original's name)
        started_at: datetime,
        completed_at: datetime,
        output: Json = UNSET,
        ground_truth: Json = UNSET,
        error: Json = None,
        item_dataset_version: int | None = None,
        metadata: JsonObject | None = None,
        retry_count: int = 0,
        attempt: int = 0,
        trace_id: str | None = None,
        status: str | None = None,
        tags: Sequence[str] | None = None,
        tool_mock_report: Json = None,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> ExperimentResult:
        """Store what one attempt at one item gave, over the result of this attempt if there is one.

        A stored result keeps its ``id``, ``created_at`` and ``comment``; so handing in a result
        again is safe, and concurrent calls never make two. Otherwise as ``add_experiment_result``.
        """
        draft = _draft(
            experiment_id=experiment_id,
            item_id=item_id,
            input=input,
            started_at=started_at,
            completed_at=completed_at,
            output=output,
            ground_truth=ground_truth,
            error=error,
            item_dataset_version=item_dataset_version,
            metadata=metadata,
            retry_count=retry_count,
            attempt=attempt,
            trace_id=trace_id,
            status=status,
            tags=tags,
            tool_mock_report=tool_mock_report,
        )
        return await self._write_result(draft, tenant(organization_id, project_id), replace=True)

    async def update_experiment_result(
        self,
        result_id: str,
        *,
        experiment_id: str | None = None,
        status: str | UnsetType | None = UNSET,
        tags: Sequence[str] | UnsetType | None = UNSET,
        comment: str | UnsetType | None = UNSET,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> ExperimentResult:
        """Set what a review says and return the result; ``None`` clears a field.

        ``status`` is ``needs-review``, ``reviewed`` or ``complete``. An unknown result (or another
        tenant's, or not of ``experiment_id`` if given) is a ``NotFoundError``. A purged result
        takes neither tags nor a comment.
        """
        given = {"status": status, "tags": tags, "comment": comment}
        fields = {name: value for name, value in given.items() if value is not UNSET}
        if status is not UNSET:
            check_review(status)
        where: tuple[Where, ...] = (Where("id", "eq", check_id(result_id, "result_id")),)
        if experiment_id is not None:
            of_experiment = check_id(experiment_id, "experiment_id")
            where += (Where("experimentId", "eq", of_experiment),)
        where += tenant(organization_id, project_id)
        checked = options(_Review, fields, "review")
        values = RESULT.values({name: getattr(checked, name) for name in fields})
        stored = await self._reviewed(where, values)
        if stored is not None and purged(stored.metadata) and (stored.tags or stored.comment):
            stored = await self._reviewed(where, {"tags": None, "comment": None})
        if stored is None:
            within = f" in experiment {experiment_id}" if experiment_id is not None else ""
            raise NotFoundError(f"Experiment result not found: {result_id}{within}")
        return stored

    async def get_experiment_result_by_id(
        self,
        result_id: str,
        *,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> ExperimentResult | None:
        """The result, or ``None`` if there is none (or it is another tenant's)."""
        where: tuple[Where, ...] = (Where("id", "eq", check_id(result_id, "result_id")),)
        where += tenant(organization_id, project_id)
        query = Query(where=where, limit=1)
        return RESULT.record(await self.backend.find(EXPERIMENT_RESULTS, query))

    async def list_experiment_results(
        self,
        experiment_id: str,
        *,
        trace_id: str | None = None,
        status: str | None = None,
        tags: Sequence[str] = (),
        organization_id: str | None = None,
        project_id: str | None = None,
        page: int = 0,
        per_page: PerPage = 100,
        order_by: OrderBy | Mapping[str, Any] | None = None,
        with_total: bool = True,
    ) -> ExperimentResultPage:
        """A page of an experiment's results, in the order in which they were started.

        Results must have all of ``tags``. ``order_by`` takes ``startedAt`` or ``createdAt``.
        """
        asked = window(page, per_page)
        ordered = order(order_by, RESULT_ORDERS, "asc", field="startedAt")
        where: tuple[Where, ...] = (
            Where("experimentId", "eq", check_id(experiment_id, "experiment_id")),
        )
        if trace_id is not None:
            where += (Where("traceId", "eq", check_id(trace_id, "trace_id")),)
        check_review(status)
        if status is not None:
            where += (Where("status", "eq", status),)
        if tags:
            where += (Where("tags", "has_all", tuple([check_id(tag, "tag") for tag in tags])),)
        where += tenant(organization_id, project_id)
        rows, total, more = await self._page(
            EXPERIMENT_RESULTS, where, ordered, asked, with_total=with_total
        )
        return ExperimentResultPage(
            results=RESULT.records(rows),
            total=total,
            page=page,
            per_page=per_page,
            has_more=more,
        )

    async def delete_experiment_results(
        self,
        experiment_id: str,
        *,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> None:
        """Delete all results of an experiment (of this tenant); none are no error."""
        where: tuple[Where, ...] = (
            Where("experimentId", "eq", check_id(experiment_id, "experiment_id")),
        )
        where += tenant(organization_id, project_id)
        await self.backend.write(Delete(EXPERIMENT_RESULTS, where))

    async def get_review_summary(
        self, *, organization_id: str | None = None, project_id: str | None = None
    ) -> list[ReviewSummary]:
        """How far the review of each experiment with results has come, by experiment id."""
        names = ("experimentId", "createdAt", "id", "status")
        where = tenant(organization_id, project_id)
        ordered: Order = (("experimentId", "asc"), ("createdAt", "asc"))
        counts: dict[str, dict[Value, int]] = {}
        async for rows in scan(self.backend, EXPERIMENT_RESULTS, where, ordered, columns=names):
            for experiment_id, _, _, status in rows:
                of_status = counts.setdefault(str(experiment_id), {})
                of_status[status] = of_status.get(status, 0) + 1
        return [
            ReviewSummary(
                experiment_id=experiment_id,
                total=sum(of_status.values()),
                needs_review=of_status.get("needs-review", 0),
                reviewed=of_status.get("reviewed", 0),
                complete=of_status.get("complete", 0),
            )
            for experiment_id, of_status in counts.items()
        ]

    async def _reviewed(
        self, where: tuple[Where, ...], values: Mapping[str, Value]
    ) -> ExperimentResult | None:
        try:
            if values:
                await self.backend.write(Update(EXPERIMENT_RESULTS, where, values, expect=1))
        except ConflictError:
            return None
        query = Query(where=where, limit=1)
        return RESULT.record(await self.backend.find(EXPERIMENT_RESULTS, query))


class _Review(msgspec.Struct, frozen=True, kw_only=True):
    status: str | None = None
    tags: list[str] | None = None
    comment: str | None = None


def _draft(**given: Any) -> ExperimentResult:
    """The result as given, checked; its id follows from the attempt, unless one was given."""
    result_id = given.pop("result_id", None)
    attempt = check_count(given["attempt"], "attempt")
    check_count(given["retry_count"], "retry_count")
    check_review(given["status"])
    of_attempt = derived_id(
        check_id(given["experiment_id"], "experiment_id"),
        check_id(given["item_id"], "item_id"),
        attempt,
    )
    given["id"] = of_attempt if result_id is None else check_id(result_id, "result_id")
    return options(ExperimentResult, given, "result")
