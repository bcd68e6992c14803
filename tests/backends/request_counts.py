"""How many HTTP requests each operation of a domain takes, for the tables in the READMEs."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from mastra_core.records import Message, Thread
from mastra_core.storage.store import MastraStorage

ROW = re.compile(r"^\| `([a-z_.]+)`[^|]*\| (\d+) \|$", re.MULTILINE)


class Counter:
    """A client that counts its requests."""

    def __init__(self) -> None:
        self.requests = 0
        self.client = httpx.AsyncClient(event_hooks={"request": [self._count]})

    async def _count(self, request: httpx.Request) -> None:
        self.requests += 1


def published(readme: Path) -> dict[str, int]:
    """The numbers that a README gives."""
    return {name: int(number) for name, number in ROW.findall(readme.read_text())}


async def counted(store: MastraStorage, counter: Counter) -> dict[str, int]:
    """The requests of each operation, on a store with tables."""
    found: dict[str, int] = {}
    for name, call in (await _calls(store)).items():
        before = counter.requests
        await call()
        found[name] = counter.requests - before
    return found


async def _calls(store: MastraStorage) -> Mapping[str, Callable[[], Awaitable[Any]]]:
    memory, run = store.memory, {"workflow_name": "w", "run_id": "r"}
    owner = await memory.save_thread(Thread(id="t", resource_id="u"))
    await memory.update_resource("u", metadata={"k": 1})
    dataset = await store.datasets.create_dataset("d")
    content = {"format": 2, "parts": [{"type": "text", "text": "x"}]}

    def message() -> Message:
        return Message(thread_id=owner.id, resource_id="u", role="user", content=content)

    stored = await memory.save_messages([message() for _ in range(150)])
    return {
        "memory.get_thread_by_id": lambda: memory.get_thread_by_id("t"),
        "memory.save_thread": lambda: memory.save_thread(Thread(id="new", resource_id="u")),
        "memory.update_thread": lambda: memory.update_thread("t", title="x"),
        "memory.list_threads": lambda: memory.list_threads(resource_id="u"),
        "memory.save_messages": lambda: memory.save_messages([message() for _ in range(100)]),
        "memory.list_messages": lambda: memory.list_messages("t", with_total=False),
        "memory.update_messages": lambda: memory.update_messages(
            [{"id": m.id, "role": "system"} for m in stored[:50]]
        ),
        "memory.delete_messages": lambda: memory.delete_messages([m.id for m in stored[:50]]),
        "memory.update_resource": lambda: memory.update_resource("u", metadata={"k": 2}),
        "memory.delete_thread": lambda: memory.delete_thread("t"),
        "workflows.persist_workflow_snapshot": lambda: store.workflows.persist_workflow_snapshot(
            **run, snapshot={"context": {}, "status": "running"}
        ),
        "workflows.load_workflow_snapshot": lambda: store.workflows.load_workflow_snapshot(**run),
        "workflows.update_workflow_state": lambda: store.workflows.update_workflow_state(
            **run, opts={"status": "success"}
        ),
        "scores.get_score_by_id": lambda: store.scores.get_score_by_id("s"),
        "observability.get_trace": lambda: store.observability.get_trace("t"),
        "datasets.batch_insert_items": lambda: store.datasets.batch_insert_items(
            dataset.id, items=[{"input": n} for n in range(100)]
        ),
        "experiments.get_experiment_by_id": lambda: store.experiments.get_experiment_by_id("e"),
    }
