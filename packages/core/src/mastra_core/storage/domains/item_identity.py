"""What callers say a dataset's item is: its payload, and the external id that makes adding it safe.

An item with an external id can be added again and again (a retry, an import that ran twice): the
same payload gives the item that is there, another payload is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, cast

import msgspec
from msgspec import UNSET

from mastra_core.clock import now, uuid7
from mastra_core.errors import ConflictError
from mastra_core.records import Dataset, DatasetItem, JsonObject
from mastra_core.storage.matching import same
from mastra_core.storage.schema import Update, Where
from mastra_core.storage.tables import DATASET_ITEMS

PAYLOAD: Final = (
    "input",
    "ground_truth",
    "request_context",
    "metadata",
    "source",
    "expected_trajectory",
    "tool_mocks",
    "unmocked_tool_policy",
    "scorer_ids",
)
PURGED: Final = "__purged"


class NewDatasetItem(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What an item is to be; a field left ``UNSET`` is absent, which is not a JSON ``null``."""

    input: Any
    ground_truth: Any = UNSET
    external_id: str | None = None
    request_context: JsonObject | None = None
    metadata: JsonObject | None = None
    source: JsonObject | None = None
    expected_trajectory: Any = UNSET
    tool_mocks: Any = UNSET
    unmocked_tool_policy: str | None = None
    scorer_ids: list[str] | None = None


class ItemConflict(msgspec.Struct, frozen=True):
    """One item of a batch whose external id is taken: by another payload, or by a deleted item."""

    index: int
    external_id: str
    existing_item_id: str
    reason: Literal["payload_mismatch", "deleted"]


class ItemIdentityConflictError(ConflictError):
    """External ids are taken by other items; ``conflicts`` says which, and nothing was written."""

    def __init__(self, conflicts: Sequence[ItemConflict]) -> None:
        found = ", ".join(
            [f"items[{c.index}] {c.external_id!r} ({c.reason})" for c in conflicts[:10]]
        )
        super().__init__(f"{len(conflicts)} dataset item(s) conflict with stored ones: {found}")
        self.conflicts = tuple(conflicts)


class Resolved(msgspec.Struct, frozen=True):
    """A batch made of what is stored and what is new: the item of each place, and the new ones."""

    items: list[DatasetItem]
    new: list[DatasetItem]
    conflicts: list[ItemConflict]


def purged(metadata: JsonObject | None) -> bool:
    """Whether these are the metadata of something that was purged."""
    return metadata is not None and metadata.get(PURGED) is True


def not_purged(ids: tuple[str, ...]) -> Update:
    """A change that changes nothing, and fails if an item was purged: for who read it before that.

    A purge leaves times and versions as they are, so only the item itself tells of it.
    """
    named = Where("id", "eq", ids[0]) if len(ids) == 1 else Where("id", "in", ids)
    gone = (named, Where("metadata", "eq", True, (PURGED,)))  # noqa: FBT003
    return Update(DATASET_ITEMS, gone, {"unmockedToolPolicy": None}, expect=0)


def version_of(item: NewDatasetItem, dataset: Dataset, version: int) -> DatasetItem:
    """The first version of a new item of a dataset, under a new id."""
    at = now()
    return DatasetItem(
        id=uuid7(),
        dataset_id=dataset.id,
        dataset_version=version,
        organization_id=dataset.organization_id,
        project_id=dataset.project_id,
        created_at=at,
        updated_at=at,
        **msgspec.structs.asdict(item),
    )


def resolve(batch: Sequence[DatasetItem], history: Sequence[DatasetItem]) -> Resolved:
    """Tell new items from stored ones, by external id.

    ``history`` has all versions of the items with these external ids, the oldest first. What an
    external id stands for is the payload it was first accepted with, whatever became of it since.
    """
    first: dict[str, DatasetItem] = {}
    current: dict[str, DatasetItem] = {}
    for row in history:
        first.setdefault(str(row.external_id), row)
        if row.valid_to is None and not row.is_deleted:
            current[str(row.external_id)] = row
    resolved = Resolved(items=[], new=[], conflicts=[])
    for index, item in enumerate(batch):
        name = item.external_id
        known = None if name is None else first.get(name)
        if name is None or known is None:
            resolved.new.append(item)
            resolved.items.append(item)
            if name is not None:
                first[name] = current[name] = item
            continue
        if name not in current:
            resolved.conflicts.append(ItemConflict(index, name, known.id, "deleted"))
        elif not _same_payload(item, known):
            resolved.conflicts.append(ItemConflict(index, name, known.id, "payload_mismatch"))
        else:
            resolved.items.append(current[name])
    return resolved


def _same_payload(a: DatasetItem, b: DatasetItem) -> bool:
    """Whether two payloads are equal; for this, absent and ``null`` are the same."""
    return all(_equal(_null(getattr(a, name)), _null(getattr(b, name))) for name in PAYLOAD)


def _null(value: Any) -> Any:
    return None if value is UNSET else value


def _equal(a: object, b: object) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        left, right = cast("dict[str, object]", a), cast("dict[str, object]", b)
        return left.keys() == right.keys() and all(_equal(left[k], right[k]) for k in left)
    if isinstance(a, list) and isinstance(b, list):
        ours, others = cast("list[object]", a), cast("list[object]", b)
        return len(ours) == len(others) and all(map(_equal, ours, others))
    return same(cast("Any", a), b)
