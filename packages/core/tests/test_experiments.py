"""Experiments: their life, their results (one for each attempt), review and tenancy."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from msgspec import UNSET

from mastra_core.errors import ConflictError, InvalidArgumentError, NotFoundError
from mastra_core.records import ReviewSummary
from mastra_core.storage.domains.datasets import DatasetsStorage
from mastra_core.storage.domains.experiments import ExperimentsStorage
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.schema import Put, Update, Where
from mastra_core.storage.tables import EXPERIMENT_RESULTS

pytestmark = pytest.mark.asyncio

T0 = datetime(2026, 1, 1, tzinfo=UTC)
T1 = T0 + timedelta(seconds=1)
TIMES = {"started_at": T0, "completed_at": T1}
JSON_VALUES = [None, False, 0, "", "null", "false", "42", "[]", '{"x":1}', [], {}, {"a": [None]}]


class Yielding(InMemoryBackend):
    """Lets other tasks run before every operation, as a database does."""

    async def _find(self, table, query):
        await asyncio.sleep(0)
        return await super()._find(table, query)

    async def _write(self, changes):
        await asyncio.sleep(0)
        return await super()._write(changes)


class Interrupted(InMemoryBackend):
    """Runs something else, once, before the operation with this number."""

    def __init__(self):
        super().__init__()
        self.left = -1
        self.interruption = None

    async def _interrupt(self):
        self.left -= 1
        if self.left == -1:
            await self.interruption()

    async def _find(self, table, query):
        await self._interrupt()
        return await super()._find(table, query)

    async def _write(self, changes):
        await self._interrupt()
        return await super()._write(changes)

    async def run(self, number, task, interruption):
        """Both, the second one before the first one's operation of this number."""
        self.left, self.interruption = number, interruption
        outcome = (await asyncio.gather(task(), return_exceptions=True))[0]
        interrupted = self.left < 0
        self.left = -1
        return interrupted, outcome


@pytest.fixture
def experiments():
    return ExperimentsStorage(InMemoryBackend())


async def ids(experiments, **filters):
    page = await experiments.list_experiments(order_by={"direction": "asc"}, **filters)
    assert page.total == len(page.experiments)
    return [experiment.id for experiment in page.experiments]


async def test_a_new_experiment_is_pending_and_has_counted_nothing(experiments):
    made = await experiments.create_experiment(
        target_type="agent", target_id="a", dataset_id="d", dataset_version=3, total_items=5
    )
    assert len(made.id) == 36
    assert (made.status, made.total_items, made.dataset_version) == ("pending", 5, 3)
    assert (made.succeeded_count, made.failed_count, made.skipped_count) == (0, 0, 0)
    assert (made.started_at, made.completed_at, made.organization_id) == (None, None, None)
    assert await experiments.get_experiment_by_id(made.id) == made


async def test_an_experiment_comes_back_as_it_was_created(experiments):
    made = await experiments.create_experiment(
        experiment_id="e",
        name="n",
        description="d",
        metadata={"m": [1, None]},
        provenance={"source": "ci", "metadata": {"a": 1}},
        runner_attestation={"runnerId": "r", "invocationId": "i"},
        experiment_set_id="set",
        comparison_id="c",
        variant_id="v",
        trial_index=0,
        agent_version="1",
        scorer_ids=("s",),
        organization_id="o",
        project_id="p",
    )
    stored = await experiments.get_experiment_by_id("e")
    assert stored == made
    assert (stored.trial_index, stored.scorer_ids, stored.target_type) == (0, ["s"], None)
    assert stored.provenance == {"source": "ci", "metadata": {"a": 1}}
    with pytest.raises(ConflictError, match="'e' already exists"):
        await experiments.create_experiment(experiment_id="e", name="other")
    assert (await experiments.get_experiment_by_id("e")).name == "n"


async def test_updating_sets_what_is_given(experiments):
    made = await experiments.create_experiment(experiment_id="e", name="n", description="d")
    started = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    changed = await experiments.update_experiment(
        "e",
        status="running",
        total_items=7,
        succeeded_count=3,
        failed_count=2,
        skipped_count=1,
        started_at=started,
        metadata={"m": 1},
        description=None,
    )
    assert (changed.status, changed.name, changed.description) == ("running", "n", None)
    assert (changed.total_items, changed.succeeded_count) == (7, 3)
    assert (changed.failed_count, changed.skipped_count, changed.started_at) == (2, 1, T0)
    assert changed.updated_at > made.updated_at
    assert changed.created_at == made.created_at
    assert await experiments.get_experiment_by_id("e") == changed


