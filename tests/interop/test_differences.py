"""Where the original's other domains lose or mix up data, and ours do not (see README.md)."""

from __future__ import annotations

import msgspec
import pytest

from mastra_core.errors import ConflictError, InvalidArgumentError, NotFoundError
from mastra_libsql import LibSQLStore

from . import test_datasets as datasets
from . import test_experiments as experiments
from .original import OriginalError
from .plain import at, plain
from .test_observability import SPAN, camel, create_ours, span, unstamped
from .test_scores import SCORE, save_ours, score
from .test_workflows import KEY, RUN, SNAPSHOT, THEIR_KEY, run

pytestmark = [pytest.mark.asyncio, pytest.mark.only("libsql")]


async def test_a_state_of_a_run_is_a_change_of_the_run(ours, theirs):
    await theirs.workflows.persistWorkflowSnapshot(**RUN)

    await theirs.workflows.updateWorkflowState(**THEIR_KEY, opts={"status": "running"})
    assert (await ours.workflows.get_workflow_run_by_id("run-1")).updated_at == RUN["updatedAt"]
    await ours.workflows.update_workflow_state(**KEY, opts={"status": "running"})
    assert (await ours.workflows.get_workflow_run_by_id("run-1")).updated_at > RUN["updatedAt"]


async def test_a_runs_time_of_change_does_not_go_back(ours, theirs):
    await theirs.workflows.persistWorkflowSnapshot(**run(updatedAt=at(50)))

    again = {**KEY, "snapshot": SNAPSHOT, "updated_at": at(10)}
    await ours.workflows.persist_workflow_snapshot(**again)
    assert (await ours.workflows.get_workflow_run_by_id("run-1")).updated_at == at(51)
    await theirs.workflows.persistWorkflowSnapshot(**run(updatedAt=at(10)))
    assert (await ours.workflows.get_workflow_run_by_id("run-1")).updated_at == at(10)


async def test_a_page_before_the_first_is_refused(ours, theirs):
    await theirs.workflows.persistWorkflowSnapshot(**RUN)

    assert len((await theirs.workflows.listWorkflowRuns(page=-1, perPage=5))["runs"]) == 1
    with pytest.raises(InvalidArgumentError, match="page"):
        await ours.workflows.list_workflow_runs(page=-1, per_page=5)


async def test_a_score_saved_again_keeps_its_time_of_creation(ours, theirs):
    await save_ours(ours, SCORE)
    await save_ours(ours, {**SCORE, "createdAt": at(70), "updatedAt": at(70)})
    stored = await ours.scores.get_score_by_id("score-1")
    assert (stored.created_at, stored.updated_at) == (at(0), at(70))

    await theirs.scores.saveScore(unstamped_score(SCORE))
    assert (await ours.scores.get_score_by_id("score-1")).created_at != at(0)


def unstamped_score(sample: dict) -> dict:
    return {name: value for name, value in sample.items() if not name.endswith("edAt")}


async def test_a_score_of_another_organization_is_not_taken_over_by_its_id(ours, theirs):
    await save_ours(ours, SCORE)
    await save_ours(ours, score(2))
    stolen = {"organizationId": "organization-2", "reason": "stolen"}

    await theirs.scores.saveScore(unstamped_score({**SCORE, **stolen}))
    assert (await ours.scores.get_score_by_id("score-1")).reason == "stolen"
    with pytest.raises(ConflictError, match="score-2"):
        await save_ours(ours, score(2, **stolen))
    assert (await theirs.scores.getScoreById(id="score-2"))["reason"] == SCORE["reason"]


async def test_times_of_scores_are_times(ours, theirs):
    await save_ours(ours, SCORE)

    assert isinstance((await theirs.scores.getScoreById(id="score-1"))["createdAt"], str)
    assert (await ours.scores.get_score_by_id("score-1")).created_at == at(0)


async def test_scores_of_one_time_have_one_order(ours, theirs):
    for number in ("c", "a", "b"):
        await save_ours(ours, {**SCORE, "id": number})

    paged = [
        (await ours.scores.list_scores_by_run_id("run-1", page=page, per_page=1)).scores[0].id
        for page in range(3)
    ]
    assert paged == ["c", "b", "a"]
    listed = await theirs.scores.listScoresByRunId(
        runId="run-1", pagination={"page": 0, "perPage": 9}
    )
    assert {one["id"] for one in listed["scores"]} == set(paged)


