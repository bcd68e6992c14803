"""Several processes on one database: the same promises, without a common event loop."""

from __future__ import annotations

import asyncio

import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.processes import Worker, elsewhere, together
from mastra_conformance.records import saved, thread
from mastra_conformance.tiers import area, full

PROCESSES = 3


@area("concurrency")
@pytest.mark.asyncio(loop_scope="function")
class TestProcesses:
    """Other processes make their instances by the URL, or by a factory that can be pickled."""

    @full
    async def test_processes_lose_no_updates_of_each_other(self, lab: Lab) -> None:
        """Thread, resource, message, run and dataset, all changed by all of them at once."""
        elsewhere(lab)
        store, rounds = lab.store, max(3, lab.settings.rounds // 3)
        owner, messages = await saved(store.memory, 1)
        workflow, run = fresh("workflow"), fresh("run")
        dataset = await store.datasets.create_dataset("d")
        shared = {
            "thread": owner.id,
            "resource": owner.resource_id,
            "message": messages[0].id,
            "workflow": workflow,
            "run": run,
            "dataset": dataset.id,
            "rounds": rounds,
        }
        await together(lab, "update", [{**shared, "name": f"p{i}-"} for i in range(PROCESSES)])
        keys = {f"p{i}-{n}" for i in range(PROCESSES) for n in range(rounds)}
        found = await store.memory.get_thread_by_id(owner.id)
        resource = await store.memory.get_resource_by_id(owner.resource_id)
        content = (await store.memory.list_messages_by_id([messages[0].id]))[0].content
        snapshot = await store.workflows.load_workflow_snapshot(workflow_name=workflow, run_id=run)
        items = (await store.datasets.list_items(dataset.id, per_page=False)).items
        assert found is not None
        assert resource is not None
        assert snapshot is not None
        assert set(found.metadata or {}) == keys
        assert set(resource.metadata or {}) == keys
        assert set(content["metadata"]) == keys
        assert set(snapshot["context"]) == keys
        assert {item.input for item in items} == keys
        versions = sorted(item.dataset_version for item in items)
        assert versions == list(range(1, len(keys) + 1))

    @full
    async def test_processes_append_whole_batches_in_strict_order(self, lab: Lab) -> None:
        """All batches of all of them are there, each message once."""
        elsewhere(lab)
        owner = await lab.store.memory.save_thread(thread())
        shared = {"thread": owner.id, "resource": owner.resource_id, "rounds": 10, "size": 7}
        names = [fresh() for _ in range(PROCESSES)]
        await together(lab, "append", [{**shared, "name": name} for name in names])
        found = (await lab.store.memory.list_messages(owner.id, per_page=False)).messages
        wanted = {f"{name}/{b:04}/{i}" for name in names for b in range(10) for i in range(7)}
        assert {m.id for m in found} == wanted
        keys = [(m.created_at, m.id) for m in found]
        assert keys == sorted(keys)
        for name in names:
            own = [m.id for m in found if m.id.startswith(name)]
            assert own == sorted(own)

    @full
    async def test_processes_claim_each_resume_once(self, lab: Lab) -> None:
        """Every suspended run is resumed by exactly one of them."""
        elsewhere(lab)
        workflow, runs = fresh("workflow"), [fresh("run") for _ in range(lab.settings.rounds)]
        for run in runs:
            await lab.store.workflows.persist_workflow_snapshot(
                workflow_name=workflow, run_id=run, snapshot={"context": {}, "status": "suspended"}
            )
        spec = {"workflow": workflow, "runs": runs}
        claims = await together(lab, "claim", [spec] * PROCESSES)
        assert sorted(run for claim in claims for run in claim) == sorted(runs)

    @full
    async def test_processes_insert_each_id_once(self, lab: Lab) -> None:
        """Every thread belongs to the one that was told so."""
        elsewhere(lab)
        threads = [fresh("thread") for _ in range(lab.settings.rounds)]
        resources = [fresh("resource") for _ in range(PROCESSES)]
        specs = [{"threads": threads, "resource": resource} for resource in resources]
        claims = await together(lab, "insert", specs)
        assert sorted(t for claim in claims for t in claim) == sorted(threads)
        for resource, claim in zip(resources, claims, strict=True):
            page = await lab.store.memory.list_threads(resource_id=resource, per_page=False)
            assert sorted(t.id for t in page.threads) == sorted(claim)

    @full
    async def test_a_killed_process_leaves_no_half_batch(self, lab: Lab) -> None:
        """Every batch of a writer that was killed is whole or not there; others can go on."""
        where = elsewhere(lab)
        for _ in range(2):
            owner = await lab.store.memory.save_thread(thread())
            spec = {
                "thread": owner.id,
                "resource": owner.resource_id,
                "rounds": 100_000,
                "size": 40,
            }
            worker = await Worker.start(where, "append", warm=True, name=fresh(), tell=True, **spec)
            worker.go()
            for _ in range(5):
                assert await worker.line() == "more"
            await worker.end()
            found = (await lab.store.memory.list_messages(owner.id, per_page=False)).messages
            batches: dict[str, int] = {}
            for message in found:
                batch = message.id.rpartition("/")[0]
                batches[batch] = batches.get(batch, 0) + 1
            assert set(batches.values()) == {40}
            assert len(batches) >= 5
            await lab.store.memory.update_thread(owner.id, title="goes on")

    @full
    async def test_the_first_users_of_an_empty_database_do_not_collide(self, lab: Lab) -> None:
        """Several instances and several processes set up the same new database at once.

        The factory's attribute ``empty`` (or ``--storage-empty``) makes factories on new databases.
        """
        for turn in range(3):
            factory = lab.empty()
            stores = [factory() for _ in range(4)]
            resource = fresh("resource")
            try:
                await asyncio.gather(
                    *(store.memory.save_thread(thread(resource)) for store in stores)
                )
                page = await stores[0].memory.list_threads(resource_id=resource)
                assert page.total == 4
            finally:
                for store in stores:
                    await store.close()
            url = getattr(lab.empty(), "url", None)
            if url is not None and turn == 0:
                specs = [{"name": f"t{i}", "resource": resource} for i in range(PROCESSES)]
                seen = await together(lab, "first", specs, warm=False, storage={"url": url})
                assert max(seen) == PROCESSES
