"""The datasets domain: sets of versioned items to evaluate against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from mastra_core.clock import now
from mastra_core.errors import ConflictError
from mastra_core.records import Dataset, DatasetPage, JsonObject
from mastra_core.storage.codec import check_id
from mastra_core.storage.domain import until_applied
from mastra_core.storage.domains.dataset_history import check_text
from mastra_core.storage.domains.dataset_purge import DatasetPurge
from mastra_core.storage.domains.dataset_versions import DATASET, ITEM, as_read
from mastra_core.storage.domains.item_schemas import (
    FAILING_ITEMS,
    FailingItem,
    ItemSchemas,
    SchemaUpdateError,
)
from mastra_core.storage.paging import OrderBy, PerPage, options, order, tenant, window
from mastra_core.storage.scan import scan
from mastra_core.storage.schema import Advance, Delete, Put, Table, Update, Where
from mastra_core.storage.tables import (
    DATASET_ITEMS,
    DATASET_VERSIONS,
    DATASETS,
    EXPERIMENT_RESULTS,
    EXPERIMENTS,
)

DATASET_ORDERS = {"createdAt": "createdAt", "updatedAt": "updatedAt", "name": "name"}
OWNERS = ("organization_id", "project_id", "candidate_key", "candidate_id")


class DatasetsStorage(DatasetPurge):
    """Datasets, their items and every version of them.

    A dataset starts at version 0; every change of items makes the next version, and items can be
    read as they stood at any of them. Where ``organization_id`` or ``project_id`` is given,
    datasets and items of others are as not there. These two and the candidate never change.
    """

    name: ClassVar[str] = "datasets"
    tables: ClassVar[tuple[Table, ...]] = (
        DATASETS,
        DATASET_ITEMS,
        DATASET_VERSIONS,
        EXPERIMENTS,
        EXPERIMENT_RESULTS,
    )
    guests: ClassVar[tuple[Table, ...]] = (EXPERIMENTS, EXPERIMENT_RESULTS)

    async def create_dataset(
        self,
        name: str,
        *,
        dataset_id: str | None = None,
        description: str | None = None,
        metadata: JsonObject | None = None,
        input_schema: JsonObject | None = None,
        ground_truth_schema: JsonObject | None = None,
        request_context_schema: JsonObject | None = None,
        tags: Sequence[str] | None = None,
        target_type: str | None = None,
        target_ids: Sequence[str] | None = None,
        scorer_ids: Sequence[str] | None = None,
        organization_id: str | None = None,
        project_id: str | None = None,
        candidate_key: str | None = None,
        candidate_id: str | None = None,
    ) -> Dataset:
        """Create a dataset, at version 0, and return it.

        With a ``dataset_id`` that is stored already the stored dataset is returned as it is, if it
        is of the same organization, project and candidate; else it is a ``ConflictError``. Items
        must fit ``input_schema`` and ``ground_truth_schema``, which are JSON schemas.
        """
        at = now()
        given = {
            "name": name,
            "description": description,
            "metadata": metadata,
            "input_schema": input_schema,
            "ground_truth_schema": ground_truth_schema,
            "request_context_schema": request_context_schema,
            "tags": tags,
            "target_type": target_type,
            "target_ids": target_ids,
            "scorer_ids": scorer_ids,
            "organization_id": organization_id,
            "project_id": project_id,
            "candidate_key": candidate_key,
            "candidate_id": candidate_id,
            "created_at": at,
            "updated_at": at,
        }
        if dataset_id is not None:
            given["id"] = check_id(dataset_id, "dataset_id")
        tenant(organization_id, project_id)
        dataset = options(Dataset, given, "dataset")
        ItemSchemas(dataset.input_schema, dataset.ground_truth_schema)
        return await self._created(dataset)

    async def update_dataset(
        self,
        dataset_id: str,
        *,
        name: str | UnsetType = UNSET,
        description: str | UnsetType | None = UNSET,
        metadata: JsonObject | UnsetType | None = UNSET,
        input_schema: JsonObject | UnsetType | None = UNSET,
        ground_truth_schema: JsonObject | UnsetType | None = UNSET,
        request_context_schema: JsonObject | UnsetType | None = UNSET,
        tags: Sequence[str] | UnsetType | None = UNSET,
        target_type: str | UnsetType | None = UNSET,
        target_ids: Sequence[str] | UnsetType | None = UNSET,
        scorer_ids: Sequence[str] | UnsetType | None = UNSET,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> Dataset:
        """Set the given fields and return the dataset; ``None`` clears one, the version stays.

        New schemas must accept all items as they stand, else it is a ``SchemaUpdateError`` and
        nothing changes. An unknown dataset (or another tenant's) is a ``NotFoundError``.
        """
        given = {
            "name": name,
            "description": description,
            "metadata": metadata,
            "input_schema": input_schema,
            "ground_truth_schema": ground_truth_schema,
            "request_context_schema": request_context_schema,
            "tags": tags,
            "target_type": target_type,
            "target_ids": target_ids,
            "scorer_ids": scorer_ids,
        }
        fields = {key: value for key, value in given.items() if value is not UNSET}
        owner = tenant(organization_id, project_id)

        async def attempt() -> Dataset:
            stored = await self._known(dataset_id, owner)
            changed = options(Dataset, msgspec.structs.asdict(stored) | fields, "dataset")
            where = as_read(stored)[:1]
            if _schemas(changed) != _schemas(stored):
                await self._check_items(changed)
                # An item that was added meanwhile was checked against the old schemas only.
                where = as_read(stored)
            columns = DATASET.values({key: getattr(changed, key) for key in fields})
            values = {**columns, "updatedAt": Advance(now())}
            await self.backend.write(Update(DATASETS, (*where, *owner), values, expect=1))
            return await self._known(dataset_id, owner)

        return await until_applied(attempt)

    async def delete_dataset(
        self,
        dataset_id: str,
        *,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> None:
        """Delete a dataset with its items and versions; unknown ones (or others') are no error.

        Its experiments stay, and no longer name a dataset.
        """
        owner = tenant(organization_id, project_id)
        whole = (Where("datasetId", "eq", check_id(dataset_id, "dataset_id")),)
        detached = {"datasetId": None, "datasetVersion": None, "updatedAt": Advance(now())}
        try:
            await self.backend.write(
                Delete(
                    DATASETS,
                    (Where("id", "eq", dataset_id), *owner),
                    expect=1 if owner else None,
                ),
                Delete(DATASET_ITEMS, whole),
                Delete(DATASET_VERSIONS, whole),
                Update(EXPERIMENTS, whole, detached),
            )
        except ConflictError:
            return

    async def list_datasets(
        self,
        *,
        name: str | None = None,
        target_type: str | None = None,
        target_ids: Sequence[str] = (),
        candidate_key: str | None = None,
        candidate_id: str | None = None,
        organization_id: str | None = None,
        project_id: str | None = None,
        page: int = 0,
        per_page: PerPage = 100,
        order_by: OrderBy | Mapping[str, Any] | None = None,
        with_total: bool = True,
    ) -> DatasetPage:
        """A page of datasets, newest first: those that meet all of the filters given.

        ``name`` is a part of the name in any case; ``target_ids`` are ids of which the dataset has
        at least one. ``order_by`` takes ``createdAt``, ``updatedAt`` or ``name``.
        """
        asked = window(page, per_page)
        ordered = order(order_by, DATASET_ORDERS, "desc")
        where = tenant(organization_id, project_id)
        equal = {
            "candidateKey": candidate_key,
            "candidateId": candidate_id,
            "targetType": target_type,
        }
        where += tuple(
            [Where(k, "eq", check_text(v, k)) for k, v in equal.items() if v is not None]
        )
        if target_ids:
            ids = tuple([check_id(target_id, "target id") for target_id in target_ids])
            where += (Where("targetIds", "has_any", ids),)
        if name:
            where += (Where("name", "icontains", check_text(name, "name")),)
        rows, total, more = await self._page(DATASETS, where, ordered, asked, with_total=with_total)
        return DatasetPage(
            datasets=DATASET.records(rows),
            total=total,
            page=page,
            per_page=per_page,
            has_more=more,
        )

    async def _created(self, dataset: Dataset) -> Dataset:
        row = DATASET.row(dataset)

        async def attempt() -> Dataset:
            if await self.backend.write(Put(DATASETS, (row,), "skip")) == [1]:
                return DATASET.records([row])[0]
            stored = await self._read(dataset.id, ())
            if stored is None:
                raise ConflictError(f"Dataset {dataset.id!r} was deleted while it was created")
            return stored

        created = await until_applied(attempt)
        if any(getattr(created, name) != getattr(dataset, name) for name in OWNERS):
            raise ConflictError(
                f"Dataset ID {dataset.id!r} is already in use with another organization, project "
                "or candidate; it was not changed"
            )
        return created

    async def _check_items(self, dataset: Dataset) -> None:
        """Raise a ``SchemaUpdateError`` unless all items, as they stand, fit the dataset's schemas."""
        schemas = ItemSchemas(dataset.input_schema, dataset.ground_truth_schema)
        if _schemas(dataset) == (None, None):
            return
        where = (
            Where("datasetId", "eq", dataset.id),
            Where("validTo", "eq", None),
            Where("isDeleted", "eq", False),  # noqa: FBT003 (a value, not a switch)
        )
        failing: list[FailingItem] = []
        pages = scan(self.backend, DATASET_ITEMS, where, (("createdAt", "asc"),))
        async for rows in pages:
            for item in ITEM.records(rows):
                found = schemas.problems(item.input, item.ground_truth)
                if found is not None:
                    failing.append(FailingItem(item.id, *found))
                if len(failing) == FAILING_ITEMS:
                    raise SchemaUpdateError(tuple(failing))
        if failing:
            raise SchemaUpdateError(tuple(failing))


def _schemas(dataset: Dataset) -> tuple[JsonObject | None, JsonObject | None]:
    return dataset.input_schema, dataset.ground_truth_schema
