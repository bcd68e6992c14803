"""Experiments and their results: what one side wrote, the other reads, reviews and counts."""

from __future__ import annotations

from typing import Any

import pytest

from mastra_core.errors import ConflictError

from .answers import result_seen, result_values_seen
from .original import OriginalError
from .plain import at, page_of, plain, plains
from .test_datasets import snake

pytestmark = pytest.mark.asyncio

# What a caller may say of an experiment, under the original's names.
EXPERIMENT = {
    "name": "“Tea” 🦆",
    "description": "d",
    "metadata": {"deep": [None, {"a": 1}]},
    "provenance": {"commit": "abc", "nothing": None},
    "runnerAttestation": {"signed": True},
    "experimentSetId": "set-1",
    "comparisonId": "comparison-1",
    "variantId": "variant-1",
    "trialIndex": 0,
    "datasetId": "dataset-1",
    "datasetVersion": 3,
    "targetType": "agent",
    "targetId": "agent-1",
    "scorerIds": ["scorer-1"],
    "totalItems": 5,
    "agentVersion": "v1",
    "organizationId": "organization-1",
    "projectId": "project-1",
}
COUNTS = {"succeededCount": 0, "failedCount": 0, "skippedCount": 0}
STORED_EXPERIMENT = {*COUNTS, "id", "status", "startedAt", "completedAt", "createdAt", "updatedAt"}
# What a caller may say of a result.
RESULT = {
    "itemId": "item-1",
    "itemDatasetVersion": 3,
    "input": {"question": "“why”?", "nothing": None},
    "output": {"text": "because", "nothing": None},
    "groundTruth": [1, {"b": None}],
    "metadata": {"m": {"deep": None}},
    "error": {"message": "boom", "code": None},
    "startedAt": at(0),
    "completedAt": at(7),
    "retryCount": 2,
    "attempt": 1,
    "traceId": "trace-1",
    "status": "needs-review",
    "tags": ["a", "“b”"],
    "toolMockReport": {"used": [None]},
}
# Which the original takes from the caller, and we from the experiment.
OWNER = {"organizationId": "organization-1", "projectId": "project-1"}
STORED_RESULT = {*OWNER, "id", "experimentId", "comment", "createdAt"}


async def create_ours(ours, number: str = "experiment-1", **changes):
    given = snake({**EXPERIMENT, **changes})
    return await ours.experiments.create_experiment(experiment_id=number, **given)


async def create_theirs(theirs, number: str = "experiment-1", **changes):
    return await theirs.experiments.createExperiment(id=number, **{**EXPERIMENT, **changes})


async def add_ours(ours, **changes):
    given = snake({**RESULT, **changes})
    return await ours.experiments.add_experiment_result("experiment-1", **given)


async def add_theirs(theirs, **changes):
    given = {**RESULT, **OWNER, **changes}
    return await theirs.experiments.addExperimentResult(experimentId="experiment-1", **given)


async def test_we_read_an_experiment_of_the_original(ours, theirs):
    created = await create_theirs(theirs)

    mine = plain(await ours.experiments.get_experiment_by_id("experiment-1"))
    assert mine == plain(created)
    times = {name: created[name] for name in ("createdAt", "updatedAt")}
    assert mine == {**EXPERIMENT, **COUNTS, **times, "id": "experiment-1", "status": "pending"}
    assert plains((await ours.experiments.list_experiments()).experiments) == [mine]


async def test_the_original_reads_an_experiment_of_ours(ours, theirs):
    created = plain(await create_ours(ours))

    times = {name: created[name] for name in ("createdAt", "updatedAt")}
    assert created == {**EXPERIMENT, **COUNTS, **times, "id": "experiment-1", "status": "pending"}
    assert plain(await theirs.experiments.getExperimentById(id="experiment-1")) == created
    listed = await theirs.experiments.listExperiments(pagination={"page": 0, "perPage": 9})
    assert plains(listed["experiments"]) == [created]


