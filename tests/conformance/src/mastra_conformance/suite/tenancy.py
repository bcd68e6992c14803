"""Tenancy: with another resource's or organisation's ids everything is as if it were not there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.records import message, saved, score, span, thread
from mastra_conformance.rows import at
from mastra_conformance.tiers import area, base
from mastra_core.errors import ConflictError, NotFoundError


@area("tenancy")
@pytest.mark.asyncio(loop_scope="function")
class TestResourceScopes:
    """What belongs to one resource is not there for another."""

    @base
    async def test_threads_are_read_and_changed_by_their_owner_only(self, lab: Lab) -> None:
        """For others they are unknown, which is ``None``, an error, or silence, as for unknown ids."""
        memory, other = lab.store.memory, fresh("resource")
        owner, messages = await saved(memory, 2)
        before = await memory.get_thread_by_id(owner.id, resource_id=owner.resource_id)
        assert before is not None
        assert await memory.get_thread_by_id(owner.id, resource_id=other) is None
        with pytest.raises(NotFoundError):
            await memory.update_thread(owner.id, title="x", resource_id=other)
        await memory.delete_thread(owner.id, resource_id=other)
        assert await memory.get_thread_by_id(owner.id) == before
        assert (await memory.list_messages(owner.id)).messages == messages
        assert owner.id not in {
            t.id for t in (await memory.list_threads(resource_id=other)).threads
        }
        with pytest.raises(NotFoundError):
            await memory.clone_thread(owner.id, source_resource_id=other)
        await memory.update_thread(owner.id, title="mine", resource_id=owner.resource_id)
        await memory.delete_thread(owner.id, resource_id=owner.resource_id)
        assert await memory.get_thread_by_id(owner.id) is None

    async def test_saving_a_thread_takes_over_nobodys(self, lab: Lab) -> None:
        """A conflict: neither the thread nor its messages move."""
        memory = lab.store.memory
        owner, messages = await saved(memory, 2)
        before = await memory.get_thread_by_id(owner.id)
        with pytest.raises(ConflictError):
            await memory.save_thread(thread(id=owner.id, title="stolen"))
        with pytest.raises(ConflictError):
            await memory.clone_thread(owner.id, new_thread_id=owner.id, resource_id=fresh())
        assert await memory.get_thread_by_id(owner.id) == before
        assert (await memory.list_messages(owner.id)).messages == messages

    async def test_messages_are_read_by_their_owner_only(self, lab: Lab) -> None:
        """Lists, single ids, walks and windows; totals count nothing either."""
        memory = lab.store.memory
        owner, messages = await saved(memory, 3)
        mine, _ = await saved(memory, 1)
        ids, other = [m.id for m in messages], mine.resource_id
        include = [{"id": ids[1], "with_previous_messages": 1, "with_next_messages": 1}]
        page = await memory.list_messages(owner.id, resource_id=other, include=include)
        assert (page.messages, page.total, page.has_more) == ([], 0, False)
        page = await memory.list_messages([owner.id, mine.id], resource_id=other, include=include)
        assert [m.thread_id for m in page.messages] == [mine.id]
        page = await memory.list_messages(owner.id, resource_id=other, per_page=0, include=include)
        assert page.messages == []
        page = await memory.list_messages_by_resource_id(other, include=include)
        assert [m.thread_id for m in page.messages] == [mine.id]
        assert await memory.list_messages_by_id(ids, resource_id=other) == []
        assert [m async for m in memory.iter_messages(owner.id, resource_id=other)] == []
        assert await memory.list_messages_by_id(ids, resource_id=owner.resource_id) == messages

    async def test_messages_are_changed_by_their_owner_only(self, lab: Lab) -> None:
        """Updates and deletes with another resource find nothing, and touch no thread."""
        memory, other = lab.store.memory, fresh("resource")
        owner, messages = await saved(memory, 3)
        before = await memory.get_thread_by_id(owner.id)
        updates = [{"id": m.id, "role": "system"} for m in messages]
        assert await memory.update_messages(updates, resource_id=other) == []
        await memory.delete_messages([m.id for m in messages], resource_id=other)
        assert (await memory.list_messages(owner.id)).messages == messages
        assert await memory.get_thread_by_id(owner.id) == before
        mine = await memory.save_thread(thread(other))
        with pytest.raises(NotFoundError):
            await memory.update_messages([{"id": messages[0].id, "thread_id": mine.id}])

    async def test_messages_are_saved_only_into_ones_own_threads(self, lab: Lab) -> None:
        """A thread of another resource is not found; an id of another's message is a conflict."""
        memory = lab.store.memory
        owner, messages = await saved(memory, 2)
        mine = await memory.save_thread(thread())
        with pytest.raises(NotFoundError):
            await memory.save_messages([message(owner, 9, resource_id=mine.resource_id)])
        with pytest.raises((ConflictError, NotFoundError)):
            await memory.save_messages([message(mine, 9, id=messages[0].id)])
        with pytest.raises((ConflictError, NotFoundError)):
            await memory.save_messages(
                [message(thread(mine.resource_id, id=owner.id))], create=mine
            )
        assert (await memory.list_messages(owner.id)).messages == messages
        assert (await memory.list_messages(mine.id)).messages == []

    async def test_runs_are_read_and_changed_by_their_owner_only(self, lab: Lab) -> None:
        """Snapshots, results, states, lists and deletion."""
        workflows, mine, other = lab.store.workflows, fresh("resource"), fresh("resource")
        name, run = fresh("workflow"), fresh("run")
        key: dict[str, Any] = {"workflow_name": name, "run_id": run}
        await workflows.persist_workflow_snapshot(
            **key, snapshot={"status": "running", "context": {}}, resource_id=mine
        )
        before = await workflows.get_workflow_run_by_id(run, resource_id=mine)
        assert before is not None
        assert await workflows.load_workflow_snapshot(**key, resource_id=other) is None
        assert await workflows.get_workflow_run_by_id(run, resource_id=other) is None
        with pytest.raises(NotFoundError):
            await workflows.update_workflow_results(
                **key, step_id="s", result={}, resource_id=other
            )
        opts = {"status": "failed"}
        state = await workflows.update_workflow_state(**key, opts=opts, resource_id=other)
        assert state is None
        await workflows.delete_workflow_run_by_id(run, workflow_name=name, resource_id=other)
        assert (await workflows.list_workflow_runs(resource_id=other)).runs == []
        assert await workflows.get_workflow_run_by_id(run) == before
        await workflows.delete_workflow_run_by_id(run, workflow_name=name, resource_id=mine)
        assert await workflows.get_workflow_run_by_id(run) is None


