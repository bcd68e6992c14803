"""Records for tests of the domains: complete ones, from the few values that matter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from mastra_conformance.lab import fresh
from mastra_conformance.rows import NOON, at
from mastra_core.records import Message, Score, Span, Thread
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_core.storage.domains.workflows import WorkflowsStorage

# The fields of a span that are plain text, each of them a filter.
TEXTS = [
    "entity_type",
    "entity_id",
    "entity_name",
    "parent_entity_type",
    "parent_entity_id",
    "parent_entity_name",
    "root_entity_type",
    "root_entity_id",
    "root_entity_name",
    "user_id",
    "organization_id",
    "resource_id",
    "run_id",
    "session_id",
    "thread_id",
    "request_id",
    "environment",
    "service_name",
    "entity_version_id",
    "parent_entity_version_id",
    "root_entity_version_id",
    "experiment_id",
    "source",
]


def thread(resource: str | None = None, **fields: Any) -> Thread:
    """A thread of a resource (of its own, where none is given), made at noon."""
    given: dict[str, Any] = {
        "id": fresh("thread"),
        "created_at": NOON,
        "updated_at": NOON,
        **fields,
    }
    return Thread(resource_id=resource or fresh("resource"), **given)


def message(owner: Thread, n: int = 0, **fields: Any) -> Message:
    """The ``n``-th message of a thread: made ``n`` milliseconds after noon, saying ``n``."""
    content = {"format": 2, "parts": [{"type": "text", "text": f"{n}"}]}
    given: dict[str, Any] = {
        "id": fresh("message"),
        "thread_id": owner.id,
        "resource_id": owner.resource_id,
        "role": "user",
        "content": content,
        "created_at": at(n),
    }
    return Message(**{**given, **fields})


async def saved(
    memory: MemoryStorage, count: int, resource: str | None = None
) -> tuple[Thread, list[Message]]:
    """A stored thread with so many messages, one each millisecond."""
    owner = await memory.save_thread(thread(resource))
    messages = [message(owner, n) for n in range(count)]
    await memory.save_messages(messages)
    return owner, messages


def said(messages: Sequence[Message]) -> list[int]:
    """What messages made by ``message`` say: their numbers."""
    return [int(found.text) for found in messages]


def score(**fields: Any) -> dict[str, Any]:
    """A score as callers give it."""
    given: dict[str, Any] = {
        "scorer_id": fresh("scorer"),
        "run_id": fresh("run"),
        "entity_id": fresh("entity"),
        "scorer": {"id": "s"},
        "entity": {"id": "e"},
        "output": {"text": "yes"},
        "input": "question",
        "score": 0.5,
        "source": "TEST",
        "entity_type": "AGENT",
    }
    return {**given, **fields}


def scored(**fields: Any) -> Score:
    """The same as a record, with its times."""
    return Score(**score(**fields))


def span(trace: str, n: int = 0, **fields: Any) -> Span:
    """The ``n``-th span of a trace, begun ``n`` milliseconds after noon; the first is the root."""
    given: dict[str, Any] = {
        "trace_id": trace,
        "span_id": f"s{n:04}",
        "parent_span_id": "s0000" if n else None,
        "name": f"span {n}",
        "span_type": "agent_run" if n == 0 else "model_step",
        "started_at": at(n),
        "ended_at": at(n + 10),
        "created_at": NOON,
    }
    return Span(**{**given, **fields})


def seconds(n: int) -> datetime:
    """Some seconds after noon."""
    return NOON + timedelta(seconds=n)


def snapshot(run: str, **keys: Any) -> dict[str, Any]:
    """A snapshot of the original's shape."""
    return {
        "runId": run,
        "status": "running",
        "value": {},
        "context": {"input": {"a": 1}},
        "serializedStepGraph": [],
        "activePaths": [],
        "activeStepsPath": {},
        "suspendedPaths": {},
        "waitingPaths": {},
        "resumeLabels": {},
        "requestContext": {},
        "timestamp": 1,
        **keys,
    }


async def kept(workflows: WorkflowsStorage, **keys: Any) -> tuple[str, str]:
    """The names of a stored run."""
    name, run = fresh("workflow"), fresh("run")
    await workflows.persist_workflow_snapshot(
        workflow_name=name, run_id=run, snapshot=snapshot(run, **keys)
    )
    return name, run
