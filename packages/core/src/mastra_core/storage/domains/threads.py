"""Threads: conversations, each owned by one resource."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from mastra_core.clock import MILLISECOND, now, stamp
from mastra_core.errors import ConflictError, InvalidArgumentError, NotFoundError
from mastra_core.records import JsonObject, Thread, ThreadPage
from mastra_core.storage.codec import Codec, check_id
from mastra_core.storage.domain import StorageDomain, until_applied, until_changed
from mastra_core.storage.paging import OrderBy, PerPage, metadata_conditions, order, window
from mastra_core.storage.schema import Advance, Delete, Put, Query, Row, Update, Where
from mastra_core.storage.tables import MESSAGES, OBSERVATIONAL_MEMORY, THREADS

THREAD: Final = Codec(THREADS, Thread)
THREAD_ORDERS = {"createdAt": "createdAt", "updatedAt": "updatedAt"}


def thread_missing(thread_id: str, resource_id: str | None = None) -> NotFoundError:
    """The error of a thread that is not there, or not there for this resource."""
    owner = "" if resource_id is None else f" for resource {resource_id!r}"
    return NotFoundError(f"Thread {thread_id!r} not found{owner}; create it with save_thread")


class Threads(StorageDomain):
    """The part of the memory domain that keeps threads."""

    async def get_thread_by_id(
        self, thread_id: str, *, resource_id: str | None = None
    ) -> Thread | None:
        """The thread, or ``None`` if there is none (or it belongs to another resource)."""
        where = _owned(check_id(thread_id, "thread_id"), resource_id)
        return THREAD.record(await self.backend.find(THREADS, Query(where=where, limit=1)))

    async def save_thread(self, thread: Thread) -> Thread:
        """Store the thread, over the one with its id if there is one; returns it as stored.

        ``updated_at`` strictly increases, so a saved-over thread may come back with a later one.
        A thread of another resource is a ``ConflictError`` and stays as it is.
        """
        check_id(thread.resource_id, "resource_id")
        rows = (THREAD.row(thread),)
        if await self.backend.write(Put(THREADS, rows, "skip")) == [1]:
            return thread
        merge: Mapping[str, Any] = {"resourceId": "match", "updatedAt": "advance"}
        try:
            await self.backend.write(Put(THREADS, rows, "replace", merge))
        except ConflictError:
            raise ConflictError(
                f"Thread {thread.id!r} belongs to another resource; it was not changed"
            ) from None
        return await self.get_thread_by_id(thread.id) or thread

    async def update_thread(
        self,
        thread_id: str,
        *,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        resource_id: str | None = None,
    ) -> Thread:
        """Set the title if given, and the given metadata keys; other keys stay.

        Concurrent updates lose nothing. An unknown thread is a ``NotFoundError``.
        """
        where = _owned(check_id(thread_id, "thread_id"), resource_id)
        given: dict[str, Any] = {} if title is None else {"title": title}

        async def attempt() -> Thread:
            rows = await self.backend.find(THREADS, Query(where=where, limit=1))
            thread = THREAD.record(rows)
            if thread is None:
                raise thread_missing(thread_id, resource_id)
            fields = dict(given)
            if metadata:
                fields["metadata"] = {**(thread.metadata or {}), **metadata}
            return await self._rewrite(thread, rows[0], fields)

        return await until_applied(attempt)

    async def change_thread_metadata(
        self,
        thread_id: str,
        change: Callable[[JsonObject], JsonObject],
        *,
        resource_id: str | None = None,
    ) -> Thread:
        """Replace the metadata by what ``change`` makes of them; concurrent changes lose nothing.

        ``change`` may be called several times. What it raises reaches the caller, and nothing is
        written. An unknown thread is a ``NotFoundError``.
        """
        where = _owned(check_id(thread_id, "thread_id"), resource_id)

        async def read() -> tuple[JsonObject, Callable[[JsonObject], Awaitable[Thread]]]:
            rows = await self.backend.find(THREADS, Query(where=where, limit=1))
            thread = THREAD.record(rows)
            if thread is None:
                raise thread_missing(thread_id, resource_id)

            def write(metadata: JsonObject) -> Awaitable[Thread]:
                return self._rewrite(thread, rows[0], {"metadata": metadata})

            return dict(thread.metadata or {}), write

        return await until_changed(read, change)

    async def set_title(
        self, thread_id: str, title: str, *, resource_id: str | None = None
    ) -> bool:
        """Give a title to a thread that has none; whether that was done.

        One conditional update: a thread that has a title, is not there, or belongs to another
        resource stays as it is, and nothing but the title and ``updated_at`` is touched.
        """
        values = THREAD.values({"title": title})
        if not values["title"]:
            raise InvalidArgumentError("title must be a non-empty text")
        at = Advance(stamp())
        where = (*_owned(check_id(thread_id, "thread_id"), resource_id), Where("title", "eq", ""))
        return await self.backend.write(Update(THREADS, where, {**values, "updatedAt": at})) == [1]

    async def _rewrite(self, thread: Thread, row: Row, fields: dict[str, Any]) -> Thread:
        """Store the fields, on condition that the thread is still as it was read."""
        fields = {**fields, "updated_at": max(now(), thread.updated_at + MILLISECOND)}
        read: tuple[Where, ...] = (
            Where("id", "eq", thread.id),
            Where("resourceId", "eq", thread.resource_id),
            Where("updatedAt", "eq", thread.updated_at),
        )
        if "metadata" in fields:
            # The original's writers may bring back a time that a thread had before.
            read += (Where("metadata", "eq", row[THREADS.positions["metadata"]]),)
        await self.backend.write(Update(THREADS, read, THREAD.values(fields), expect=1))
        return msgspec.structs.replace(thread, **fields)

    async def update_thread_resource_id(self, thread_id: str, *, resource_id: str) -> Thread:
        """Give the thread and all its messages to another resource, in one step."""
        check_id(resource_id, "resource_id")

        async def attempt() -> Thread:
            thread = await self.get_thread_by_id(thread_id)
            if thread is None:
                raise thread_missing(thread_id)
            if thread.resource_id == resource_id:
                return thread
            at = max(now(), thread.updated_at + MILLISECOND)
            read = (Where("id", "eq", thread_id), Where("updatedAt", "eq", thread.updated_at))
            await self.backend.write(
                Update(THREADS, read, {"resourceId": resource_id, "updatedAt": at}, expect=1),
                Update(
                    MESSAGES, (Where("thread_id", "eq", thread_id),), {"resourceId": resource_id}
                ),
            )
            return msgspec.structs.replace(thread, resource_id=resource_id, updated_at=at)

        return await until_applied(attempt)

    async def delete_thread(self, thread_id: str, *, resource_id: str | None = None) -> None:
        """Delete the thread, its messages and what was observed in it; unknown ones are no error.

        With ``resource_id`` a thread of another resource counts as unknown.
        """
        where = _owned(check_id(thread_id, "thread_id"), resource_id)
        owned = None if resource_id is None else 1
        try:
            await self.backend.write(
                Delete(THREADS, where, expect=owned),
                Delete(MESSAGES, (Where("thread_id", "eq", thread_id),)),
                Delete(OBSERVATIONAL_MEMORY, (Where("lookupKey", "eq", f"thread:{thread_id}"),)),
            )
        except ConflictError:
            return

    async def list_threads(
        self,
        *,
        resource_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        page: int = 0,
        per_page: PerPage = 100,
        order_by: OrderBy | Mapping[str, Any] | None = None,
        with_total: bool = True,
    ) -> ThreadPage:
        """A page of threads, newest first; of one resource, and with these metadata, if given.

        ``order_by`` takes ``createdAt`` or ``updatedAt``. Counting costs time on large stores:
        with ``with_total=False`` the total is ``None`` and ``has_more`` is known all the same.
        """
        asked = window(page, per_page)
        ordered = order(order_by, THREAD_ORDERS, "desc")
        where = metadata_conditions("metadata", metadata)
        if resource_id is not None:
            where = (Where("resourceId", "eq", check_id(resource_id, "resource_id")), *where)
        rows, total, more = await self._page(THREADS, where, ordered, asked, with_total=with_total)
        return ThreadPage(
            threads=THREAD.records(rows),
            total=total,
            page=page,
            per_page=per_page,
            has_more=more,
        )


def _owned(thread_id: str, resource_id: str | None) -> tuple[Where, ...]:
    if resource_id is None:
        return (Where("id", "eq", thread_id),)
    check_id(resource_id, "resource_id")
    return (Where("id", "eq", thread_id), Where("resourceId", "eq", resource_id))


def touches(threads: Sequence[tuple[str, str]]) -> list[Update]:
    """Changes that move the threads' times on, and fail unless each exists for its resource."""
    at = Advance(stamp())
    return [
        Update(THREADS, _owned(thread_id, resource_id), {"updatedAt": at}, expect=1)
        for thread_id, resource_id in threads
    ]
