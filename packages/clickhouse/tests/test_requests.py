"""What each operation costs in requests, the same however much is stored; the README's own numbers."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mastra_clickhouse import ClickhouseStore
from mastra_core import Thread
from mastra_core.records import Message

pytestmark = pytest.mark.asyncio

README = Path(__file__).parents[1] / "README.md"
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
NEWEST = {"direction": "DESC"}
FEW, MANY = 50, 3000


def message(thread_id: str, number: int) -> Message:
    content = {"format": 2, "parts": [{"type": "text", "text": "hello"}]}
    return Message(
        id=f"{thread_id}-{number}",
        thread_id=thread_id,
        resource_id=thread_id,
        role="user",
        content=content,
        created_at=NOON + timedelta(milliseconds=number),
    )


async def filled(store: ClickhouseStore, name: str, count: int) -> None:
    """A user with a thread of so many messages, and so many traces."""
    await store.memory.save_thread(Thread(id=name, resource_id=name))
    await store.memory.save_messages([message(name, n) for n in range(count)])
    spans = [
        {
            "trace_id": f"{name}{n}",
            "span_id": "s",
            "name": "run",
            "span_type": "agent_run",
            "started_at": NOON + timedelta(seconds=n),
        }
        for n in range(count)
    ]
    await store.observability.batch_create_spans(spans)


def operations(store: ClickhouseStore, name: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    memory, workflows = store.memory, store.workflows
    run: dict[str, Any] = {"workflow_name": "w", "run_id": name}
    snapshot = {"status": "running", "context": {}}
    span = {"trace_id": name, "span_id": "x", "name": "n", "span_type": "agent_run"}
    return {
        "append 1 message": lambda: memory.save_messages([message(name, 900_000)]),
        "append 100 messages": lambda: memory.save_messages(
            [message(name, 910_000 + n) for n in range(100)]
        ),
        "the last 40 messages of a thread": lambda: memory.list_messages(
            name, per_page=40, order_by=NEWEST, with_total=False
        ),
        "the newest 20 threads of a user": lambda: memory.list_threads(
            resource_id=name, per_page=20, with_total=False
        ),
        "one thread": lambda: memory.get_thread_by_id(name),
        "save a snapshot": lambda: workflows.persist_workflow_snapshot(**run, snapshot=snapshot),
        "load it": lambda: workflows.load_workflow_snapshot(**run),
        "500 spans": lambda: store.observability.batch_create_spans(
            [{**span, "span_id": str(n), "started_at": NOON} for n in range(500)]
        ),
        "the newest 10 traces": lambda: store.observability.list_traces(
            per_page=10, with_total=False
        ),
        "one trace": lambda: store.observability.get_trace(f"{name}1"),
    }


async def counted(log: Any, call: Callable[[], Awaitable[Any]]) -> tuple[str, str]:
    """How many SELECTs and inserts a call takes; marks of the journal come later, by themselves."""
    log.clear()
    await call()
    selects = [what for what in log.requests if what.startswith("fetch")]
    inserts = [what for what in log.requests if what.startswith("insert")]
    assert len(selects) + len(inserts) == len(log.requests)
    return str(len(selects)), str(len(inserts))


def published() -> dict[str, tuple[str, ...]]:
    """The table of the README, by its first column."""
    text = README.read_text().partition("## Requests")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| (\d+) \| (\d+) \|$", text, re.MULTILINE)
    return {row[0]: tuple(row[1:]) for row in rows}


async def test_requests_are_as_published_however_much_is_stored(
    open_store, log, monkeypatch
) -> None:
    monkeypatch.setattr("mastra_clickhouse.journal.ALONE", 60.0)
    async with open_store() as store:
        found: list[dict[str, tuple[str, str]]] = []
        for name, count in (("few", FEW), ("many", MANY)):
            await filled(store, name, count)
            calls = operations(store, name)
            found.append({what: await counted(log, call) for what, call in calls.items()})
    assert found[0] == found[1]
    assert found[1] == published()
