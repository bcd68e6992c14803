"""Scores: what one side saved, the other gets and lists."""

from __future__ import annotations

import msgspec
import pytest

from mastra_core.records import Score

from .plain import at, page_of, plain, plains

pytestmark = pytest.mark.asyncio

SCORE = {
    "id": "score-1",
    "scorerId": "scorer-1",
    "runId": "run-1",
    "entityId": "entity-1",
    "scorer": {"id": "scorer-1", "name": "Tone", "config": {"scale": [0, 1]}},
    "entity": {"id": "entity-1", "nothing": None},
    "input": [{"role": "user", "content": "“tea”?"}],
    "output": {"text": "yes 🦆", "nothing": None},
    "score": 0.30000000000000004,
    "source": "LIVE",
    "traceId": "trace-1",
    "spanId": "span-1",
    "preprocessStepResult": {"a": [None]},
    "extractStepResult": {"b": "x"},
    "analyzeStepResult": {"c": 1.5},
    "reason": "because",
    "metadata": {"key": {"deep": []}},
    "preprocessPrompt": "p1",
    "extractPrompt": "p2",
    "generateScorePrompt": "p3",
    "generateReasonPrompt": "p4",
    "analyzePrompt": "p5",
    "reasonPrompt": "p6",
    "additionalContext": {"d": False},
    "requestContext": {"e": ""},
    "entityType": "AGENT",
    "resourceId": "resource-1",
    "threadId": "thread-1",
    "organizationId": "organization-1",
    "projectId": "project-1",
    "batchId": "batch-1",
    "datasetId": "dataset-1",
    "datasetItemId": "item-1",
    "createdAt": at(0),
    "updatedAt": at(1),
}
REQUIRED = ("id", "scorerId", "runId", "entityId", "scorer", "entity", "output", "score", "source")
# The original stamps scores itself, whatever it is given.
STAMPED = {"createdAt", "updatedAt"}


def score(number: int, **changes) -> dict:
    """A score whose number is its place in time, and part of its id."""
    return {**SCORE, "id": f"score-{number}", "createdAt": at(number), **changes}


def unstamped(sample: dict) -> dict:
    return {name: value for name, value in sample.items() if name not in STAMPED}


async def save_ours(ours, sample: dict) -> Score:
    return await ours.scores.save_score(msgspec.convert(sample, Score))


async def test_we_read_a_score_of_the_original(ours, theirs):
    saved = (await theirs.scores.saveScore(unstamped(SCORE)))["score"]

    mine = plain(await ours.scores.get_score_by_id("score-1"))
    assert mine == plain(saved)
    assert unstamped(mine) == unstamped(SCORE)
    assert mine["createdAt"] == mine["updatedAt"]


async def test_the_original_reads_a_score_of_ours(ours, theirs):
    assert plain(await save_ours(ours, SCORE)) == SCORE

    assert plain(await theirs.scores.getScoreById(id="score-1")) == SCORE


async def test_a_score_with_nothing_but_what_it_needs_goes_both_ways(ours, theirs, database):
    bare = {name: SCORE[name] for name in REQUIRED}
    await theirs.scores.saveScore({**bare, "id": "score-1"})
    await save_ours(ours, {**bare, "id": "score-2"})

    for number in ("score-1", "score-2"):
        mine = plain(await ours.scores.get_score_by_id(number))
        # On PostgreSQL the column must not be empty, so that the original stores a text there.
        stored = {"input": ""} if (number, database) == ("score-1", "postgresql") else {}
        assert unstamped(mine) == {**bare, **stored, "id": number}
        assert plain(await theirs.scores.getScoreById(id=number)) == mine


@pytest.mark.parametrize("value", ["text", "123", "null", '{"a":1}', "", 0, False, [], {}, 1.5])
async def test_any_json_value_goes_both_ways(ours, theirs, value):
    sample = score(1, input=value, output=value)
    await theirs.scores.saveScore(unstamped(sample))
    await save_ours(ours, {**sample, "id": "score-2"})

    for number in ("score-1", "score-2"):
        mine = await ours.scores.get_score_by_id(number)
        original = await theirs.scores.getScoreById(id=number)
        assert [mine.input, mine.output] == [value, value]
        assert [original["input"], original["output"]] == [value, value]


async def test_a_score_saved_again_by_the_other_side_is_the_latest(ours, theirs):
    await theirs.scores.saveScore(unstamped(SCORE))
    await save_ours(ours, {**SCORE, "score": 0.5, "reason": "changed"})
    original = await theirs.scores.getScoreById(id="score-1")
    assert (original["score"], original["reason"]) == (0.5, "changed")

    await theirs.scores.saveScore(unstamped({**SCORE, "score": 0.75}))
    mine = await ours.scores.get_score_by_id("score-1")
    assert (mine.score, mine.reason) == (0.75, "because")


async def test_both_sides_list_scores_alike(ours, theirs):
    for number in range(12):
        sample = score(
            number,
            scorerId=f"scorer-{number % 2}",
            runId=f"run-{number % 3}",
            entityId=f"entity-{number % 2}",
            entityType=("AGENT", "WORKFLOW")[number % 2],
            source=("LIVE", "TEST")[number % 4 == 0],
            spanId=f"span-{number % 2}",
            organizationId=f"organization-{number % 2}",
        )
        await save_ours(ours, sample)
    # The last two are of the original, saved when they are: the newest of all.
    await theirs.scores.saveScore(unstamped(score(12, spanId="span-0", scorerId="scorer-0")))

    for page, per_page in ((0, 3), (1, 3), (2, 3), (9, 3), (0, False)):
        asked = {"page": page, "per_page": per_page}
        pagination = {"page": page, "perPage": per_page}
        pairs = [
            (
                await ours.scores.list_scores_by_scorer_id("scorer-0", **asked),
                await theirs.scores.listScoresByScorerId(
                    scorerId="scorer-0", pagination=pagination
                ),
            ),
            (
                await ours.scores.list_scores_by_scorer_id(
                    "scorer-0",
                    **asked,
                    source="TEST",
                    entity_id="entity-0",
                    entity_type="AGENT",
                    organization_id="organization-0",
                ),
                await theirs.scores.listScoresByScorerId(
                    scorerId="scorer-0",
                    pagination=pagination,
                    source="TEST",
                    entityId="entity-0",
                    entityType="AGENT",
                    filters={"organizationId": "organization-0"},
                ),
            ),
            (
                await ours.scores.list_scores_by_run_id("run-1", **asked),
                await theirs.scores.listScoresByRunId(runId="run-1", pagination=pagination),
            ),
            (
                await ours.scores.list_scores_by_entity_id(
                    "entity-1", entity_type="WORKFLOW", **asked
                ),
                await theirs.scores.listScoresByEntityId(
                    entityId="entity-1", entityType="WORKFLOW", pagination=pagination
                ),
            ),
            (
                await ours.scores.list_scores_by_span("trace-1", span_id="span-0", **asked),
                await theirs.scores.listScoresBySpan(
                    traceId="trace-1", spanId="span-0", pagination=pagination
                ),
            ),
            (
                await ours.scores.list_scores_by_run_id("nobody", **asked),
                await theirs.scores.listScoresByRunId(runId="nobody", pagination=pagination),
            ),
        ]
        for mine, original in pairs:
            assert plains(mine.scores) == plains(original["scores"])
            assert page_of(mine) == page_of(original)