async def test_an_experiment_with_nothing_but_what_it_needs_goes_both_ways(ours, theirs):
    bare = {"targetType": "agent", "targetId": "agent-1", "totalItems": 0}
    await ours.experiments.create_experiment(experiment_id="experiment-1", **snake(bare))
    await theirs.experiments.createExperiment(
        id="experiment-2", datasetId=None, datasetVersion=None, **bare
    )

    for number in ("experiment-1", "experiment-2"):
        mine = plain(await ours.experiments.get_experiment_by_id(number))
        assert mine == plain(await theirs.experiments.getExperimentById(id=number))
        times = {name: mine[name] for name in ("createdAt", "updatedAt")}
        assert mine == {**bare, **COUNTS, **times, "id": number, "status": "pending"}


async def test_an_experiment_without_a_target_goes_both_ways(ours, theirs):
    await ours.experiments.create_experiment(experiment_id="experiment-1", total_items=1)
    await theirs.experiments.createExperiment(id="experiment-2", totalItems=1)

    for number in ("experiment-1", "experiment-2"):
        mine = plain(await ours.experiments.get_experiment_by_id(number))
        assert mine == plain(await theirs.experiments.getExperimentById(id=number))
        assert not {"targetType", "targetId", "datasetId"} & mine.keys()


CHANGES = {
    "name": "new",
    "description": "changed",
    "metadata": {"new": [None]},
    "status": "running",
    "totalItems": 9,
    "succeededCount": 3,
    "failedCount": 2,
    "skippedCount": 1,
    "startedAt": at(1),
    "completedAt": at(2),
}


async def test_we_update_an_experiment_of_the_original(ours, theirs):
    created = await create_theirs(theirs)
    answered = plain(await ours.experiments.update_experiment("experiment-1", **snake(CHANGES)))

    expected = {**plain(created), **CHANGES, "updatedAt": answered["updatedAt"]}
    assert answered == expected
    assert plain(await theirs.experiments.getExperimentById(id="experiment-1")) == expected


async def test_the_original_updates_an_experiment_of_ours(ours, theirs):
    created = await create_ours(ours)
    answered = await theirs.experiments.updateExperiment(id="experiment-1", **CHANGES)

    expected = {**plain(created), **CHANGES, "updatedAt": answered["updatedAt"]}
    assert plain(await ours.experiments.get_experiment_by_id("experiment-1")) == expected


async def test_we_read_a_result_of_the_original(ours, theirs, database):
    await create_theirs(theirs)
    added = await add_theirs(theirs)

    mine = plain(await ours.experiments.get_experiment_result_by_id(added["id"]))
    assert result_seen(database, mine) == result_seen(database, plain(added))
    own = {"id": added["id"], "experimentId": "experiment-1", "createdAt": mine["createdAt"]}
    assert mine == {**RESULT, **OWNER, **own}
    listed = await ours.experiments.list_experiment_results("experiment-1")
    assert plains(listed.results) == [mine]


async def test_the_original_reads_a_result_of_ours(ours, theirs):
    await create_ours(ours)
    added = plain(await add_ours(ours))

    own = {"id": added["id"], "experimentId": "experiment-1", "createdAt": added["createdAt"]}
    assert added == {**RESULT, **OWNER, **own}
    assert plain(await theirs.experiments.getExperimentResultById(id=added["id"])) == added
    listed = await theirs.experiments.listExperimentResults(
        experimentId="experiment-1", pagination={"page": 0, "perPage": 9}
    )
    assert plains(listed["results"]) == [added]


BARE = ("itemId", "input", "startedAt", "completedAt", "retryCount")


