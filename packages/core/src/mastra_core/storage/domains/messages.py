"""Messages: the content of threads, strictly ordered, never moved between owners by accident."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, Literal, cast

import msgspec

from mastra_core.errors import ConflictError, CorruptDataError, InvalidArgumentError, NotFoundError
from mastra_core.records import JsonObject, Message, MessagePage, Thread
from mastra_core.storage.codec import Codec, check_id, from_json, to_json
from mastra_core.storage.domain import until_applied
from mastra_core.storage.domains.threads import THREAD, Threads, thread_missing, touches
from mastra_core.storage.paging import (
    DateRange,
    OrderBy,
    PerPage,
    Window,
    metadata_conditions,
    options,
    order,
    window,
)
from mastra_core.storage.scan import scan
from mastra_core.storage.schema import (
    Delete,
    Merge,
    Order,
    Put,
    Query,
    Row,
    Update,
    Value,
    Where,
)
from mastra_core.storage.tables import MESSAGES, THREADS

MESSAGE_ORDERS = {"createdAt": "createdAt"}
PUT_ROWS = 1000
KEPT: Final[Mapping[str, Merge]] = {"createdAt": "keep", "thread_id": "match"}


class Include(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """A message to bring in whatever the page, with its neighbours in its own thread."""

    id: str
    thread_id: str | None = None
    with_previous_messages: int = 0
    with_next_messages: int = 0


class MessageUpdate(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What to change of one message; ``content`` and its ``metadata`` are merged key by key."""

    id: str
    role: str | None = None
    type: str | None = None
    thread_id: str | None = None
    content: JsonObject | None = None


def _encode_content(content: Any) -> Value:
    parts = cast("JsonObject", content).get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list):
        raise InvalidArgumentError(
            'content of a message must be {"format": 2, "parts": [...]}; what was given is '
            f"{type(cast('object', content)).__name__} without a list of parts"
        )
    return to_json(content, "content of a message")


def _decode_content(text: str) -> JsonObject:
    """The content as V2; what an old version wrote (plain text, a list of parts) is wrapped."""
    try:
        content = from_json(text)
    except CorruptDataError:
        content = text
    if isinstance(content, dict):
        return cast("JsonObject", content)
    if isinstance(content, list):
        return {"format": 2, "parts": content}
    plain = content if isinstance(content, str) else text
    return {"format": 2, "parts": [{"type": "text", "text": plain}], "content": plain}


QUICK: Final = msgspec.json.Decoder(dict[str, Any]).decode
MESSAGE: Final = Codec(MESSAGES, Message, {"content": (_encode_content, _decode_content, QUICK)})
AT = MESSAGES.positions["createdAt"]
CONTENT = MESSAGES.positions["content"]


