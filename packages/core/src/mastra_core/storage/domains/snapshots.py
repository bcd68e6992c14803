"""What is inside a workflow snapshot: the empty one, how a step's result is merged, whose it is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

from mastra_core.errors import CorruptDataError, NotFoundError
from mastra_core.records import JsonObject
from mastra_core.storage.codec import from_json, json_array, json_object

PENDING = "__mastra_pending__"


def empty_snapshot(run_id: str) -> JsonObject:
    """The snapshot of a run of which nothing is stored yet."""
    return {
        "context": {},
        "activePaths": [],
        "activeStepsPath": {},
        "timestamp": time.time_ns() // 1_000_000,
        "suspendedPaths": {},
        "resumeLabels": {},
        "serializedStepGraph": [],
        "value": {},
        "waitingPaths": {},
        "status": "pending",
        "runId": run_id,
        "requestContext": {},
    }


def decoded_snapshot(text: str | None) -> JsonObject | None:
    """The stored snapshot, or ``None`` for a stored null; anything else is a ``CorruptDataError``.

    Text that was encoded twice is decoded twice: a snapshot is always an object.
    """
    value = None if text is None else from_json(text)
    if isinstance(value, str):
        value = from_json(value)
    if value is not None and not isinstance(value, dict):
        raise CorruptDataError(f"a stored snapshot is a {type(value).__name__}, not an object")
    return cast("JsonObject | None", value)


def snapshot_or_text(text: str | None) -> Any:
    """The stored snapshot as far as it can be read: what is not an object comes as its text."""
    try:
        return decoded_snapshot(text)
    except CorruptDataError:
        return text


def context_of(snapshot: JsonObject, run_id: str) -> JsonObject:
    """The snapshot's context: the results of its steps by their ids."""
    context = snapshot.get("context")
    if not isinstance(context, dict):
        raise NotFoundError(
            f"Snapshot context not found for runId {run_id!r}: it cannot be updated"
        )
    return cast("JsonObject", context)


def with_step_result(
    snapshot: JsonObject, run_id: str, step_id: str, result: Any, request_context: JsonObject
) -> JsonObject:
    """The snapshot with one step's result, and the request context's keys, merged in."""
    context = context_of(snapshot, run_id)
    stored_request: JsonObject = snapshot.get("requestContext") or {}
    return {
        **snapshot,
        "context": {**context, step_id: _merged(context.get(step_id), result)},
        "requestContext": {**stored_request, **request_context},
    }


def _merged(stored: Any, new: Any) -> Any:
    """The new result, but merged element by element where both are those of a foreach."""
    old_output, new_output = _outputs(stored), _outputs(new)
    if old_output is None or new_output is None:
        return new
    pending = any(map(_pending, new_output))
    output = [
        _element(old_output, new_output, i, pending=pending)
        for i in range(max(len(old_output), len(new_output)))
    ]
    kept: JsonObject = {} if pending else new
    return {**json_object(stored), **kept, "output": output}


def _outputs(result: Any) -> Sequence[Any] | None:
    return json_array(json_object(result).get("output"))


def _element(old: Sequence[Any], new: Sequence[Any], i: int, *, pending: bool) -> Any:
    """One element of a foreach; a write with pending markers resets elements and sets none."""
    stored = old[i] if i < len(old) else None
    given = new[i] if i < len(new) else None
    if _pending(given):
        return None if _resettable(stored) else stored
    return stored if given is None or pending else given


def _pending(value: Any) -> bool:
    marker = json_object(value)
    return len(marker) == 1 and marker.get(PENDING) is True


def _resettable(stored: Any) -> bool:
    """Whether a pending marker may clear the element: finished ones stay."""
    if stored is None or _pending(stored):
        return True
    step = json_object(stored)
    suspended = step.get("status") == "suspended"
    return suspended and ("suspendPayload" in step or "suspendedAt" in step)


def thread_ids(snapshot: Any) -> Iterator[str]:
    """The threads that the run's agents talk in, where the agent loops leave them.

    A suspended step has its thread in the state of its stream; a durable loop in the input.
    """
    for step in json_object(json_object(snapshot).get("context")).values():
        if json_object(step).get("status") == "suspended":
            yield from _thread_at(step, "suspendPayload", "__streamState", "messageList")
    yield from _thread_at(snapshot, "context", "input", "messageListState")


def _thread_at(value: Any, *path: str) -> Iterator[str]:
    for key in (*path, "memoryInfo"):
        value = json_object(value).get(key)
    thread_id = json_object(value).get("threadId")
    if isinstance(thread_id, str):
        yield thread_id
