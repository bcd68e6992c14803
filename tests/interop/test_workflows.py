"""Workflow runs: snapshots, step results and states, written and changed by either side."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from mastra_core.records import WorkflowRun

from .plain import at, plain, plains

pytestmark = pytest.mark.asyncio

SNAPSHOT = {
    "runId": "run-1",
    "status": "suspended",
    "value": {"step-1": "done"},
    "context": {
        "input": {"text": "“tea”", "nothing": None, "list": []},
        "step-1": {
            "status": "success",
            "payload": {"a": 1},
            "output": {"b": [1, {"c": None}], "big": 9007199254740991, "small": -1.5e-7},
            "startedAt": 1767323045678,
            "endedAt": 1767323045679,
            "metadata": {"unknown": True},
        },
        "step-2": {
            "status": "suspended",
            "payload": {},
            "suspendPayload": {"why": "ask"},
            "startedAt": 1767323045680,
            "suspendedAt": 1767323045681,
        },
        "each": {"status": "running", "payload": [1, 2, 3], "output": [{"n": 1}, None, None]},
    },
    "serializedStepGraph": [{"type": "step", "step": {"id": "step-1"}}],
    "activePaths": [1, 0],
    "activeStepsPath": {"step-2": [1]},
    "suspendedPaths": {"step-2": [1]},
    "waitingPaths": {},
    "resumeLabels": {"ask": {"stepId": "step-2", "foreachIndex": 0}},
    "requestContext": {"user": "u"},
    "timestamp": 1767323045678,
    "tracingContext": {"traceId": "t", "spanId": "s"},
    "keyOfALaterVersion": {"executionGeneration": 3, "list": [None]},
}
RUN = {
    "workflowName": "workflow-1",
    "runId": "run-1",
    "resourceId": "resource-1",
    "snapshot": SNAPSHOT,
    "createdAt": at(0),
    "updatedAt": at(1),
}
KEY = {"workflow_name": "workflow-1", "run_id": "run-1"}
THEIR_KEY = {"workflowName": "workflow-1", "runId": "run-1"}
RESULT = {"status": "success", "payload": {}, "output": {"x": None}, "startedAt": 1, "endedAt": 2}


def run(**changes) -> dict:
    return {**RUN, **changes}


async def persist_ours(ours, sample: dict) -> None:
    record = msgspec.convert(sample, WorkflowRun)
    given = {name: getattr(record, name) for name in record.__struct_fields__}
    await ours.workflows.persist_workflow_snapshot(**given)


async def test_we_read_a_run_of_the_original(ours, theirs):
    await theirs.workflows.persistWorkflowSnapshot(**RUN)

    assert await ours.workflows.load_workflow_snapshot(**KEY) == SNAPSHOT
    assert plain(await ours.workflows.get_workflow_run_by_id("run-1")) == RUN
    assert plains((await ours.workflows.list_workflow_runs()).runs) == [RUN]


async def test_the_original_reads_a_run_of_ours(ours, theirs):
    await persist_ours(ours, RUN)

    assert await theirs.workflows.loadWorkflowSnapshot(**THEIR_KEY) == SNAPSHOT
    assert plain(await theirs.workflows.getWorkflowRunById(runId="run-1")) == RUN
    assert plains((await theirs.workflows.listWorkflowRuns())["runs"]) == [RUN]


async def test_persisting_again_keeps_the_creation_and_the_resource(ours, theirs):
    await theirs.workflows.persistWorkflowSnapshot(**RUN)
    again = run(snapshot={**SNAPSHOT, "status": "running"}, createdAt=at(50), updatedAt=at(60))
    await persist_ours(ours, {k: v for k, v in again.items() if k != "resourceId"})

    expected = {**again, "createdAt": at(0)}
    assert plain(await theirs.workflows.getWorkflowRunById(runId="run-1")) == expected

    again = run(createdAt=at(70), updatedAt=at(80))
    await theirs.workflows.persistWorkflowSnapshot(
        **{k: v for k, v in again.items() if k != "resourceId"}
    )
    expected = {**again, "createdAt": at(0)}
    assert plain(await ours.workflows.get_workflow_run_by_id("run-1")) == expected


async def test_we_store_a_steps_result_in_a_run_of_the_original(ours, theirs):
    await theirs.workflows.persistWorkflowSnapshot(**RUN)

    context = await ours.workflows.update_workflow_results(
        **KEY, step_id="step-2", result=RESULT, request_context={"more": [None]}
    )

    assert context == {**SNAPSHOT["context"], "step-2": RESULT}
    expected = {
        **SNAPSHOT,
        "context": context,
        "requestContext": {"user": "u", "more": [None]},
    }
    assert await theirs.workflows.loadWorkflowSnapshot(**THEIR_KEY) == expected


async def test_the_original_stores_a_steps_result_in_a_run_of_ours(ours, theirs):
    await persist_ours(ours, RUN)

    context = await theirs.workflows.updateWorkflowResults(
        **THEIR_KEY, stepId="step-2", result=RESULT, requestContext={"more": [None]}
    )

    assert context == {**SNAPSHOT["context"], "step-2": RESULT}
    expected = {
        **SNAPSHOT,
        "context": context,
        "requestContext": {"user": "u", "more": [None]},
    }
    assert await ours.workflows.load_workflow_snapshot(**KEY) == expected


PENDING = {"__mastra_pending__": True}
SUSPENDED = {"status": "suspended", "suspendPayload": {}, "suspendedAt": 5}
FOREACH = {
    "a new element": ([{"n": 1}, None, None], [None, {"n": 2}, None]),
    "an element again": ([{"n": 1}, {"n": 2}], [{"n": 9}, None]),
    "more elements": ([{"n": 1}], [None, None, {"n": 3}]),
    "fewer elements": ([{"n": 1}, {"n": 2}], [None]),
    "falsy elements": ([None, {"n": 2}, 1], [0, False, ""]),
    "a reset of an open element": ([None, SUSPENDED, PENDING], [PENDING, PENDING, PENDING]),
    "a reset of a finished element": ([{"n": 1}, SUSPENDED], [PENDING, {"n": 2}]),
    "no list before": ({"n": 1}, [{"n": 2}]),
    "no list now": ([{"n": 1}], {"n": 2}),
}


@pytest.mark.parametrize("case", FOREACH)
async def test_both_sides_merge_the_results_of_a_foreach_alike(ours, theirs, case):
    before, after = FOREACH[case]
    stored = {"status": "running", "payload": [], "output": before, "kept": 1}
    new = {"status": "success", "payload": [1], "output": after, "new": 2}
    for number in ("run-1", "run-2"):
        sample = run(runId=number, snapshot={**SNAPSHOT, "context": {"each": stored}})
        await theirs.workflows.persistWorkflowSnapshot(**sample)

    mine = await ours.workflows.update_workflow_results(
        workflow_name="workflow-1", run_id="run-1", step_id="each", result=new
    )
    original = await theirs.workflows.updateWorkflowResults(
        workflowName="workflow-1", runId="run-2", stepId="each", result=new, requestContext={}
    )

    assert mine == original
    assert await theirs.workflows.loadWorkflowSnapshot(**THEIR_KEY) == {
        **SNAPSHOT,
        "context": original,
    }


async def test_a_result_for_a_run_that_is_not_there_makes_the_same_snapshot(ours, theirs):
    await ours.workflows.update_workflow_results(**KEY, step_id="step-1", result=RESULT)
    await theirs.workflows.updateWorkflowResults(
        workflowName="workflow-1", runId="run-2", stepId="step-1", result=RESULT, requestContext={}
    )

    mine = await theirs.workflows.loadWorkflowSnapshot(**THEIR_KEY)
    original = await ours.workflows.load_workflow_snapshot(
        workflow_name="workflow-1", run_id="run-2"
    )
    assert mine["context"] == original["context"] == {"step-1": RESULT}
    assert mine.pop("timestamp") <= original.pop("timestamp")
    assert {**mine, "runId": "run-2"} == original


STATE = {
    "status": "success",
    "result": {"answer": None},
    "error": {"name": "Error", "message": "boom"},
    "suspendedPaths": {},
    "waitingPaths": {"w": [0]},
    "resumeLabels": {},
    "activePaths": [],
    "activeStepsPath": {},
    "tracingContext": {"traceId": "t2"},
}


async def test_we_set_the_state_of_a_run_of_the_original(ours, theirs):
    await theirs.workflows.persistWorkflowSnapshot(**RUN)

    answered = await ours.workflows.update_workflow_state(**KEY, opts=STATE)

    assert answered == {**SNAPSHOT, **STATE}
    assert await theirs.workflows.loadWorkflowSnapshot(**THEIR_KEY) == answered


async def test_the_original_sets_the_state_of_a_run_of_ours(ours, theirs):
    await persist_ours(ours, RUN)

    answered = await theirs.workflows.updateWorkflowState(**THEIR_KEY, opts=STATE)

    assert answered == {**SNAPSHOT, **STATE}
    assert await ours.workflows.load_workflow_snapshot(**KEY) == answered


async def test_an_expected_status_guards_a_run_whichever_side_wrote_it(ours, theirs):
    await theirs.workflows.persistWorkflowSnapshot(**RUN)
    wrong = {"status": "running", "expectedStatus": ["pending", "running"]}
    right = {"status": "running", "expectedStatus": "suspended"}

    assert await ours.workflows.update_workflow_state(**KEY, opts=wrong) is None
    assert await theirs.workflows.updateWorkflowState(**THEIR_KEY, opts=wrong) is None
    assert await theirs.workflows.loadWorkflowSnapshot(**THEIR_KEY) == SNAPSHOT

    # Both claim the suspended run; one gets it.
    mine = await ours.workflows.update_workflow_state(**KEY, opts=right)
    original = await theirs.workflows.updateWorkflowState(**THEIR_KEY, opts=right)
    assert mine == {**SNAPSHOT, "status": "running"}
    assert original is None


async def test_a_state_for_a_run_that_is_not_there_is_nothing_to_either_side(ours, theirs):
    assert await ours.workflows.update_workflow_state(**KEY, opts={"status": "failed"}) is None
    state = {"status": "failed"}
    assert await theirs.workflows.updateWorkflowState(**THEIR_KEY, opts=state) is None


async def test_results_that_both_sides_store_at_once_are_all_kept(ours, theirs):
    await theirs.workflows.persistWorkflowSnapshot(**RUN)
    steps = 10

    await asyncio.gather(
        *(
            theirs.workflows.updateWorkflowResults(
                **THEIR_KEY, stepId=f"theirs-{n}", result=RESULT, requestContext={f"t{n}": n}
            )
            for n in range(steps)
        ),
        *(
            ours.workflows.update_workflow_results(
                **KEY, step_id=f"ours-{n}", result=RESULT, request_context={f"o{n}": n}
            )
            for n in range(steps)
        ),
    )

    snapshot = await ours.workflows.load_workflow_snapshot(**KEY)
    expected = {f"{side}-{n}" for side in ("ours", "theirs") for n in range(steps)}
    assert snapshot["context"].keys() == expected | SNAPSHOT["context"].keys()
    assert len(snapshot["requestContext"]) == 1 + 2 * steps


def agent_run(place: str) -> dict:
    """A snapshot of a run whose agent talks in thread-1, as the agent loops leave it."""
    memory = {"memoryInfo": {"threadId": "thread-1"}}
    if place == "suspended":
        stream = {"__streamState": {"messageList": memory}}
        context = {"agent": {"status": "suspended", "suspendPayload": stream}}
    else:
        context = {"input": {"messageListState": memory}}
    return {**SNAPSHOT, "context": context}


QUERIES = {
    "everything": ({}, {}),
    "a workflow": ({"workflow_name": "workflow-1"}, {"workflowName": "workflow-1"}),
    "a status": ({"status": "success"}, {"status": "success"}),
    "a resource": ({"resource_id": "resource-1"}, {"resourceId": "resource-1"}),
    "a thread": ({"thread_id": "thread-1"}, {"threadId": "thread-1"}),
    "a thread, paged": (
        {"thread_id": "thread-1", "page": 0, "per_page": 1},
        {"threadId": "thread-1", "page": 0, "perPage": 1},
    ),
    "from": ({"from_date": at(4)}, {"fromDate": at(4)}),
    "until": ({"to_date": at(4)}, {"toDate": at(4)}),
    "a first page": ({"page": 0, "per_page": 3}, {"page": 0, "perPage": 3}),
    "a last page": ({"page": 3, "per_page": 3}, {"page": 3, "perPage": 3}),
    "all of these": (
        {"workflow_name": "workflow-0", "status": "success", "from_date": at(1)},
        {"workflowName": "workflow-0", "status": "success", "fromDate": at(1)},
    ),
    "nothing": ({"status": "canceled"}, {"status": "canceled"}),
}


async def test_both_sides_list_runs_alike(ours, theirs):
    for number in range(10):
        sample = run(
            workflowName=f"workflow-{number % 2}",
            runId=f"run-{number}",
            resourceId=f"resource-{number % 3}",
            createdAt=at(number),
            updatedAt=at(number),
            snapshot={**SNAPSHOT, "status": ("success", "failed", "success")[number % 3]},
        )
        if number in {4, 7}:
            sample["snapshot"] = agent_run("suspended" if number == 4 else "input")
        if number % 2:
            await theirs.workflows.persistWorkflowSnapshot(**sample)
        else:
            await persist_ours(ours, sample)

    for name, (mine_asked, original_asked) in QUERIES.items():
        mine = await ours.workflows.list_workflow_runs(**mine_asked)
        original = await theirs.workflows.listWorkflowRuns(**original_asked)
        assert plains(mine.runs) == plains(original["runs"]), name
        assert mine.total == original["total"], name


async def test_the_newest_run_of_an_id_is_found_by_both_sides(ours, theirs):
    for number in range(3):
        name = f"workflow-{number}"
        await persist_ours(ours, run(workflowName=name, createdAt=at(number), updatedAt=at(number)))

    mine = await ours.workflows.get_workflow_run_by_id("run-1")
    original = await theirs.workflows.getWorkflowRunById(runId="run-1")
    assert plain(mine) == plain(original)
    assert mine.workflow_name == "workflow-2"
    original = await theirs.workflows.getWorkflowRunById(runId="run-1", workflowName="workflow-1")
    mine = await ours.workflows.get_workflow_run_by_id("run-1", workflow_name="workflow-1")
    assert plain(mine) == plain(original)
    assert mine.workflow_name == "workflow-1"


async def test_a_deleted_run_is_gone_for_the_other_side(ours, theirs):
    await theirs.workflows.persistWorkflowSnapshot(**RUN)
    await persist_ours(ours, run(runId="run-2"))

    await ours.workflows.delete_workflow_run_by_id("run-1", workflow_name="workflow-1")
    assert await theirs.workflows.loadWorkflowSnapshot(**THEIR_KEY) is None
    await theirs.workflows.deleteWorkflowRunById(runId="run-2", workflowName="workflow-1")
    assert await ours.workflows.get_workflow_run_by_id("run-2") is None
