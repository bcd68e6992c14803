"""Budgets: round trips of each call, and costs that do not grow with what is stored."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from mastra_conformance.lab import Lab, Over, fresh
from mastra_conformance.records import message, saved, score, span, thread
from mastra_conformance.rows import at
from mastra_conformance.tiers import area, base, full
from mastra_conformance.wrappers import Wrapper
from mastra_core.storage.domains.windows import Anchor
from mastra_core.storage.schema import Put, Row
from mastra_core.storage.tables import MESSAGES, THREADS

NEWEST = {"direction": "DESC"}
# How much longer a read of the large set may take, and what is too short to compare (seconds).
FACTOR, FLOOR = 2.0, 0.0006
CHUNK = 5000
# How often times that look grown are taken again, on a machine that was busy meanwhile.
ATTEMPTS = 6


@area("budgets")
@pytest.mark.asyncio(loop_scope="function")
class TestRoundTrips:
    """How many operations of the backend each call takes, however much it moves."""

    @base
    async def test_reads_by_key_and_pages_take_one_operation(self, lab: Lab) -> None:
        """A page that is not full needs no count; an agent's history needs none at all."""
        store = Over(lab.open(), Wrapper)
        owner, _ = await saved(store.memory, 60)
        memory = store.memory
        one: dict[str, Callable[[], Awaitable[Any]]] = {
            "get_thread_by_id": lambda: memory.get_thread_by_id(owner.id),
            "get_resource_by_id": lambda: memory.get_resource_by_id(owner.resource_id),
            "list_threads": lambda: memory.list_threads(resource_id=owner.resource_id),
            "list_messages, last 40": lambda: memory.list_messages(
                owner.id, order_by=NEWEST, with_total=False
            ),
            "list_messages, all on one page": lambda: memory.list_messages(owner.id, per_page=60),
            "list_messages_by_id": lambda: memory.list_messages_by_id(
                [fresh() for _ in range(500)]
            ),
            "load_workflow_snapshot": lambda: store.workflows.load_workflow_snapshot(
                workflow_name="w", run_id="r"
            ),
            "get_score_by_id": lambda: store.scores.get_score_by_id("s"),
            "get_trace": lambda: store.observability.get_trace("t"),
            "get_dataset_by_id": lambda: store.datasets.get_dataset_by_id("d"),
            "get_experiment_by_id": lambda: store.experiments.get_experiment_by_id("e"),
        }
        await self._within(store, one, 1)

    async def test_writes_take_a_fixed_number_of_operations(self, lab: Lab) -> None:
        """Not one for each message, span or item; nor one for each thread of a batch."""
        store = Over(lab.open(), Wrapper)
        memory, resource, trace = store.memory, fresh("resource"), fresh("trace")
        threads = [await memory.save_thread(thread(resource)) for _ in range(5)]
        batch = [message(threads[n % 5], n) for n in range(300)]
        dataset = await store.datasets.create_dataset("d")
        run: dict[str, Any] = {"workflow_name": fresh("workflow"), "run_id": fresh("run")}
        spans = [span(trace, n) for n in range(200)]
        updates = [{"id": m.id, "role": "system"} for m in batch[:100]]
        one: dict[str, Callable[[], Awaitable[Any]]] = {
            "save_thread": lambda: memory.save_thread(thread()),
            "save_messages": lambda: memory.save_messages(batch),
            "delete_thread": lambda: memory.delete_thread(fresh()),
            "persist_workflow_snapshot": lambda: store.workflows.persist_workflow_snapshot(
                **run, snapshot={"context": {}, "status": "running"}
            ),
            "save_score": lambda: store.scores.save_score(score()),
            "batch_create_spans": lambda: store.observability.batch_create_spans(spans),
            "batch_update_spans": lambda: store.observability.batch_update_spans(
                [{"traceId": trace, "spanId": s.span_id, "updates": {"name": "n"}} for s in spans]
            ),
            "create_dataset": lambda: store.datasets.create_dataset("d"),
        }
        await self._within(store, one, 1)
        few: dict[str, Callable[[], Awaitable[Any]]] = {
            "update_thread": lambda: memory.update_thread(threads[0].id, title="t"),
            "update_messages": lambda: memory.update_messages(updates),
            "delete_messages": lambda: memory.delete_messages([m.id for m in batch[:200]]),
            "update_resource": lambda: memory.update_resource(resource, metadata={"k": 1}),
            "update_workflow_results": lambda: store.workflows.update_workflow_results(
                **run, step_id="s", result={}
            ),
            "update_workflow_state": lambda: store.workflows.update_workflow_state(
                **run, opts={"status": "running"}
            ),
            "batch_insert_items": lambda: store.datasets.batch_insert_items(
                dataset.id, items=[{"input": n, "external_id": f"e{n}"} for n in range(200)]
            ),
            "clone_thread": lambda: memory.clone_thread(threads[1].id),
        }
        await self._within(store, few, 4)

    async def test_windows_take_a_fixed_number_of_operations(self, lab: Lab) -> None:
        """However many targets ``include`` has: the targets, then all of their neighbours."""
        store = Over(lab.open(), Wrapper)
        owner, messages = await saved(store.memory, 100)
        include = [
            {"id": m.id, "with_previous_messages": 2, "with_next_messages": 1}
            for m in messages[::3]
        ]
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "include": lambda: store.memory.list_messages(owner.id, per_page=0, include=include)
        }
        await self._within(store, calls, 2)
        anchors = [
            Anchor(id=m.id, thread_id=m.thread_id, created_at=m.created_at) for m in messages[::3]
        ]
        recalled: dict[str, Callable[[], Awaitable[Any]]] = {
            "list_windows": lambda: store.memory.list_windows(
                anchors, before=2, after=1, latest_of=owner.id, latest=10
            )
        }
        await self._within(store, recalled, 1)

    async def _within(
        self, store: Over[Wrapper], calls: dict[str, Callable[[], Awaitable[Any]]], most: int
    ) -> None:
        for name, call in calls.items():
            store.wrapper.operations.clear()
            await call()
            assert 0 < len(store.wrapper.operations) <= most, (name, store.wrapper.operations)