async def test_concurrent_updates_of_different_fields_are_all_kept():
    experiments = ExperimentsStorage(Yielding())
    await experiments.create_experiment(experiment_id="e")
    await asyncio.gather(
        experiments.update_experiment("e", status="completed", completed_at=T1),
        experiments.update_experiment("e", succeeded_count=1),
        experiments.update_experiment("e", failed_count=2),
        experiments.update_experiment("e", metadata={"m": 1}),
    )
    stored = await experiments.get_experiment_by_id("e")
    assert (stored.status, stored.completed_at, stored.metadata) == ("completed", T1, {"m": 1})
    assert (stored.succeeded_count, stored.failed_count) == (1, 2)


@pytest.mark.parametrize(
    "arguments",
    [
        {"status": "done"},
        {"status": None},
        {"total_items": -1},
        {"failed_count": True},
        {"skipped_count": 1.5},
        {"started_at": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"completed_at": "2026-01-01"},
        {"metadata": [1]},
        {"name": 5},
    ],
    ids=repr,
)
async def test_what_an_experiment_cannot_become_is_refused(experiments, arguments):
    made = await experiments.create_experiment(experiment_id="e")
    with pytest.raises(InvalidArgumentError):
        await experiments.update_experiment("e", **arguments)
    assert await experiments.get_experiment_by_id("e") == made


async def test_what_cannot_be_an_experiment_is_refused(experiments):
    for arguments in (
        {"experiment_id": ""},
        {"total_items": -1},
        {"metadata": "x"},
        {"provenance": object()},
        {"trial_index": "0"},
        {"organization_id": ""},
    ):
        with pytest.raises(InvalidArgumentError):
            await experiments.create_experiment(**arguments)
    assert await ids(experiments) == []


async def test_filters_of_experiments_apply_together(experiments):
    for name, more in {
        "a": {"dataset_id": "d", "target_type": "agent", "target_id": "t", "agent_version": "1"},
        "b": {"dataset_id": "d", "experiment_set_id": "s", "comparison_id": "c", "trial_index": 0},
        "c": {"experiment_set_id": "s", "comparison_id": "c", "variant_id": "v", "trial_index": 1},
    }.items():
        await experiments.create_experiment(experiment_id=name, **more)
    await experiments.update_experiment("b", status="running")
    assert await ids(experiments) == ["a", "b", "c"]
    assert await ids(experiments, dataset_id="d") == ["a", "b"]
    assert await ids(experiments, dataset_id="d", status="pending") == ["a"]
    assert await ids(experiments, target_type="agent", target_id="t") == ["a"]
    assert await ids(experiments, agent_version="1") == ["a"]
    assert await ids(experiments, experiment_set_id="s", comparison_id="c") == ["b", "c"]
    assert await ids(experiments, trial_index=0) == ["b"]
    assert await ids(experiments, variant_id="v", dataset_id="d") == []
    with pytest.raises(InvalidArgumentError, match="status of an experiment"):
        await ids(experiments, status="done")


async def test_experiments_are_paged_newest_first(experiments):
    for name in ("a", "b", "c"):
        await experiments.create_experiment(experiment_id=name)
    await experiments.update_experiment("b", status="completed")
    page = await experiments.list_experiments(per_page=2)
    assert [experiment.id for experiment in page.experiments] == ["c", "b"]
    assert (page.total, page.page, page.per_page, page.has_more) == (3, 0, 2, True)
    page = await experiments.list_experiments(order_by={"field": "status", "direction": "asc"})
    assert [experiment.id for experiment in page.experiments] == ["b", "a", "c"]
    with pytest.raises(InvalidArgumentError, match="Allowed: createdAt, status"):
        await experiments.list_experiments(order_by={"field": "name"})


