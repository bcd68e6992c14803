"""Requests per operation, as the README says, whatever is stored; and that all reads are by an index."""

from __future__ import annotations

import itertools
import re
from datetime import timedelta
from pathlib import Path

import pytest

from mastra_core import Message, Thread
from mastra_core.storage.schema import Put
from mastra_core.storage.tables import MESSAGES, SPANS, THREADS

from .rows import AT, message

pytestmark = pytest.mark.asyncio
README = Path(__file__).parents[1] / "README.md"
TEXT = {"format": 2, "parts": [{"type": "text", "text": "hi"}]}
NEWEST = {"direction": "DESC"}


def published() -> dict[str, tuple[int, int]]:
    """The table of the README: requests with transactions, and without."""
    rows = re.findall(r"^\| ([^|]+?) \| (\d+) \| (\d+) \|", README.read_text(), re.MULTILINE)
    return {name: (int(one), int(other)) for name, one, other in rows}


def said(prefix: str, count: int) -> list[Message]:
    return [
        Message(id=f"{prefix}{n}", thread_id="t", resource_id="r", role="user", content=TEXT)
        for n in range(count)
    ]


async def fill(backend, count: int) -> None:
    later = [AT + timedelta(seconds=n) for n in range(count)]
    await backend.write(
        Put(MESSAGES, [(*message(f"old{n}", "t")[:5], at, "r") for n, at in enumerate(later)])
    )
    await backend.write(
        Put(THREADS, [(f"old{n}", "r", "", None, at, at) for n, at in enumerate(later)])
    )
    named = {name: i for i, name in enumerate(SPANS.names)}
    spans = []
    for n, at in enumerate(later):
        row = [None] * len(named)
        values = {
            "traceId": f"{n}",
            "spanId": "s",
            "name": "n",
            "spanType": "agent_run",
            "isEvent": False,
            "startedAt": at,
            "createdAt": at,
            "endedAt": at if n % 2 else None,
        }
        for name, value in values.items():
            row[named[name]] = value
        spans.append(tuple(row))
    await backend.write(Put(SPANS, spans))


def operations(s, turn: int):
    """What is counted, by the names of the README's table."""
    run = {"workflow_name": "w", "run_id": f"{turn}"}
    snapshot = {"context": {}, "status": "running"}
    return {
        "append 1 message": lambda: s.memory.save_messages(said(f"one{turn}", 1)),
        "append 100 messages": lambda: s.memory.save_messages(said(f"many{turn}", 100)),
        "last 40 messages": lambda: s.memory.list_messages("t", order_by=NEWEST, with_total=False),
        "newest 20 threads of a user": lambda: s.memory.list_threads(
            resource_id="r", per_page=20, with_total=False
        ),
        "5 messages before and after each of 3": lambda: s.memory.list_messages(
            "t",
            per_page=0,
            include=[
                {"id": f"old{n}", "with_previous_messages": 5, "with_next_messages": 5}
                for n in (3, 9, 20)
            ],
        ),
        "save a snapshot": lambda: s.workflows.persist_workflow_snapshot(**run, snapshot=snapshot),
        "load a snapshot": lambda: s.workflows.load_workflow_snapshot(**run),
        "change a snapshot": lambda: s.workflows.update_workflow_results(
            **run, step_id="s", result={"output": 1}
        ),
        "change a thread": lambda: s.memory.update_thread("t", metadata={"k": turn}),
        "list 20 traces": lambda: s.observability.list_traces(per_page=20, with_total=False),
        "list 20 traces by their end": lambda: s.observability.list_traces(
            per_page=20, order_by={"field": "endedAt"}, with_total=False
        ),
        "delete a thread": lambda: s.memory.delete_thread(f"old{turn}"),
    }


async def counted(factory, client, log, sizes) -> list[dict[str, int]]:
    found = []
    async with client, factory(url=None, client=client, db_name=factory.db_name) as s:
        await s.memory.save_thread(Thread(id="t", resource_id="r"))
        await s.backend.connection.has_transactions()
        for turn, size in enumerate(sizes):
            await fill(s.backend, size)
            counts = {}
            for name, call in operations(s, turn).items():
                log.commands.clear()
                await call()
                counts[name] = len(log.sent)
            found.append(counts)
    return found


async def test_requests_with_transactions_are_as_published(replica_set, logged, log):
    wanted = {name: one for name, (one, _) in published().items()}
    found = await counted(replica_set, logged(replica_set.url), log, (50, 1000))
    assert found == [wanted, wanted]


