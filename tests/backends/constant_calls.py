"""Calls that cost the same however much is stored, and what to store before they are counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from mastra_core.clock import now
from mastra_core.records import Message, Thread
from mastra_core.storage.schema import Put
from mastra_core.storage.store import BackendStore
from mastra_core.storage.tables import MESSAGES, THREADS

NEWEST = {"direction": "DESC"}


def message(thread_id: str) -> Message:
    """A message as people write them."""
    content = {"format": 2, "parts": [{"type": "text", "text": "x" * 300}]}
    return Message(thread_id=thread_id, resource_id="r", role="user", content=content)


async def fill(store: BackendStore, name: str, count: int) -> None:
    """A thread with so many messages, and a user of the same name with so many threads."""
    await store.memory.save_thread(Thread(id=name, resource_id="r"))
    content = '{"format":2,"parts":[]}'
    for start in range(0, count, 500):
        numbers = range(start, min(start + 500, count))
        await store.backend.write(
            Put(
                MESSAGES, [(f"{name}{n}", name, content, "user", "v2", now(), "r") for n in numbers]
            ),
            Put(THREADS, [(f"{name}-{n}", name, "", None, now(), now()) for n in numbers]),
        )


def calls(store: BackendStore, name: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    """What a README says the cost of, on a thread and a user of this name."""
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
