"""Writing the result of an attempt: once, for an experiment that is there, nothing that was purged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from mastra_core.errors import ConflictError, InvalidArgumentError, NotFoundError
from mastra_core.records import Experiment, ExperimentResult, JsonObject
from mastra_core.storage.codec import Codec, check_id, from_json, json_object
from mastra_core.storage.domain import StorageDomain, until_applied
from mastra_core.storage.domains.item_identity import not_purged, purged
from mastra_core.storage.schema import Change, Order, Put, Query, Update, Where
from mastra_core.storage.tables import DATASET_ITEMS, EXPERIMENT_RESULTS, EXPERIMENTS

ERASED: Final = {
    "input": None,
    "output": UNSET,
    "ground_truth": UNSET,
    "error": None,
    "tool_mock_report": None,
    "tags": None,
    "comment": None,
}


def _numbered(attempt: Any) -> int:
    # Rows from before attempts were counted have no number; they are the first.
    return attempt or 0


EXPERIMENT: Final = Codec(EXPERIMENTS, Experiment)
RESULT: Final = Codec(EXPERIMENT_RESULTS, ExperimentResult, {"attempt": (_numbered, _numbered)})


def check_count(value: object, what: str) -> int:
    """The number, if it is an integer from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidArgumentError(f"{what} must be an integer >= 0, not {value!r}")
    return value


def experiment_missing(experiment_id: str) -> NotFoundError:
    """The error of an experiment that is not there, or not there for this tenant."""
    return NotFoundError(f"Experiment not found: {experiment_id}")


class ResultAttempts(StorageDomain):
    """The part of the experiments domain that writes results.

    New results get an id that follows from experiment, item and attempt, so that two writers of
    one attempt meet at one key; what others wrote under other ids is looked for as well.
    """

    async def _experiment(self, experiment_id: str, owner: tuple[Where, ...]) -> Experiment | None:
        where = (Where("id", "eq", check_id(experiment_id, "experiment_id")), *owner)
        return EXPERIMENT.record(await self.backend.find(EXPERIMENTS, Query(where=where, limit=1)))

    async def _write_result(
        self, draft: ExperimentResult, owner: tuple[Where, ...], *, replace: bool
    ) -> ExperimentResult:
        """Insert a result, or ``replace`` the one of its attempt.

        The write fails, and all is read again, unless the experiment is still there, the item was
        not purged since, and the attempt still has the result (or none) that was read.
        """

        async def attempt() -> ExperimentResult | ConflictError:
            experiment = await self._experiment(draft.experiment_id, owner)
            if experiment is None:
                raise experiment_missing(draft.experiment_id)
            item = await self._item(experiment, draft.item_id)
            guards = _guards(experiment, draft.item_id, item)
            result = _placed(draft, experiment, item)
            stored = await self._of_attempt(result)
            if stored is None:
                return await self._inserted(result, guards)
            if replace:
                return await self._replaced(stored, result, guards)
            return ConflictError(
                f"experiment {result.experiment_id!r} has a result for attempt {result.attempt} at "
                f"item {result.item_id!r} already; use upsert_experiment_result to replace it"
            )

        answer = await until_applied(attempt)
        if isinstance(answer, ConflictError):
            raise answer
        return answer

    async def _inserted(
        self, result: ExperimentResult, guards: Sequence[Change]
    ) -> ExperimentResult | ConflictError:
        row = RESULT.row(result)
        none_yet = [
            Update(EXPERIMENT_RESULTS, where, {"attempt": result.attempt}, expect=0)
            for where in _of_attempt(result)
        ]
        try:
            await self.backend.write(*guards, *none_yet, Put(EXPERIMENT_RESULTS, (row,), "fail"))
        except ConflictError:
            query = Query(where=(Where("id", "eq", result.id),), limit=1)
            stored = RESULT.record(await self.backend.find(EXPERIMENT_RESULTS, query))
            if stored is None or _key(stored) == _key(result):
                raise
            return ConflictError(f"Experiment result with id {result.id!r} already exists")
        return RESULT.records([row])[0]

    async def _replaced(
        self, stored: ExperimentResult, result: ExperimentResult, guards: Sequence[Change]
    ) -> ExperimentResult:
        """The result in the place of the stored one, whose id, time and comment stay."""
        kept: dict[str, Any] = {
            "id": stored.id,
            "created_at": stored.created_at,
            "comment": stored.comment,
        }
        result = msgspec.structs.replace(result, **kept)
        fields = msgspec.structs.asdict(result)
        values = RESULT.values({name: fields[name] for name in fields if name not in kept})
        own = (Where("id", "eq", stored.id),)
        await self.backend.write(*guards, Update(EXPERIMENT_RESULTS, own, values, expect=1))
        return RESULT.records([RESULT.row(result)])[0]

    async def _of_attempt(self, result: ExperimentResult) -> ExperimentResult | None:
        queries = [Query(where=where, limit=1) for where in _of_attempt(result)]
        for rows in await self.backend.find_many(EXPERIMENT_RESULTS, queries):
            if rows:
                return RESULT.record(rows)
        return None

    async def _item(self, experiment: Experiment, item_id: str) -> JsonObject | None:
        """The metadata of the item's first version (all are purged or none), if it is there."""
        if experiment.dataset_id is None:
            return None
        where = (Where("id", "eq", item_id), Where("datasetId", "eq", experiment.dataset_id))
        first: Order = (("datasetVersion", "asc"),)
        query = Query(where=where, order=first, limit=1, columns=("metadata",))
        rows = await self.backend.find(DATASET_ITEMS, query)
        if not rows:
            return None
        return dict(json_object(from_json(str(rows[0][0])))) if rows[0][0] is not None else {}


def _key(result: ExperimentResult) -> tuple[str, str, int | None]:
    return result.experiment_id, result.item_id, result.attempt


def _of_attempt(result: ExperimentResult) -> list[tuple[Where, ...]]:
    """The conditions of the results of one attempt; the first may be stored without a number."""
    numbers = (0, None) if result.attempt == 0 else (result.attempt,)
    of_item = (
        Where("experimentId", "eq", result.experiment_id),
        Where("itemId", "eq", result.item_id),
    )
    return [(*of_item, Where("attempt", "eq", number)) for number in numbers]


def _placed(
    draft: ExperimentResult, experiment: Experiment, item: JsonObject | None
) -> ExperimentResult:
    """The result as one of its experiment's, and without content if the item was purged."""
    fields: dict[str, Any] = {
        "organization_id": experiment.organization_id,
        "project_id": experiment.project_id,
    }
    if purged(item):
        fields |= {**ERASED, "metadata": item}
    return msgspec.structs.replace(draft, **fields)


def _guards(experiment: Experiment, item_id: str, item: JsonObject | None) -> list[Change]:
    """Changes that change nothing, and fail if experiment or item are not as they were read."""
    project = {"projectId": experiment.project_id}
    there = (
        Where("id", "eq", experiment.id),
        Where("organizationId", "eq", experiment.organization_id),
        Where("projectId", "eq", experiment.project_id),
    )
    guards: list[Change] = [Update(EXPERIMENTS, there, project, expect=1)]
    if item is not None and not purged(item):
        guards.append(not_purged((item_id,)))
    return guards
