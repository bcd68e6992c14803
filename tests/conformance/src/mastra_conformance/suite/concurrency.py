"""Several instances on one database at once: nothing acknowledged is lost, nothing happens twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.races import all_well, race, racing, winners
from mastra_conformance.records import message, saved, thread
from mastra_conformance.rows import at
from mastra_conformance.tiers import area, base
from mastra_core.errors import ConflictError, NotFoundError
from mastra_core.storage.store import MastraStorage

WRITERS = 8


@area("concurrency")
@pytest.mark.asyncio(loop_scope="function")
class TestLostUpdates:
    """Writers of one row all get their change in."""

    def stores(self, lab: Lab) -> list[MastraStorage]:
        """As many writers as there are, over three instances."""
        instances = [racing(lab) for _ in range(3)]
        return [instances[i % 3] for i in range(WRITERS)]

    @base
    async def test_metadata_of_a_thread(self, lab: Lab) -> None:
        """Reading, merging and writing back without a condition keeps one of many."""
        stores, owner = self.stores(lab), await lab.store.memory.save_thread(thread())
        wanted: dict[str, int] = {}
        for turn in range(lab.settings.rounds):
            keys = {f"{turn}-{i}": i for i in range(WRITERS)}
            wanted |= keys
            await all_well(
                [
                    lambda s=s, k=k: s.memory.update_thread(owner.id, metadata={k: keys[k]})  # type: ignore[misc]
                    for s, k in zip(stores, keys, strict=True)
                ]
            )
            found = await lab.store.memory.get_thread_by_id(owner.id)
            assert found is not None
            assert found.metadata == wanted

    async def test_content_of_a_message(self, lab: Lab) -> None:
        """Its metadata and its other keys, by writers of both."""
        stores = self.stores(lab)
        _, messages = await saved(lab.store.memory, 1)
        for turn in range(lab.settings.rounds):
            updates = [
                {
                    "id": messages[0].id,
                    "content": {"metadata": {f"{turn}-{i}": i}, f"k{turn}-{i}": i},
                }
                for i in range(WRITERS)
            ]
            await all_well(
                [
                    lambda s=s, u=u: s.memory.update_messages([u])  # type: ignore[misc]
                    for s, u in zip(stores, updates, strict=True)
                ]
            )
        found = (await lab.store.memory.list_messages_by_id([messages[0].id]))[0]
        count = lab.settings.rounds * WRITERS
        assert len(found.content["metadata"]) == count
        assert len([key for key in found.content if key.startswith("k")]) == count

    async def test_working_memory_and_metadata_of_a_resource(self, lab: Lab) -> None:
        """Also of one that nobody has stored before: the first writers must not erase each other."""
        stores = self.stores(lab)
        for _ in range(lab.settings.rounds):
            key = fresh("resource")
            calls: list[Callable[[], Awaitable[Any]]] = [
                lambda s=s, i=i: s.memory.update_resource(key, metadata={f"{i}": i})  # type: ignore[misc]
                for i, s in enumerate(stores)
            ]
            calls.append(lambda: stores[0].memory.update_resource(key, working_memory="w"))
            await all_well(calls)
            found = await lab.store.memory.get_resource_by_id(key)
            assert found is not None
            assert found.metadata == {f"{i}": i for i in range(WRITERS)}
            assert found.working_memory == "w"

    async def test_changes_by_functions(self, lab: Lab) -> None:
        """Of metadata and of working memory, also where the first change makes the resource."""
        stores = self.stores(lab)
        changes = 20

        def longer(text: str | None) -> str:
            return f"{text or ''}x"

        def more(metadata: dict[str, Any]) -> dict[str, Any]:
            return {"count": metadata.get("count", 0) + 1}

        for _ in range(lab.settings.rounds):
            key, owner = fresh("resource"), await lab.store.memory.save_thread(thread())
            writers = [stores[i % WRITERS].memory for i in range(changes)]
            calls: list[Callable[[], Awaitable[Any]]] = [
                lambda m=m: m.change_working_memory(key, longer)  # type: ignore[misc]
                for m in writers
            ]
            calls += [
                lambda m=m: m.change_thread_metadata(owner.id, more)  # type: ignore[misc]
                for m in writers
            ]
            await all_well(calls)
            resource = await lab.store.memory.get_resource_by_id(key)
            assert resource is not None
            assert resource.working_memory == "x" * changes
            found = await lab.store.memory.get_thread_by_id(owner.id)
            assert found is not None
            assert found.metadata == {"count": changes}

    async def test_results_of_steps(self, lab: Lab) -> None:
        """Steps, elements of a foreach, request contexts and states, of runs new and old."""
        stores = self.stores(lab)
        for turn in range(lab.settings.rounds):
            key: dict[str, Any] = {"workflow_name": fresh("workflow"), "run_id": fresh("run")}
            if turn % 2:
                snapshot: dict[str, Any] = {"context": {}, "status": "running"}
                await lab.store.workflows.persist_workflow_snapshot(**key, snapshot=snapshot)
            calls: list[Callable[[], Awaitable[Any]]] = []
            for i, store in enumerate(stores):
                output = [None] * i + [i]
                for step, result in ((f"s{i}", {"output": i}), ("each", {"output": output})):
                    calls.append(
                        lambda s=store, n=step, r=result, i=i: s.workflows.update_workflow_results(  # type: ignore[misc]
                            **key,
                            step_id=n,
                            result=r,
                            request_context={f"{i}": i},
                        )
                    )
            await all_well(calls)
            found = await lab.store.workflows.load_workflow_snapshot(**key)
            assert found is not None
            steps = {f"s{i}": {"output": i} for i in range(WRITERS)}
            assert found["context"] == {**steps, "each": {"output": list(range(WRITERS))}}
            assert found["requestContext"] == {f"{i}": i for i in range(WRITERS)}

    async def test_versions_of_a_dataset(self, lab: Lab) -> None:
        """Every change is one version, each version is used once, all items are there."""
        stores = self.stores(lab)
        owner = await lab.store.datasets.create_dataset("d")
        turns = max(3, lab.settings.rounds // 5)
        for _ in range(turns):
            await all_well(
                [
                    lambda s=s, i=i: s.datasets.add_item(owner.id, input=i)  # type: ignore[misc]
                    for i, s in enumerate(stores)
                ]
            )
        items = (await lab.store.datasets.list_items(owner.id, per_page=False)).items
        versions = (
            await lab.store.datasets.list_dataset_versions(owner.id, per_page=False)
        ).versions
        count = turns * WRITERS
        assert sorted(item.dataset_version for item in items) == list(range(1, count + 1))
        assert [v.version for v in versions] == list(range(count, 0, -1))
        found = await lab.store.datasets.get_dataset_by_id(owner.id)
        assert found is not None
        assert found.version == count

    async def test_times_of_changes_strictly_increase(self, lab: Lab) -> None:
        """Two changes of a thread never get the same ``updated_at``: it is the row's version."""
        stores, owner = self.stores(lab), await lab.store.memory.save_thread(thread())
        times: list[Any] = [owner.updated_at]
        for _ in range(5):
            changed = await all_well(
                [lambda s=s: s.memory.update_thread(owner.id, title="t") for s in stores]  # type: ignore[misc]
            )
            times += sorted(found.updated_at for found in changed)
        assert times == sorted(set(times))