async def test_a_result_with_nothing_but_what_it_needs_goes_both_ways(ours, theirs, database):
    await create_ours(ours, organizationId=None, projectId=None)
    bare = {name: RESULT[name] for name in BARE}
    # The original writes the text "null" where it has no JSON value.
    added = await theirs.experiments.addExperimentResult(experimentId="experiment-1", **bare)
    mine = await ours.experiments.add_experiment_result(
        "experiment-1", **snake({**bare, "itemId": "item-2"})
    )

    for number, item in ((added["id"], "item-1"), (mine.id, "item-2")):
        found = plain(await ours.experiments.get_experiment_result_by_id(number))
        original = plain(await theirs.experiments.getExperimentResultById(id=number))
        assert result_seen(database, found) == result_seen(database, original)
        own = {"id": number, "experimentId": "experiment-1", "createdAt": found["createdAt"]}
        assert found == {**bare, **own, "itemId": item, "attempt": 0}


@pytest.mark.parametrize(
    "value", ["text", "123", "null", '{"a":1}', "", 0, False, [], {}, 1.5, [None]]
)
async def test_any_json_value_goes_both_ways(ours, theirs, database, value):
    await create_ours(ours)
    values = {"input": value, "output": value, "groundTruth": value}
    original = await add_theirs(theirs, **values)
    mine = await add_ours(ours, **values, itemId="item-2")

    for number in (original["id"], mine.id):
        found = plain(await ours.experiments.get_experiment_result_by_id(number))
        assert {name: found[name] for name in values} == values
        original = await theirs.experiments.getExperimentResultById(id=number)
        seen = result_values_seen(database, value)
        assert [original[name] for name in values] == seen


AGAIN = {
    "output": None,
    "error": None,
    "input": "again",
    "tags": None,
    "status": "reviewed",
    "retryCount": 3,
    "metadata": None,
}


async def test_an_attempt_handed_in_again_by_the_other_side_stays_one_result(
    ours, theirs, database
):
    await create_theirs(theirs)
    first = await add_theirs(theirs)
    second = await add_ours(ours, itemId="item-2")
    for number in (first["id"], second.id):
        await ours.experiments.update_experiment_result(number, comment="kept")

    mine = await ours.experiments.upsert_experiment_result(
        "experiment-1", **snake({**RESULT, **AGAIN})
    )
    original = await theirs.experiments.upsertExperimentResult(
        experimentId="experiment-1", **{**RESULT, **OWNER, **AGAIN, "itemId": "item-2"}
    )

    for stored, again in ((first, mine), (second, original)):
        expected = plain({**plain(stored), **AGAIN, "comment": "kept"})
        number = expected["id"]
        found = await theirs.experiments.getExperimentResultById(id=number)
        kept = await ours.experiments.get_experiment_result_by_id(number)
        for one in (again, found, kept):
            assert result_seen(database, plain(one)) == result_seen(database, expected)


async def test_an_attempt_of_the_other_side_cannot_be_added_twice(ours, theirs):
    await create_theirs(theirs)
    await add_theirs(theirs)
    await add_ours(ours, itemId="item-2")

    with pytest.raises(ConflictError, match="attempt 1"):
        await add_ours(ours)
    with pytest.raises(OriginalError, match=r"(?i)unique"):
        await add_theirs(theirs, itemId="item-2")


async def test_a_review_by_one_side_is_seen_by_the_other(ours, theirs, database):
    await create_theirs(theirs)
    first = (await add_theirs(theirs))["id"]
    second = (await add_ours(ours, itemId="item-2")).id
    review = {"status": "complete", "tags": ["done"], "comment": "good"}
    mine = await ours.experiments.update_experiment_result(first, **review)
    original = await theirs.experiments.updateExperimentResult(id=second, **review)

    for seen, found in (
        (mine, await theirs.experiments.getExperimentResultById(id=first)),
        (original, await ours.experiments.get_experiment_result_by_id(second)),
    ):
        assert result_seen(database, plain(found)) == result_seen(database, plain(seen))
    for found in (plain(mine), plain(original)):
        assert {name: found[name] for name in review} == review
    # Null clears a comment, on both sides.
    await ours.experiments.update_experiment_result(second, comment=None)
    await theirs.experiments.updateExperimentResult(id=first, comment=None)
    for number in (first, second):
        assert "comment" not in plain(await ours.experiments.get_experiment_result_by_id(number))