async def test_deleting_takes_the_results(experiments):
    await experiments.create_experiment(experiment_id="e")
    await experiments.create_experiment(experiment_id="f")
    gone = await experiments.add_experiment_result("e", item_id="i", input=1, **TIMES)
    kept = await experiments.add_experiment_result("f", item_id="i", input=1, **TIMES)
    await experiments.delete_experiment("e")
    await experiments.delete_experiment("e")
    assert await experiments.get_experiment_by_id("e") is None
    assert await experiments.get_experiment_result_by_id(gone.id) is None
    assert await experiments.get_experiment_result_by_id(kept.id) == kept


async def test_a_result_comes_back_as_it_was_added(experiments):
    await experiments.create_experiment(experiment_id="e", organization_id="o", project_id="p")
    made = await experiments.add_experiment_result(
        "e",
        item_id="i",
        item_dataset_version=4,
        input={"q": 1},
        output=None,
        ground_truth="g",
        error={"message": "m", "code": "c"},
        metadata={"m": 1},
        retry_count=2,
        attempt=1,
        trace_id="t",
        status="needs-review",
        tags=("a", "b"),
        tool_mock_report={"served": []},
        **TIMES,
    )
    assert (made.output, made.comment, made.attempt) == (None, None, 1)
    assert (made.organization_id, made.project_id) == ("o", "p")
    assert made.tool_mock_report == {"served": []}
    assert (made.started_at, made.completed_at) == (T0, T1)
    assert await experiments.get_experiment_result_by_id(made.id) == made
    page = await experiments.list_experiment_results("e")
    assert page.results == [made]


@pytest.mark.parametrize("value", JSON_VALUES, ids=repr)
async def test_json_values_of_results_survive_every_read(experiments, value):
    await experiments.create_experiment(experiment_id="e")
    made = await experiments.upsert_experiment_result(
        "e", item_id="i", input=value, output=value, ground_truth=value, **TIMES
    )
    reads = [
        made,
        await experiments.get_experiment_result_by_id(made.id),
        (await experiments.list_experiment_results("e")).results[0],
        await experiments.update_experiment_result(made.id, comment="c"),
    ]
    for read in reads:
        for got in (read.input, read.output, read.ground_truth):
            assert (type(got), got) == (type(value), value)


async def test_an_absent_output_is_not_null(experiments):
    await experiments.create_experiment(experiment_id="e")
    made = await experiments.add_experiment_result("e", item_id="i", input=1, **TIMES)
    stored = await experiments.get_experiment_result_by_id(made.id)
    assert (stored.output, stored.ground_truth, stored.status) == (UNSET, UNSET, None)


async def test_there_is_one_result_for_each_attempt(experiments):
    await experiments.create_experiment(experiment_id="e")
    first = await experiments.add_experiment_result("e", item_id="i", input=1, **TIMES)
    for result_id in (None, "r"):
        with pytest.raises(ConflictError, match="has a result for attempt 0 at item 'i'"):
            await experiments.add_experiment_result(
                "e", item_id="i", input=2, result_id=result_id, **TIMES
            )
    named = await experiments.add_experiment_result(
        "e", item_id="i", input=2, attempt=1, result_id="r", **TIMES
    )
    assert named.id == "r"
    with pytest.raises(ConflictError, match="has a result for attempt 1"):
        await experiments.add_experiment_result("e", item_id="i", input=2, attempt=1, **TIMES)
    with pytest.raises(ConflictError, match="id 'r' already exists"):
        await experiments.add_experiment_result("e", item_id="j", input=3, result_id="r", **TIMES)
    page = await experiments.list_experiment_results("e", order_by={"field": "created_at"})
    assert page.results == [first, named]


async def test_upserting_replaces_all_but_id_time_and_comment(experiments):
    await experiments.create_experiment(experiment_id="e")
    first = await experiments.upsert_experiment_result(
        "e", item_id="i", input=1, output=1, tags=["t"], status="reviewed", **TIMES
    )
    await experiments.update_experiment_result(first.id, comment="good")
    second = await experiments.upsert_experiment_result(
        "e", item_id="i", input=2, error={"message": "m"}, started_at=T1, completed_at=T1
    )
    assert (second.id, second.created_at, second.comment) == (first.id, first.created_at, "good")
    assert (second.input, second.output, second.error) == (2, UNSET, {"message": "m"})
    assert (second.tags, second.status, second.started_at) == (None, None, T1)
    assert await experiments.get_experiment_result_by_id(first.id) == second
    other = await experiments.upsert_experiment_result(
        "e", item_id="i", input=3, attempt=1, **TIMES
    )
    assert other.id != first.id
    assert (await experiments.list_experiment_results("e")).total == 2


