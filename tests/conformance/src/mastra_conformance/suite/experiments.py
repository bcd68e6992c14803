"""Experiments: runs over datasets, and what each gave for each item."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.rows import at
from mastra_conformance.tiers import area, base
from mastra_core.errors import ConflictError, InvalidArgumentError, NotFoundError
from mastra_core.records import Experiment, ExperimentResult


async def created(lab: Lab, **fields: Any) -> Experiment:
    """An experiment without a dataset."""
    given: dict[str, Any] = {"target_type": "agent", "target_id": "a", **fields}
    return await lab.store.experiments.create_experiment(**given)


async def gave(lab: Lab, run: Experiment, item: str, n: int = 0, **fields: Any) -> ExperimentResult:
    """A result that was begun n milliseconds after noon."""
    given: dict[str, Any] = {
        "input": {"n": n},
        "started_at": at(n),
        "completed_at": at(n + 1),
        **fields,
    }
    return await lab.store.experiments.add_experiment_result(run.id, item_id=item, **given)


@area("experiments")
@pytest.mark.asyncio(loop_scope="function")
class TestExperiments:
    """Experiments themselves."""

    @base
    async def test_an_experiment_is_created_and_read_back(self, lab: Lab) -> None:
        """Pending, with counts of nought, and what was given."""
        experiments = lab.store.experiments
        made = await created(
            lab,
            name="n",
            description="d",
            metadata={"a": 1},
            provenance={"p": [1]},
            runner_attestation="text",
            experiment_set_id="s",
            comparison_id="c",
            variant_id="v",
            trial_index=0,
            dataset_id="x",
            dataset_version=3,
            agent_version="1",
            scorer_ids=["s1"],
            total_items=7,
            organization_id=fresh("org"),
        )
        assert (made.status, made.succeeded_count, made.total_items) == ("pending", 0, 7)
        assert (made.trial_index, made.dataset_version, made.completed_at) == (0, 3, None)
        assert await experiments.get_experiment_by_id(made.id) == made
        bare = await created(lab)
        assert (bare.dataset_id, bare.organization_id, bare.metadata) == (None, None, None)
        assert await experiments.get_experiment_by_id(fresh("experiment")) is None

    async def test_an_id_is_taken_once(self, lab: Lab) -> None:
        """A second experiment with it is a conflict; the first stays."""
        key = fresh("experiment")
        made = await created(lab, experiment_id=key, name="one")
        with pytest.raises(ConflictError):
            await created(lab, experiment_id=key, name="two")
        assert await lab.store.experiments.get_experiment_by_id(key) == made

    async def test_an_update_sets_the_given_fields(self, lab: Lab) -> None:
        """And returns the whole record as stored; times that were never set stay unset."""
        experiments = lab.store.experiments
        made = await created(lab, name="n", metadata={"a": 1}, total_items=5)
        changed = await experiments.update_experiment(
            made.id, status="running", started_at=at(1), succeeded_count=2, description=None
        )
        assert (changed.status, changed.started_at, changed.completed_at) == (
            "running",
            at(1),
            None,
        )
        assert (changed.name, changed.metadata, changed.total_items) == ("n", {"a": 1}, 5)
        assert changed.updated_at > made.updated_at
        assert changed.created_at == made.created_at
        assert await experiments.get_experiment_by_id(made.id) == changed
        with pytest.raises(NotFoundError):
            await experiments.update_experiment(fresh("experiment"), status="failed")
        bad: list[dict[str, Any]] = [{"status": "done"}, {"failed_count": -1}, {"total_items": "7"}]
        for arguments in bad:
            with pytest.raises(InvalidArgumentError):
                await experiments.update_experiment(made.id, **arguments)

    async def test_lists_are_filtered_by_everything_given(self, lab: Lab) -> None:
        """Nought is a value, not "no filter"."""
        experiments, org = lab.store.experiments, fresh("org")
        names = (
            "dataset_id",
            "target_id",
            "agent_version",
            "experiment_set_id",
            "comparison_id",
            "variant_id",
        )
        values = {name: fresh(name) for name in names}
        first = await created(lab, organization_id=org, trial_index=0, **values)
        second = await created(lab, organization_id=org, trial_index=1, target_type="workflow")
        await experiments.update_experiment(second.id, status="failed")

        async def found(**filters: Any) -> list[str]:
            page = await experiments.list_experiments(organization_id=org, **filters)
            assert page.total == len(page.experiments)
            return sorted(e.id for e in page.experiments)

        for name, value in values.items():
            assert await found(**{name: value}) == [first.id], name
            assert await found(**{name: fresh()}) == [], name
        assert await found(trial_index=0) == [first.id]
        assert await found(trial_index=1) == [second.id]
        assert await found(target_type="workflow") == [second.id]
        assert await found(status="failed") == [second.id]
        assert await found(status="failed", trial_index=0) == []
        with pytest.raises(InvalidArgumentError):
            await found(status="unknown")

    async def test_pages_and_orders(self, lab: Lab) -> None:
        """Newest first or by status; each once under ties."""
        experiments, org = lab.store.experiments, fresh("org")
        made = [await created(lab, organization_id=org) for _ in range(7)]
        for run in made[::2]:
            await experiments.update_experiment(run.id, status="completed")
        for order in (None, {"field": "status", "direction": "ASC"}, {"field": "status"}):
            seen: list[Experiment] = []
            for page in range(3):
                found = await experiments.list_experiments(
                    organization_id=org, page=page, per_page=3, order_by=order
                )
                assert (found.total, found.has_more) == (7, page < 2)
                seen += found.experiments
            assert len({e.id for e in seen}) == 7
            if order is None:
                keys: list[Any] = [(e.created_at, e.id) for e in seen]
                assert keys == sorted(keys, reverse=True)
            else:
                keys = [(e.status, e.id) for e in seen]
                assert keys == sorted(keys, reverse="direction" not in order)

    async def test_deleting_an_experiment_deletes_its_results(self, lab: Lab) -> None:
        """And no other's; unknown ones are no error."""
        experiments = lab.store.experiments
        first, second = await created(lab), await created(lab)
        for run in (first, second):
            await gave(lab, run, "i")
        await experiments.delete_experiment(first.id)
        await experiments.delete_experiment(first.id)
        assert await experiments.get_experiment_by_id(first.id) is None
        assert (await experiments.list_experiment_results(first.id)).results == []
        assert (await experiments.list_experiment_results(second.id)).total == 1


