"""Scores: saved, read and listed by what they are of."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import UNSET

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.records import score, scored
from mastra_conformance.rows import at
from mastra_conformance.tiers import area, base
from mastra_core.errors import ConflictError, InvalidArgumentError

JSON: tuple[Any, ...] = (
    "plain",
    "123",
    "null",
    "true",
    '{"a": 1}',
    "[]",
    "",
    0,
    1.5,
    False,
    [],
    {},
    [None, {"a": [{}]}],
)


@area("scores")
@pytest.mark.asyncio(loop_scope="function")
class TestScores:
    """One score."""

    @base
    async def test_a_saved_score_is_read_back(self, lab: Lab) -> None:
        """Every field, and what is returned is what is stored."""
        given = scored(
            id=fresh("score"),
            trace_id=fresh("trace"),
            span_id=fresh("span"),
            preprocess_step_result={"a": [1]},
            extract_step_result=["x"],
            analyze_step_result={"b": None},
            reason="because " * 200,
            metadata={"m": {"n": 1}},
            preprocess_prompt="p" * 5000,
            extract_prompt="e",
            generate_score_prompt="g",
            generate_reason_prompt="r",
            analyze_prompt="a",
            reason_prompt="q",
            additional_context={"x": 1},
            request_context={"y": [2]},
            resource_id=fresh("resource"),
            thread_id=fresh("thread"),
            organization_id=fresh("org"),
            project_id=fresh("project"),
            batch_id="b",
            dataset_id="d",
            dataset_item_id="i",
            created_at=at(1),
            updated_at=at(2),
        )
        assert await lab.store.scores.save_score(given) == given
        assert await lab.store.scores.get_score_by_id(given.id) == given
        assert await lab.store.scores.get_score_by_id(fresh("score")) is None

    @base
    async def test_a_score_of_a_run_without_input_is_read_back(self, lab: Lab) -> None:
        """Also where the original's table wants a value there."""
        given = {k: v for k, v in score(id=fresh("score")).items() if k != "input"}
        saved = await lab.store.scores.save_score(given)
        assert saved.input is UNSET
        assert await lab.store.scores.get_score_by_id(saved.id) == saved

    async def test_json_values_keep_their_type(self, lab: Lab) -> None:
        """Text that is JSON itself stays text: encoded once, decoded once."""
        scores = lab.store.scores
        for value in JSON:
            saved = await scores.save_score(
                score(
                    output=value, input=value, additional_context=value, extract_step_result=value
                )
            )
            found = await scores.get_score_by_id(saved.id)
            assert found == saved
            assert found is not None
            for kept in (found.output, found.input, found.additional_context):
                assert (kept, type(kept)) == (value, type(value))
            assert found.extract_step_result == value

    async def test_saving_an_id_again_replaces_but_keeps_when_it_was_made(self, lab: Lab) -> None:
        """A retry makes no second score, and does not make the first one younger."""
        scores, run = lab.store.scores, fresh("run")
        given = scored(run_id=run, created_at=at(1), updated_at=at(1))
        await scores.save_score(given)
        again = await scores.save_score(
            scored(id=given.id, run_id=run, score=0.9, created_at=at(9), updated_at=at(0))
        )
        assert (again.score, again.created_at, again.updated_at) == (0.9, at(1), at(2))
        page = await scores.list_scores_by_run_id(run)
        assert page.scores == [again]

    async def test_invalid_scores_are_refused(self, lab: Lab) -> None:
        """Missing fields, sources that are none, numbers that are none."""
        for wrong in (
            {"source": "DREAM"},
            {"score": "high"},
            {"score": True},
            {"score": float("nan")},
            {"score": float("inf")},
            {"scorer_id": ""},
            {"scorer": "text"},
            {"entity": None},
            {"output": object()},
        ):
            with pytest.raises(InvalidArgumentError):
                await lab.store.scores.save_score(score(**wrong))
        incomplete = score()
        del incomplete["run_id"]
        with pytest.raises(InvalidArgumentError):
            await lab.store.scores.save_score(incomplete)


