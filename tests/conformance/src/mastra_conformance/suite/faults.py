"""Faults: connections that are cut, tasks that are cancelled, callers that try again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, cast

import msgspec
import pytest

from mastra_conformance.lab import Lab, Over, fresh
from mastra_conformance.records import message, saved, score, span, thread
from mastra_conformance.rows import at
from mastra_conformance.tiers import area, base, full
from mastra_conformance.wrappers import Cut, Faulty
from mastra_core.errors import ConflictError, MastraError, UnavailableError
from mastra_core.storage.store import MastraStorage


class Case(msgspec.Struct, frozen=True):
    """A call, and what can be seen of it: told apart are before and after, and done twice."""

    name: str
    call: Callable[[MastraStorage], Awaitable[Any]]
    seen: Callable[[MastraStorage], Awaitable[Any]]


async def cases(store: MastraStorage) -> list[Case]:
    """One of each kind of writing call, on rows of its own."""
    return [*await _memory(store), *await _runs(store), *await _evaluation(store)]


async def _memory(store: MastraStorage) -> list[Case]:
    memory = store.memory
    owner, messages = await saved(memory, 4)
    other = await memory.save_thread(thread(owner.resource_id))
    gone, _ = await saved(memory, 30)
    source, _ = await saved(memory, 30)
    moved, _ = await saved(memory, 30)
    fewer, some = await saved(memory, 30)
    clone, resource, new = fresh("thread"), fresh("resource"), thread()
    batch = [message([owner, other][n % 2], 10 + n) for n in range(60)]
    first = [message(new, n) for n in range(3)]

    async def counts(s: MastraStorage, *threads: str) -> list[Any]:
        pages = [await s.memory.list_messages(t, per_page=False) for t in threads]
        found = [await s.memory.get_thread_by_id(t) for t in threads]
        owners = [t and t.resource_id for t in found]
        return [
            [len(p.messages) for p in pages],
            owners,
            {m.resource_id for m in pages[0].messages},
        ]

    async def texts(s: MastraStorage) -> Any:
        found = await s.memory.list_messages_by_id([messages[0].id, messages[1].id])
        return [m.content for m in found]

    async def shown(s: MastraStorage, thread_id: str) -> Any:
        found = await s.memory.get_thread_by_id(thread_id)
        return None if found is None else (found.title, found.metadata)

    async def kept(s: MastraStorage) -> Any:
        found = await s.memory.get_resource_by_id(resource)
        return None if found is None else (found.working_memory, found.metadata)

    content = {"metadata": {"k": 1}}
    changes = [{"id": m.id, "content": content} for m in messages[:2]]
    return [
        Case(
            "save_messages",
            lambda s: s.memory.save_messages(batch),
            lambda s: counts(s, owner.id, other.id),
        ),
        Case(
            "save_messages(create=…)",
            lambda s: s.memory.save_messages(first, create=new),
            lambda s: counts(s, new.id),
        ),
        Case(
            "update_messages",
            lambda s: s.memory.update_messages(changes),
            texts,
        ),
        Case(
            "delete_messages",
            lambda s: s.memory.delete_messages([m.id for m in some[:20]]),
            lambda s: counts(s, fewer.id),
        ),
        Case(
            "update_thread",
            lambda s: s.memory.update_thread(other.id, title="t", metadata={"k": 1}),
            lambda s: shown(s, other.id),
        ),
        Case(
            "delete_thread", lambda s: s.memory.delete_thread(gone.id), lambda s: counts(s, gone.id)
        ),
        Case(
            "update_thread_resource_id",
            lambda s: s.memory.update_thread_resource_id(moved.id, resource_id=resource),
            lambda s: counts(s, moved.id),
        ),
        Case(
            "clone_thread",
            lambda s: s.memory.clone_thread(source.id, new_thread_id=clone),
            lambda s: counts(s, clone),
        ),
        Case(
            "update_resource",
            lambda s: s.memory.update_resource(resource, working_memory="w", metadata={"k": 1}),
            kept,
        ),
    ]


async def _runs(store: MastraStorage) -> list[Case]:
    key: dict[str, Any] = {"workflow_name": fresh("workflow"), "run_id": fresh("run")}
    trace, given = fresh("trace"), score(id=fresh("score"))
    spans = [span(trace, n) for n in range(30)]
    snapshot: dict[str, Any] = {"context": {}, "status": "suspended"}
    updates = [{"traceId": trace, "spanId": s.span_id, "updates": {"name": "new"}} for s in spans]
    await store.workflows.persist_workflow_snapshot(**key, snapshot=snapshot)

    async def loaded(s: MastraStorage) -> Any:
        return await s.workflows.load_workflow_snapshot(**key)

    async def names(s: MastraStorage) -> Any:
        found = await s.observability.get_trace(trace)
        return None if found is None else [one.name for one in found.spans]

    return [
        Case(
            "update_workflow_results",
            lambda s: s.workflows.update_workflow_results(
                **key, step_id="s", result={"output": [1]}, request_context={"k": 1}
            ),
            loaded,
        ),
        Case(
            "update_workflow_state",
            lambda s: s.workflows.update_workflow_state(
                **key, opts={"status": "running", "expected_status": "suspended"}
            ),
            loaded,
        ),
        Case(
            "save_score",
            lambda s: s.scores.save_score(given),
            lambda s: _total(s.scores.list_scores_by_run_id(given["run_id"])),
        ),
        Case("batch_create_spans", lambda s: s.observability.batch_create_spans(spans), names),
        Case("batch_update_spans", lambda s: s.observability.batch_update_spans(updates), names),
        Case("batch_delete_traces", lambda s: s.observability.batch_delete_traces([trace]), names),
    ]


async def _evaluation(store: MastraStorage) -> list[Case]:
    datasets, experiments = store.datasets, store.experiments
    owner, gone = await datasets.create_dataset("d"), await datasets.create_dataset("e")
    items = await datasets.batch_insert_items(owner.id, items=[{"input": n} for n in range(20)])
    await datasets.add_item(gone.id, input=1)
    run = await experiments.create_experiment(target_type="agent", target_id="a")
    new = [{"input": n, "external_id": f"e{n}"} for n in range(40)]

    async def standing(s: MastraStorage) -> Any:
        found = await s.datasets.get_dataset_by_id(owner.id)
        page = await s.datasets.list_items(owner.id, per_page=False)
        versions = await s.datasets.list_dataset_versions(owner.id)
        history = [len(await s.datasets.get_item_history(item.id)) for item in items[:3]]
        inputs = sorted(str(item.input) for item in page.items)
        return (found and found.version, inputs, versions.total, history)

    async def left(s: MastraStorage) -> Any:
        found = await s.datasets.get_dataset_by_id(gone.id)
        return (found and found.id, await _total(s.datasets.list_items(gone.id)))

    return [
        Case(
            "batch_insert_items",
            lambda s: s.datasets.batch_insert_items(owner.id, items=new),
            standing,
        ),
        Case(
            "batch_delete_items",
            lambda s: s.datasets.batch_delete_items(owner.id, item_ids=[i.id for i in items[5:15]]),
            standing,
        ),
        Case("delete_dataset", lambda s: s.datasets.delete_dataset(gone.id), left),
        Case(
            "upsert_experiment_result",
            lambda s: s.experiments.upsert_experiment_result(
                run.id, item_id="i", input=1, started_at=at(0), completed_at=at(1)
            ),
            lambda s: _total(s.experiments.list_experiment_results(run.id)),
        ),
        Case(
            "delete_experiment",
            lambda s: s.experiments.delete_experiment(run.id),
            lambda s: _total(s.experiments.list_experiment_results(run.id)),
        ),
    ]


async def _total(page: Awaitable[Any]) -> Any:
    return (await page).total


@area("faults")
@pytest.mark.asyncio(loop_scope="function")
class TestCuts:
    """Cut at every operation of every call: all or nothing, and trying again makes it once."""

    @base
    async def test_a_write_that_was_not_sent_changed_nothing(self, lab: Lab) -> None:
        """The error is ``UnavailableError``: the same call may succeed later, and does."""
        store = Over(lab.open(), Faulty)
        owner = await store.memory.save_thread(thread())
        store.wrapper.plan = ["before"]
        with pytest.raises(UnavailableError):
            await store.memory.save_messages([message(owner, n) for n in range(60)])
        assert (await store.memory.list_messages(owner.id)).messages == []
        await store.memory.save_messages([message(owner, n) for n in range(60)])
        assert (await store.memory.list_messages(owner.id)).total == 60

    async def test_calls_that_are_cut_before_are_done_once_by_trying_again(self, lab: Lab) -> None:
        """Whichever operation of the call is cut, nothing is half done."""
        await self._cut(lab, "before")

    async def test_calls_that_are_cut_behind_are_done_once_by_trying_again(self, lab: Lab) -> None:
        """The write was done and nobody heard of it: trying again must not double it."""
        await self._cut(lab, "after")

    async def _cut(self, lab: Lab, cut: Cut) -> None:
        probe = Over(lab.open(), Faulty)
        wanted = {}
        for case in await cases(probe):
            await case.call(probe)
            wanted[case.name] = await case.seen(probe)
        store = Over(lab.open(), Faulty)
        for case in await cases(store):
            before = await case.seen(store)
            for position in range(20):
                store.wrapper.plan = [*([None] * position), cut]
                try:
                    await case.call(store)
                except UnavailableError:
                    pass
                except ConflictError:
                    assert case.name == "clone_thread", case.name
                reached, store.wrapper.plan = not store.wrapper.plan, []
                seen = await case.seen(store)
                if not reached:
                    break
                assert seen == before or _shape(seen) == _shape(wanted[case.name]), case.name
            else:
                raise AssertionError(f"{case.name} takes more than 20 operations")
            assert _shape(await case.seen(store)) == _shape(wanted[case.name]), case.name

    async def test_a_busy_database_is_an_error_of_its_own_kind(self, lab: Lab) -> None:
        """Not a conflict: otherwise the caller's loop would spin, or give up for the wrong reason."""
        store = Over(lab.open(), Faulty)
        owner = await store.memory.save_thread(thread())
        for plan in (["before"], [None, "before"]):
            store.wrapper.plan = list(plan)  # type: ignore[arg-type]
            with pytest.raises(UnavailableError):
                await store.memory.update_thread(owner.id, metadata={"k": 1})
            store.wrapper.plan = []
        assert await store.memory.get_thread_by_id(owner.id) == owner