@area("experiments")
@pytest.mark.asyncio(loop_scope="function")
class TestResults:
    """Results of experiments."""

    @base
    async def test_an_added_result_is_read_back(self, lab: Lab) -> None:
        """An absent output is not ``null``; no review yet is ``None``; owners are the run's."""
        org = fresh("org")
        run = await created(lab, organization_id=org)
        full = await gave(
            lab,
            run,
            "i1",
            output={"a": None},
            ground_truth="",
            error={"message": "m"},
            item_dataset_version=2,
            metadata={"m": 1},
            retry_count=3,
            attempt=1,
            trace_id=fresh("trace"),
            status="needs-review",
            tags=["x"],
            tool_mock_report=[1],
        )
        bare = await gave(lab, run, "i2", 1)
        assert (full.organization_id, full.attempt, full.status) == (org, 1, "needs-review")
        assert (bare.output, bare.ground_truth, bare.status, bare.tags) == (
            UNSET,
            UNSET,
            None,
            None,
        )
        for given in (full, bare):
            found = await lab.store.experiments.get_experiment_result_by_id(given.id)
            assert found == given
        page = await lab.store.experiments.list_experiment_results(run.id)
        assert page.results == [full, bare]
        with pytest.raises(NotFoundError):
            await lab.store.experiments.add_experiment_result(
                fresh("experiment"), item_id="i", input=1, started_at=at(0), completed_at=at(0)
            )

    async def test_json_values_keep_their_type(self, lab: Lab) -> None:
        """``null`` is a value that an output may be."""
        run = await created(lab)
        values: list[Any] = [None, False, 0, "", "null", "42", [], {}, [None]]
        for n, value in enumerate(values):
            await gave(lab, run, f"i{n}", n, input=value, output=value, ground_truth=value)
        page = await lab.store.experiments.list_experiment_results(run.id)
        for value, found in zip(values, page.results, strict=True):
            for kept in (found.input, found.output, found.ground_truth):
                assert (kept, type(kept)) == (value, type(value))

    async def test_an_attempt_has_one_result(self, lab: Lab) -> None:
        """Adding it again is a conflict; another attempt is another result."""
        run = await created(lab)
        first = await gave(lab, run, "i", output=1)
        with pytest.raises(ConflictError):
            await gave(lab, run, "i", output=2)
        await gave(lab, run, "i", 1, output=3, attempt=1)
        page = await lab.store.experiments.list_experiment_results(run.id)
        assert [r.output for r in page.results] == [1, 3]
        assert page.results[0] == first

    async def test_handing_in_a_result_again_replaces_it(self, lab: Lab) -> None:
        """Its id, time of creation and comment stay."""
        experiments, run = lab.store.experiments, await created(lab)
        arguments: dict[str, Any] = {"item_id": "i", "input": 1, "started_at": at(0)}
        first = await experiments.upsert_experiment_result(
            run.id, completed_at=at(1), output="one", tags=["x"], **arguments
        )
        await experiments.update_experiment_result(first.id, comment="good")
        again = await experiments.upsert_experiment_result(
            run.id, completed_at=at(2), output="two", **arguments
        )
        assert (again.id, again.created_at, again.comment) == (first.id, first.created_at, "good")
        assert (again.output, again.completed_at, again.tags) == ("two", at(2), None)
        assert (await experiments.list_experiment_results(run.id)).results == [again]

    async def test_a_review_sets_status_tags_and_comment(self, lab: Lab) -> None:
        """``None`` clears; the experiment's id guards; unknown ones are errors."""
        experiments, run = lab.store.experiments, await created(lab)
        result = await gave(lab, run, "i")
        changed = await experiments.update_experiment_result(
            result.id, experiment_id=run.id, status="reviewed", tags=["a"], comment="c"
        )
        assert (changed.status, changed.tags, changed.comment) == ("reviewed", ["a"], "c")
        changed = await experiments.update_experiment_result(result.id, tags=None, comment=None)
        assert (changed.status, changed.tags, changed.comment) == ("reviewed", None, None)
        assert await experiments.get_experiment_result_by_id(result.id) == changed
        with pytest.raises(NotFoundError):
            await experiments.update_experiment_result(result.id, experiment_id=fresh(), tags=[])
        with pytest.raises(NotFoundError):
            await experiments.update_experiment_result(fresh("result"), tags=[])
        with pytest.raises(InvalidArgumentError):
            await experiments.update_experiment_result(result.id, status="liked")

    async def test_results_are_listed_filtered_and_paged(self, lab: Lab) -> None:
        """In order of their start; by trace, status and tags (all of them)."""
        experiments, run, trace = lab.store.experiments, await created(lab), fresh("trace")
        marks: list[dict[str, Any]] = [
            {"tags": ["a", "b"], "status": "reviewed"},
            {"tags": ["a"], "trace_id": trace},
            {"tags": ["ab"], "status": "reviewed"},
            {},
        ]
        for n, fields in enumerate(marks):
            await gave(lab, run, f"i{n}", 3 - n, **fields)

        async def found(**filters: Any) -> list[str]:
            page = await experiments.list_experiment_results(run.id, **filters)
            assert page.total == len(page.results)
            return [r.item_id for r in page.results]

        assert await found() == ["i3", "i2", "i1", "i0"]
        assert await found(tags=["a"]) == ["i1", "i0"]
        assert await found(tags=["b", "a"]) == ["i0"]
        assert await found(status="reviewed") == ["i2", "i0"]
        assert await found(trace_id=trace) == ["i1"]
        assert await found(order_by={"direction": "DESC"}) == ["i0", "i1", "i2", "i3"]
        page = await experiments.list_experiment_results(run.id, page=1, per_page=3)
        assert ([r.item_id for r in page.results], page.total, page.has_more) == (["i0"], 4, False)

    async def test_results_are_deleted_together(self, lab: Lab) -> None:
        """The experiment stays; none are no error."""
        experiments, run = lab.store.experiments, await created(lab)
        await gave(lab, run, "i")
        await experiments.delete_experiment_results(run.id)
        await experiments.delete_experiment_results(run.id)
        assert (await experiments.list_experiment_results(run.id)).results == []
        assert await experiments.get_experiment_by_id(run.id) == run

    async def test_the_review_summary_counts_by_experiment(self, lab: Lab) -> None:
        """Of one tenant, where asked: results without a review count in the total only."""
        org = fresh("org")
        first = await created(lab, organization_id=org)
        second = await created(lab, organization_id=org)
        for n, status in enumerate(["needs-review", "reviewed", "reviewed", "complete", None]):
            await gave(lab, first, f"i{n}", status=status)
        await gave(lab, second, "i")
        found = await lab.store.experiments.get_review_summary(organization_id=org)
        counts = {s.experiment_id: (s.total, s.needs_review, s.reviewed, s.complete) for s in found}
        assert counts == {first.id: (5, 1, 2, 1), second.id: (1, 0, 0, 0)}
