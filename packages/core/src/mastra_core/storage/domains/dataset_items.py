"""Changing the items of datasets: every change is the next version of its dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from mastra_core.clock import MILLISECOND, now
from mastra_core.errors import ConflictError, NotFoundError
from mastra_core.records import Dataset, DatasetItem, JsonObject
from mastra_core.storage.codec import check_id
from mastra_core.storage.domains.dataset_history import DatasetHistory
from mastra_core.storage.domains.dataset_versions import ITEM
from mastra_core.storage.domains.item_identity import (
    PAYLOAD,
    ItemIdentityConflictError,
    NewDatasetItem,
    not_purged,
    purged,
    resolve,
    version_of,
)
from mastra_core.storage.domains.item_schemas import ItemSchemas
from mastra_core.storage.paging import options, tenant
from mastra_core.storage.schema import Change, Put, Query, Update, Where
from mastra_core.storage.tables import DATASET_ITEMS

PUT_ROWS = 1000
T = TypeVar("T")


class DatasetItems(DatasetHistory):
    """The part of the datasets domain that changes items.

    Every call that changes items makes one new version of the dataset, however many items it
    changes, and is one write. Concurrent calls lose nothing. The tenant arguments are those of the
    dataset; items inherit them.
    """

    async def add_item(
        self,
        dataset_id: str,
        *,
        input: Any,  # noqa: A002 (the original's name)
        ground_truth: Any = UNSET,
        external_id: str | None = None,
        request_context: JsonObject | None = None,
        metadata: JsonObject | None = None,
        source: JsonObject | None = None,
        expected_trajectory: Any = UNSET,
        tool_mocks: Any = UNSET,
        unmocked_tool_policy: str | None = None,
        scorer_ids: Sequence[str] | None = None,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> DatasetItem:
        """Add one item and return it; see ``batch_insert_items``."""
        item = {
            "input": input,
            "ground_truth": ground_truth,
            "external_id": external_id,
            "request_context": request_context,
            "metadata": metadata,
            "source": source,
            "expected_trajectory": expected_trajectory,
            "tool_mocks": tool_mocks,
            "unmocked_tool_policy": unmocked_tool_policy,
            "scorer_ids": scorer_ids,
        }
        (added,) = await self.batch_insert_items(
            dataset_id, items=[item], organization_id=organization_id, project_id=project_id
        )
        return added

    async def batch_insert_items(
        self,
        dataset_id: str,
        *,
        items: Sequence[NewDatasetItem | Mapping[str, Any]],
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> list[DatasetItem]:
        """Add items, all or none, and return them in the order given.

        They must fit the dataset's schemas (``ItemSchemaError``). One with the ``external_id`` of
        a stored item and its payload as first accepted is not added again: the stored item is
        returned as it stands. With another payload, or if the item was deleted, nothing is
        written (``ItemIdentityConflictError``). An unknown dataset is a ``NotFoundError``.
        """
        owner = tenant(organization_id, project_id)
        asked = [options(NewDatasetItem, item, f"items[{i}]") for i, item in enumerate(items)]
        names = tuple(
            dict.fromkeys(
                [
                    check_id(item.external_id, f"external_id of items[{i}]")
                    for i, item in enumerate(asked)
                    if item.external_id is not None
                ]
            )
        )

        async def plan(
            dataset: Dataset, version: int
        ) -> tuple[list[DatasetItem] | ConflictError, list[Change]]:
            schemas = ItemSchemas(dataset.input_schema, dataset.ground_truth_schema)
            for i, item in enumerate(asked):
                schemas.check(item.input, item.ground_truth, index=i)
            # The items as they will be read: what is compared and returned is what is stored.
            rows = [ITEM.row(version_of(item, dataset, version)) for item in asked]
            batch = resolve(ITEM.records(rows), await self._named(dataset_id, names))
            if batch.conflicts:
                return ItemIdentityConflictError(batch.conflicts), []
            return batch.items, _puts(batch.new)

        return _settled(await self._versioned(dataset_id, owner, plan))

    async def update_item(
        self,
        item_id: str,
        *,
        dataset_id: str,
        input: Any = UNSET,  # noqa: A002 (the original's name)
        ground_truth: Any = UNSET,
        request_context: JsonObject | msgspec.UnsetType | None = UNSET,
        metadata: JsonObject | msgspec.UnsetType | None = UNSET,
        source: JsonObject | msgspec.UnsetType | None = UNSET,
        expected_trajectory: Any = UNSET,
        tool_mocks: Any = UNSET,
        unmocked_tool_policy: str | msgspec.UnsetType | None = UNSET,
        scorer_ids: Sequence[str] | msgspec.UnsetType | None = UNSET,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> DatasetItem:
        """Make the item's next version with the given fields; the others stay as they are.

        ``None`` clears a field (of ``input``, ``ground_truth``, ``expected_trajectory`` and
        ``tool_mocks`` it is the JSON ``null``). An unknown or deleted item, one of another
        dataset, or an unknown dataset is a ``NotFoundError``; a purged one a ``ConflictError``.
        """
        check_id(item_id, "item_id")
        given = {
            "input": input,
            "ground_truth": ground_truth,
            "request_context": request_context,
            "metadata": metadata,
            "source": source,
            "expected_trajectory": expected_trajectory,
            "tool_mocks": tool_mocks,
            "unmocked_tool_policy": unmocked_tool_policy,
            "scorer_ids": scorer_ids,
        }
        fields = {name: value for name, value in given.items() if value is not UNSET}

        async def plan(
            dataset: Dataset, version: int
        ) -> tuple[DatasetItem | ConflictError, list[Change]]:
            stored = await self.get_item_by_id(item_id)
            if stored is None or stored.dataset_id != dataset_id:
                raise _item_missing(item_id, dataset_id, stored)
            if purged(stored.metadata):
                return ConflictError(f"Purged dataset item cannot be updated: {item_id}"), []
            schemas = ItemSchemas(dataset.input_schema, dataset.ground_truth_schema)
            schemas.check(input, ground_truth)
            whole = {name: getattr(stored, name) for name in PAYLOAD} | fields
            payload = msgspec.structs.asdict(options(NewDatasetItem, whole, "item"))
            del payload["external_id"]
            changed = _next(stored, version, **payload)
            (changed,) = ITEM.records([ITEM.row(changed)])
            closed = _closed((item_id,), version)
            return changed, [not_purged((item_id,)), closed, *_puts([changed])]

        owner = tenant(organization_id, project_id)
        return _settled(await self._versioned(dataset_id, owner, plan))

    async def delete_item(
        self,
        item_id: str,
        *,
        dataset_id: str,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> None:
        """Delete an item as of the dataset's next version; older versions still have it.

        An unknown or deleted item, or an unknown dataset (or another tenant's) is no error; an
        item of another dataset is a ``NotFoundError``.
        """
        owner = tenant(organization_id, project_id)
        if await self._read(check_id(dataset_id, "dataset_id"), owner) is None:
            return
        stored = await self.get_item_by_id(item_id)
        if stored is None:
            return
        if stored.dataset_id != dataset_id:
            raise _item_missing(item_id, dataset_id, stored)
        await self._deleted(dataset_id, (item_id,), owner)

    async def batch_delete_items(
        self,
        dataset_id: str,
        *,
        item_ids: Sequence[str],
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> None:
        """Delete items as of one next version; ids that are not of this dataset are left out.

        Where nothing is to be deleted there is no new version. An unknown dataset is a
        ``NotFoundError``.
        """
        ids = tuple(dict.fromkeys([check_id(item_id, "item id") for item_id in item_ids]))
        await self._deleted(dataset_id, ids, tenant(organization_id, project_id))

    async def _deleted(
        self, dataset_id: str, ids: tuple[str, ...], owner: tuple[Where, ...]
    ) -> None:
        async def plan(_: Dataset, version: int) -> tuple[None, list[Change]]:
            query = Query(where=_open(ids))
            rows = await self.backend.find(DATASET_ITEMS, query) if ids else []
            standing = [item for item in ITEM.records(rows) if not item.is_deleted]
            items = [item for item in standing if item.dataset_id == dataset_id]
            if not items:
                return None, []
            gone = [_next(item, version, is_deleted=True) for item in items]
            closed = _closed(tuple([item.id for item in items]), version)
            full = tuple([item.id for item in items if not purged(item.metadata)])
            guards: list[Change] = [not_purged(full)] if full else []
            return None, [*guards, closed, *_puts(gone)]

        await self._versioned(dataset_id, owner, plan)

    async def _named(self, dataset_id: str, names: tuple[str, ...]) -> list[DatasetItem]:
        """All versions of the items with these external ids, the oldest first."""
        if not names:
            return []
        where = (Where("datasetId", "eq", dataset_id), Where("externalId", "in", names))
        query = Query(where=where, order=(("datasetVersion", "asc"),))
        return ITEM.records(await self.backend.find(DATASET_ITEMS, query))


def _settled(answer: T | ConflictError) -> T:
    """The answer of a plan; a refusal is raised here, because within a plan it would be tried again."""
    if isinstance(answer, ConflictError):
        raise answer
    return answer


def _item_missing(item_id: str, dataset_id: str, stored: DatasetItem | None) -> NotFoundError:
    if stored is None:
        return NotFoundError(f"Item not found: {item_id}")
    return NotFoundError(f"Item {item_id} does not belong to dataset {dataset_id}")


def _next(item: DatasetItem, version: int, **fields: Any) -> DatasetItem:
    at = max(now(), item.updated_at + MILLISECOND)
    return msgspec.structs.replace(item, dataset_version=version, updated_at=at, **fields)


def _open(ids: tuple[str, ...]) -> tuple[Where, ...]:
    """The open rows of items, found by their key: the versions that stand."""
    named = Where("id", "eq", ids[0]) if len(ids) == 1 else Where("id", "in", ids)
    return (named, Where("validTo", "eq", None))


def _closed(ids: tuple[str, ...], version: int) -> Update:
    return Update(DATASET_ITEMS, _open(ids), {"validTo": version})


def _puts(items: Sequence[DatasetItem]) -> list[Change]:
    rows = [ITEM.row(item) for item in items]
    chunks = range(0, len(rows), PUT_ROWS)
    return [Put(DATASET_ITEMS, rows[i : i + PUT_ROWS], "fail") for i in chunks]