TRACES = {
    "a number in the metadata": ({"metadata": {"n": 1}}, ["trace-1"], ["trace-2"]),
    "truth in the metadata": ({"metadata": {"yes": True}}, ["trace-1"], []),
    "a trace": ({"trace_id": "trace-1"}, ["trace-1"], ["trace-2", "trace-1"]),
    "an experiment": ({"experiment_id": "nobody"}, [], ["trace-2", "trace-1"]),
    "a version": ({"entity_version_id": "nobody"}, [], ["trace-2", "trace-1"]),
    "the parent": ({"parent_entity_id": "nobody"}, [], ["trace-2", "trace-1"]),
    "an open end": (
        {"started_at": {"start": at(1), "startExclusive": True}},
        ["trace-2"],
        ["trace-2", "trace-1"],
    ),
}


@pytest.mark.parametrize("case", TRACES)
async def test_no_filter_of_traces_is_passed_over(ours, theirs, case):
    filters, expected, original = TRACES[case]
    await create_ours(ours, span(1, metadata={"n": 1, "yes": True}), span(2, metadata={"n": "1"}))

    mine = await ours.observability.list_traces(**filters)
    assert [s.trace_id for s in mine.spans] == expected
    given = {camel(name): value for name, value in filters.items()}
    found = await theirs.observability.listTraces(filters=given)
    assert [s["traceId"] for s in found["spans"]] == original


async def test_an_update_of_a_span_that_is_not_there_is_an_error(ours, theirs):
    await theirs.observability.updateSpan(traceId="t", spanId="s", updates={"name": "x"})
    with pytest.raises(NotFoundError, match="'s'"):
        await ours.observability.update_span("t", span_id="s", updates={"name": "x"})


async def test_a_span_recorded_again_keeps_its_time_of_creation(ours, theirs):
    await create_ours(ours, SPAN)
    await create_ours(ours, {**SPAN, "createdAt": at(70)})
    stored = await ours.observability.get_span("trace-1", span_id="span-1")
    assert stored.created_at == SPAN["createdAt"]

    await theirs.observability.createSpan(span=unstamped(SPAN))
    stored = await ours.observability.get_span("trace-1", span_id="span-1")
    assert stored.created_at > SPAN["createdAt"]


async def test_traces_are_deleted_for_one_organization_only(ours, theirs):
    await create_ours(ours, span(1), span(2, organizationId="organization-2"))
    scoped = {"traceIds": ["trace-1", "trace-2"], "organizationId": "organization-1"}

    with pytest.raises(OriginalError) as refused:
        await theirs.observability.batchDeleteTraces(**scoped)
    assert refused.value.id.endswith("SCOPE_NOT_SUPPORTED")
    await ours.observability.batch_delete_traces(
        scoped["traceIds"], organization_id="organization-1"
    )
    assert await theirs.observability.getTrace(traceId="trace-1") is None
    assert await theirs.observability.getTrace(traceId="trace-2") is not None


async def test_what_the_original_says_it_does_not_support_is_there(ours, theirs):
    await create_ours(ours, span(1))

    for refused in (
        theirs.observability.getSpans(traceId="trace-1", spanIds=["span-1"]),
        theirs.observability.listBranches(),
    ):
        with pytest.raises(OriginalError) as error:
            await refused
        assert error.value.id.endswith("NOT_IMPLEMENTED")
    found = await ours.observability.get_spans("trace-1", span_ids=["span-1"])
    assert [s.span_id for s in found.spans] == ["span-1"]
    branches = await ours.observability.list_branches()
    assert [s.span_id for s in branches.branches] == ["span-1"]


async def test_a_json_null_is_a_value(ours, theirs):
    await ours.datasets.create_dataset("d", dataset_id="dataset-1")

    with pytest.raises(OriginalError, match="NOT NULL"):
        await theirs.datasets.addItem(datasetId="dataset-1", input=None)
    mine = await ours.datasets.add_item("dataset-1", input=None, ground_truth=None)
    original = await theirs.datasets.addItem(datasetId="dataset-1", input=1, groundTruth=None)

    assert (await ours.datasets.get_item_by_id(mine.id)).ground_truth is None
    found = await theirs.datasets.getItemById(id=mine.id)
    assert (found["input"], found["groundTruth"]) == (None, None)
    # Of the original's item nobody can tell any more that it had one.
    assert "groundTruth" not in await theirs.datasets.getItemById(id=original["id"])
    stored = await ours.datasets.get_item_by_id(original["id"])
    assert stored.ground_truth is msgspec.UNSET


