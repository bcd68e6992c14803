"""The calls of random programs: from short names and small numbers to ids, times and records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

from mastra_conformance.rows import at
from mastra_core.records import Message, Resource, Span, Thread
from mastra_core.storage.store import MastraStorage

Named: TypeAlias = Callable[[str | None], Any]
Answered: TypeAlias = Callable[[MastraStorage, Named, Mapping[str, Any]], Awaitable[Any]]


async def _save_thread(
    s: MastraStorage, n: Named, *, thread: str, resource: str, title: str, metadata: Any, at: int
) -> Any:
    when = _at(at)
    given = Thread(
        id=n(thread),
        resource_id=n(resource),
        title=title,
        metadata=metadata,
        created_at=when,
        updated_at=when,
    )
    return await s.memory.save_thread(given)


def _at(milliseconds: int) -> datetime:
    return at(milliseconds)


def _message(n: Named, given: Mapping[str, Any]) -> Message:
    return Message(
        id=n(given["id"]),
        thread_id=n(given["owner"][0]),
        resource_id=n(given["owner"][1]),
        role="user",
        content=given["content"],
        created_at=_at(given["at"]),
    )


async def _save_messages(
    s: MastraStorage, n: Named, *, messages: Sequence[Any], create: bool
) -> Any:
    made = [_message(n, given) for given in messages]
    first = made[0] if made and create else None
    thread = (
        Thread(
            id=first.thread_id,
            resource_id=str(first.resource_id),
            created_at=first.created_at,
            updated_at=first.created_at,
        )
        if first is not None
        else None
    )
    return len(await s.memory.save_messages(made, create=thread))


async def _update_messages(
    s: MastraStorage, n: Named, *, updates: Sequence[Any], resource: str | None
) -> Any:
    given = [
        {k: v for k, v in update.items() if k != "thread"}
        | {"id": n(update["id"])}
        | ({"thread_id": n(update["thread"])} if "thread" in update else {})
        for update in updates
    ]
    return await s.memory.update_messages(given, resource_id=n(resource))


def _dates(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if given is None:
        return None
    return {k: _at(v) if k in {"start", "end"} else v for k, v in given.items()}


def _included(n: Named, include: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**entry, "id": n(entry["id"])} for entry in include]


async def _walk(s: MastraStorage, n: Named, *, thread: str, resource: str | None) -> Any:
    return [m async for m in s.memory.iter_messages(n(thread), resource_id=n(resource))]


async def _save_resource(
    s: MastraStorage, n: Named, *, resource: str, text: str | None, metadata: Any
) -> Any:
    given = Resource(
        id=n(resource),
        working_memory=text,
        metadata=metadata,
        created_at=_at(0),
        updated_at=_at(0),
    )
    return await s.memory.save_resource(given)


async def _persist(
    s: MastraStorage,
    n: Named,
    *,
    run: str,
    status: str,
    context: Any,
    resource: str | None,
    at: int,
) -> Any:
    await s.workflows.persist_workflow_snapshot(
        workflow_name=n("w"),
        run_id=n(run),
        snapshot={"status": status, "context": context},
        resource_id=n(resource),
        created_at=_at(at),
    )


async def _result(
    s: MastraStorage,
    n: Named,
    *,
    run: str,
    step: str,
    output: Any,
    context: Any,
    resource: str | None,
) -> Any:
    return await s.workflows.update_workflow_results(
        workflow_name=n("w"),
        run_id=n(run),
        step_id=step,
        result={"output": output},
        request_context=context,
        resource_id=n(resource),
    )


async def _span(
    s: MastraStorage,
    n: Named,
    *,
    number: int,
    parent: int | None,
    at: int,
    end: int | None,
    input: Any,  # noqa: A002 (the field's name)
    resource: str | None,
) -> Any:
    await s.observability.create_span(
        Span(
            trace_id=n("trace"),
            span_id=f"{number}",
            parent_span_id=None if parent is None else f"{parent}",
            name="n",
            span_type="agent_run",
            started_at=_at(at),
            ended_at=None if end is None else _at(end),
            input=input,
            resource_id=n(resource),
            organization_id=n("org"),
            created_at=_at(0),
        )
    )


CALLS: Final[Mapping[str, Answered]] = {
    "save_thread": lambda s, n, a: _save_thread(s, n, **a),
    "update_thread": lambda s, n, a: s.memory.update_thread(
        n(a["thread"]), title=a["title"], metadata=a["metadata"], resource_id=n(a["resource"])
    ),
    "delete_thread": lambda s, n, a: s.memory.delete_thread(
        n(a["thread"]), resource_id=n(a["resource"])
    ),
    "move_thread": lambda s, n, a: s.memory.update_thread_resource_id(
        n(a["thread"]), resource_id=n(a["resource"])
    ),
    "get_thread": lambda s, n, a: s.memory.get_thread_by_id(
        n(a["thread"]), resource_id=n(a["resource"])
    ),
    "list_threads": lambda s, n, a: s.memory.list_threads(
        resource_id=n(a["resource"]), metadata=a["metadata"], **a["pages"]
    ),
    "save_messages": lambda s, n, a: _save_messages(s, n, **a),
    "update_messages": lambda s, n, a: _update_messages(s, n, **a),
    "delete_messages": lambda s, n, a: s.memory.delete_messages(
        [n(i) for i in a["ids"]], resource_id=n(a["resource"])
    ),
    "list_messages": lambda s, n, a: s.memory.list_messages(
        [n(t) for t in a["threads"]],
        resource_id=n(a["resource"]),
        include=_included(n, a["include"]),
        date_range=_dates(a["date_range"]),
        metadata=a["metadata"],
        **a["pages"],
    ),
    "list_by_resource": lambda s, n, a: s.memory.list_messages_by_resource_id(
        n(a["resource"]), include=_included(n, a["include"]), metadata=a["metadata"], **a["pages"]
    ),
    "list_by_id": lambda s, n, a: s.memory.list_messages_by_id(
        [n(i) for i in a["ids"]], resource_id=n(a["resource"])
    ),
    "walk": lambda s, n, a: _walk(s, n, **a),
    "clone_thread": lambda s, n, a: s.memory.clone_thread(
        n(a["source"]),
        new_thread_id=n(a["thread"]),
        resource_id=n(a["resource"]),
        options={"message_limit": a["limit"]},
    ),
    "save_resource": lambda s, n, a: _save_resource(s, n, **a),
    "update_resource": lambda s, n, a: s.memory.update_resource(
        n(a["resource"]), working_memory=a["text"], metadata=a["metadata"]
    ),
    "get_resource": lambda s, n, a: s.memory.get_resource_by_id(n(a["resource"])),
    "persist": lambda s, n, a: _persist(s, n, **a),
    "result": lambda s, n, a: _result(s, n, **a),
    "state": lambda s, n, a: s.workflows.update_workflow_state(
        workflow_name=n("w"),
        run_id=n(a["run"]),
        opts={"status": a["status"], "expected_status": a["expected"]},
        resource_id=n(a["resource"]),
    ),
    "load": lambda s, n, a: s.workflows.load_workflow_snapshot(
        workflow_name=n("w"), run_id=n(a["run"]), resource_id=n(a["resource"])
    ),
    "list_runs": lambda s, n, a: s.workflows.list_workflow_runs(
        workflow_name=n("w"), status=a["status"], resource_id=n(a["resource"])
    ),
    "delete_run": lambda s, n, a: s.workflows.delete_workflow_run_by_id(
        n(a["run"]), workflow_name=n("w"), resource_id=n(a["resource"])
    ),
    "span": lambda s, n, a: _span(s, n, **a),
    "update_span": lambda s, n, a: s.observability.update_span(
        n("trace"),
        span_id=f"{a['number']}",
        updates={"name": a["title"], "ended_at": _at(a["end"])},
        resource_id=n(a["resource"]),
    ),
    "trace": lambda s, n, a: s.observability.get_trace(n("trace"), resource_id=n(a["resource"])),
    "branch": lambda s, n, a: s.observability.get_branch(
        n("trace"), span_id=f"{a['number']}", depth=a["depth"]
    ),
    "roots": lambda s, n, a: s.observability.list_traces(
        organization_id=n("org"),
        status=a["status"],
        order_by={"field": "endedAt" if a["order"] else "startedAt"},
    ),
}