RESULTS: dict[str, dict[str, Any]] = {
    "everything": {},
    "a page": {"page": 1, "per_page": 4},
    "the last page": {"page": 2, "per_page": 4},
    "by creation": {"order_by": {"field": "createdAt", "direction": "DESC"}, "per_page": False},
    "a trace": {"trace_id": "trace-2"},
    "a status": {"status": "reviewed"},
    "a tag": {"tags": ["third"]},
    "two tags": {"tags": ["third", "even"]},
    "an owner": {"organization_id": "organization-1", "project_id": "project-1"},
    "another owner": {"organization_id": "organization-2"},
}


async def test_both_sides_list_results_alike(ours, theirs, database):
    await create_ours(ours)
    for n in range(10):
        changes = {
            "itemId": f"item-{n}",
            "startedAt": at(n),
            "traceId": f"trace-{n}",
            "status": ("needs-review", "reviewed", None)[n % 3],
            "tags": [("even", "odd")[n % 2], *(["third"] if n % 3 == 0 else [])],
        }
        if n % 2:
            await add_theirs(theirs, **changes)
        else:
            await add_ours(ours, **changes)

    for name, asked in RESULTS.items():
        owner = {k: v for k, v in asked.items() if k in {"organization_id", "project_id"}}
        pagination = {"page": asked.get("page", 0), "perPage": asked.get("per_page", 100)}
        given = {
            "traceId": asked.get("trace_id"),
            "status": asked.get("status"),
            "tags": asked.get("tags"),
            "orderBy": asked.get("order_by"),
            "filters": {
                {"organization_id": "organizationId", "project_id": "projectId"}[k]: v
                for k, v in owner.items()
            },
        }
        mine = await ours.experiments.list_experiment_results("experiment-1", **asked)
        original = await theirs.experiments.listExperimentResults(
            experimentId="experiment-1",
            pagination=pagination,
            **{k: v for k, v in given.items() if v},
        )
        assert page_of(mine) == page_of(original), name
        if name == "by creation":
            # Those of one millisecond are a tie.
            assert {r.id for r in mine.results} == {r["id"] for r in original["results"]}
        else:
            expected = [result_seen(database, one) for one in plains(original["results"])]
            assert [result_seen(database, r) for r in plains(mine.results)] == expected, name


async def test_both_sides_count_reviews_alike(ours, theirs):
    await create_ours(ours)
    await create_theirs(theirs, "experiment-2")
    statuses = ("needs-review", "reviewed", "complete", None, "reviewed")
    for n, status in enumerate(statuses):
        await add_ours(ours, itemId=f"item-{n}", status=status)
    given = {**RESULT, **OWNER, "status": None}
    await theirs.experiments.addExperimentResult(experimentId="experiment-2", **given)

    mine = plains(await ours.experiments.get_review_summary())
    original = plains(await theirs.experiments.getReviewSummary())
    assert mine == sorted(original, key=lambda one: one["experimentId"])
    counts = {"total": 5, "needsReview": 1, "reviewed": 2, "complete": 1}
    assert mine[0] == {"experimentId": "experiment-1", **counts}


EXPERIMENTS: dict[str, dict[str, Any]] = {
    "everything": {},
    "a dataset": {"datasetId": "dataset-1"},
    "a target": {"targetType": "workflow", "targetId": "target-1"},
    "a version": {"agentVersion": "v2"},
    "a status": {"status": "running"},
    "a group": {"experimentSetId": "set-1", "comparisonId": "comparison-1"},
    "a first trial": {"variantId": "variant-1", "trialIndex": 0},
    "nothing": {"targetId": "nowhere"},
}


