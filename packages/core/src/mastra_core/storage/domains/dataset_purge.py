"""Erasing for good what an item of a dataset contains."""

from __future__ import annotations

from typing import Final

from mastra_core.clock import iso, now
from mastra_core.storage.codec import check_id, to_json
from mastra_core.storage.domains.dataset_items import DatasetItems
from mastra_core.storage.domains.item_identity import PURGED
from mastra_core.storage.paging import tenant
from mastra_core.storage.schema import Query, Update, Where
from mastra_core.storage.tables import DATASET_ITEMS, EXPERIMENT_RESULTS, EXPERIMENTS

OF_ITEM: Final = (
    "groundTruth",
    "requestContext",
    "source",
    "expectedTrajectory",
    "toolMocks",
    "unmockedToolPolicy",
    "scorerIds",
)
OF_RESULT: Final = ("output", "groundTruth", "error", "toolMockReport", "tags", "comment")


class DatasetPurge(DatasetItems):
    """The part of the datasets domain that erases items."""

    async def purge_item(
        self,
        item_id: str,
        *,
        dataset_id: str,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> None:
        """Erase what an item contains, in all its versions and in the results of experiments.

        What stays are its ids and times, with ``{"__purged": true, "purgedAt": …}`` as metadata;
        it cannot be updated any more. The dataset's version stays. Results are reached where
        experiments are kept on the same backend. An unknown item (or another tenant's) is no error.
        """
        of_item = (
            Where("id", "eq", check_id(item_id, "item_id")),
            Where("datasetId", "eq", check_id(dataset_id, "dataset_id")),
        )
        if await self._read(dataset_id, tenant(organization_id, project_id)) is None:
            return
        if not await self.backend.find(DATASET_ITEMS, Query(where=of_item, limit=1)):
            return
        erased = {"input": "null", "metadata": to_json({PURGED: True, "purgedAt": iso(now())})}
        known = await self._experiments_with(item_id, dataset_id)
        await self.backend.write(
            Update(DATASET_ITEMS, of_item, {**dict.fromkeys(OF_ITEM), **erased}),
            *_of_results(item_id, known, erased),
        )
        # An experiment may have got its first result with the item since they were looked for.
        missed = await self._experiments_with(item_id, dataset_id) - known
        if missed:
            await self.backend.write(*_of_results(item_id, missed, erased))

    async def _experiments_with(self, item_id: str, dataset_id: str) -> set[str]:
        """The experiments of the dataset that have results of the item."""
        of_item = Query(where=(Where("itemId", "eq", item_id),), columns=("experimentId",))
        ids = {row[0] for row in await self.backend.find(EXPERIMENT_RESULTS, of_item)}
        if not ids:
            return set()
        where = (Where("id", "in", tuple(ids)), Where("datasetId", "eq", dataset_id))
        rows = await self.backend.find(EXPERIMENTS, Query(where=where, columns=("id",)))
        return {str(row[0]) for row in rows}


def _of_results(item_id: str, experiments: set[str], erased: dict[str, str]) -> list[Update]:
    if not experiments:
        return []
    within = Where("experimentId", "in", tuple(sorted(experiments)))
    where = (Where("itemId", "eq", item_id), within)
    return [Update(EXPERIMENT_RESULTS, where, {**dict.fromkeys(OF_RESULT), **erased})]