async def test_upserting_finds_what_others_wrote_under_their_ids(experiments):
    await experiments.create_experiment(experiment_id="e")
    made = await experiments.add_experiment_result(
        "e", item_id="i", input=1, result_id="foreign", **TIMES
    )
    own = (Where("id", "eq", "foreign"),)
    await experiments.backend.write(Update(EXPERIMENT_RESULTS, own, {"attempt": None}))
    assert (await experiments.get_experiment_result_by_id("foreign")).attempt == 0
    again = await experiments.upsert_experiment_result("e", item_id="i", input=2, **TIMES)
    assert (again.id, again.input, again.attempt) == ("foreign", 2, 0)
    assert again.created_at == made.created_at
    assert (await experiments.list_experiment_results("e")).total == 1


async def test_concurrent_upserts_of_one_attempt_make_one_result():
    experiments = ExperimentsStorage(Yielding())
    await experiments.create_experiment(experiment_id="e")
    calls = [
        experiments.upsert_experiment_result("e", item_id="i", input=n, **TIMES) for n in range(6)
    ] + [
        experiments.add_experiment_result(
            "e", item_id="i", input=n, result_id=None if n % 2 else f"r{n}", **TIMES
        )
        for n in range(6)
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    failed = [answer for answer in answers if isinstance(answer, Exception)]
    assert all(isinstance(answer, ConflictError) for answer in failed)
    assert len(failed) in {5, 6}
    page = await experiments.list_experiment_results("e")
    assert page.total == 1
    assert {a.id for a in answers if not isinstance(a, Exception)} == {page.results[0].id}


async def test_a_comment_written_meanwhile_is_kept():
    for number in itertools.count():
        experiments = ExperimentsStorage(Interrupted())
        await experiments.create_experiment(experiment_id="e")
        made = await experiments.upsert_experiment_result("e", item_id="i", input=0, **TIMES)
        interrupted, _ = await experiments.backend.run(
            number,
            lambda e=experiments: e.upsert_experiment_result("e", item_id="i", input=1, **TIMES),
            lambda e=experiments, r=made.id: e.update_experiment_result(r, comment="c"),
        )
        if not interrupted:
            break
        stored = await experiments.get_experiment_result_by_id(made.id)
        assert (stored.comment, stored.input) == ("c", 1)
    assert number >= 2


@pytest.mark.parametrize("names", [(None, None), ("r", None), (None, "r"), ("r", "s")])
async def test_one_of_two_additions_wins_whatever_comes_in_between(names):
    for number in itertools.count():
        experiments = ExperimentsStorage(Interrupted())
        await experiments.create_experiment(experiment_id="e")
        one, two = (
            lambda e=experiments, name=name: e.add_experiment_result(
                "e", item_id="i", input=1, result_id=name, **TIMES
            )
            for name in names
        )
        interrupted, outcome = await experiments.backend.run(number, one, two)
        if not interrupted:
            break
        assert isinstance(outcome, ConflictError)
        assert "has a result for attempt 0" in str(outcome)
        assert (await experiments.list_experiment_results("e")).total == 1
    assert number >= 2


async def test_a_result_needs_its_experiment(experiments):
    await experiments.create_experiment(experiment_id="e", organization_id="o")
    for experiment_id, scope in (("x", {}), ("e", {"organization_id": "x"})):
        for write in (experiments.add_experiment_result, experiments.upsert_experiment_result):
            with pytest.raises(NotFoundError, match=f"Experiment not found: {experiment_id}"):
                await write(experiment_id, item_id="i", input=1, **TIMES, **scope)
    assert await experiments.backend.count(EXPERIMENT_RESULTS) == 0
    with pytest.raises(NotFoundError):
        await experiments.update_experiment("x", status="running")


async def test_nothing_is_left_behind_of_an_experiment_deleted_while_it_gets_results():
    for number in itertools.count():
        experiments = ExperimentsStorage(Interrupted())
        await experiments.create_experiment(experiment_id="e")
        interrupted, outcome = await experiments.backend.run(
            number,
            lambda e=experiments: e.add_experiment_result("e", item_id="i", input=1, **TIMES),
            lambda e=experiments: e.delete_experiment("e"),
        )
        if not interrupted:
            break
        assert isinstance(outcome, NotFoundError)
        assert await experiments.backend.count(EXPERIMENT_RESULTS) == 0
    assert number >= 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"item_id": ""},
        {"attempt": -1},
        {"attempt": None},
        {"retry_count": -1},
        {"status": "completed"},
        {"tags": [1]},
        {"metadata": [1]},
        {"output": ...},
        {"input": float("nan")},
        {"started_at": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"completed_at": None},
    ],
    ids=repr,
)
async def test_what_cannot_be_a_result_is_refused(experiments, arguments):
    await experiments.create_experiment(experiment_id="e")
    given = {"item_id": "i", "input": 1, **TIMES, **arguments}
    for write in (experiments.add_experiment_result, experiments.upsert_experiment_result):
        with pytest.raises(InvalidArgumentError):
            await write("e", **given)
    assert (await experiments.list_experiment_results("e")).total == 0


