"""Another process on the same database: ``python -m mastra_conformance.worker``.

It reads one line of JSON (how to make a store, and which task to do), says that it is ready, waits
for another line, and answers with one. The tests start several of them behind that barrier.
"""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from mastra_core.errors import ConflictError, NotFoundError
from mastra_core.plugins import open_storage
from mastra_core.records import Message, Thread
from mastra_core.storage.store import MastraStorage

Task: TypeAlias = Callable[[MastraStorage, dict[str, Any]], Awaitable[Any]]


async def update(store: MastraStorage, spec: dict[str, Any]) -> None:
    """Add one key after another to everything that is merged, under this process's name."""
    name = spec["name"]
    for i in range(spec["rounds"]):
        key = f"{name}{i}"
        await store.memory.update_thread(spec["thread"], metadata={key: i})
        await store.memory.update_resource(spec["resource"], metadata={key: i})
        content = {"metadata": {key: i}}
        await store.memory.update_messages([{"id": spec["message"], "content": content}])
        run = {"workflow_name": spec["workflow"], "run_id": spec["run"]}
        await store.workflows.update_workflow_results(**run, step_id=key, result={"n": i})
        await store.datasets.add_item(spec["dataset"], input=key)


async def append(store: MastraStorage, spec: dict[str, Any]) -> None:
    """Append messages to one thread, a few at a time; ids say which batch they are of."""
    content: dict[str, Any] = {"format": 2, "parts": []}
    for batch in range(spec["rounds"]):
        messages = [
            Message(
                id=f"{spec['name']}/{batch:04}/{i}",
                thread_id=spec["thread"],
                resource_id=spec["resource"],
                role="user",
                content=content,
            )
            for i in range(spec["size"])
        ]
        await store.memory.save_messages(messages)
        if spec.get("tell"):
            print("more", flush=True)


async def claim(store: MastraStorage, spec: dict[str, Any]) -> list[str]:
    """Try to resume every run; which of them were ours."""
    won: list[str] = []
    opts = {"status": "running", "expected_status": "suspended"}
    for run in spec["runs"]:
        state = await store.workflows.update_workflow_state(
            workflow_name=spec["workflow"], run_id=run, opts=opts
        )
        if state is not None:
            won.append(run)
    return won


async def insert(store: MastraStorage, spec: dict[str, Any]) -> list[str]:
    """Save threads under given ids for this process's resource; which of them are ours."""
    won: list[str] = []
    for thread_id in spec["threads"]:
        try:
            await store.memory.save_thread(Thread(id=thread_id, resource_id=spec["resource"]))
        except ConflictError:
            continue
        won.append(thread_id)
    return won


async def first(store: MastraStorage, spec: dict[str, Any]) -> int:
    """Use a database that nobody has used before."""
    await store.init()
    thread = Thread(id=spec["name"], resource_id=spec["resource"])
    await store.memory.save_thread(thread)
    try:
        await store.workflows.get_workflow_run_by_id("nobody")
    except NotFoundError:
        return -1
    return (await store.memory.list_threads(resource_id=spec["resource"])).total or 0


TASKS: Final[dict[str, Task]] = {
    "update": update,
    "append": append,
    "claim": claim,
    "insert": insert,
    "first": first,
}


def opened(spec: dict[str, str]) -> MastraStorage:
    """The store that the tests describe: by its URL, or by their pickled factory."""
    if "url" in spec:
        return open_storage(spec["url"])
    # Pickles come from the tests themselves, over a pipe of their own.
    factory = pickle.loads(base64.b64decode(spec["factory"]))
    store: MastraStorage = factory()
    return store


async def work(spec: dict[str, Any]) -> Any:
    """Do the task once the barrier falls."""
    store = opened(spec["storage"])
    if spec["warm"]:
        await store.memory.get_thread_by_id("nobody")
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    answer = await TASKS[spec["task"]](store, spec)
    await store.close()
    return answer


def main() -> None:
    """Read the task, do it, and answer."""
    spec: dict[str, Any] = json.loads(sys.stdin.readline())
    print(json.dumps(asyncio.run(work(spec))), flush=True)


if __name__ == "__main__":
    main()
