"""The items of datasets as they stand, as they stood at a version, and through time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from mastra_core.errors import InvalidArgumentError
from mastra_core.records import DatasetItem, DatasetItemPage
from mastra_core.storage.codec import check_id, clean_text, from_json, to_json
from mastra_core.storage.domains.dataset_versions import ITEM, DatasetVersions
from mastra_core.storage.paging import OrderBy, PerPage, Window, order, tenant, window
from mastra_core.storage.scan import scan, sift
from mastra_core.storage.schema import Order, Query, Row, Value, Where, complete
from mastra_core.storage.tables import DATASET_ITEMS

ITEM_ORDERS = {"createdAt": "createdAt", "updatedAt": "updatedAt"}
SEARCHED = [DATASET_ITEMS.positions[name] for name in ("input", "groundTruth")]


def check_text(value: object, what: str) -> str:
    """The text to look for, as it would be stored; anything else than text is refused."""
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{what} must be text, not {type(value).__name__}")
    return clean_text(value)


class DatasetHistory(DatasetVersions):
    """The part of the datasets domain that reads items.

    A row is one version of one item: it holds from its ``dataset_version`` until ``valid_to``.
    """

    async def get_item_by_id(
        self,
        item_id: str,
        *,
        dataset_version: int | None = None,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> DatasetItem | None:
        """The item as it stands, or stood at a version of its dataset; ``None`` if it did not."""
        where: tuple[Where, ...] = (Where("id", "eq", check_id(item_id, "item_id")),)
        where += tenant(organization_id, project_id)
        if dataset_version is not None:
            where += (Where("datasetVersion", "lte", _version(dataset_version)),)
        latest = Query(where=where, order=(("datasetVersion", "desc"),), limit=1)
        item = ITEM.record(await self.backend.find(DATASET_ITEMS, latest))
        if item is None or item.is_deleted:
            return None
        if item.valid_to is None:
            return item
        return item if dataset_version is not None and item.valid_to > dataset_version else None

    async def list_items(
        self,
        dataset_id: str,
        *,
        version: int | None = None,
        search: str | None = None,
        organization_id: str | None = None,
        project_id: str | None = None,
        page: int = 0,
        per_page: PerPage = 100,
        order_by: OrderBy | Mapping[str, Any] | None = None,
        with_total: bool = True,
    ) -> DatasetItemPage:
        """A page of a dataset's items as they stand, or stood at ``version``; newest first.

        ``search`` keeps the items whose input or ground truth (a string as it is, else its JSON)
        contains this text in any case. ``order_by`` takes ``createdAt`` or ``updatedAt``.
        """
        asked = window(page, per_page)
        ordered = order(order_by, ITEM_ORDERS, "desc")
        where: tuple[Where, ...] = (Where("datasetId", "eq", check_id(dataset_id, "dataset_id")),)
        views = _views((*where, *tenant(organization_id, project_id)), version)
        text = "" if search is None else check_text(search, "search")
        if len(views) == 1 and not text:
            rows, total, more = await self._page(
                DATASET_ITEMS, views[0], ordered, asked, with_total=with_total
            )
        else:
            rows, total, more = await self._sifted(
                views, ordered, asked, text, with_total=with_total
            )
        return DatasetItemPage(
            items=ITEM.records(rows), total=total, page=page, per_page=per_page, has_more=more
        )

    async def get_items_by_version(
        self,
        dataset_id: str,
        *,
        version: int,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> list[DatasetItem]:
        """All items as they stood when the dataset had this version, newest first."""
        page = await self.list_items(
            dataset_id,
            version=_version(version),
            organization_id=organization_id,
            project_id=project_id,
            per_page=False,
        )
        return page.items

    async def get_item_history(
        self,
        item_id: str,
        *,
        organization_id: str | None = None,
        project_id: str | None = None,
    ) -> list[DatasetItem]:
        """All versions of an item, the latest first; a deletion is one too (``is_deleted``)."""
        where: tuple[Where, ...] = (Where("id", "eq", check_id(item_id, "item_id")),)
        where += tenant(organization_id, project_id)
        query = Query(where=where, order=(("datasetVersion", "desc"),))
        return ITEM.records(await self.backend.find(DATASET_ITEMS, query))

    async def _sifted(
        self,
        views: Sequence[tuple[Where, ...]],
        ordered: Order,
        asked: Window,
        search: str,
        *,
        with_total: bool,
    ) -> tuple[list[Row], int | None, bool]:
        """The rows of a page of several views together, of those that contain the text.

        Without a text to look for, the views are counted by the database, not by reading them.
        """
        end = asked.offset + (asked.limit or 0) + 1
        size = 1000 if search or asked.limit is None else min(1000, end)
        pages = [scan(self.backend, DATASET_ITEMS, view, ordered, size=size) for view in views]
        text = search.casefold()

        async def keep(rows: Sequence[Row]) -> Sequence[Row]:
            return [row for row in rows if _contains(row, text)] if text else rows

        counted = with_total and (bool(search) or asked.limit is None)
        merged = _merged(pages, ordered) if len(pages) > 1 else pages[0]
        rows, total, more = await sift(merged, keep, asked, with_total=counted)
        if with_total and not counted and not more and (rows or not asked.page):
            total = asked.offset + len(rows)
        elif with_total and not counted:
            total = sum([await self.backend.count(DATASET_ITEMS, view) for view in views])
        return rows, total, more


def _version(version: object) -> int:
    if isinstance(version, bool) or not isinstance(version, int) or version < 0:
        raise InvalidArgumentError(f"version must be an integer >= 0, not {version!r}")
    return version


def _views(where: tuple[Where, ...], version: int | None) -> list[tuple[Where, ...]]:
    """What to read: the open rows, and for an older version also those closed after it."""
    standing = (*where, Where("isDeleted", "eq", False))  # noqa: FBT003 (a value, not a switch)
    still = (*standing, Where("validTo", "eq", None))
    if version is None:
        return [still]
    begun = Where("datasetVersion", "lte", _version(version))
    return [(*still, begun), (*standing, Where("validTo", "gt", version), begun)]


async def _merged(
    pages: Sequence[AsyncIterator[list[Row]]], ordered: Order
) -> AsyncIterator[list[Row]]:
    """The rows of several ordered streams as one: each page as far as no stream is behind it."""
    positions = [DATASET_ITEMS.positions[name] for name, _ in complete(DATASET_ITEMS, ordered)]
    down = ordered[0][1] == "desc"

    def key(row: Row) -> Any:
        return tuple([row[i] for i in positions])

    none: list[Row] = []
    waiting = [none for _ in pages]
    open_ones = set(range(len(pages)))
    while open_ones:
        for i in [i for i in open_ones if not waiting[i]]:
            waiting[i] = await anext(pages[i], none)
            if not waiting[i]:
                open_ones.discard(i)
        lasts = [key(waiting[i][-1]) for i in open_ones]
        bound = (max(lasts) if down else min(lasts)) if lasts else None
        ready: list[Row] = []
        for i, rows in enumerate(waiting):
            n = sum((key(row) >= bound if down else key(row) <= bound) for row in rows)
            ready, waiting[i] = ready + rows[:n], rows[n:]
        if ready:
            yield sorted(ready, key=key, reverse=down)


def _contains(row: Row, text: str) -> bool:
    return any(text in _text(row[i]).casefold() for i in SEARCHED)


def _text(stored: Value) -> str:
    value = None if stored is None else from_json(str(stored))
    if value is None or isinstance(value, str):
        return value or ""
    return to_json(value)
