"""What each operation costs: its requests and its capacity, the same however much is stored.

The numbers are those of the README, which is compared with what is measured here.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mastra_core.records import Message
from mastra_core.storage.schema import Put, Row
from mastra_core.storage.tables import MESSAGES, THREADS
from mastra_dynamodb import DynamoDBStore

pytestmark = pytest.mark.asyncio

README = Path(__file__).parents[1] / "README.md"
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
FEW, MANY = 150, 2000
NEWEST = {"direction": "DESC"}
TEXT = "A message as people write them, of a sentence or two; this one has about a hundred signs. "


def at(milliseconds: int) -> datetime:
    return NOON + timedelta(milliseconds=milliseconds)


def message(thread_id: str, resource_id: str, number: int) -> Message:
    content = {"format": 2, "parts": [{"type": "text", "text": TEXT}]}
    return Message(
        id=f"{thread_id}-{number:06}",
        thread_id=thread_id,
        resource_id=resource_id,
        role="user",
        content=content,
        created_at=at(number),
    )


async def filled(store: DynamoDBStore, name: str, count: int) -> None:
    """A user with so many threads, one of which has so many messages; and so many traces."""
    content = '{"format":2,"parts":[{"type":"text","text":"hello"}]}'
    threads: list[Row] = [
        (f"{name}-{n:06}", name, "A title", None, at(n), at(n)) for n in range(count)
    ]
    messages: list[Row] = [
        (f"{name}-m{n:06}", f"{name}-000000", content, "user", "v2", at(n), name)
        for n in range(count)
    ]
    spans = [
        {
            "trace_id": f"{name}-{n:06}",
            "span_id": "root",
            "name": "agent run",
            "span_type": "agent_run",
            "started_at": at(n),
            "ended_at": at(n + 1),
            "input": {"question": TEXT},
            "output": {"answer": TEXT},
        }
        for n in range(count)
    ]
    await store.backend.write(Put(THREADS, threads))
    await store.backend.write(Put(MESSAGES, messages))
    await store.observability.batch_create_spans(spans)


def operations(store: DynamoDBStore, name: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    memory, workflows = store.memory, store.workflows
    thread = f"{name}-000000"
    run = {"workflow_name": "checkout", "run_id": f"{name}-run"}
    snapshot = {"status": "running", "context": {"input": {"text": TEXT * 20}}}
    large = {"status": "running", "context": {"input": {"text": TEXT * 11_000}}}
    return {
        "append 1 message": lambda: memory.save_messages([message(thread, name, 900_000)]),
        "append 10 messages": lambda: memory.save_messages(
            [message(thread, name, 910_000 + n) for n in range(10)]
        ),
        "append 100 messages": lambda: memory.save_messages(
            [message(thread, name, 920_000 + n) for n in range(100)]
        ),
        "the last 40 messages of a thread": lambda: memory.list_messages(
            thread, per_page=40, order_by=NEWEST, with_total=False
        ),
        "the newest 20 threads of a user": lambda: memory.list_threads(
            resource_id=name, per_page=20, with_total=False
        ),
        "one thread": lambda: memory.get_thread_by_id(thread),
        "save a new snapshot of 2 KB": lambda: workflows.persist_workflow_snapshot(
            **run, snapshot=snapshot
        ),
        "save it again": lambda: workflows.persist_workflow_snapshot(**run, snapshot=snapshot),
        "load it": lambda: workflows.load_workflow_snapshot(**run),
        "save a snapshot of 1 MB": lambda: workflows.persist_workflow_snapshot(
            **run, snapshot=large
        ),
        "load that": lambda: workflows.load_workflow_snapshot(**run),
        "the newest 10 traces": lambda: store.observability.list_traces(
            per_page=10, with_total=False
        ),
    }


async def measured(log: Any, call: Callable[[], Awaitable[Any]]) -> tuple[str, str, str]:
    """The requests in their order, and the read and write units, as the README has them."""
    log.clear()
    await call()
    counts: list[list[Any]] = []
    for request in log.requests:
        if counts and counts[-1][0] == request:
            counts[-1][1] += 1
        else:
            counts.append([request, 1])
    requests = ", ".join(f"{n} x {name}" if n > 1 else name for name, n in counts)
    return requests, f"{log.read:g}", f"{log.write:g}"


def published() -> dict[str, tuple[str, ...]]:
    """The table of the README, by its first column."""
    text = README.read_text().partition("## Requests and capacity")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    return {row[0]: tuple(row[1:]) for row in rows[2:]}


async def test_requests_and_capacity_are_as_published_however_much_is_stored(
    open_store, log
) -> None:
    store = open_store()
    found: list[dict[str, tuple[str, ...]]] = []
    for name, count in (("few", FEW), ("many", MANY)):
        await filled(store, name, count)
        calls = operations(store, name)
        found.append({what: await measured(log, call) for what, call in calls.items()})
    assert found[0] == found[1]
    assert found[1] == published()