@area("scores")
@pytest.mark.asyncio(loop_scope="function")
class TestScoreLists:
    """Lists of scores."""

    async def test_lists_by_scorer_run_entity_and_span(self, lab: Lab) -> None:
        """Newest first, and nothing of any other."""
        scores, names = lab.store.scores, [fresh() for _ in range(5)]
        scorer, run, entity, trace, span = names
        common = {"scorer_id": scorer, "run_id": run, "entity_id": entity}
        made = [
            scored(**common, trace_id=trace, span_id=span, created_at=at(i), updated_at=at(i))
            for i in range(3)
        ]
        await asyncio.gather(*(scores.save_score(given) for given in made))
        await scores.save_score(score(trace_id=trace, span_id=fresh()))
        await scores.save_score(score(entity_id=entity, entity_type="WORKFLOW"))
        pages = [
            await scores.list_scores_by_scorer_id(scorer),
            await scores.list_scores_by_run_id(run),
            await scores.list_scores_by_entity_id(entity, entity_type="AGENT"),
            await scores.list_scores_by_span(trace, span_id=span),
        ]
        for page in pages:
            assert page.scores == made[::-1]
            assert (page.total, page.page, page.per_page, page.has_more) == (3, 0, 100, False)
        for page in (
            await scores.list_scores_by_scorer_id(fresh()),
            await scores.list_scores_by_run_id(fresh()),
            await scores.list_scores_by_entity_id(entity, entity_type="STEP"),
            await scores.list_scores_by_span(trace, span_id=fresh()),
        ):
            assert (page.scores, page.total, page.has_more) == ([], 0, False)

    async def test_pages_are_stable_under_ties(self, lab: Lab) -> None:
        """First, middle, last and beyond: each score once, with a right total."""
        scores, run = lab.store.scores, fresh("run")
        made = [scored(run_id=run, created_at=at(0), updated_at=at(0)) for _ in range(8)]
        for given in made:
            await scores.save_score(given)
        seen: list[str] = []
        for page, more in ((0, True), (1, True), (2, False), (3, False)):
            found = await scores.list_scores_by_run_id(run, page=page, per_page=3)
            assert (found.total, found.has_more) == (8, more)
            seen += [s.id for s in found.scores]
        assert seen == sorted((given.id for given in made), reverse=True)
        everything = await scores.list_scores_by_run_id(run, per_page=False)
        assert len(everything.scores) == 8
        blind = await scores.list_scores_by_run_id(run, per_page=3, with_total=False)
        assert (blind.total, blind.has_more) == (None, True)
        with pytest.raises(InvalidArgumentError):
            await scores.list_scores_by_run_id(run, page=-1)

    async def test_filters_of_a_scorers_list(self, lab: Lab) -> None:
        """Entity, its type, the source, and the tenant."""
        scores, scorer, entity, org = lab.store.scores, fresh(), fresh(), fresh("org")
        variants: list[dict[str, Any]] = [
            {"source": "LIVE"},
            {"entity_id": entity},
            {"entity_id": entity, "entity_type": "STEP"},
            {"organization_id": org, "project_id": "p"},
            {"organization_id": org},
        ]
        for i, fields in enumerate(variants):
            given = scored(scorer_id=scorer, reason=str(i), created_at=at(i), **fields)
            await scores.save_score(given)

        async def found(**filters: Any) -> str:
            page = await scores.list_scores_by_scorer_id(scorer, **filters)
            assert page.total == len(page.scores)
            return "".join(str(s.reason) for s in page.scores)

        assert await found(source="LIVE") == "0"
        assert await found(source="TEST") == "4321"
        assert await found(entity_id=entity) == "21"
        assert await found(entity_id=entity, entity_type="AGENT") == "1"
        assert await found(organization_id=org) == "43"
        assert await found(organization_id=org, project_id="p") == "3"

    async def test_an_id_of_another_organisation_is_refused(self, lab: Lab) -> None:
        """A conflict; the stored score stays."""
        scores = lab.store.scores
        given = scored(organization_id=fresh("org"), score=0.1)
        await scores.save_score(given)
        with pytest.raises(ConflictError):
            await scores.save_score(scored(id=given.id, organization_id=fresh("org"), score=0.9))
        found = await scores.get_score_by_id(given.id)
        assert found is not None
        assert found.score == 0.1