@area("tenancy")
@pytest.mark.asyncio(loop_scope="function")
class TestOrganisationScopes:
    """What belongs to one organisation or project is not there for another."""

    async def test_scores(self, lab: Lab) -> None:
        """By id and in every list; saving over another's is a conflict."""
        scores, org = lab.store.scores, fresh("org")
        trace = fresh("trace")
        given = score(
            organization_id=org, project_id="p", trace_id=trace, span_id="s", id=fresh("score")
        )
        await scores.save_score(given)
        scopes: list[dict[str, Any]] = [
            {"organization_id": fresh("org")},
            {"organization_id": org, "project_id": "q"},
        ]
        for scope in scopes:
            assert await scores.get_score_by_id(given["id"], **scope) is None
            pages = [
                await scores.list_scores_by_scorer_id(given["scorer_id"], **scope),
                await scores.list_scores_by_run_id(given["run_id"], **scope),
                await scores.list_scores_by_entity_id(
                    given["entity_id"], entity_type="AGENT", **scope
                ),
                await scores.list_scores_by_span(trace, span_id="s", **scope),
            ]
            assert [(page.scores, page.total) for page in pages] == [([], 0)] * 4
            with pytest.raises(ConflictError):
                await scores.save_score({**given, "score": 0.0, **scope})
        found = await scores.get_score_by_id(given["id"], organization_id=org, project_id="p")
        assert found is not None
        assert found.score == given["score"]

    async def test_spans(self, lab: Lab) -> None:
        """Read, listed, changed and deleted within their organisation and resource only."""
        observability, org, trace = lab.store.observability, fresh("org"), fresh("trace")
        resource = fresh("resource")
        spans = [span(trace, n, organization_id=org, resource_id=resource) for n in range(2)]
        await observability.batch_create_spans(spans)
        scopes: list[dict[str, Any]] = [
            {"organization_id": fresh("org")},
            {"organization_id": org, "resource_id": fresh()},
        ]
        for scope in scopes:
            assert await observability.get_span(trace, span_id="s0000", **scope) is None
            assert (await observability.get_spans(trace, span_ids=["s0001"], **scope)).spans == []
            assert await observability.get_root_span(trace, **scope) is None
            assert await observability.get_trace(trace, **scope) is None
            assert await observability.get_trace_light(trace, **scope) is None
            assert await observability.get_branch(trace, span_id="s0000", **scope) is None
            assert (await observability.list_traces(trace_id=trace, **scope)).total == 0
            assert (await observability.list_branches(trace_id=trace, **scope)).total == 0
            with pytest.raises(NotFoundError):
                await observability.update_span(
                    trace, span_id="s0000", updates={"name": "x"}, **scope
                )
            await observability.batch_delete_traces([trace], **scope)
        found = await observability.get_trace(trace, organization_id=org, resource_id=resource)
        assert found is not None
        assert found.spans == spans

    async def test_datasets_and_items(self, lab: Lab) -> None:
        """Reading is empty, changing is not found, deleting is silence; nothing happens."""
        datasets, org = lab.store.datasets, fresh("org")
        owner = await datasets.create_dataset("d", organization_id=org, project_id="p")
        item = await datasets.add_item(owner.id, input=1)
        before = await datasets.get_dataset_by_id(owner.id)
        scopes: list[dict[str, Any]] = [
            {"organization_id": fresh("org")},
            {"organization_id": org, "project_id": "q"},
        ]
        for scope in scopes:
            assert await datasets.get_dataset_by_id(owner.id, **scope) is None
            assert await datasets.get_item_by_id(item.id, **scope) is None
            assert await datasets.get_item_history(item.id, **scope) == []
            assert (await datasets.list_items(owner.id, **scope)).total == 0
            assert await datasets.get_items_by_version(owner.id, version=1, **scope) == []
            assert (await datasets.list_dataset_versions(owner.id, **scope)).total == 0
            changes: list[Callable[[], Awaitable[Any]]] = [
                lambda: datasets.update_dataset(owner.id, name="x", **scope),
                lambda: datasets.add_item(owner.id, input=2, **scope),
                lambda: datasets.update_item(item.id, dataset_id=owner.id, input=2, **scope),
                lambda: datasets.batch_delete_items(owner.id, item_ids=[item.id], **scope),
                lambda: datasets.create_dataset_version(owner.id, version=9, **scope),
            ]
            for change in changes:
                with pytest.raises(NotFoundError):
                    await change()
            await datasets.delete_item(item.id, dataset_id=owner.id, **scope)
            await datasets.purge_item(item.id, dataset_id=owner.id, **scope)
            await datasets.delete_dataset(owner.id, **scope)
        assert await datasets.get_dataset_by_id(owner.id) == before
        assert await datasets.get_item_history(item.id) == [item]

    async def test_experiments_and_results(self, lab: Lab) -> None:
        """No sign of existence, and no deletion of what is another's."""
        experiments, org = lab.store.experiments, fresh("org")
        run = await experiments.create_experiment(
            target_type="agent", target_id="a", organization_id=org, project_id="p"
        )
        arguments: dict[str, Any] = {"input": 1, "started_at": at(0), "completed_at": at(1)}
        result = await experiments.add_experiment_result(run.id, item_id="i", **arguments)
        assert (result.organization_id, result.project_id) == (org, "p")
        scopes: list[dict[str, Any]] = [
            {"organization_id": fresh("org")},
            {"organization_id": org, "project_id": "q"},
        ]
        for scope in scopes:
            assert await experiments.get_experiment_by_id(run.id, **scope) is None
            assert await experiments.get_experiment_result_by_id(result.id, **scope) is None
            assert (await experiments.list_experiments(target_id="a", **scope)).total == 0
            assert (await experiments.list_experiment_results(run.id, **scope)).total == 0
            assert await experiments.get_review_summary(**scope) == []
            changes: list[Callable[[], Awaitable[Any]]] = [
                lambda: experiments.update_experiment(run.id, status="failed", **scope),
                lambda: experiments.update_experiment_result(result.id, tags=["x"], **scope),
                lambda: experiments.add_experiment_result(
                    run.id,
                    item_id="j",
                    **arguments,
                    **scope,
                ),
                lambda: experiments.upsert_experiment_result(
                    run.id,
                    item_id="i",
                    **arguments,
                    **scope,
                ),
            ]
            for change in changes:
                with pytest.raises(NotFoundError):
                    await change()
            await experiments.delete_experiment_results(run.id, **scope)
            await experiments.delete_experiment(run.id, **scope)
        assert await experiments.get_experiment_by_id(run.id) == run
        assert await experiments.get_experiment_result_by_id(result.id) == result