async def test_requests_without_transactions_are_as_published(standalone, logged, log):
    wanted = {name: other for name, (_, other) in published().items()}
    found = await counted(standalone, logged(standalone.url), log, (50, 1000))
    assert found == [wanted, wanted]


async def test_every_read_of_the_domains_is_along_an_index(replica_set, logged, log):
    """Each request names the first field of an index, or begins its order with it.

    Pages are also in the order of that index, so that a server reads no more than what it gives. (The
    servers of these tests do not plan as MongoDB does, so that their explanations say nothing.)
    """
    async with (
        logged(replica_set.url) as client,
        replica_set(url=None, client=client, db_name=replica_set.db_name) as s,
    ):
        await s.memory.save_thread(Thread(id="t", resource_id="r"))
        await fill(s.backend, 60)
        log.commands.clear()
        for call in operations(s, 0).values():
            await call()
        await s.memory.list_messages_by_resource_id("r", per_page=5)
        await s.memory.list_threads(resource_id="r", order_by={"field": "updatedAt"}, per_page=5)
        await s.memory.update_messages([{"id": "old1", "role": "system"}])
        await s.memory.delete_messages(["old1", "old2"])
        for options in ({}, {"workflow_name": "w"}, {"resource_id": "r"}):
            await s.workflows.list_workflow_runs(**options, per_page=5, with_total=False)
        await s.observability.get_trace("1")
        await s.scores.list_scores_by_run_id("r")
        await s.scores.list_scores_by_span("t", span_id="s")
        dataset = await s.datasets.create_dataset("d")
        item = await s.datasets.add_item(dataset.id, input=1)
        await s.datasets.update_item(item.id, dataset_id=dataset.id, input=2)
        await s.datasets.list_items(dataset.id)
        await s.datasets.list_items(dataset.id, version=1)
        commands = list(log.commands)
    with replica_set.database() as database:
        indexes = {
            name: [tuple(name for name, _ in i["key"]) for i in found.index_information().values()]
            for name in database.list_collection_names()
            for found in [database[name]]
        }
    reads = [(c, read) for command in commands for c, read in reads_of(command)]
    assert len(reads) > 40
    scanned = [(c, read) for c, read in reads if not along(indexes[c], *read)]
    assert scanned == []


def reads_of(command: dict) -> list[tuple[str, tuple[dict, list[str], int]]]:
    """What a command looks for in a collection: its filter, its order and its limit."""
    kind, collection = next(iter(command.items()))
    if kind == "find":
        given = command["filter"], list(command.get("sort", {})), command.get("limit", 0)
        return [(collection, given)]
    if kind == "aggregate":
        return [(collection, read) for read in parts_of(command["pipeline"])]
    entries = command.get({"update": "updates", "delete": "deletes"}.get(kind, ""), [])
    return [(collection, (entry["q"], [], 0)) for entry in entries]


def parts_of(pipeline: list[dict]) -> list[tuple[dict, list[str], int]]:
    """The same of an aggregation, and of those that are united with it."""
    found = []
    for i, stage in enumerate(pipeline):
        if "$unionWith" in stage:
            found += parts_of(stage["$unionWith"]["pipeline"])
        if "$match" in stage:
            sort, limit = pipeline[i + 1].get("$sort", {}), 0
            if sort:
                limit = pipeline[i + 2].get("$limit", 0)
            found.append((stage["$match"], list(sort), limit))
    return found


def along(indexes: list[tuple[str, ...]], where: dict, sort: list[str], limit: int) -> bool:
    """Whether an index leads to the rows; for a page of some, in its order too."""
    equal = {name for name, test in where.items() if not isinstance(test, dict)}
    ranged = {name for name, test in where.items() if isinstance(test, dict) and name[0] != "$"}
    if "$in" in (where.get("id") or ()):
        return ("id",) in indexes  # As many rows as ids were given.
    for index in indexes:
        pinned = len(list(itertools.takewhile(equal.__contains__, index)))
        rest = [name for name in index[pinned:] if name not in equal]
        ordered = rest[: len(sort)] == [name for name in sort if name not in equal]
        if limit and sort and ordered and (pinned or not where.keys() - set(sort)):
            return True
        if index[0] in equal | ranged and not (limit and sort):
            return True
    return False
