"""The versions of datasets, and the one write that every change of items is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias, TypeVar

from mastra_core.clock import derived_id
from mastra_core.errors import InvalidArgumentError, NotFoundError
from mastra_core.records import Dataset, DatasetItem, DatasetVersion, DatasetVersionPage
from mastra_core.storage.codec import Codec, check_id
from mastra_core.storage.domain import StorageDomain, until_applied
from mastra_core.storage.paging import PerPage, tenant, window
from mastra_core.storage.schema import Change, Put, Query, Row, Update, Where
from mastra_core.storage.tables import DATASET_ITEMS, DATASET_VERSIONS, DATASETS

DATASET: Final = Codec(DATASETS, Dataset)
ITEM: Final = Codec(DATASET_ITEMS, DatasetItem)
VERSION: Final = Codec(DATASET_VERSIONS, DatasetVersion)
T = TypeVar("T")
# From the dataset as read and the new version: the answer, and the changes (none: no new version).
Plan: TypeAlias = Callable[[Dataset, int], Awaitable[tuple[T, Sequence[Change]]]]


def dataset_missing(dataset_id: str) -> NotFoundError:
    """The error of a dataset that is not there, or not there for this tenant."""
    return NotFoundError(f"Dataset not found: {dataset_id}")


def as_read(dataset: Dataset) -> tuple[Where, ...]:
    """That a dataset still is what was read: no item was written to it, no field changed."""
    return (
        Where("id", "eq", dataset.id),
        Where("version", "eq", dataset.version),
        Where("updatedAt", "eq", dataset.updated_at),
    )


class DatasetVersions(StorageDomain):
    """The part of the datasets domain that counts versions."""

    async def get_dataset_by_id(
        self,
        dataset_id: str,
        *,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> Dataset | None:
        """The dataset, or ``None`` if there is none (or it is of another organization or project)."""
        owner = tenant(organization_id, project_id)
        return await self._read(check_id(dataset_id, "dataset_id"), owner)

    async def create_dataset_version(
        self,
        dataset_id: str,
        *,
        version: int,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> DatasetVersion:
        """Record that a dataset reached a version; what is recorded already is returned as it is.

        Changes of items do this by themselves. An unknown dataset is a ``NotFoundError``.
        """
        dataset = await self._known(dataset_id, tenant(organization_id, project_id))
        if isinstance(version, bool) or not isinstance(version, int) or version < 0:
            raise InvalidArgumentError(f"version must be an integer >= 0, not {version!r}")
        of_version = (Where("datasetId", "eq", dataset_id), Where("version", "eq", version))
        query = Query(where=of_version, limit=1)
        stored = VERSION.record(await self.backend.find(DATASET_VERSIONS, query))
        if stored is not None:
            return stored
        row = _version_row(dataset_id, version)
        same = {"candidateId": dataset.candidate_id}
        there = Update(DATASETS, as_read(dataset)[:1], same, expect=1)
        await self.backend.write(there, Put(DATASET_VERSIONS, (row,), "skip"))
        stored = VERSION.record(await self.backend.find(DATASET_VERSIONS, query))
        return stored or VERSION.records([row])[0]

    async def list_dataset_versions(
        self,
        dataset_id: str,
        *,
        organization_id: str | None = None,
        project_id: str | None = None,
        page: int = 0,
        per_page: PerPage = 100,
        with_total: bool = True,
    ) -> DatasetVersionPage:
        """A page of a dataset's versions, the latest first; version 0 (no items) is not listed."""
        asked = window(page, per_page)
        where = (Where("datasetId", "eq", check_id(dataset_id, "dataset_id")),)
        owner = tenant(organization_id, project_id)
        rows: list[Row] = []
        total, more = (0 if with_total else None), False
        if not owner or await self._read(dataset_id, owner) is not None:
            rows, total, more = await self._page(
                DATASET_VERSIONS, where, (("version", "desc"),), asked, with_total=with_total
            )
        return DatasetVersionPage(
            versions=VERSION.records(rows),
            total=total,
            page=page,
            per_page=per_page,
            has_more=more,
        )

    async def _read(self, dataset_id: str, owner: tuple[Where, ...]) -> Dataset | None:
        query = Query(where=(Where("id", "eq", dataset_id), *owner), limit=1)
        return DATASET.record(await self.backend.find(DATASETS, query))

    async def _known(self, dataset_id: str, owner: tuple[Where, ...]) -> Dataset:
        dataset = await self._read(check_id(dataset_id, "dataset_id"), owner)
        if dataset is None:
            raise dataset_missing(dataset_id)
        return dataset

    async def _versioned(self, dataset_id: str, owner: tuple[Where, ...], plan: Plan[T]) -> T:
        """Apply what ``plan`` says as the dataset's next version: all in one write.

        The write fails when the dataset is no longer what the plan was made from, and then a new
        plan is made; so each version is used once and no change is lost.
        """

        async def attempt() -> T:
            dataset = await self._known(dataset_id, owner)
            version = dataset.version + 1
            answer, changes = await plan(dataset, version)
            if changes:
                row = _version_row(dataset_id, version)
                await self.backend.write(
                    Update(DATASETS, as_read(dataset), {"version": version}, expect=1),
                    *changes,
                    Put(DATASET_VERSIONS, (row,), "skip"),
                )
            return answer

        return await until_applied(attempt)


def _version_row(dataset_id: str, version: int) -> Row:
    known = derived_id(dataset_id, version)
    return VERSION.row(DatasetVersion(id=known, dataset_id=dataset_id, version=version))
