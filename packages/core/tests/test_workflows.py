"""The workflows domain: snapshots that many steps change at once, and the list of runs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
import pytest_asyncio

from mastra_core.errors import CorruptDataError, InvalidArgumentError, NotFoundError
from mastra_core.storage.domains.workflows import WorkflowsStorage, WorkflowStateUpdate
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.schema import Put, Query, Update
from mastra_core.storage.tables import WORKFLOW_SNAPSHOT

pytestmark = pytest.mark.asyncio

T0 = datetime(2026, 1, 1, tzinfo=UTC)
KEY = {"workflow_name": "w", "run_id": "r"}
PENDING = {"__mastra_pending__": True}


class Contended(InMemoryBackend):
    """Lets every task read before any of them writes: the worst case of a race."""

    async def _find(self, table, query):
        rows = await super()._find(table, query)
        await asyncio.sleep(0)
        return rows


@pytest.fixture
def workflows():
    return WorkflowsStorage(InMemoryBackend())


def snapshot(**more):
    return {"runId": "r", "status": "running", "context": {"input": {"n": 1}}, "value": {}, **more}


async def persist(workflows, name="w", run="r", **more):
    given = {"snapshot": snapshot(runId=run), **more}
    await workflows.persist_workflow_snapshot(workflow_name=name, run_id=run, **given)


async def state(workflows, **opts):
    return await workflows.update_workflow_state(**KEY, opts=opts)


async def step(workflows, result, step_id="s", **more):
    return await workflows.update_workflow_results(**KEY, step_id=step_id, result=result, **more)


async def test_a_snapshot_comes_back_as_it_was_saved(workflows):
    deep = snapshot(
        context={"input": {"a.b": [1, 2.5, None, {"__proto__": "x"}]}, "s": {"output": []}},
        somethingNewer={"kept": [True, "é\U0001f600"]},
    )
    await persist(workflows, snapshot=deep)
    assert await workflows.load_workflow_snapshot(**KEY) == deep
    assert await workflows.load_workflow_snapshot(workflow_name="w", run_id="other") is None
    assert await workflows.load_workflow_snapshot(workflow_name="other", run_id="r") is None


async def test_saving_again_replaces_the_snapshot_but_keeps_creation_and_resource(workflows):
    await persist(workflows, resource_id="u", created_at=T0, updated_at=T0)
    await persist(workflows, snapshot=snapshot(status="success"), created_at=T0 + timedelta(1))
    run = await workflows.get_workflow_run_by_id("r")
    assert (run.created_at, run.resource_id) == (T0, "u")
    assert run.snapshot["status"] == "success"
    assert run.updated_at > T0


async def test_the_time_of_change_strictly_increases(workflows):
    seen = []
    for _ in range(3):
        await persist(workflows, updated_at=T0)
        seen.append((await workflows.get_workflow_run_by_id("r")).updated_at)
    assert seen == [T0, T0 + timedelta(milliseconds=1), T0 + timedelta(milliseconds=2)]


async def test_a_new_resource_replaces_the_old_one(workflows):
    await persist(workflows, resource_id="u")
    await persist(workflows, resource_id="v")
    assert (await workflows.get_workflow_run_by_id("r")).resource_id == "v"


async def test_what_cannot_be_a_run_is_refused_before_anything_is_written(workflows):
    for bad in (
        {"run_id": ""},
        {"workflow_name": "a\0"},
        {"snapshot": "text"},
        {"snapshot": {"x": object()}},
        {"created_at": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"resource_id": ""},
    ):
        with pytest.raises(InvalidArgumentError):
            await workflows.persist_workflow_snapshot(**{**KEY, "snapshot": snapshot(), **bad})
    assert (await workflows.list_workflow_runs()).runs == []


async def test_a_step_result_for_an_unknown_run_creates_it(workflows):
    context = await step(workflows, {"status": "success"}, request_context={"k": 1})
    assert context == {"s": {"status": "success"}}
    run = await workflows.get_workflow_run_by_id("r")
    stored = dict(run.snapshot)
    assert isinstance(stored.pop("timestamp"), int)
    assert stored == {
        "context": {"s": {"status": "success"}},
        "activePaths": [],
        "activeStepsPath": {},
        "suspendedPaths": {},
        "resumeLabels": {},
        "serializedStepGraph": [],
        "value": {},
        "waitingPaths": {},
        "status": "pending",
        "runId": "r",
        "requestContext": {"k": 1},
    }


async def test_a_step_result_keeps_everything_else(workflows):
    before = snapshot(requestContext={"a": 1, "b": 1}, somethingNewer=[1])
    await persist(workflows, snapshot=before)
    context = await step(workflows, {"status": "success", "output": (1,)}, request_context={"b": 2})
    assert context == {"input": {"n": 1}, "s": {"status": "success", "output": [1]}}
    stored = await workflows.load_workflow_snapshot(**KEY)
    assert stored == {**before, "context": context, "requestContext": {"a": 1, "b": 2}}


async def test_fifty_steps_that_report_at_once_are_all_there():
    backend = Contended()
    several = [WorkflowsStorage(backend) for _ in range(5)]
    await asyncio.gather(
        *(step(several[i % 5], {"n": i}, f"s{i}", request_context={f"k{i}": i}) for i in range(50))
    )
    stored = await several[0].load_workflow_snapshot(**KEY)
    assert stored["context"] == {f"s{i}": {"n": i} for i in range(50)}
    assert stored["requestContext"] == {f"k{i}": i for i in range(50)}


async def test_the_steps_of_one_process_do_not_lose_attempts_to_each_other():
    backend = Contended()
    workflows, reads = WorkflowsStorage(backend), []
    find = backend._find
    backend._find = lambda table, query: reads.append(1) or find(table, query)
    await asyncio.gather(*(step(workflows, {"n": i}, f"s{i}") for i in range(20)))
    assert len(reads) == 20


@pytest.mark.parametrize(
    ("stored", "new", "merged"),
    [
        ([1, None, None], [None, 2, None], [1, 2, None]),
        ([1], [None, None, 3], [1, None, 3]),
        ([1, 2], [9], [9, 2]),
        ([], [None, 1], [None, 1]),
        ([False, 0, ""], [None, None, None], [False, 0, ""]),
        ([1, None], [PENDING, 5], [1, None]),
        ([{"status": "suspended", "suspendedAt": 1}], [PENDING], [None]),
        ([{"status": "suspended", "suspendPayload": {}}], [PENDING], [None]),
        ([{"status": "suspended"}], [PENDING], [{"status": "suspended"}]),
        ([{"status": "success"}], [PENDING], [{"status": "success"}]),
        ([PENDING, None], [PENDING, PENDING, PENDING], [None, None, None]),
        ([1], [None, PENDING, 7], [1, None, None]),
        ([{**PENDING, "x": 1}], [{**PENDING, "x": 2}], [{**PENDING, "x": 2}]),
        ([1], [{"__mastra_pending__": 1}], [{"__mastra_pending__": 1}]),
    ],
)
async def test_outputs_of_a_foreach_merge_element_by_element(workflows, stored, new, merged):
    await step(workflows, {"status": "running", "a": 1, "output": stored})
    context = await step(workflows, {"status": "success", "b": 2, "output": new})
    fields = (
        {"status": "success", "b": 2} if repr(PENDING) not in repr(new) else {"status": "running"}
    )
    assert context["s"] == {"a": 1, **fields, "output": merged}


async def test_other_results_replace_the_stored_one(workflows):
    for stored, new in (
        ({"a": 1, "output": [1]}, {"b": 1, "output": {"x": 1}}),
        ({"a": 1, "output": "x"}, {"output": [None]}),
        ({"output": [1]}, {"status": "failed"}),
        ({"output": [1]}, "text"),
        (None, {"output": [1]}),
    ):
        await step(workflows, stored)
        assert (await step(workflows, new))["s"] == new


async def test_the_state_is_set_key_by_key(workflows):
    await persist(workflows, snapshot=snapshot(somethingNewer=1, error={"message": "old"}))
    changed = await state(
        workflows, status="suspended", suspendedPaths={"s": [0]}, active_paths=[1], error=None
    )
    expected = snapshot(
        status="suspended", somethingNewer=1, error=None, suspendedPaths={"s": [0]}, activePaths=[1]
    )
    assert changed == expected
    assert await workflows.load_workflow_snapshot(**KEY) == expected


async def test_the_state_of_an_unknown_run_is_none_and_creates_nothing(workflows):
    assert await state(workflows, status="success") is None
    assert await workflows.load_workflow_snapshot(**KEY) is None


async def test_an_expected_status_guards_the_write_and_is_never_stored(workflows):
    await persist(workflows)
    assert await state(workflows, status="success", expected_status="suspended") is None
    assert await state(workflows, status="success", expectedStatus=["pending", "paused"]) is None
    assert await state(workflows, status="success", expected_status=[]) is None
    assert await workflows.load_workflow_snapshot(**KEY) == snapshot()
    update = WorkflowStateUpdate(status="success", expected_status=["pending", "running"])
    assert await workflows.update_workflow_state(**KEY, opts=update) == snapshot(status="success")
    assert await workflows.load_workflow_snapshot(**KEY) == snapshot(status="success")


async def test_of_many_who_resume_a_run_one_gets_it():
    backend = Contended()
    several = [WorkflowsStorage(backend) for _ in range(10)]
    await persist(several[0], snapshot=snapshot(status="suspended"))
    claims = [state(w, status="running", expected_status="suspended", result=i)
              for i, w in enumerate(several)]  # fmt: skip
    won = [claim for claim in await asyncio.gather(*claims) if claim is not None]
    assert len(won) == 1
    assert await several[0].load_workflow_snapshot(**KEY) == won[0]


async def test_options_that_are_none_are_refused(workflows):
    await persist(workflows)
    for bad in ({"status": "x", "expectedStatuss": 1}, {"result": 1}, {"status": ""}):
        with pytest.raises(InvalidArgumentError):
            await state(workflows, **bad)
    with pytest.raises(InvalidArgumentError):
        await step(workflows, {}, "")
    with pytest.raises(InvalidArgumentError, match="result"):
        await step(workflows, {"x": object()})
    assert await workflows.load_workflow_snapshot(**KEY) == snapshot()


async def test_a_snapshot_without_context_cannot_be_updated(workflows):
    await persist(workflows, snapshot={"status": "running"})
    for attempt in (step(workflows, {}), state(workflows, status="x")):
        with pytest.raises(NotFoundError, match="Snapshot context not found for runId 'r'"):
            await attempt


async def test_snapshots_that_others_stored_oddly_are_read_as_far_as_possible(workflows):
    rows = {"twice": '"{\\"context\\": {}}"', "null": "null", "text": '"hello"', "list": "[1]"}
    for run, text in rows.items():
        row = ("w", run, None, text, T0, T0)
        await workflows.backend.write(Put(WORKFLOW_SNAPSHOT, (row,)))
    runs = {run.run_id: run.snapshot for run in (await workflows.list_workflow_runs()).runs}
    assert runs == {"twice": {"context": {}}, "null": None, "text": '"hello"', "list": "[1]"}

    async def load(run):
        return await workflows.load_workflow_snapshot(workflow_name="w", run_id=run)

    assert (await load("twice"), await load("null")) == ({"context": {}}, None)
    for run in ("text", "list"):
        with pytest.raises(CorruptDataError):
            await load(run)
    changed = await workflows.update_workflow_state(
        workflow_name="w", run_id="null", opts={"status": "running"}
    )
    assert (changed["status"], changed["context"]) == ("running", {})


async def test_a_run_without_a_time_of_change_can_be_updated(workflows):
    await persist(workflows)
    await workflows.backend.write(Update(WORKFLOW_SNAPSHOT, (), {"updatedAt": None}))
    assert (await step(workflows, 1))["s"] == 1
    rows = await workflows.backend.find(WORKFLOW_SNAPSHOT, Query(columns=("updatedAt",)))
    assert rows[0][0] > T0


async def test_runs_of_another_resource_are_as_not_there(workflows):
    await persist(workflows, resource_id="u")
    other = {**KEY, "resource_id": "v"}
    assert await workflows.load_workflow_snapshot(**other) is None
    assert await workflows.get_workflow_run_by_id("r", resource_id="v") is None
    assert await workflows.update_workflow_state(**other, opts={"status": "success"}) is None
    with pytest.raises(NotFoundError):
        await workflows.update_workflow_results(**other, step_id="s", result=1)
    await workflows.delete_workflow_run_by_id("r", workflow_name="w", resource_id="v")
    assert await workflows.load_workflow_snapshot(**KEY, resource_id="u") == snapshot()
    own = {**KEY, "resource_id": "u"}
    assert (await workflows.update_workflow_results(**own, step_id="s", result=1))["s"] == 1
    await workflows.delete_workflow_run_by_id("r", workflow_name="w", resource_id="u")
    assert await workflows.load_workflow_snapshot(**KEY) is None


async def test_a_run_created_by_a_step_belongs_to_the_resource_given(workflows):
    await step(workflows, 1, resource_id="u")
    assert (await workflows.get_workflow_run_by_id("r")).resource_id == "u"


async def test_the_newest_run_of_an_id_is_the_one_found(workflows):
    await persist(workflows, "new", created_at=T0 + timedelta(1))
    await persist(workflows, "old", created_at=T0)
    assert (await workflows.get_workflow_run_by_id("r")).workflow_name == "new"
    assert (await workflows.get_workflow_run_by_id("r", workflow_name="old")).created_at == T0
    assert await workflows.get_workflow_run_by_id("r", workflow_name="none") is None
    await workflows.delete_workflow_run_by_id("r", workflow_name="new")
    await workflows.delete_workflow_run_by_id("r", workflow_name="none")
    assert (await workflows.get_workflow_run_by_id("r")).workflow_name == "old"


async def test_names_and_ids_that_share_a_joint_are_two_runs(workflows):
    await persist(workflows, "a-b", "c", snapshot={"which": 1})
    await persist(workflows, "a", "b-c", snapshot={"which": 2})
    assert (await workflows.list_workflow_runs()).total == 2


@pytest_asyncio.fixture
async def listed(workflows):
    for i in range(6):
        await persist(
            workflows,
            f"w{i % 2}",
            f"r{i}",
            snapshot=snapshot(status="success" if i < 2 else "suspended"),
            resource_id=f"u{i % 3}",
            created_at=T0 + timedelta(days=i),
        )
    return workflows


async def ids(workflows, **asked):
    page = await workflows.list_workflow_runs(**asked)
    return " ".join(run.run_id for run in page.runs), page.total


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "r5 r4 r3 r2 r1 r0"),
        ({"workflow_name": "w0"}, "r4 r2 r0"),
        ({"resource_id": "u1"}, "r4 r1"),
        ({"status": "success"}, "r1 r0"),
        ({"status": "success", "workflow_name": "w1"}, "r1"),
        ({"status": "failed"}, ""),
        ({"from_date": T0 + timedelta(days=4)}, "r5 r4"),
        ({"to_date": T0 + timedelta(days=1)}, "r1 r0"),
        ({"from_date": T0 + timedelta(days=1), "to_date": T0 + timedelta(days=2)}, "r2 r1"),
        ({"from_date": (T0 + timedelta(5)).astimezone(timezone(timedelta(hours=9)))}, "r5"),
        ({"page": 0}, "r5 r4 r3 r2 r1 r0"),
        ({"per_page": 2}, "r5 r4 r3 r2 r1 r0"),
        ({"page": 0, "per_page": False}, "r5 r4 r3 r2 r1 r0"),
    ],
)
async def test_runs_are_listed_newest_first(listed, asked, expected):
    assert await ids(listed, **asked) == (expected, len(expected.split()))


async def test_pages_of_runs_know_the_total_unless_it_is_not_wanted(listed):
    assert await ids(listed, page=0, per_page=4) == ("r5 r4 r3 r2", 6)
    assert await ids(listed, page=1, per_page=4) == ("r1 r0", 6)
    assert await ids(listed, page=2, per_page=4) == ("", 6)
    assert await ids(listed, page=0, per_page=0) == ("", 6)
    assert await ids(listed, page=0, per_page=1, with_total=False) == ("r5", None)
    for bad in ({"page": -1, "per_page": 1}, {"page": 0, "per_page": -1}):
        with pytest.raises(InvalidArgumentError):
            await ids(listed, **bad)


async def test_runs_are_found_by_the_thread_that_their_agents_talk_in(workflows):
    memory = {"memoryInfo": {"threadId": "t"}}
    stream = {"__streamState": {"messageList": memory}}
    suspended = {"status": "suspended", "suspendPayload": stream}
    contexts = {
        "suspended": {"input": {}, "x": 1, "step": suspended},
        "durable": {"input": {"messageListState": memory}},
        "finished": {"step": {**suspended, "status": "success"}},
        "elsewhere": {"input": {"messageListState": {"memoryInfo": {"threadId": "u"}}}},
        "odd": {"input": ["t"], "step": {"status": "suspended", "suspendPayload": "t"}},
        "none": None,
    }
    for i in range(250):
        run = list(contexts)[i % len(contexts)]
        await persist(
            workflows,
            run,
            f"{i:03}",
            snapshot={"context": contexts[run]},
            created_at=T0 + timedelta(seconds=i),
        )
    page = await workflows.list_workflow_runs(thread_id="t")
    assert {run.workflow_name for run in page.runs} == {"suspended", "durable"}
    assert page.total == len(page.runs) == 84
    assert [r.run_id for r in page.runs] == sorted([r.run_id for r in page.runs], reverse=True)
    some = await workflows.list_workflow_runs(thread_id="t", page=2, per_page=10)
    assert (some.runs, some.total) == (page.runs[20:30], 84)
    quick = await workflows.list_workflow_runs(thread_id="t", page=0, per_page=3, with_total=False)
    assert (quick.runs, quick.total) == (page.runs[:3], None)
    named = await workflows.list_workflow_runs(thread_id="t", workflow_name="durable")
    assert named.total == 42
    assert (await workflows.list_workflow_runs(thread_id="nobody")).runs == []


async def test_a_thread_id_that_json_writes_otherwise_is_found_too(workflows):
    for i, thread_id in enumerate(('a"b', "a\\b", "é/\n", "plain-1.2:x")):
        memory = {"memoryInfo": {"threadId": thread_id}}
        context = {"input": {"messageListState": memory}}
        await persist(workflows, run=f"r{i}", snapshot={"context": context})
        page = await workflows.list_workflow_runs(thread_id=thread_id)
        assert [run.run_id for run in page.runs] == [f"r{i}"]


async def test_concurrent_updates_are_supported_where_the_backend_can_compare_and_set(workflows):
    class Plain(InMemoryBackend):
        capabilities = frozenset()

    assert workflows.supports_concurrent_updates() is True
    assert WorkflowsStorage(Plain()).supports_concurrent_updates() is False
