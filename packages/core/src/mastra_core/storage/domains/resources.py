"""Resources: what is kept of the owners of threads, across all their threads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from mastra_core.clock import MILLISECOND, milliseconds, now
from mastra_core.records import Resource
from mastra_core.storage.codec import Codec, check_id
from mastra_core.storage.domain import StorageDomain, until_applied, until_changed
from mastra_core.storage.schema import Put, Query, Row, Update, Where
from mastra_core.storage.tables import RESOURCES

RESOURCE: Final = Codec(RESOURCES, Resource)


class Resources(StorageDomain):
    """The part of the memory domain that keeps what belongs to a resource and to no thread."""

    async def get_resource_by_id(self, resource_id: str) -> Resource | None:
        """What is kept of a resource, or ``None``."""
        where = (Where("id", "eq", check_id(resource_id, "resource_id")),)
        return RESOURCE.record(await self.backend.find(RESOURCES, Query(where=where, limit=1)))

    async def save_resource(self, resource: Resource) -> Resource:
        """Store the resource, over what is there; returns it as stored.

        ``updated_at`` strictly increases, so a saved-over resource may come back with a later one.
        """
        rows = (RESOURCE.row(resource),)
        if await self.backend.write(Put(RESOURCES, rows, "skip")) == [1]:
            return resource
        await self.backend.write(Put(RESOURCES, rows, "replace", {"updatedAt": "advance"}))
        return await self.get_resource_by_id(resource.id) or resource

    async def update_resource(
        self,
        resource_id: str,
        *,
        working_memory: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Resource:
        """Set the working memory if given, and the given metadata keys; creates what is not there.

        Concurrent updates lose nothing.
        """
        where = (Where("id", "eq", check_id(resource_id, "resource_id")),)
        given: dict[str, Any] = {} if working_memory is None else {"working_memory": working_memory}

        async def attempt() -> Resource:
            rows = await self.backend.find(RESOURCES, Query(where=where, limit=1))
            stored = RESOURCE.record(rows)
            if stored is None:
                return await self._create(resource_id, {"metadata": dict(metadata or {}), **given})
            fields = dict(given)
            if metadata:
                fields["metadata"] = {**(stored.metadata or {}), **metadata}
            return await self._rewrite_resource(
                stored, rows[0], fields, *(("metadata",) if metadata else ())
            )

        return await until_applied(attempt)

    async def change_working_memory(
        self, resource_id: str, change: Callable[[str | None], str | None]
    ) -> Resource:
        """Replace the working memory by what ``change`` makes of it; creates what is not there.

        Concurrent changes lose nothing. ``change`` may be called several times; what it raises
        reaches the caller, and nothing is written.
        """
        where = (Where("id", "eq", check_id(resource_id, "resource_id")),)

        async def read() -> tuple[str | None, Callable[[str | None], Awaitable[Resource]]]:
            rows = await self.backend.find(RESOURCES, Query(where=where, limit=1))
            stored = RESOURCE.record(rows)

            def write(text: str | None) -> Awaitable[Resource]:
                fields = {"working_memory": text}
                if stored is None:
                    return self._create(resource_id, {"metadata": {}, **fields})
                return self._rewrite_resource(stored, rows[0], fields, "workingMemory")

            return None if stored is None else stored.working_memory, write

        return await until_changed(read, change)

    async def _create(self, resource_id: str, fields: dict[str, Any]) -> Resource:
        row = RESOURCE.row(Resource(id=resource_id, **fields))
        await self.backend.write(Put(RESOURCES, (row,), "fail"))
        return RESOURCE.records([row])[0]

    async def _rewrite_resource(
        self, stored: Resource, row: Row, fields: dict[str, Any], *read: str
    ) -> Resource:
        """Store the fields, on condition that the time and these columns are still as read."""
        at = max(now(), milliseconds(stored.updated_at) + MILLISECOND)
        values = RESOURCE.values({**fields, "updated_at": at})
        where: tuple[Where, ...] = (
            Where("id", "eq", stored.id),
            Where("updatedAt", "eq", stored.updated_at),
            # The original's writers may bring back a time that a resource had before.
            *(Where(name, "eq", row[RESOURCES.positions[name]]) for name in read),
        )
        await self.backend.write(Update(RESOURCES, where, values, expect=1))
        return msgspec.structs.replace(stored, **fields, updated_at=at)