@area("budgets")
@pytest.mark.asyncio(loop_scope="function")
class TestGrowth:
    """Reads of a bounded size cost the same whatever else is stored."""

    @full
    async def test_reads_do_not_grow_with_what_is_stored(self, lab: Lab) -> None:
        """The last 40, the newest 20, windows, single rows, sweeps; at a thousand rows and at many.

        A count, an offset, a sort or a scan makes them grow. ``--conformance-rows`` sets how many
        rows are many, for backends that take long to fill. Where the server of the tests stands for
        another one, whose costs it does not have, the factory says so in ``costs_differ``.
        """
        if lab.site.costs_differ:
            lab.not_run(lab.site.costs_differ)
        small = await self._filled(lab, 1000)
        alone = await self._timed(lab, small, 1000)
        large = await self._filled(lab, lab.settings.rows)
        beside, many = dict[str, float](), dict[str, float]()
        grown = dict[str, tuple[float, float, float]]()
        for _ in range(ATTEMPTS):
            beside = _least(beside, await self._timed(lab, small, 1000))
            many = _least(many, await self._timed(lab, large, lab.settings.rows))
            grown = {name: (t, beside[name], many[name]) for name, t in alone.items()}
            grown = {name: t for name, t in grown.items() if max(t[1:]) > _bound(t[0])}
            if not grown:
                break
        for name, seconds in alone.items():
            lab.measured(f"{name}: ms at 1,000 rows", seconds * 1000)
            lab.measured(f"{name}: ms at {lab.settings.rows:,} rows", many[name] * 1000)
        assert not grown, ("seconds of the small set alone, beside the large one, of that", grown)

    async def _filled(self, lab: Lab, count: int) -> tuple[str, str]:
        """A thread with so many messages, whose resource has so many threads."""
        owner, resource = fresh("thread"), fresh("resource")
        await lab.store.init()
        content = '{"format":2,"parts":[{"type":"text","text":"hello"}]}'
        step = min(CHUNK, lab.backend.limits.write_rows or CHUNK)
        for start in range(0, count, step):
            numbers = range(start, min(start + step, count))
            messages: list[Row] = [
                (f"{owner}/{n:07}", owner, content, "user", "v2", at(n), resource) for n in numbers
            ]
            threads: list[Row] = [
                (f"{resource}/{n:07}", resource, "", None, at(n), at(n)) for n in numbers
            ]
            await lab.backend.write(Put(MESSAGES, messages))
            await lab.backend.write(Put(THREADS, threads))
        await lab.store.memory.save_thread(thread(resource, id=owner, created_at=at(-1)))
        return owner, resource

    async def _timed(self, lab: Lab, names: Sequence[str], count: int) -> dict[str, float]:
        """The least seconds of each read: what else runs on the machine makes it longer only."""
        memory, (owner, resource) = lab.store.memory, names
        middle = f"{owner}/{count // 2:07}"
        include = [{"id": middle, "with_previous_messages": 5, "with_next_messages": 5}]
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "last 40 messages": lambda: memory.list_messages(
                owner, per_page=40, order_by=NEWEST, with_total=False
            ),
            "last 40 of a resource": lambda: memory.list_messages_by_resource_id(
                resource, per_page=40, order_by=NEWEST, with_total=False
            ),
            "newest 20 threads": lambda: memory.list_threads(
                resource_id=resource, per_page=20, with_total=False
            ),
            "window around a message": lambda: memory.list_messages(
                owner, per_page=0, include=include
            ),
            "one thread": lambda: memory.get_thread_by_id(owner),
            "40 of all messages": lambda: lab.backend.sweep(MESSAGES, limit=40, after=(middle,)),
        }
        found: dict[str, float] = {}
        for name, call in calls.items():
            await call()
            times: list[float] = []
            for _ in range(15):
                begin = time.perf_counter()
                await call()
                times.append(time.perf_counter() - begin)
            found[name] = min(times)
        return found


def _least(known: dict[str, float], new: dict[str, float]) -> dict[str, float]:
    return {name: min(seconds, known.get(name, seconds)) for name, seconds in new.items()}


def _bound(seconds: float) -> float:
    return max(seconds * FACTOR, seconds + FLOOR)
