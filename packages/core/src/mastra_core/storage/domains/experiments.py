"""The experiments domain: runs of a target over the items of a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, get_args

from msgspec import UNSET, UnsetType

from mastra_core.clock import now
from mastra_core.errors import ConflictError, InvalidArgumentError
from mastra_core.records import Experiment, ExperimentPage, ExperimentStatus, Json, JsonObject
from mastra_core.storage.codec import check_id
from mastra_core.storage.domains.experiment_results import ExperimentResults
from mastra_core.storage.domains.result_attempts import (
    EXPERIMENT,
    check_count,
    experiment_missing,
)
from mastra_core.storage.paging import OrderBy, PerPage, options, order, tenant, window
from mastra_core.storage.schema import Advance, Delete, Put, Table, Update, Where
from mastra_core.storage.tables import (
    DATASET_ITEMS,
    EXPERIMENT_RESULTS,
    EXPERIMENTS,
)

EXPERIMENT_ORDERS = {"createdAt": "createdAt", "status": "status"}
STATUSES = get_args(ExperimentStatus)
COUNTS = ("total_items", "succeeded_count", "failed_count", "skipped_count")


class ExperimentsStorage(ExperimentResults):
    """Experiments and what each gave for each item.

    Where ``organization_id`` or ``project_id`` is given, experiments and results of others are as
    not there.
    """

    name: ClassVar[str] = "experiments"
    tables: ClassVar[tuple[Table, ...]] = (EXPERIMENTS, EXPERIMENT_RESULTS, DATASET_ITEMS)
    guests: ClassVar[tuple[Table, ...]] = (DATASET_ITEMS,)
    retention: ClassVar[Mapping[str, tuple[Table, str]]] = {
        "experiments": (EXPERIMENTS, "completedAt"),
        "experiment_results": (EXPERIMENT_RESULTS, "completedAt"),
    }

    async def create_experiment(
        self,
        *,
        target_type: str | None = None,
        target_id: str | None = None,
        dataset_id: str | None = None,
        dataset_version: int | None = None,
        total_items: int = 0,
        experiment_id: str | None = None,
        name: str | None = None,
        description: str | None = None,
        metadata: JsonObject | None = None,
        provenance: Json = None,
        runner_attestation: Json = None,
        experiment_set_id: str | None = None,
        comparison_id: str | None = None,
        variant_id: str | None = None,
        trial_index: int | None = None,
        agent_version: str | None = None,
        scorer_ids: Sequence[str] | None = None,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> Experiment:
        """Create a pending experiment and return it; a stored id is a ``ConflictError``.

        Without a target the caller runs the items itself and hands in results.
        """
        at = now()
        given: dict[str, Any] = {
            "name": name,
            "description": description,
            "metadata": metadata,
            "provenance": provenance,
            "runner_attestation": runner_attestation,
            "experiment_set_id": experiment_set_id,
            "comparison_id": comparison_id,
            "variant_id": variant_id,
            "trial_index": trial_index,
            "dataset_id": dataset_id,
            "dataset_version": dataset_version,
            "target_type": target_type,
            "target_id": target_id,
            "scorer_ids": scorer_ids,
            "total_items": check_count(total_items, "total_items"),
            "agent_version": agent_version,
            "organization_id": organization_id,
            "project_id": project_id,
            "created_at": at,
            "updated_at": at,
        }
        if experiment_id is not None:
            given["id"] = check_id(experiment_id, "experiment_id")
        tenant(organization_id, project_id)
        row = EXPERIMENT.row(options(Experiment, given, "experiment"))
        try:
            await self.backend.write(Put(EXPERIMENTS, (row,), "fail"))
        except ConflictError:
            raise ConflictError(f"Experiment with id {row[0]!r} already exists") from None
        return EXPERIMENT.records([row])[0]

    async def get_experiment_by_id(
        self,
        experiment_id: str,
        *,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> Experiment | None:
        """The experiment, or ``None`` if there is none (or it is another tenant's)."""
        return await self._experiment(experiment_id, tenant(organization_id, project_id))

    async def update_experiment(
        self,
        experiment_id: str,
        *,
        name: str | UnsetType | None = UNSET,
        description: str | UnsetType | None = UNSET,
        metadata: JsonObject | UnsetType | None = UNSET,
        status: str | UnsetType = UNSET,
        total_items: int | UnsetType = UNSET,
        succeeded_count: int | UnsetType = UNSET,
        failed_count: int | UnsetType = UNSET,
        skipped_count: int | UnsetType = UNSET,
        started_at: datetime | UnsetType | None = UNSET,
        completed_at: datetime | UnsetType | None = UNSET,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> Experiment:
        """Set the given fields and return the experiment as stored; the others stay.

        ``status`` is ``pending``, ``running``, ``completed`` or ``failed``. An unknown experiment
        (or another tenant's) is a ``NotFoundError``.
        """
        given = {
            "name": name,
            "description": description,
            "metadata": metadata,
            "status": status,
            "total_items": total_items,
            "succeeded_count": succeeded_count,
            "failed_count": failed_count,
            "skipped_count": skipped_count,
            "started_at": started_at,
            "completed_at": completed_at,
        }
        fields = {key: value for key, value in given.items() if value is not UNSET}
        if "status" in fields:
            _check_status(fields["status"])
        for key in COUNTS:
            if key in fields:
                check_count(fields[key], key)
        checked = options(Experiment, fields, "experiment")
        columns = EXPERIMENT.values({key: getattr(checked, key) for key in fields})
        values = {**columns, "updatedAt": Advance(now())}
        owner = tenant(organization_id, project_id)
        where = (Where("id", "eq", check_id(experiment_id, "experiment_id")), *owner)
        try:
            await self.backend.write(Update(EXPERIMENTS, where, values, expect=1))
        except ConflictError:
            raise experiment_missing(experiment_id) from None
        stored = await self._experiment(experiment_id, owner)
        if stored is None:
            raise experiment_missing(experiment_id)
        return stored

    async def list_experiments(
        self,
        *,
        dataset_id: str | None = None,
        target_type: str | None = None,
        target_id: str | None = None,
        agent_version: str | None = None,
        status: str | None = None,
        experiment_set_id: str | None = None,
        comparison_id: str | None = None,
        variant_id: str | None = None,
        trial_index: int | None = None,
        organization_id: str | None = None,
        project_id: str | None = None,
        page: int = 0,
        per_page: PerPage = 100,
        order_by: OrderBy | Mapping[str, Any] | None = None,
        with_total: bool = True,
    ) -> ExperimentPage:
        """A page of experiments, newest first: those that meet all of the filters given.

        ``order_by`` takes ``createdAt`` or ``status``.
        """
        asked = window(page, per_page)
        ordered = order(order_by, EXPERIMENT_ORDERS, "desc")
        if status is not None:
            _check_status(status)
        equal = {
            "datasetId": dataset_id,
            "experimentSetId": experiment_set_id,
            "targetType": target_type,
            "targetId": target_id,
            "agentVersion": agent_version,
            "status": status,
            "comparisonId": comparison_id,
            "variantId": variant_id,
        }
        where = tuple([Where(k, "eq", check_id(v, k)) for k, v in equal.items() if v is not None])
        if trial_index is not None:
            where += (Where("trialIndex", "eq", check_count(trial_index, "trial_index")),)
        where += tenant(organization_id, project_id)
        rows, total, more = await self._page(
            EXPERIMENTS, where, ordered, asked, with_total=with_total
        )
        return ExperimentPage(
            experiments=EXPERIMENT.records(rows),
            total=total,
            page=page,
            per_page=per_page,
            has_more=more,
        )

    async def delete_experiment(
        self,
        experiment_id: str,
        *,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> None:
        """Delete an experiment and its results; unknown ones (or another tenant's) are no error."""
        owner = tenant(organization_id, project_id)
        where = (Where("id", "eq", check_id(experiment_id, "experiment_id")), *owner)
        try:
            await self.backend.write(
                Delete(EXPERIMENTS, where, expect=1 if owner else None),
                Delete(EXPERIMENT_RESULTS, (Where("experimentId", "eq", experiment_id),)),
            )
        except ConflictError:
            return


def _check_status(status: object) -> None:
    if status not in STATUSES:
        raise InvalidArgumentError(
            f"status of an experiment must be one of {', '.join(STATUSES)}, not {status!r}"
        )
