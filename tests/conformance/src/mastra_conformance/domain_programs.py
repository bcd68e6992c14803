"""Random sequences of domain calls, and their play on a store beside one in memory."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias, cast

import msgspec
from hypothesis import strategies as st

from mastra_conformance.lab import fresh
from mastra_conformance.rows import at
from mastra_core.errors import MastraError
from mastra_core.records import Message, Resource, Span, Thread
from mastra_core.storage.store import InMemoryStore, MastraStorage

# One call: its name below, and arguments in which ids are still short names.
Call: TypeAlias = tuple[str, dict[str, Any]]

THREADS: Final = ("t0", "t1", "t2")
RESOURCES: Final = ("r0", "r1")
MESSAGES: Final = ("m0", "m1", "m2", "m3", "m4", "m5")
TEXTS: Final = ("", "a", "it's", "[1]", "null", "😀", "a\0b", "\ud800", "%", "__proto__")
JSON: Final[list[Any]] = [
    None,
    True,
    False,
    0,
    1,
    1.5,
    -0.0,
    2**53 + 1,
    10**25,
    "1",
    "a\0b",
    "\ud83d",
    "😀",
    [],
    {},
    [None, [], {}],
    {"a.b": {"__proto__": None}},
]
KEYS: Final = ("k", "j", "a.b", "__proto__", "ключ", "$set")
FILTERS: Final[list[dict[str, Any]]] = [
    {},
    {"k": 1},
    {"k": "1"},
    {"k": None},
    {"k": True, "j": "😀"},
    {"a.b": 1},
]

thread_ids = st.sampled_from(THREADS)
resource_ids = st.sampled_from(RESOURCES)
message_ids = st.sampled_from(MESSAGES)
maybe_resource = st.sampled_from([None, None, None, "r0", "r0", "r1"])
# Whose message it is: mostly its thread's owner, sometimes another.
owners = st.sampled_from([("t0", "r0"), ("t0", "r0"), ("t1", "r1"), ("t2", "r0"), ("t0", "r1")])
times = st.integers(0, 3)
texts = st.sampled_from(TEXTS)
objects: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(KEYS), st.sampled_from(JSON), max_size=3
)
filters = st.one_of(st.none(), st.sampled_from(FILTERS))
pages = st.fixed_dictionaries(
    {
        "page": st.sampled_from([0, 0, 0, 1, 2, -1]),
        "per_page": st.sampled_from([40, 1, 2, 3, 0, False, -1]),
        "order_by": st.sampled_from(
            [
                None,
                {"direction": "DESC"},
                {"direction": "asc"},
                {"field": "createdAt"},
                {"field": "x"},
            ]
        ),
        "with_total": st.booleans(),
    }
)
includes = st.lists(
    st.fixed_dictionaries(
        {
            "id": message_ids,
            "with_previous_messages": st.integers(0, 2),
            "with_next_messages": st.integers(0, 2),
        }
    ),
    max_size=2,
)
ranges = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {}, optional={"start": times, "end": times, "end_exclusive": st.booleans()}
    ),
)
contents: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "parts": st.lists(
            st.fixed_dictionaries({"type": st.just("text"), "text": texts}), max_size=2
        )
    },
    optional={"metadata": objects, "format": st.just(2)},
)
messages: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"id": message_ids, "owner": owners, "at": times, "content": contents}
)


def _call(name: str, /, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    return st.tuples(st.just(name), st.fixed_dictionaries(arguments))


MEMORY: Final = st.one_of(
    _call(
        "save_thread",
        thread=thread_ids,
        resource=resource_ids,
        title=texts,
        metadata=st.one_of(st.none(), objects),
        at=times,
    ),
    _call(
        "update_thread",
        thread=thread_ids,
        title=st.one_of(st.none(), texts),
        metadata=st.one_of(st.none(), objects),
        resource=maybe_resource,
    ),
    _call("delete_thread", thread=thread_ids, resource=maybe_resource),
    _call("move_thread", thread=thread_ids, resource=resource_ids),
    _call("get_thread", thread=thread_ids, resource=maybe_resource),
    _call("list_threads", resource=resource_ids, metadata=filters, pages=pages),
    _call("save_messages", messages=st.lists(messages, max_size=4), create=st.booleans()),
    _call(
        "save_messages", messages=st.lists(messages, min_size=1, max_size=4), create=st.just(True)
    ),
    _call(
        "update_messages",
        updates=st.lists(
            st.fixed_dictionaries(
                {"id": message_ids},
                optional={
                    "content": st.fixed_dictionaries(
                        {}, optional={"metadata": objects, "x": texts}
                    ),
                    "role": st.sampled_from(["user", "assistant"]),
                    "thread": thread_ids,
                },
            ),
            max_size=3,
        ),
        resource=maybe_resource,
    ),
    _call("delete_messages", ids=st.lists(message_ids, max_size=3), resource=maybe_resource),
    _call(
        "list_messages",
        threads=st.lists(thread_ids, min_size=1, max_size=2),
        resource=maybe_resource,
        include=includes,
        date_range=ranges,
        metadata=filters,
        pages=pages,
    ),
    _call(
        "list_by_resource", resource=resource_ids, include=includes, metadata=filters, pages=pages
    ),
    _call("list_by_id", ids=st.lists(message_ids, max_size=4), resource=maybe_resource),
    _call("walk", thread=thread_ids, resource=maybe_resource),
    _call(
        "clone_thread",
        source=thread_ids,
        thread=st.sampled_from([*THREADS, "t3", "t4"]),
        resource=maybe_resource,
        limit=st.sampled_from([None, 0, 1, 2]),
    ),
    _call(
        "save_resource", resource=resource_ids, text=st.one_of(st.none(), texts), metadata=objects
    ),
    _call(
        "update_resource",
        resource=resource_ids,
        text=st.one_of(st.none(), texts),
        metadata=st.one_of(st.none(), objects),
    ),
    _call("get_resource", resource=resource_ids),
)
runs = st.sampled_from(["x0", "x1"])
statuses = st.sampled_from(["running", "suspended", "success"])
steps = st.sampled_from(["s", "a.b", "$x"])
elements = st.sampled_from(
    [None, 1, {"__mastra_pending__": True}, {"status": "suspended", "suspendedAt": 1}]
)
RUNS: Final = st.one_of(
    _call("persist", run=runs, status=statuses, context=objects, resource=maybe_resource, at=times),
    _call(
        "result",
        run=runs,
        step=steps,
        output=st.one_of(st.lists(elements, max_size=3), st.sampled_from(JSON)),
        context=objects,
        resource=maybe_resource,
    ),
    _call(
        "state",
        run=runs,
        status=statuses,
        expected=st.one_of(st.none(), statuses, st.lists(statuses, max_size=2)),
        resource=maybe_resource,
    ),
    _call("load", run=runs, resource=maybe_resource),
    _call("list_runs", status=st.one_of(st.none(), statuses), resource=maybe_resource),
    _call("delete_run", run=runs, resource=maybe_resource),
    _call(
        "span",
        number=st.integers(0, 3),
        parent=st.one_of(st.none(), st.integers(0, 3)),
        at=times,
        end=st.one_of(st.none(), times),
        input=st.sampled_from(JSON),
        resource=maybe_resource,
    ),
    _call("update_span", number=st.integers(0, 3), title=texts, end=times, resource=maybe_resource),
    _call("trace", resource=maybe_resource),
    _call("branch", number=st.integers(0, 3), depth=st.sampled_from([None, 0, 1])),
    _call("roots", status=st.sampled_from([None, "running", "success"]), order=st.booleans()),
)


def _begun(*calls: tuple[str, dict[str, Any]]) -> st.SearchStrategy[list[Call]]:
    """The calls that programs begin with, so that the others find something; or none of them."""
    return st.sampled_from([list(calls), list(calls), []])


def _first(number: int, owner: tuple[str, str]) -> dict[str, Any]:
    content = {"parts": [{"type": "text", "text": "first"}], "metadata": {"k": number}}
    return {"id": f"m{number}", "owner": owner, "at": number // 2, "content": content}


def _suspended(run: str) -> Call:
    return "persist", {"run": run, "status": "suspended", "context": {}, "resource": "r0", "at": 1}


CONVERSATION: Final = _begun(
    *(
        ("save_thread", {"thread": t, "resource": r, "title": t, "metadata": {"k": 1}, "at": 1})
        for t, r in (("t0", "r0"), ("t1", "r1"), ("t2", "r0"))
    ),
    ("save_messages", {"messages": [_first(n, ("t0", "r0")) for n in range(4)], "create": False}),
    ("save_messages", {"messages": [_first(5, ("t1", "r1"))], "create": False}),
)
OPERATION: Final = _begun(
    *(_suspended(run) for run in ("x0", "x1")),
    *(
        ("span", {"number": n, "parent": p, "at": n, "end": None, "input": n, "resource": "r0"})
        for n, p in ((0, None), (1, 0), (2, 1))
    ),
)


def domain_programs() -> st.SearchStrategy[list[Call]]:
    """Programs of calls of one family of domains."""
    memory = st.lists(MEMORY, min_size=1, max_size=12)
    runs_and_traces = st.lists(RUNS, min_size=1, max_size=10)
    return st.one_of(
        st.builds(_joined, CONVERSATION, memory),
        st.builds(_joined, OPERATION, runs_and_traces),
    )


def _joined(begun: list[Call], more: list[Call]) -> list[Call]:
    return begun + more


class DomainPlayer:
    """Plays programs on a store and on one in memory; their answers must be the same."""

    def __init__(self, store: MastraStorage) -> None:
        self.store = store

    async def play(self, program: Sequence[Call]) -> None:
        """One program, on ids of its own."""
        apart, reference = fresh(), InMemoryStore()
        cloned = False
        for name, arguments in program:
            # Two clones of the same millisecond stand in either order.
            if name == "clone_thread" and cloned:
                continue
            cloned = cloned or name == "clone_thread"
            call = CALLS[name]
            wanted = await _outcome(call, reference, apart, arguments)
            found = await _outcome(call, self.store, apart, arguments)
            assert found == wanted, (
                "the answers differ",
                name,
                "adapter",
                found,
                "reference",
                wanted,
            )


async def _outcome(
    call: Answered,
    store: MastraStorage,
    apart: str,
    arguments: Mapping[str, Any],
) -> tuple[str, Any]:
    try:
        answer = await call(
            store, lambda short: None if short is None else f"{short}-{apart}", arguments
        )
    except MastraError as error:
        return type(error).__name__, None
    return "answered", normal(msgspec.to_builtins(answer), {})


def normal(value: Any, names: dict[str, str]) -> Any:
    """An answer with what differs by nature taken out: times of changes, ids made by the library.

    Numbers are told apart from booleans, and stay equal however a database spells them.
    """
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return [
            (normal(key, names), normal(members[key], names))
            for key in sorted(members)
            if key not in {"updatedAt", "clonedAt", "timestamp"}
        ]
    if isinstance(value, list):
        return [normal(member, names) for member in cast("Sequence[Any]", value)]
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-.*", value):
        return names.setdefault(value, f"id {len(names)}")
    if isinstance(value, str) and re.fullmatch(r"20[2-9]\d-.*T.*Z", value) and value > "2025":
        return "now"
    if isinstance(value, bool) or value is None:
        return ("json", repr(value))
    return float(value) if isinstance(value, (int, float)) and abs(value) < 2**53 else value


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