class Messages(Threads):
    """The part of the memory domain that keeps messages."""

    async def list_messages(
        self,
        thread_id: str | Sequence[str],
        *,
        resource_id: str | None = None,
        include: Sequence[Include | Mapping[str, Any]] = (),
        date_range: DateRange | Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        page: int = 0,
        per_page: PerPage = 40,
        order_by: OrderBy | Mapping[str, Any] | None = None,
        with_total: bool = True,
    ) -> MessagePage:
        """A page of one or several threads' messages, oldest first, and those of ``include``.

        Filters do not restrict what ``include`` brings in, but ``resource_id`` does. With
        ``per_page=0`` only the included messages come, and nothing is counted (``total`` is 0).
        ``with_total=False`` saves the counting.
        """
        threads = [thread_id] if isinstance(thread_id, str) else list(thread_id)
        if not threads or not all(isinstance(t, str) and t.strip() for t in threads):
            raise InvalidArgumentError(
                "threadId must be a non-empty string or array of non-empty strings"
            )
        ids = tuple(dict.fromkeys(check_id(t, "thread_id") for t in threads))
        in_thread = (
            Where("thread_id", "eq", ids[0]) if len(ids) == 1 else Where("thread_id", "in", ids)
        )
        return await self._list(
            (in_thread, *_filters(resource_id, date_range, metadata)),
            window(page, per_page),
            order(order_by, MESSAGE_ORDERS, "asc"),
            [options(Include, entry, "include") for entry in include],
            resource_id,
            with_total=with_total,
        )

    async def list_messages_by_resource_id(
        self,
        resource_id: str,
        *,
        include: Sequence[Include | Mapping[str, Any]] = (),
        date_range: DateRange | Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        page: int = 0,
        per_page: PerPage = 40,
        order_by: OrderBy | Mapping[str, Any] | None = None,
        with_total: bool = True,
    ) -> MessagePage:
        """A page of all messages of a resource, across its threads; see ``list_messages``."""
        return await self._list(
            _filters(check_id(resource_id, "resource_id"), date_range, metadata),
            window(page, per_page),
            order(order_by, MESSAGE_ORDERS, "asc"),
            [options(Include, entry, "include") for entry in include],
            resource_id,
            with_total=with_total,
        )

    async def iter_messages(
        self, thread_id: str, *, resource_id: str | None = None
    ) -> AsyncIterator[Message]:
        """All messages of a thread in order, read in bounded pages however many there are."""
        in_thread = Where("thread_id", "eq", check_id(thread_id, "thread_id"))
        where = (in_thread, *_filters(resource_id, None, None))
        size = self.backend.limits.page_rows
        async for rows in scan(self.backend, MESSAGES, where, (("createdAt", "asc"),), size=size):
            for message in MESSAGE.records(rows):
                yield message

    async def list_messages_by_id(
        self, message_ids: Sequence[str], *, resource_id: str | None = None
    ) -> list[Message]:
        """The messages with these ids, oldest first; unknown ones (or another owner's) are left out."""
        return MESSAGE.records(await self._rows_by_id(message_ids, resource_id))

    async def save_messages(
        self, messages: Sequence[Message], *, create: Thread | None = None
    ) -> list[Message]:
        """Store the messages and move their threads' times on: all of it or nothing.

        A stored message with the same id in the same thread is replaced, but keeps its
        ``created_at``; in another thread it is a ``ConflictError``. Every thread must exist and
        belong to the message's resource, else ``NotFoundError``. ``create`` inserts that thread in
        the same step if it is not there.
        """
        unique = {message.id: message for message in messages}
        rows = (
            MESSAGE.rows(list(unique.values())) if len(unique) != 1 else [MESSAGE.row(messages[-1])]
        )
        for message in unique.values():
            if not (message.thread_id and message.resource_id and message.role):
                check_id(message.thread_id, "thread_id of a message")
                check_id(message.resource_id, "resource_id of a message")
                check_id(message.role, "role of a message")
        owners = list(dict.fromkeys((m.thread_id, str(m.resource_id)) for m in unique.values()))
        new = [] if create is None else [Put(THREADS, (THREAD.row(create),), "skip")]
        if not rows:
            return []
        puts = [
            Put(MESSAGES, rows[i : i + PUT_ROWS], "replace", KEPT, fresh=True)
            for i in range(0, len(rows), PUT_ROWS)
        ]
        try:
            await self.backend.write(*new, *touches(owners), *puts)
        except ConflictError as error:
            raise await self._refusal(owners, list(unique.values()), error) from None
        return list(unique.values())

    async def update_messages(
        self,
        updates: Sequence[MessageUpdate | Mapping[str, Any]],
        *,
        resource_id: str | None = None,
    ) -> list[Message]:
        """Change messages by id and return them as stored; unknown ids are left out.

        Concurrent updates lose nothing. Moving a message needs a thread of the same resource.
        """
        wanted = {
            u.id: u for u in (options(MessageUpdate, u, "update of a message") for u in updates)
        }

        async def attempt() -> list[Message]:
            rows = await self._rows_by_id(tuple(wanted), resource_id)
            changed = [_changed(row, wanted[str(row[0])]) for row in rows]
            owners = {(str(row[1]), str(row[6])) for row in (*rows, *changed)}
            missing = await self._missing(
                {(str(row[1]), str(row[6])) for row in changed}
                - {(str(row[1]), str(row[6])) for row in rows}
            )
            if missing:
                raise thread_missing(*missing[0])
            if rows:
                writes = [_replaced(old, new) for old, new in zip(rows, changed, strict=True)]
                await self.backend.write(*writes, *_soft_touches(owners))
            return MESSAGE.records(changed)

        return await until_applied(attempt) if wanted else []

    async def delete_messages(
        self, message_ids: Sequence[str], *, resource_id: str | None = None
    ) -> None:
        """Delete messages by id and move their threads' times on; unknown ids are no error."""
        rows = await self._rows_by_id(message_ids, resource_id)
        if not rows:
            return
        where: tuple[Where, ...] = (Where("id", "in", tuple([row[0] for row in rows])),)
        where += _filters(resource_id, None, None)
        owners = {(str(row[1]), str(row[6])) for row in rows}
        await self.backend.write(Delete(MESSAGES, where), *_soft_touches(owners))

    async def _list(
        self,
        where: tuple[Where, ...],
        asked: Window,
        ordered: Order,
        include: Sequence[Include],
        resource_id: str | None,
        *,
        with_total: bool,
    ) -> MessagePage:
        rows: list[Row] = []
        total: int | None = 0 if with_total else None
        more = False
        if asked.limit != 0:
            rows, total, more = await self._page(
                MESSAGES, where, ordered, asked, with_total=with_total
            )
        if include:
            extra = await self._included(include, resource_id)
            own = {row[0] for row in rows}
            threads = {row[1] for row in rows}
            rows = [*rows, *(row for key, row in extra.items() if key not in own)]
            rows.sort(key=lambda row: (row[AT], row[0]), reverse=ordered[0][1] == "desc")
            # Nothing follows when what was brought in completes the thread.
            if total is not None and sum(row[1] in threads for row in rows) >= total:
                more = False
        return MessagePage(
            messages=MESSAGE.records(rows),
            total=total,
            page=asked.page,
            per_page=asked.per_page,
            has_more=more,
        )

    async def _included(
        self, include: Sequence[Include], resource_id: str | None
    ) -> dict[Value, Row]:
        """The rows asked for by id and their neighbours: two round trips however many they are."""
        targets = {
            row[0]: row
            for row in await self._rows_by_id([entry.id for entry in include], resource_id)
        }
        queries: list[Query] = []
        for entry in include:
            target = targets.get(entry.id)
            if target is None:
                continue
            within = (Where("thread_id", "eq", target[1]), *_filters(resource_id, None, None))
            sides: tuple[tuple[Literal["asc", "desc"], int], ...] = (
                ("desc", entry.with_previous_messages),
                ("asc", entry.with_next_messages),
            )
            queries += [
                Query(
                    where=within, order=(("createdAt", way),), limit=n, after=(target[AT], entry.id)
                )
                for way, n in sides
                if n > 0
            ]
        for rows in await self.backend.find_many(MESSAGES, queries):
            targets.update({row[0]: row for row in rows})
        return targets

    async def _rows_by_id(self, ids: Sequence[str], resource_id: str | None) -> list[Row]:
        unique = tuple(dict.fromkeys(check_id(i, "message id") for i in ids))
        if not unique:
            return []
        where = (Where("id", "in", unique), *_filters(resource_id, None, None))
        return await self.backend.find(MESSAGES, Query(where=where, order=(("createdAt", "asc"),)))

    async def _missing(self, owners: set[tuple[str, str]]) -> list[tuple[str, str]]:
        """Which of these threads do not exist for their resource."""
        if not owners:
            return []
        where = (Where("id", "in", tuple({thread_id for thread_id, _ in owners})),)
        columns = ("id", "resourceId")
        rows = await self.backend.find(THREADS, Query(where=where, columns=columns))
        return sorted(owners - {(str(row[0]), str(row[1])) for row in rows})

    async def _refusal(
        self, owners: Sequence[tuple[str, str]], messages: Sequence[Message], error: ConflictError
    ) -> ConflictError | NotFoundError:
        """Why the messages were not saved."""
        missing = await self._missing(set(owners))
        if missing:
            return thread_missing(*missing[0])
        threads = {message.id: message.thread_id for message in messages}
        stored = await self._rows_by_id(tuple(threads), None)
        taken = [str(row[0]) for row in stored if row[1] != threads[str(row[0])]]
        if taken:
            return ConflictError(
                f"message id {taken[0]!r} belongs to another thread; nothing was saved"
            )
        return error


