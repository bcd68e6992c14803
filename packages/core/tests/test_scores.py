"""The scores domain: what is stored, who sees it, in which order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import pytest_asyncio

from mastra_core.errors import ConflictError, InvalidArgumentError
from mastra_core.records import Score
from mastra_core.storage.domains.scores import ScoresStorage
from mastra_core.storage.inmemory import InMemoryBackend

pytestmark = pytest.mark.asyncio

T0 = datetime(2026, 1, 1, tzinfo=UTC)
REQUIRED = {
    "scorer_id": "s",
    "run_id": "r",
    "entity_id": "e",
    "scorer": {"name": "S"},
    "entity": {"id": "e"},
    "output": "out",
    "score": 0.5,
    "source": "LIVE",
}


@pytest.fixture
def scores():
    return ScoresStorage(InMemoryBackend())


def score(**more):
    return Score(**{**REQUIRED, **more})


async def test_a_score_comes_back_as_it_was_saved(scores):
    full = {
        name: f"value of {name}"
        for name, field in ((f.name, f) for f in msgspec.structs.fields(Score))
        if field.type == str | None
    }
    saved = await scores.save_score(
        score(
            **full,
            input=[{"role": "user"}, None],
            output="123",
            metadata={"a.b": 1},
            preprocess_step_result={"x": []},
            extract_step_result={},
            analyze_step_result={"y": None},
            additional_context={"c": 1},
            request_context={"k": "v"},
        )
    )
    assert saved.output == "123"
    assert await scores.get_score_by_id(saved.id) == saved
    assert await scores.get_score_by_id("other") is None


@pytest.mark.parametrize("value", ["plain", 1, 0, False, None, "", [], {}, "null", "[1]"])
async def test_any_json_value_survives_as_input_and_output(scores, value):
    saved = await scores.save_score(score(input=value, output=value))
    found = await scores.get_score_by_id(saved.id)
    assert (found.input, found.output) == (value, value)
    assert type(found.output) is type(value)


async def test_an_input_that_was_never_given_stays_absent(scores):
    saved = await scores.save_score(score())
    assert (await scores.get_score_by_id(saved.id)).input is msgspec.UNSET


async def test_a_mapping_is_taken_with_the_names_of_either_language(scores):
    snake = await scores.save_score({**REQUIRED, "structured_output": True})
    camel = await scores.save_score(
        {
            "id": "mine",
            "scorerId": "s",
            "runId": "r",
            "entityId": "e",
            "scorer": {},
            "entity": {},
            "output": None,
            "score": 1,
            "source": "TEST",
            "structuredOutput": True,
        }
    )
    assert (snake.scorer_id, camel.id, camel.score) == ("s", "mine", 1.0)
    assert (await scores.get_score_by_id("mine")).output is None


@pytest.mark.parametrize(
    "bad",
    [
        {"score": "1"},
        {"score": True},
        {"score": float("nan")},
        {"scorer": "x"},
        {"entity": None},
        {"source": "PROD"},
        {"source": None},
        {"scorer_id": ""},
        {"run_id": None},
        {"entity_id": 7},
        {"output": object()},
        {"organization_id": ""},
        {"project_id": "a\0"},
    ],
)
async def test_what_the_original_would_refuse_is_refused(scores, bad):
    for given in ({**REQUIRED, **bad}, score(**bad)):
        with pytest.raises(InvalidArgumentError):
            await scores.save_score(given)
    for missing in REQUIRED:
        with pytest.raises(InvalidArgumentError):
            await scores.save_score({k: v for k, v in REQUIRED.items() if k != missing})
    assert (await scores.list_scores_by_scorer_id("s")).scores == []


async def test_an_id_given_twice_is_one_score_and_the_latest_counts(scores):
    first = await scores.save_score(score(id="x", score=0.1, reason="a", created_at=T0))
    second = await scores.save_score(score(id="x", score=0.9, created_at=T0 + timedelta(1)))
    assert (second.score, second.reason, second.created_at) == (0.9, None, T0)
    assert second.updated_at > first.updated_at
    assert await scores.get_score_by_id("x") == second
    assert (await scores.list_scores_by_scorer_id("s")).total == 1


async def test_a_score_of_another_tenant_is_neither_seen_nor_overwritten(scores):
    own = await scores.save_score(score(id="x", organization_id="o", project_id="p"))
    for whose in ({"organization_id": "other"}, {"organization_id": "o", "project_id": "q"}, {}):
        with pytest.raises(ConflictError, match="not changed"):
            await scores.save_score(score(id="x", score=0, **whose))
    assert await scores.get_score_by_id("x", organization_id="o", project_id="p") == own
    assert await scores.get_score_by_id("x", organization_id="other") is None
    assert await scores.get_score_by_id("x", project_id="q") is None


@pytest_asyncio.fixture
async def listed(scores):
    for i in range(6):
        await scores.save_score(
            score(
                id=f"{i}",
                scorer_id="s" if i < 4 else "t",
                run_id=f"r{i % 2}",
                entity_id=f"e{i % 3}",
                entity_type="AGENT" if i < 3 else "WORKFLOW",
                source="TEST" if i == 1 else "LIVE",
                trace_id="t",
                span_id=f"p{i % 2}",
                organization_id=f"o{i % 2}",
                project_id="p",
                created_at=T0 + timedelta(seconds=i // 2),
            )
        )
    return scores


def ids(page):
    return " ".join(score.id for score in page.scores)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "3 2 1 0"),
        ({"source": "TEST"}, "1"),
        ({"entity_id": "e0"}, "3 0"),
        ({"entity_id": "e0", "entity_type": "AGENT"}, "0"),
        ({"organization_id": "o0"}, "2 0"),
        ({"organization_id": "o0", "project_id": "p"}, "2 0"),
        ({"project_id": "q"}, ""),
    ],
)
async def test_scores_of_a_scorer_newest_first(listed, filters, expected):
    page = await listed.list_scores_by_scorer_id("s", **filters)
    assert (ids(page), page.total, page.has_more) == (expected, len(expected.split()), False)


async def test_scores_of_a_run_an_entity_and_a_span(listed):
    assert ids(await listed.list_scores_by_run_id("r0")) == "4 2 0"
    assert ids(await listed.list_scores_by_run_id("r0", organization_id="o1")) == ""
    assert ids(await listed.list_scores_by_entity_id("e1", entity_type="AGENT")) == "1"
    assert ids(await listed.list_scores_by_entity_id("e1", entity_type="STEP")) == ""
    assert ids(await listed.list_scores_by_span("t", span_id="p1")) == "5 3 1"
    assert ids(await listed.list_scores_by_span("t", span_id="p1", project_id="x")) == ""
    assert (await listed.list_scores_by_run_id("unknown")).total == 0


async def test_pages_are_complete_and_do_not_overlap(listed):
    first, second, third = [
        await listed.list_scores_by_span("t", span_id="p0", page=n, per_page=2) for n in range(3)
    ]
    assert (ids(first), first.total, first.has_more) == ("4 2", 3, True)
    assert (ids(second), second.total, second.has_more) == ("0", 3, False)
    assert (ids(third), third.total, third.has_more) == ("", 3, False)
    every = await listed.list_scores_by_scorer_id("s", per_page=False)
    assert (ids(every), every.per_page) == ("3 2 1 0", False)
    some = await listed.list_scores_by_scorer_id("s", per_page=3, with_total=False)
    assert (ids(some), some.total, some.has_more) == ("3 2 1", None, True)
    for bad in ({"page": -1}, {"per_page": -1}, {"per_page": "2"}):
        with pytest.raises(InvalidArgumentError):
            await listed.list_scores_by_run_id("r0", **bad)