async def test_both_sides_list_experiments_alike(ours, theirs):
    for n in range(8):
        changes = {
            "datasetId": f"dataset-{n % 2}",
            "targetType": ("agent", "workflow")[n % 2],
            "targetId": f"target-{n % 4}",
            "agentVersion": f"v{n % 3}",
            "experimentSetId": f"set-{n % 2}",
            "trialIndex": n % 2,
            "organizationId": f"organization-{n % 2}",
        }
        if n % 2:
            await create_theirs(theirs, f"experiment-{n}", **changes)
        else:
            await create_ours(ours, f"experiment-{n}", **changes)
    await ours.experiments.update_experiment("experiment-1", status="running")
    await theirs.experiments.updateExperiment(id="experiment-2", status="running")

    order = {"field": "status", "direction": "ASC"}
    for name, query in EXPERIMENTS.items():
        for tenant in ({}, {"organizationId": "organization-1", "projectId": "project-1"}):
            mine = await ours.experiments.list_experiments(
                **snake({**query, **tenant}), order_by=order, page=0, per_page=3
            )
            original = await theirs.experiments.listExperiments(
                **query, filters=tenant, orderBy=order, pagination={"page": 0, "perPage": 3}
            )
            assert plains(mine.experiments) == plains(original["experiments"]), name
            assert page_of(mine) == page_of(original), name


async def test_a_deleted_experiment_is_gone_for_the_other_side_with_its_results(ours, theirs):
    await create_theirs(theirs)
    first = (await add_theirs(theirs))["id"]
    await ours.experiments.delete_experiment("experiment-1")
    assert await theirs.experiments.getExperimentById(id="experiment-1") is None
    assert await theirs.experiments.getExperimentResultById(id=first) is None

    await create_ours(ours)
    second = (await add_ours(ours)).id
    await theirs.experiments.deleteExperiment(id="experiment-1")
    assert await ours.experiments.get_experiment_by_id("experiment-1") is None
    assert await ours.experiments.get_experiment_result_by_id(second) is None


async def test_deleted_results_are_gone_for_the_other_side(ours, theirs):
    await create_theirs(theirs)
    await add_theirs(theirs)
    await ours.experiments.delete_experiment_results("experiment-1")
    listed = {"experimentId": "experiment-1", "pagination": {"page": 0, "perPage": 9}}
    assert (await theirs.experiments.listExperimentResults(**listed))["results"] == []

    await add_ours(ours)
    await theirs.experiments.deleteExperimentResults(experimentId="experiment-1")
    assert (await ours.experiments.list_experiment_results("experiment-1")).results == []


async def test_purging_an_item_by_either_side_erases_the_results_of_both(ours, theirs, database):
    await ours.datasets.create_dataset("d", dataset_id="dataset-1")
    items = await ours.datasets.batch_insert_items("dataset-1", items=[{"input": 1}, {"input": 2}])
    await create_theirs(theirs)
    numbers: dict[str, list[str]] = {}
    for item in items:
        original = await add_theirs(theirs, itemId=item.id)
        mine = await add_ours(ours, itemId=item.id, attempt=2)
        numbers[item.id] = [original["id"], mine.id]

    await ours.datasets.purge_item(items[0].id, dataset_id="dataset-1")
    await theirs.datasets.purgeItem(id=items[1].id, datasetId="dataset-1")
    # What comes in after the purge is not kept either.
    for n, item in enumerate(items):
        original = await add_theirs(theirs, itemId=item.id, attempt=8 + n)
        mine = await add_ours(ours, itemId=item.id, attempt=10 + n)
        numbers[item.id] += [original["id"], mine.id]

    erased = {"input", "output", "groundTruth", "error", "toolMockReport", "tags", "comment"}
    for number in [number for each in numbers.values() for number in each]:
        mine = plain(await ours.experiments.get_experiment_result_by_id(number))
        original = plain(await theirs.experiments.getExperimentResultById(id=number))
        assert result_seen(database, mine) == result_seen(database, original)
        assert mine["metadata"]["__purged"] is True
        assert not erased & mine.keys()
