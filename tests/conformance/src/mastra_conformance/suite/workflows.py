"""Workflows: snapshots of runs, and the merging of what steps report."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.records import kept, snapshot
from mastra_conformance.rows import at
from mastra_conformance.tiers import area, base
from mastra_core.errors import InvalidArgumentError, NotFoundError


@area("workflows")
@pytest.mark.asyncio(loop_scope="function")
class TestSnapshots:
    """Whole snapshots."""

    @base
    async def test_a_persisted_snapshot_is_loaded(self, lab: Lab) -> None:
        """Deeply nested, with keys that this version does not know; unknown runs are ``None``."""
        workflows = lab.store.workflows
        deep: dict[str, Any] = {"leaf": [None, True, 1.5, "x"]}
        for i in range(40):
            deep = {f"level{i}": [deep, []]}
        name, run = await kept(workflows, context={"input": deep, "s": {}}, ofTheFuture={"a": []})
        found = await workflows.load_workflow_snapshot(workflow_name=name, run_id=run)
        assert found == snapshot(run, context={"input": deep, "s": {}}, ofTheFuture={"a": []})
        assert await workflows.load_workflow_snapshot(workflow_name=name, run_id=fresh()) is None
        assert await workflows.load_workflow_snapshot(workflow_name=fresh(), run_id=run) is None

    async def test_empty_lists_and_objects_stay_what_they_are(self, lab: Lab) -> None:
        """Some scripting languages inside databases turn ``[]`` into ``{}``."""
        workflows = lab.store.workflows
        context: dict[str, Any] = {"a": [], "b": {}, "c": [[]], "d": [{}], "e": None}
        name, run = await kept(workflows, context=context)
        found = await workflows.update_workflow_results(
            workflow_name=name, run_id=run, step_id="s", result={"output": []}
        )
        assert found == {**context, "s": {"output": []}}
        loaded = await workflows.load_workflow_snapshot(workflow_name=name, run_id=run)
        assert loaded is not None
        assert loaded["context"] == found
        assert loaded["activePaths"] == []

    async def test_persisting_again_replaces_but_keeps_what_made_the_run(self, lab: Lab) -> None:
        """``created_at`` is the first one; so is the resource, where none is given."""
        workflows, name, run = lab.store.workflows, fresh("workflow"), fresh("run")
        resource = fresh("resource")
        await workflows.persist_workflow_snapshot(
            workflow_name=name,
            run_id=run,
            resource_id=resource,
            snapshot=snapshot(run),
            created_at=at(1),
            updated_at=at(1),
        )
        await workflows.persist_workflow_snapshot(
            workflow_name=name,
            run_id=run,
            snapshot=snapshot(run, status="success"),
            created_at=at(5),
            updated_at=at(0),
        )
        found = await workflows.get_workflow_run_by_id(run, workflow_name=name)
        assert found is not None
        assert (found.created_at, found.updated_at) == (at(1), at(2))
        assert (found.resource_id, found.snapshot["status"]) == (resource, "success")

    async def test_runs_are_known_by_both_names(self, lab: Lab) -> None:
        """``a-b`` + ``c`` is not ``a`` + ``b-c``; a run id alone finds the newest."""
        workflows, stem = lab.store.workflows, fresh()
        pairs = [(f"{stem}-b", "c"), (stem, "b-c"), (f"{stem}:b", "c"), (stem, "b:c")]
        for i, (name, run) in enumerate(pairs):
            await workflows.persist_workflow_snapshot(
                workflow_name=name, run_id=run, snapshot=snapshot(run, timestamp=i)
            )
        for i, (name, run) in enumerate(pairs):
            found = await workflows.load_workflow_snapshot(workflow_name=name, run_id=run)
            assert found is not None
            assert found["timestamp"] == i
        run = fresh("run")
        for i, name in enumerate(("first", "last", "middle")):
            await workflows.persist_workflow_snapshot(
                workflow_name=name, run_id=run, snapshot=snapshot(run), created_at=at([0, 9, 5][i])
            )
        newest = await workflows.get_workflow_run_by_id(run)
        assert newest is not None
        assert newest.workflow_name == "last"
        for name in ("first", "last", "middle"):
            await workflows.delete_workflow_run_by_id(run, workflow_name=name)

    async def test_a_run_is_deleted(self, lab: Lab) -> None:
        """That one only; unknown ones are no error."""
        workflows = lab.store.workflows
        name, run = await kept(workflows)
        other = fresh("run")
        await workflows.persist_workflow_snapshot(
            workflow_name=name, run_id=other, snapshot=snapshot(other)
        )
        await workflows.delete_workflow_run_by_id(run, workflow_name=fresh())
        assert await workflows.get_workflow_run_by_id(run) is not None
        await workflows.delete_workflow_run_by_id(run, workflow_name=name)
        await workflows.delete_workflow_run_by_id(run, workflow_name=name)
        assert await workflows.get_workflow_run_by_id(run) is None
        assert await workflows.get_workflow_run_by_id(other) is not None

    async def test_invalid_runs_are_refused(self, lab: Lab) -> None:
        """No names, what is no snapshot, what is no JSON, unknown keys of a state."""
        workflows = lab.store.workflows
        name, run = await kept(workflows)
        invalid: list[dict[str, Any]] = [
            {"workflow_name": "", "run_id": run, "snapshot": {}},
            {"workflow_name": name, "run_id": "", "snapshot": {}},
            {"workflow_name": name, "run_id": run, "snapshot": "text"},
            {"workflow_name": name, "run_id": run, "snapshot": {"a": object()}},
        ]
        for arguments in invalid:
            with pytest.raises(InvalidArgumentError):
                await workflows.persist_workflow_snapshot(**arguments)
        for opts in ({}, {"status": "x", "unknown": 1}, {"status": ""}, {"result": 1}):
            with pytest.raises(InvalidArgumentError):
                await workflows.update_workflow_state(workflow_name=name, run_id=run, opts=opts)
        with pytest.raises(InvalidArgumentError):
            await workflows.update_workflow_results(
                workflow_name=name, run_id=run, step_id="", result={}
            )


@area("workflows")
@pytest.mark.asyncio(loop_scope="function")
class TestSteps:
    """What steps report, and states."""

    async def report(
        self, lab: Lab, name: str, run: str, step: str, result: Any, **more: Any
    ) -> Any:
        """Store one result; the step as it then is."""
        context = await lab.store.workflows.update_workflow_results(
            workflow_name=name, run_id=run, step_id=step, result=result, **more
        )
        loaded = await lab.store.workflows.load_workflow_snapshot(workflow_name=name, run_id=run)
        assert loaded is not None
        assert loaded["context"] == context
        return context[step]

    async def test_a_result_is_stored_under_its_step(self, lab: Lab) -> None:
        """Others stay; step ids may have dots, dollars and quotes; values are data, not formulas."""
        name, run = await kept(lab.store.workflows)
        result = {
            "status": "success",
            "output": {"$sum": [1, "$a"], "b.c": "$$ROOT"},
            "payload": {},
        }
        steps = ["plain", "a.b", "$step", "x'y\"z", "ключ", "0", "a[0]"]
        for step in steps:
            assert await self.report(lab, name, run, step, result) == result
        loaded = await lab.store.workflows.load_workflow_snapshot(workflow_name=name, run_id=run)
        assert loaded is not None
        assert loaded["context"] == {"input": {"a": 1}, **dict.fromkeys(steps, result)}
        assert {k: v for k, v in loaded.items() if k != "context"} == {
            k: v for k, v in snapshot(run).items() if k != "context"
        }

    async def test_a_result_moves_the_runs_time_on(self, lab: Lab) -> None:
        """So does a state; the time of creation stays."""
        workflows = lab.store.workflows
        name, run = await kept(workflows)
        times: list[datetime] = []
        for i in range(6):
            found = await workflows.get_workflow_run_by_id(run)
            assert found is not None
            times.append(found.updated_at)
            if i % 2:
                await self.report(lab, name, run, "s", {"n": i})
            else:
                opts = {"status": "running"}
                await workflows.update_workflow_state(workflow_name=name, run_id=run, opts=opts)
        assert times == sorted(set(times))

    async def test_request_contexts_are_merged(self, lab: Lab) -> None:
        """Shallowly, over what is stored."""
        name, run = await kept(lab.store.workflows, requestContext={"a": 1, "b": {"x": 1}})
        await self.report(lab, name, run, "s", {}, request_context={"b": {"y": 1}, "c": None})
        loaded = await lab.store.workflows.load_workflow_snapshot(workflow_name=name, run_id=run)
        assert loaded is not None
        assert loaded["requestContext"] == {"a": 1, "b": {"y": 1}, "c": None}

    async def test_a_result_of_an_unknown_run_makes_it(self, lab: Lab) -> None:
        """With an empty snapshot around it; a state of an unknown run is ``None`` and makes none."""
        workflows, name, run = lab.store.workflows, fresh("workflow"), fresh("run")
        opts = {"status": "running"}
        state = await workflows.update_workflow_state(workflow_name=name, run_id=run, opts=opts)
        assert state is None
        assert await workflows.load_workflow_snapshot(workflow_name=name, run_id=run) is None
        await self.report(lab, name, run, "s", {"status": "success"})
        found = await workflows.load_workflow_snapshot(workflow_name=name, run_id=run)
        assert found is not None
        assert (found["status"], found["runId"]) == ("pending", run)
        assert found["serializedStepGraph"] == []

    async def test_outputs_of_a_foreach_are_merged_by_element(self, lab: Lab) -> None:
        """``null`` erases nothing, new elements replace, more of them make the list longer."""
        name, run = await kept(lab.store.workflows)
        await self.report(
            lab, name, run, "s", {"status": "running", "output": [1, None, 3], "x": 1}
        )
        found = await self.report(lab, name, run, "s", {"status": "success", "output": [None, 2]})
        assert found == {"status": "success", "output": [1, 2, 3], "x": 1}
        found = await self.report(lab, name, run, "s", {"output": [9, None, None, None, 5]})
        assert found["output"] == [9, 2, 3, None, 5]
        found = await self.report(lab, name, run, "s", {"output": "no list"})
        assert found == {"output": "no list"}

    async def test_pending_marks_reset_only_what_has_not_finished(self, lab: Lab) -> None:
        """Suspended and pending elements become ``null``, finished ones stay, fields stay."""
        name, run = await kept(lab.store.workflows)
        pending = {"__mastra_pending__": True}
        suspended: dict[str, Any] = {"status": "suspended", "suspendPayload": {}, "suspendedAt": 1}
        done = {"status": "success", "output": 1}
        await self.report(
            lab, name, run, "s", {"output": [done, suspended, None, suspended], "x": 1}
        )
        new = {"output": [pending, pending, pending, None, 7], "x": 2}
        found = await self.report(lab, name, run, "s", new)
        assert found == {"output": [done, None, None, suspended, None], "x": 1}

    async def test_a_state_is_merged_into_the_snapshot(self, lab: Lab) -> None:
        """Given keys replace, ``None`` is stored, the rest stays; the condition is never stored."""
        workflows = lab.store.workflows
        name, run = await kept(workflows, result={"old": 1}, ofTheFuture=1)
        changed = await workflows.update_workflow_state(
            workflow_name=name,
            run_id=run,
            opts={
                "status": "suspended",
                "result": None,
                "suspendedPaths": {"s": [0, 1]},
                "resume_labels": {"l": {"stepId": "s"}},
                "expectedStatus": "running",
            },
        )
        wanted = snapshot(
            run,
            status="suspended",
            result=None,
            ofTheFuture=1,
            suspendedPaths={"s": [0, 1]},
            resumeLabels={"l": {"stepId": "s"}},
        )
        assert changed == wanted
        assert await workflows.load_workflow_snapshot(workflow_name=name, run_id=run) == wanted

    async def test_an_expected_status_is_a_condition(self, lab: Lab) -> None:
        """One or several; where it does not hold nothing is written, not even the time."""
        workflows = lab.store.workflows
        name, run = await kept(workflows, status="suspended")
        before = await workflows.get_workflow_run_by_id(run)
        for expected in ("running", ["running", "waiting"], []):
            opts = {"status": "running", "expected_status": expected}
            changed = await workflows.update_workflow_state(
                workflow_name=name, run_id=run, opts=opts
            )
            assert changed is None
        assert await workflows.get_workflow_run_by_id(run) == before
        opts = {"status": "running", "expected_status": ["waiting", "suspended"]}
        assert await workflows.update_workflow_state(workflow_name=name, run_id=run, opts=opts)
        assert not await workflows.update_workflow_state(workflow_name=name, run_id=run, opts=opts)

    async def test_a_snapshot_without_context_cannot_be_updated(self, lab: Lab) -> None:
        """It is no run of this framework; it stays as it is."""
        workflows, name, run = lab.store.workflows, fresh("workflow"), fresh("run")
        await workflows.persist_workflow_snapshot(
            workflow_name=name, run_id=run, snapshot={"status": "x"}
        )
        with pytest.raises(NotFoundError):
            await self.report(lab, name, run, "s", {})
        found = await workflows.load_workflow_snapshot(workflow_name=name, run_id=run)
        assert found == {"status": "x"}
