"""What a call costs in requests of HTTP: one, however much is stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
from backends import Address

from mastra_convex import ConvexStore
from mastra_core.clock import now
from mastra_core.records import Message, Thread
from mastra_core.storage.schema import Put, Query, Where
from mastra_core.storage.tables import MESSAGES, THREADS

pytestmark = pytest.mark.asyncio
NEWEST = {"direction": "DESC"}


def message(thread_id: str) -> Message:
    content = {"format": 2, "parts": [{"type": "text", "text": "x" * 300}]}
    return Message(thread_id=thread_id, resource_id="r", role="user", content=content)


async def fill(store: ConvexStore, name: str, count: int) -> None:
    """A thread with so many messages, and a user of the same name with so many threads."""
    await store.memory.save_thread(Thread(id=name, resource_id="r"))
    content = '{"format":2,"parts":[]}'
    numbers = range(count)
    await store.backend.write(
        Put(MESSAGES, [(f"{name}{n}", name, content, "user", "v2", now(), "r") for n in numbers]),
        Put(THREADS, [(f"{name}-{n}", name, "", None, now(), now()) for n in numbers]),
    )


def calls(store: ConvexStore, name: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    """What the README says the cost of, on a thread and a user of this name."""
    memory, workflows = store.memory, store.workflows
    run: dict[str, Any] = {"workflow_name": "w", "run_id": name}
    return {
        "append 1 message": lambda: memory.save_messages([message(name)]),
        "append 100 messages": lambda: memory.save_messages([message(name) for _ in range(100)]),
        "last 40 messages": lambda: memory.list_messages(
            name, order_by=NEWEST, per_page=40, with_total=False
        ),
        "the 20 newest threads of a user": lambda: memory.list_threads(
            resource_id=name, per_page=20, with_total=False
        ),
        "save a snapshot": lambda: workflows.persist_workflow_snapshot(
            **run, snapshot={"status": "running", "context": {}}
        ),
        "load a snapshot": lambda: workflows.load_workflow_snapshot(**run),
        "list 10 traces": lambda: store.observability.list_traces(with_total=False),
    }


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