@area("concurrency")
@pytest.mark.asyncio(loop_scope="function")
class TestRaces:
    """Of several that want the same thing, one gets it; the others are told."""

    async def test_a_resume_is_claimed_once(self, lab: Lab) -> None:
        """``expected_status`` in the same step as the change: else a run resumes twice."""
        stores = [racing(lab) for _ in range(3)]
        opts = {"status": "running", "expected_status": "suspended"}
        for _ in range(lab.settings.rounds):
            key: dict[str, Any] = {"workflow_name": fresh("workflow"), "run_id": fresh("run")}
            snapshot: dict[str, Any] = {"context": {}, "status": "suspended"}
            await lab.store.workflows.persist_workflow_snapshot(**key, snapshot=snapshot)
            claims = await all_well(
                [
                    lambda s=s: s.workflows.update_workflow_state(**key, opts=opts)  # type: ignore[misc]
                    for s in stores
                ]
            )
            assert [claim is not None for claim in claims].count(True) == 1

    async def test_an_id_is_inserted_once(self, lab: Lab) -> None:
        """Threads, messages, clones, datasets, experiments and results: one owner, no mixture."""
        a, b = racing(lab), racing(lab)
        owners = [await a.memory.save_thread(thread()) for _ in range(2)]
        run = await a.experiments.create_experiment(target_type="agent", target_id="a")
        for _ in range(lab.settings.rounds):
            key = fresh()
            threads = [thread(id=key, title="a"), thread(id=key, title="b")]
            outcomes = await race(
                [
                    lambda s=s, t=t: s.memory.save_thread(t)  # type: ignore[misc]
                    for s, t in zip((a, b), threads, strict=True)
                ]
            )
            won = winners(outcomes, ConflictError)
            assert len(won) == 1
            stored = await a.memory.get_thread_by_id(key)
            assert stored is not None
            assert (stored.resource_id, stored.title) == (won[0].resource_id, won[0].title)

            messages = [message(owner, 1, id=key) for owner in owners]
            outcomes = await race(
                [
                    lambda s=s, m=m: s.memory.save_messages([m])  # type: ignore[misc]
                    for s, m in zip((a, b), messages, strict=True)
                ]
            )
            won = winners(outcomes, ConflictError)
            assert len(won) == 1
            assert (await a.memory.list_messages_by_id([key]))[0].thread_id == won[0][0].thread_id

            outcomes = await race(
                [
                    lambda s=s: s.memory.clone_thread(owners[0].id, new_thread_id=f"{key}c")  # type: ignore[misc]
                    for s in (a, b)
                ]
            )
            assert len(winners(outcomes, ConflictError)) == 1
            source = (await a.memory.list_messages(owners[0].id, per_page=False)).messages
            cloned = (await a.memory.list_messages(f"{key}c", per_page=False)).messages
            assert len(cloned) == len(source)

            outcomes = await race(
                [
                    lambda s=s, o=o: s.datasets.create_dataset(  # type: ignore[misc]
                        "d", dataset_id=key, organization_id=o
                    )
                    for s, o in zip((a, b), ("org-a", "org-b"), strict=True)
                ]
            )
            assert len(winners(outcomes, ConflictError)) == 1

            outcomes = await race(
                [
                    lambda s=s, n=n: s.experiments.add_experiment_result(  # type: ignore[misc]
                        run.id,
                        item_id=key,
                        input=n,
                        started_at=at(0),
                        completed_at=at(1),
                    )
                    for n, s in enumerate((a, b))
                ]
            )
            assert len(winners(outcomes, ConflictError)) == 1
        results = await a.experiments.list_experiment_results(run.id, per_page=False)
        assert results.total == lab.settings.rounds

    async def test_handing_in_a_result_twice_makes_one(self, lab: Lab) -> None:
        """Upserts by the natural key from two instances."""
        a, b = racing(lab), racing(lab)
        run = await a.experiments.create_experiment(target_type="agent", target_id="a")
        for turn in range(lab.settings.rounds):
            made = await all_well(
                [
                    lambda s=s, n=n: s.experiments.upsert_experiment_result(  # type: ignore[misc]
                        run.id,
                        item_id=f"{turn}",
                        input=n,
                        started_at=at(0),
                        completed_at=at(1),
                    )
                    for n, s in enumerate((a, b, a, b))
                ]
            )
            assert len({result.id for result in made}) == 1
        page = await a.experiments.list_experiment_results(run.id, per_page=False)
        assert page.total == lab.settings.rounds

    async def test_a_title_is_given_once(self, lab: Lab) -> None:
        """Of several titles one is stored; metadata that change meanwhile are kept."""
        stores = [racing(lab) for _ in range(3)]
        for turn in range(lab.settings.rounds):
            owner = await lab.store.memory.save_thread(thread(title=""))
            calls: list[Callable[[], Awaitable[Any]]] = [
                lambda s=s, i=i: s.memory.set_title(owner.id, f"{i}")  # type: ignore[misc]
                for i, s in enumerate(stores)
            ]
            calls.append(lambda: stores[0].memory.update_thread(owner.id, metadata={"turn": turn}))
            outcomes = await all_well(calls)
            won = [i for i, outcome in enumerate(outcomes) if outcome is True]
            assert len(won) == 1
            found = await lab.store.memory.get_thread_by_id(owner.id)
            assert found is not None
            assert (found.title, found.metadata) == (f"{won[0]}", {"turn": turn})

    async def test_a_thread_is_created_once_by_its_first_messages(self, lab: Lab) -> None:
        """Several first messages at once: one thread, all messages."""
        stores = [racing(lab) for _ in range(2)]
        for _ in range(lab.settings.rounds):
            owner = thread()
            messages = [message(owner, n) for n in range(6)]
            await all_well(
                [
                    lambda s=stores[m % 2], m=m: s.memory.save_messages([messages[m]], create=owner)  # type: ignore[misc]
                    for m in range(6)
                ]
            )
            assert (await lab.store.memory.list_messages(owner.id)).messages == messages

    async def test_a_deleted_thread_leaves_no_messages(self, lab: Lab) -> None:
        """Messages saved while their thread is deleted are refused, or deleted with it."""
        a, b = racing(lab), racing(lab)
        for _ in range(lab.settings.rounds):
            owner, _messages = await saved(a.memory, 3)
            more = [message(owner, n) for n in range(10, 15)]
            outcomes = await race(
                [
                    lambda: b.memory.save_messages(more),
                    lambda: a.memory.delete_thread(owner.id),
                ]
            )
            winners(outcomes, NotFoundError)
            assert await a.memory.get_thread_by_id(owner.id) is None
            assert (await a.memory.list_messages(owner.id)).messages == []

    async def test_a_thread_that_moves_takes_all_its_messages_along(self, lab: Lab) -> None:
        """Those that are saved meanwhile belong to its owner, the old or the new one."""
        a, b = racing(lab), racing(lab)
        for _ in range(lab.settings.rounds):
            owner, _messages = await saved(a.memory, 2)
            new = fresh("resource")
            outcomes = await race(
                [
                    lambda: b.memory.save_messages([message(owner, 9)]),
                    lambda: a.memory.update_thread_resource_id(owner.id, resource_id=new),
                ]
            )
            winners(outcomes, NotFoundError)
            found = (await a.memory.list_messages(owner.id)).messages
            assert {m.resource_id for m in found} == {new}

    async def test_a_deleted_dataset_leaves_no_items(self, lab: Lab) -> None:
        """Items added while their dataset is deleted are refused, or deleted with it."""
        a, b = racing(lab), racing(lab)
        for _ in range(lab.settings.rounds):
            owner = await a.datasets.create_dataset("d")
            outcomes = await race(
                [
                    lambda: b.datasets.add_item(owner.id, input=1),
                    lambda: a.datasets.delete_dataset(owner.id),
                ]
            )
            winners(outcomes, NotFoundError)
            assert (await a.datasets.list_items(owner.id)).items == []
