"""The original's own indexes: which rows they hold, and the keys that it looks for there.

It writes all keys in lower case; what it finds it takes by the attributes, which keep theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from mastra_dynamodb.entities import SERVICE, Item

INDEXES: Final = tuple([f"gsi{number}" for number in range(1, 8)])


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """One index of the original: the columns of its partition, the one of its order.

    ``instead_of`` names the indexes of ours that it stands in for where a table is shared: reading
    it finds what the original wrote as soon as DynamoDB has it there.
    """

    number: int
    columns: tuple[str, ...]
    sort: str = "createdAt"
    instead_of: tuple[str, ...] = ()

    @property
    def index(self) -> str:
        """The name of the index."""
        return f"gsi{self.number}"


def _scores(number: int, *columns: str, instead_of: str = "") -> Foreign:
    names = (f"mastra_scorers_{instead_of}",) if instead_of else ()
    return Foreign(number=number, columns=columns, instead_of=names)


FOREIGN: Final[Mapping[str, tuple[Foreign, ...]]] = {
    "thread": (
        Foreign(
            number=1,
            columns=("resourceId",),
            # The original changes times of threads, and knows nothing of our items for them.
            instead_of=("mastra_threads_by_resource_created", "mastra_threads_by_resource_updated"),
        ),
    ),
    "message": (
        Foreign(
            number=1, columns=("thread_id",), instead_of=("mastra_messages_by_thread_created",)
        ),
    ),
    "workflow_snapshot": (
        Foreign(
            number=2,
            columns=("run_id",),
            sort="workflow_name",
            instead_of=("mastra_workflow_snapshot_by_run",),
        ),
    ),
    "score": (
        _scores(1, "scorerId", instead_of="by_scorer"),
        _scores(2, "runId", instead_of="by_run"),
        _scores(3, "traceId"),
        _scores(4, "entityId", instead_of="by_entity"),
        _scores(5, "resourceId"),
        _scores(6, "threadId"),
        _scores(7, "traceId", "spanId", instead_of="by_span"),
    ),
}


def partition_key(entity: str, names: Sequence[str], values: Sequence[str]) -> str:
    """A partition's key in an index of the original, which has the attributes' names in it."""
    pairs = [f"#{name}_{value}" for name, value in zip(names, values, strict=True)]
    return f"{SERVICE}#entity_{entity}{''.join(pairs)}".lower()


def sort_key(entity: str, name: str, value: str) -> str:
    """A sort key in an index of the original."""
    return f"${entity}_1#{name}_{value}".lower()


def foreign_keys(foreign: Foreign, entity: str, attributes: Mapping[str, str], item: Item) -> Item:
    """The attributes that put an item into an index; none where it lacks what the index is by."""
    names = [attributes.get(name, name) for name in (*foreign.columns, foreign.sort)]
    values = [item.get(name, {}).get("S") for name in names]
    if None in values:
        return {}
    texts = [str(value) for value in values]
    return {
        f"{foreign.index}pk": {"S": partition_key(entity, names[:-1], texts[:-1])},
        f"{foreign.index}sk": {"S": sort_key(entity, names[-1], texts[-1])},
    }