async def test_a_review_sets_and_clears(experiments):
    await experiments.create_experiment(experiment_id="e")
    made = await experiments.add_experiment_result("e", item_id="i", input=1, **TIMES)
    changed = await experiments.update_experiment_result(
        made.id, experiment_id="e", status="reviewed", tags=["a"], comment="c"
    )
    assert (changed.status, changed.tags, changed.comment) == ("reviewed", ["a"], "c")
    changed = await experiments.update_experiment_result(made.id, comment=None)
    assert (changed.status, changed.tags, changed.comment) == ("reviewed", ["a"], None)
    changed = await experiments.update_experiment_result(made.id, status=None, tags=None)
    assert changed == made
    assert await experiments.update_experiment_result(made.id) == made
    for arguments in ({"status": "done"}, {"tags": "x"}, {"comment": 1}):
        with pytest.raises(InvalidArgumentError):
            await experiments.update_experiment_result(made.id, **arguments)
    with pytest.raises(NotFoundError, match="Experiment result not found: x"):
        await experiments.update_experiment_result("x", comment="c")
    with pytest.raises(NotFoundError, match="in experiment f"):
        await experiments.update_experiment_result(made.id, experiment_id="f", comment="c")
    assert await experiments.get_experiment_result_by_id(made.id) == made


async def test_results_are_listed_as_they_were_started(experiments):
    await experiments.create_experiment(experiment_id="e")
    for i, (name, tags) in enumerate([("c", ["x", "y"]), ("a", ["x"]), ("b", None)]):
        await experiments.add_experiment_result(
            "e",
            item_id=name,
            input=name,
            started_at=T1 - timedelta(milliseconds=i),
            completed_at=T1,
            tags=tags,
            trace_id=f"t-{name}",
            status="complete" if tags else None,
        )

    async def inputs(**arguments):
        page = await experiments.list_experiment_results("e", **arguments)
        return [result.input for result in page.results]

    assert await inputs() == ["b", "a", "c"]
    assert await inputs(order_by={"direction": "desc"}) == ["c", "a", "b"]
    assert await inputs(order_by={"field": "createdAt"}) == ["c", "a", "b"]
    assert await inputs(per_page=2, page=1) == ["c"]
    assert await inputs(tags=["x"]) == ["a", "c"]
    assert await inputs(tags=["y", "x"]) == ["c"]
    assert await inputs(tags=[]) == ["b", "a", "c"]
    assert await inputs(trace_id="t-a") == ["a"]
    assert await inputs(status="complete", tags=["y"]) == ["c"]
    assert (await experiments.list_experiment_results("f")).total == 0
    page = await experiments.list_experiment_results("e", per_page=1)
    assert (page.total, page.has_more) == (3, True)
    with pytest.raises(InvalidArgumentError, match="Allowed: startedAt, createdAt"):
        await inputs(order_by={"field": "status"})


