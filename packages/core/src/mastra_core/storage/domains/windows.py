"""Windows of conversations: messages with their neighbours, in one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from mastra_core.errors import InvalidArgumentError
from mastra_core.records import Message
from mastra_core.storage.codec import check_id
from mastra_core.storage.domains.messages import AT, MESSAGE, Messages
from mastra_core.storage.schema import Query, Row, Where
from mastra_core.storage.tables import MESSAGES


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """A message as an index of vectors remembers it: its id, thread and time."""

    id: str
    thread_id: str
    created_at: datetime


class Windows(msgspec.Struct, frozen=True, kw_only=True):
    """The ``latest`` messages of a thread, and for each anchor that is there its window.

    All of them oldest first; a window has the anchor's message and its neighbours.
    """

    latest: list[Message]
    around: dict[str, list[Message]]


class MessageWindows(Messages):
    """The part of the memory domain that reads what a search has found."""

    async def list_windows(
        self,
        anchors: Sequence[Anchor],
        *,
        before: int = 0,
        after: int = 0,
        resource_id: str | None = None,
        latest_of: str | None = None,
        latest: int = 0,
    ) -> Windows:
        """The messages of the anchors with so many before and after each, and a thread's latest.

        One round trip, however many they are; one more only where a message is not where its anchor
        says. Messages that are gone, or (with ``resource_id``) another resource's, are left out,
        and so are their neighbours.
        """
        if min(before, after, latest) < 0:
            raise InvalidArgumentError("a window cannot have fewer than 0 messages")
        owner: tuple[Where, ...] = ()
        if resource_id is not None:
            owner = (Where("resourceId", "eq", check_id(resource_id, "resource_id")),)
        wanted = {check_id(anchor.id, "message id"): anchor for anchor in anchors}
        queries: list[Query] = []
        if latest_of is not None and latest:
            thread = Where("thread_id", "eq", check_id(latest_of, "thread_id"))
            where = (thread, *owner)
            queries.append(Query(where=where, order=(("createdAt", "desc"),), limit=latest))
        asked = len(queries)
        if wanted:
            named = (Where("id", "in", tuple(wanted)), *owner)
            queries.append(Query(where=named, limit=len(wanted)))
        sides = _sides(before, after)
        for anchor in wanted.values():
            queries += _neighbours(anchor, sides, owner)
        found = await self.backend.find_many(MESSAGES, queries)
        history = found[0][::-1] if asked else []
        targets = {str(row[0]): row for row in (found[asked] if wanted else [])}
        pairs = iter(found[asked + 1 :])
        near = {key: [next(pairs) for _ in sides] for key in wanted}
        moved = [_anchor(row) for key, row in targets.items() if _anchor(row) != wanted[key]]
        if moved:
            again = [query for anchor in moved for query in _neighbours(anchor, sides, owner)]
            fresh = iter(await self.backend.find_many(MESSAGES, again))
            near |= {anchor.id: [next(fresh) for _ in sides] for anchor in moved}
        return Windows(
            latest=MESSAGE.records(history),
            around={
                key: _in_order([targets[key], *(row for rows in near[key] for row in rows)])
                for key in wanted
                if key in targets
            },
        )


def _sides(before: int, after: int) -> list[tuple[Literal["asc", "desc"], int]]:
    sides: list[tuple[Literal["asc", "desc"], int]] = [("desc", before), ("asc", after)]
    return [(way, count) for way, count in sides if count]


def _neighbours(
    anchor: Anchor, sides: Sequence[tuple[Literal["asc", "desc"], int]], owner: tuple[Where, ...]
) -> list[Query]:
    where = (Where("thread_id", "eq", check_id(anchor.thread_id, "thread_id")), *owner)
    behind = (anchor.created_at, anchor.id)
    return [
        Query(where=where, order=(("createdAt", way),), limit=count, after=behind)
        for way, count in sides
    ]


def _anchor(row: Row) -> Anchor:
    at = row[AT]
    assert isinstance(at, datetime)
    return Anchor(id=str(row[0]), thread_id=str(row[1]), created_at=at)


def _in_order(rows: Sequence[Row]) -> list[Message]:
    return MESSAGE.records(sorted(rows, key=lambda row: (row[AT], row[0])))
