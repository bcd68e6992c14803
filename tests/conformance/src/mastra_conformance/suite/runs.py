"""Lists of workflow runs."""

from __future__ import annotations

from typing import Any

import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.records import snapshot
from mastra_conformance.rows import at
from mastra_conformance.tiers import area
from mastra_core.errors import InvalidArgumentError


@area("workflows")
@pytest.mark.asyncio(loop_scope="function")
class TestRuns:
    """Lists of runs."""

    async def made(self, lab: Lab, name: str, count: int, **more: Any) -> list[str]:
        """Runs of one workflow, a millisecond apart."""
        runs = [fresh("run") for _ in range(count)]
        for i, run in enumerate(runs):
            status = "success" if i % 2 else "suspended"
            await lab.store.workflows.persist_workflow_snapshot(
                workflow_name=name,
                run_id=run,
                snapshot=snapshot(run, status=status),
                created_at=at(i),
                **more,
            )
        return runs

    async def test_runs_of_a_workflow_are_listed_newest_first(self, lab: Lab) -> None:
        """With times as times and snapshots as objects; no other workflow's."""
        workflows, name = lab.store.workflows, fresh("workflow")
        runs = await self.made(lab, name, 3)
        await self.made(lab, fresh("workflow"), 2)
        page = await workflows.list_workflow_runs(workflow_name=name)
        assert [run.run_id for run in page.runs] == runs[::-1]
        assert page.total == 3
        assert page.runs[0].created_at == at(2)
        assert page.runs[0].snapshot == snapshot(runs[2], status="suspended")
        empty = await workflows.list_workflow_runs(workflow_name=fresh("workflow"))
        assert (empty.runs, empty.total) == ([], 0)

    async def test_pages_are_counted_over_what_matches(self, lab: Lab) -> None:
        """The total is of the filters, not of the page nor of the table."""
        workflows, name = lab.store.workflows, fresh("workflow")
        runs = await self.made(lab, name, 7)
        seen: list[str] = []
        for page in range(4):
            found = await workflows.list_workflow_runs(workflow_name=name, page=page, per_page=3)
            assert found.total == 7
            seen += [run.run_id for run in found.runs]
        assert seen == runs[::-1]
        for arguments in ({"page": -1, "per_page": 1}, {"page": 0, "per_page": -1}):
            with pytest.raises(InvalidArgumentError):
                await workflows.list_workflow_runs(workflow_name=name, **arguments)  # type: ignore[arg-type]

    async def test_filters_are_joined_by_and(self, lab: Lab) -> None:
        """Name, status, resource and times of creation (both included)."""
        workflows, name, resource = lab.store.workflows, fresh("workflow"), fresh("resource")
        runs = await self.made(lab, name, 6, resource_id=resource)
        await self.made(lab, name, 2)

        async def found(**filters: Any) -> list[int]:
            page = await workflows.list_workflow_runs(workflow_name=name, **filters)
            assert page.total == len(page.runs)
            return sorted(runs.index(run.run_id) for run in page.runs)

        assert await found(resource_id=resource) == [0, 1, 2, 3, 4, 5]
        assert await found(resource_id=resource, status="success") == [1, 3, 5]
        assert await found(resource_id=resource, from_date=at(2), to_date=at(4)) == [2, 3, 4]
        assert await found(resource_id=resource, status="success", from_date=at(2)) == [3, 5]
        assert await found(resource_id=fresh()) == []
        assert await found(resource_id=resource, status="running") == []

    async def test_equal_times_are_listed_once_each_over_all_pages(self, lab: Lab) -> None:
        """Ties are broken by the run's names, newest first."""
        workflows, resource = lab.store.workflows, fresh("resource")
        for _ in range(11):
            run = fresh("run")
            await workflows.persist_workflow_snapshot(
                workflow_name=fresh("w"),
                run_id=run,
                resource_id=resource,
                snapshot=snapshot(run),
                created_at=at(0),
            )
        seen: list[tuple[str, str]] = []
        for page in range(4):
            found = await workflows.list_workflow_runs(resource_id=resource, page=page, per_page=3)
            seen += [(run.workflow_name, run.run_id) for run in found.runs]
        assert len(seen) == 11
        assert seen == sorted(seen, reverse=True)

    async def test_runs_are_found_by_the_thread_of_their_agents(self, lab: Lab) -> None:
        """Where a suspended agent step, or a durable loop's input, keeps the thread's id."""
        workflows, name, wanted = lab.store.workflows, fresh("workflow"), fresh("thread")
        info = {"memoryInfo": {"threadId": wanted}}
        payload = {"__streamState": {"messageList": info}}
        contexts: list[dict[str, Any]] = [
            {"a.b": {"status": "suspended", "suspendPayload": payload}},
            {"s": {"status": "success", "suspendPayload": payload}},
            {"input": {"messageListState": info}},
            {"input": {"other": wanted}},
            {"input": {"messageListState": {"memoryInfo": {"threadId": f"{wanted}x"}}}},
        ]
        for i, context in enumerate(contexts):
            run = fresh("run")
            await workflows.persist_workflow_snapshot(
                workflow_name=name,
                run_id=run,
                snapshot=snapshot(run, context=context, timestamp=i),
                created_at=at(i),
            )
        page = await workflows.list_workflow_runs(workflow_name=name, thread_id=wanted)
        assert [run.snapshot["timestamp"] for run in page.runs] == [2, 0]
        assert page.total == 2