async def test_another_tenant_sees_and_changes_nothing(experiments):
    await experiments.create_experiment(experiment_id="e", organization_id="o", project_id="p")
    made = await experiments.add_experiment_result(
        "e", item_id="i", input=1, organization_id="o", **TIMES
    )
    for scope in ({"organization_id": "x"}, {"organization_id": "o", "project_id": "x"}):
        assert await experiments.get_experiment_by_id("e", **scope) is None
        assert await experiments.get_experiment_result_by_id(made.id, **scope) is None
        assert await ids(experiments, **scope) == []
        assert (await experiments.list_experiment_results("e", **scope)).total == 0
        assert await experiments.get_review_summary(**scope) == []
        with pytest.raises(NotFoundError):
            await experiments.update_experiment("e", status="running", **scope)
        with pytest.raises(NotFoundError):
            await experiments.update_experiment_result(made.id, comment="c", **scope)
        await experiments.delete_experiment_results("e", **scope)
        await experiments.delete_experiment("e", **scope)
    own = {"organization_id": "o", "project_id": "p"}
    assert await experiments.get_experiment_result_by_id(made.id, **own) == made
    assert (await experiments.get_experiment_by_id("e", **own)).status == "pending"
    await experiments.delete_experiment_results("e", **own)
    assert (await experiments.list_experiment_results("e")).total == 0
    await experiments.delete_experiment("e", **own)
    assert await ids(experiments) == []


async def test_the_review_summary_counts_each_experiment(experiments):
    experiments.backend.limits = msgspec.structs.replace(experiments.backend.limits, page_rows=2)
    for name in ("f", "e", "g"):
        await experiments.create_experiment(experiment_id=name, organization_id=name)
    statuses = ["needs-review", "needs-review", "reviewed", "complete", None]
    for i, status in enumerate(statuses):
        await experiments.add_experiment_result(
            "e", item_id=f"i{i}", input=i, status=status, **TIMES
        )
    await experiments.add_experiment_result("f", item_id="i", input=1, **TIMES)
    one = ReviewSummary(experiment_id="e", total=5, needs_review=2, reviewed=1, complete=1)
    two = ReviewSummary(experiment_id="f", total=1, needs_review=0, reviewed=0, complete=0)
    assert await experiments.get_review_summary() == [one, two]
    assert await experiments.get_review_summary(organization_id="f") == [two]


async def test_a_result_of_a_purged_item_holds_no_content(experiments):
    datasets = DatasetsStorage(experiments.backend)
    await datasets.create_dataset("n", dataset_id="d")
    item = await datasets.add_item("d", input="secret")
    await experiments.create_experiment(experiment_id="e", dataset_id="d")
    await experiments.create_experiment(experiment_id="f")
    await datasets.purge_item(item.id, dataset_id="d")
    given = {
        "item_id": item.id,
        "input": "secret",
        "output": "secret",
        "ground_truth": "secret",
        "error": {"message": "secret"},
        "metadata": {"k": "secret"},
        "tags": ["secret"],
        "tool_mock_report": ["secret"],
        **TIMES,
    }
    added = await experiments.add_experiment_result("e", **given)
    again = await experiments.upsert_experiment_result("e", trace_id="t", **given)
    reviewed = await experiments.update_experiment_result(
        added.id, status="complete", tags=["secret"], comment="secret"
    )
    for result in (added, again, reviewed, await experiments.get_experiment_result_by_id(added.id)):
        assert b"secret" not in msgspec.json.encode(result)
        assert result.metadata["__purged"] is True
    assert (again.id, again.trace_id, reviewed.status) == (added.id, "t", "complete")
    elsewhere = await experiments.add_experiment_result("f", **given)
    assert elsewhere.input == "secret"


async def test_what_the_original_wrote_is_read(experiments):
    """Its SQL writers store absent JSON as the text ``null``, and rows without a number."""
    await experiments.create_experiment(experiment_id="e")
    made = await experiments.add_experiment_result("e", item_id="i", input=1, **TIMES)
    row = {"id": made.id, "experimentId": "e", "itemId": "i", "input": "1", "retryCount": 0}
    row |= dict.fromkeys(("output", "groundTruth", "metadata", "error", "toolMockReport"), "null")
    row |= {"startedAt": T0, "completedAt": T1, "createdAt": T0}
    values = tuple(row.get(name) for name in EXPERIMENT_RESULTS.names)
    await experiments.backend.write(Put(EXPERIMENT_RESULTS, (values,)))
    stored = await experiments.get_experiment_result_by_id(made.id)
    assert (stored.output, stored.ground_truth) == (None, None)
    assert (stored.metadata, stored.error, stored.tool_mock_report) == (None, None, None)
    assert stored.attempt == 0