def _filters(
    resource_id: str | None,
    date_range: DateRange | Mapping[str, Any] | None,
    metadata: Mapping[str, Any] | None,
) -> tuple[Where, ...]:
    where: tuple[Where, ...] = ()
    if resource_id is not None:
        where = (Where("resourceId", "eq", check_id(resource_id, "resource_id")),)
    if date_range is not None:
        where += options(DateRange, date_range, "date_range").conditions("createdAt")
    return where + metadata_conditions("content", metadata, "metadata")


def _soft_touches(owners: set[tuple[str, str]]) -> list[Update]:
    """Touches that do not mind a thread that is gone: its messages may outlive it elsewhere."""
    return [msgspec.structs.replace(touch, expect=None) for touch in touches(sorted(owners))]


def _changed(row: Row, update: MessageUpdate) -> Row:
    """The row after an update; content and its metadata are merged key by key."""
    content = str(row[CONTENT])
    if update.content is not None:
        stored = _decode_content(content)
        merged = {**stored, **update.content}
        if isinstance(update.content.get("metadata"), Mapping):
            merged["metadata"] = {**(stored.get("metadata") or {}), **update.content["metadata"]}
        content = str(_encode_content(merged))
    thread_id = row[1] if update.thread_id is None else check_id(update.thread_id, "thread_id")
    return (row[0], thread_id, content, update.role or row[3], update.type or row[4], *row[5:])


def _replaced(old: Row, new: Row) -> Update:
    """The update of one row, on condition that its content is still what was read."""
    read = (
        Where("id", "eq", old[0]),
        Where("thread_id", "eq", old[1]),
        Where("content", "eq", old[CONTENT]),
    )
    values = {n: v for n, v, o in zip(MESSAGES.names, new, old, strict=True) if v != o}
    return Update(MESSAGES, read, values or {"role": old[3]}, expect=1)
