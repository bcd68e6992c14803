"""Random sequences of domain calls, and their play on a store beside one in memory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

import msgspec
from hypothesis import strategies as st

from mastra_conformance.domain_calls import CALLS, Answered
from mastra_conformance.lab import fresh
from mastra_core.errors import MastraError
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