def _shape(seen: Any) -> Any:
    """What was seen, without the names that differ from run to run."""
    if isinstance(seen, str) and len(seen) > 32:
        return "name"
    if isinstance(seen, dict):
        return {k: _shape(value) for k, value in cast("dict[str, Any]", seen).items()}
    if isinstance(seen, (list, tuple)):
        return [_shape(value) for value in cast("Sequence[Any]", seen)]
    return (
        {_shape(value) for value in cast("Iterable[Any]", seen)} if isinstance(seen, set) else seen
    )


@area("faults")
@pytest.mark.asyncio(loop_scope="function")
class TestCancellation:
    """Tasks that are cancelled, and instances that are closed, in the middle of their work."""

    async def test_a_cancelled_write_is_whole_or_not_there(self, lab: Lab) -> None:
        """Whenever it is cancelled; the next write of the same instance works."""
        store, chance = lab.store, random.Random(lab.settings.seed)
        owner = await store.memory.save_thread(thread())
        for turn in range(lab.settings.rounds):
            batch = [message(owner, turn * 100 + n) for n in range(40)]
            task = asyncio.create_task(store.memory.save_messages(batch))
            for _ in range(chance.randrange(12)):
                await asyncio.sleep(0)
            if turn % 2:
                await asyncio.sleep(chance.random() * 0.004)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            found = await store.memory.list_messages_by_id([m.id for m in batch])
            assert len(found) in {0, 40}
            await store.memory.update_thread(owner.id, metadata={f"{turn}": turn})
        changed = await store.memory.get_thread_by_id(owner.id)
        assert changed is not None
        assert len(changed.metadata or {}) == lab.settings.rounds

    async def test_cancelled_calls_leak_nothing(self, lab: Lab) -> None:
        """A hundred of them, and then as many at once as before all get their turn."""
        store = lab.store
        owner, messages = await saved(store.memory, 50)
        for turn in range(4):
            tasks = [
                asyncio.create_task(
                    store.memory.list_messages(owner.id)
                    if n % 2
                    else store.memory.update_thread(owner.id, title=str(n))
                )
                for n in range(25)
            ]
            for _ in range(turn * 3):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(30):
            pages = await asyncio.gather(*(store.memory.list_messages(owner.id) for _ in range(50)))
        assert all(page.total == len(messages) for page in pages)

    async def test_a_timeout_is_the_callers_own(self, lab: Lab) -> None:
        """``asyncio.timeout`` around a call ends it; it is neither swallowed nor made another error."""
        store = Over(lab.open(), Slow)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await store.memory.save_thread(thread())
        owner = await lab.store.memory.save_thread(thread())
        assert await lab.store.memory.get_thread_by_id(owner.id) == owner

    @full
    async def test_closing_while_others_use_it_breaks_nothing(self, lab: Lab) -> None:
        """Calls succeed or say that they could not; afterwards the instance works again."""
        store = lab.open()
        owner, _ = await saved(store.memory, 20)

        async def use(n: int) -> None:
            for i in range(5):
                try:
                    await store.memory.update_thread(owner.id, metadata={f"{n}-{i}": 1})
                except MastraError:
                    await asyncio.sleep(0)

        async def close() -> None:
            for _ in range(3):
                await asyncio.sleep(0.002)
                await store.close()

        await asyncio.gather(*(use(n) for n in range(6)), close())
        await store.memory.update_thread(owner.id, title="works")
        found = await lab.store.memory.get_thread_by_id(owner.id)
        assert found is not None
        assert found.title == "works"


class Slow(Faulty):
    """Every operation takes longer than anybody waits."""

    async def around(self, what: str, do: Callable[[], Awaitable[Any]]) -> Any:
        """One operation, after a long while."""
        await asyncio.sleep(60)
        return await do()