async def test_an_item_deleted_twice_in_one_call_is_deleted_once(original, tmp_path):
    path = tmp_path / "fresh.db"
    theirs = original.store(path)
    await theirs.init()
    await theirs.datasets.createDataset(id="dataset-1", name="d")
    number = (await theirs.datasets.addItem(datasetId="dataset-1", input=1))["id"]
    await theirs.datasets.batchDeleteItems(datasetId="dataset-1", itemIds=[number, number])
    versions = [row["datasetVersion"] for row in await theirs.datasets.getItemHistory(number)]
    assert versions == [2, 2, 1]

    # Such a file is set up and read all the same.
    async with LibSQLStore(id="ours", url=f"file:{path}") as ours:
        assert await ours.datasets.get_item_by_id(number) is None
        mine = await ours.datasets.add_item("dataset-1", input=2)
        await ours.datasets.batch_delete_items("dataset-1", item_ids=[mine.id, mine.id])
        history = await ours.datasets.get_item_history(mine.id)
        assert [row.dataset_version for row in history] == [4, 3]
    await theirs.close()


async def test_a_deleted_dataset_leaves_the_results_of_its_experiments(ours, theirs):
    for number, delete in (
        ("dataset-1", lambda: theirs.datasets.deleteDataset(id="dataset-1")),
        ("dataset-2", lambda: ours.datasets.delete_dataset("dataset-2")),
    ):
        await datasets.create_ours(ours, number)
        await experiments.create_ours(ours, number, datasetId=number)
        given = datasets.snake(experiments.RESULT)
        await ours.experiments.add_experiment_result(number, **given)
        await delete()
        assert (await ours.experiments.get_experiment_by_id(number)).dataset_id is None

    assert (await ours.experiments.list_experiment_results("dataset-1")).total == 0
    assert (await ours.experiments.list_experiment_results("dataset-2")).total == 1


async def test_an_update_to_null_clears_a_datasets_metadata(ours, theirs):
    await datasets.create_ours(ours)

    answered = await theirs.datasets.updateDataset(id="dataset-1", metadata=None)
    assert answered["metadata"] == datasets.DATASET["metadata"]
    assert (await ours.datasets.get_dataset_by_id("dataset-1")).metadata is None
    answered = await ours.datasets.update_dataset("dataset-1", metadata=None, description=None)
    assert (answered.metadata, answered.description) == (None, None)
    assert "description" not in plain(await theirs.datasets.getDatasetById(id="dataset-1"))


async def test_a_text_that_is_looked_for_is_no_pattern(ours, theirs):
    await datasets.create_ours(ours, name="100 %")
    await datasets.create_ours(ours, "dataset-2", name="1000")
    await datasets.add_ours(ours, input={"question": "a_b"}, externalId="1")
    await datasets.add_ours(ours, input={"question": "acb"}, externalId="2")

    page = {"pagination": {"page": 0, "perPage": 9}}
    found = await theirs.datasets.listDatasets(filters={"name": "1%0"}, **page)
    assert len(found["datasets"]) == 2
    assert (await ours.datasets.list_datasets(name="1%0")).datasets == []
    assert len((await ours.datasets.list_datasets(name="0 %")).datasets) == 1
    found = await theirs.datasets.listItems(datasetId="dataset-1", search="a_b", **page)
    assert len(found["items"]) == 2
    assert len((await ours.datasets.list_items("dataset-1", search="a_b")).items) == 1


async def test_an_experiment_is_not_begun_again_by_its_id(ours, theirs):
    await experiments.create_ours(ours)
    await experiments.create_ours(ours, "experiment-2")
    for number in ("experiment-1", "experiment-2"):
        await ours.experiments.update_experiment(number, status="completed", succeeded_count=5)

    await experiments.create_theirs(theirs)
    lost = await ours.experiments.get_experiment_by_id("experiment-1")
    assert (lost.status, lost.succeeded_count) == ("pending", 0)
    with pytest.raises(ConflictError, match="experiment-2"):
        await experiments.create_ours(ours, "experiment-2")
    kept = await theirs.experiments.getExperimentById(id="experiment-2")
    assert (kept["status"], kept["succeededCount"]) == ("completed", 5)


async def test_a_result_needs_an_experiment_and_has_its_owner(ours, theirs):
    added = await experiments.add_theirs(theirs)
    assert added["experimentId"] == "experiment-1"
    with pytest.raises(NotFoundError, match="experiment-1"):
        await experiments.add_ours(ours)

    await experiments.create_ours(ours)
    bare = {**experiments.RESULT, "itemId": "item-2"}
    original = await theirs.experiments.addExperimentResult(experimentId="experiment-1", **bare)
    assert original["organizationId"] is None
    mine = await experiments.add_ours(ours, itemId="item-3")
    assert (mine.organization_id, mine.project_id) == ("organization-1", "project-1")
