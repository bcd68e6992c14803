"""What a call costs in requests of HTTP: one, however much is stored."""

from __future__ import annotations

from uuid import uuid4

import httpx
import pytest
from backends import Address
from backends.constant_calls import calls, fill

from mastra_convex import ConvexStore
from mastra_core.clock import now
from mastra_core.storage.schema import Put, Query, Where
from mastra_core.storage.tables import MESSAGES

pytestmark = pytest.mark.asyncio


async def test_each_call_is_one_request_however_much_is_stored(convex: Address) -> None:
    sent: list[str] = []

    async def note(request: httpx.Request) -> None:
        sent.append(request.url.path.rpartition("/")[2])

    url = f"{convex.url}/d/{uuid4().hex}"
    async with httpx.AsyncClient(event_hooks={"request": [note]}, timeout=60) as client:
        store = ConvexStore(id="t", deployment_url=url, client=client, **convex.options)
        await fill(store, "small", 50)
        await fill(store, "large", 1500)
        for name in ("small", "large"):
            for what, call in calls(store, name).items():
                sent.clear()
                await call()
                assert len(sent) == 1, (name, what, sent)
        await store.close()
        assert not client.is_closed


async def test_rows_of_many_megabytes_come_in_several_requests(convex: Address) -> None:
    url = f"{convex.url}/d/{uuid4().hex}"
    async with ConvexStore(id="t", deployment_url=url, **convex.options) as store:
        for n in range(24):
            row = (f"m{n:02}", "t", "y" * 800_000, "user", "v2", now(), "r")
            await store.backend.write(Put(MESSAGES, [row]))
        where = (Where("thread_id", "eq", "t"),)
        found = await store.backend.find(MESSAGES, Query(where=where, columns=("id", "content")))
        assert sorted(str(row[0]) for row in found) == [f"m{n:02}" for n in range(24)]
        assert {len(str(row[1])) for row in found} == {800_000}
        assert await store.backend.count(MESSAGES, where) == 24
