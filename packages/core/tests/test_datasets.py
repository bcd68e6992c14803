"""Datasets: versions that are used once each, items through time, schemas, identity and purging."""

from __future__ import annotations

import asyncio
import builtins
import itertools
import sys
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from msgspec import UNSET

from mastra_core.clock import now
from mastra_core.errors import (
    ConfigurationError,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
)
from mastra_core.storage import json_schemas
from mastra_core.storage.codec import Codec
from mastra_core.storage.domains.datasets import DatasetsStorage
from mastra_core.storage.domains.experiments import ExperimentsStorage
from mastra_core.storage.domains.item_identity import ItemIdentityConflictError, NewDatasetItem
from mastra_core.storage.domains.item_schemas import ItemSchemaError, SchemaUpdateError
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.schema import Query, Update, Where
from mastra_core.storage.tables import DATASET_ITEMS, DATASET_VERSIONS, DATASETS

pytestmark = pytest.mark.asyncio

T0 = datetime(2026, 1, 1, tzinfo=UTC)
JSON_VALUES = [
    None,
    False,
    True,
    0,
    -1.5,
    "",
    "null",
    "false",
    "42",
    "[]",
    '{"x":1}',
    " spaced ",
    [],
    {},
    [None, [None]],
    {"a": {"b": [1, "2", None]}, "": "empty", "a.b": 1, "__proto__": 2},
    2**60,
    "é 😀",
]


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
def backend():
    return InMemoryBackend()


@pytest.fixture
def datasets(backend):
    return DatasetsStorage(backend)


async def versions(datasets, dataset_id):
    page = await datasets.list_dataset_versions(dataset_id, per_page=False)
    return [version.version for version in page.versions]


async def inputs(datasets, dataset_id, **arguments):
    page = await datasets.list_items(dataset_id, order_by={"direction": "asc"}, **arguments)
    return [item.input for item in page.items]


async def test_a_dataset_comes_back_as_it_was_created(datasets):
    created = await datasets.create_dataset(
        "Names",
        description="d",
        metadata={"a": [1, None]},
        request_context_schema={"type": "object"},
        tags=("x", "y"),
        target_type="agent",
        target_ids=["a1"],
        scorer_ids=[],
        organization_id="o",
        project_id="p",
        candidate_key="k",
        candidate_id="c",
    )
    assert len(created.id) == 36
    assert (created.version, created.tags, created.scorer_ids) == (0, ["x", "y"], [])
    assert created.updated_at == created.created_at
    assert await datasets.get_dataset_by_id(created.id) == created
    assert await versions(datasets, created.id) == []


async def test_what_was_not_given_is_absent(datasets):
    created = await datasets.create_dataset("n")
    stored = await datasets.get_dataset_by_id(created.id)
    absent = ("description", "metadata", "input_schema", "tags", "target_ids", "scorer_ids")
    assert [getattr(stored, name) for name in absent] == [None] * len(absent)


async def test_creating_with_a_stored_id_returns_what_is_stored(datasets):
    first = await datasets.create_dataset("one", dataset_id="d", organization_id="o")
    again = await datasets.create_dataset("two", dataset_id="d", organization_id="o")
    assert again == first
    assert again.name == "one"


@pytest.mark.parametrize(
    "other",
    [
        {"organization_id": "x"},
        {"project_id": "x"},
        {"candidate_key": "x"},
        {"candidate_id": "x"},
    ],
)
async def test_a_stored_id_of_another_owner_is_a_conflict(datasets, other):
    await datasets.create_dataset("one", dataset_id="d")
    with pytest.raises(ConflictError, match="already in use"):
        await datasets.create_dataset("one", dataset_id="d", **other)
    assert (await datasets.list_datasets()).total == 1


async def test_concurrent_creations_with_one_id_make_one_dataset():
    datasets = DatasetsStorage(Yielding())
    made = await asyncio.gather(
        *(datasets.create_dataset(f"n{i}", dataset_id="d") for i in range(8))
    )
    assert len({dataset.name for dataset in made}) == 1
    assert (await datasets.list_datasets()).total == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"dataset_id": ""},
        {"dataset_id": "a\0b"},
        {"dataset_id": "x" * 256},
        {"metadata": [1]},
        {"tags": [1]},
        {"tags": "text"},
        {"organization_id": ""},
        {"metadata": {"x": object()}},
        {"metadata": {"x": float("nan")}},
        {"input_schema": {"type": "objekt"}},
        {"ground_truth_schema": {"type": "string", "pattern": "(?=x)"}},
        {"input_schema": {"$ref": "https://example.com/schema.json"}},
    ],
)
async def test_what_cannot_be_a_dataset_is_refused(datasets, arguments):
    with pytest.raises(InvalidArgumentError):
        await datasets.create_dataset("n", **arguments)
    assert (await datasets.list_datasets()).datasets == []


async def test_what_a_schema_refers_to_is_not_fetched(datasets, tmp_path):
    path = tmp_path / "schema.json"
    path.write_text('{"type": "string"}')
    with pytest.raises(InvalidArgumentError, match="is not fetched"):
        await datasets.create_dataset("n", input_schema={"$ref": path.as_uri()})
    local = {"$ref": "#/$defs/text", "$defs": {"text": {"type": "string"}}}
    await datasets.create_dataset("n", dataset_id="d", input_schema=local)
    with pytest.raises(ItemSchemaError):
        await datasets.add_item("d", input=1)


async def test_updating_sets_what_is_given_and_none_clears(datasets):
    created = await datasets.create_dataset("n", description="d", metadata={"a": 1}, tags=["t"])
    changed = await datasets.update_dataset(created.id, name="m", metadata={"b": 2}, tags=None)
    assert (changed.name, changed.description) == ("m", "d")
    assert (changed.metadata, changed.tags) == ({"b": 2}, None)
    assert changed.version == 0
    assert changed.updated_at > created.updated_at
    assert await datasets.get_dataset_by_id(created.id) == changed
    with pytest.raises(InvalidArgumentError, match="name"):
        await datasets.update_dataset(created.id, name=None)


async def test_updating_an_unknown_dataset_is_an_error(datasets):
    await datasets.create_dataset("n", dataset_id="d", organization_id="o")
    for scope in ({"organization_id": "x"}, {"project_id": "x"}):
        with pytest.raises(NotFoundError, match="Dataset not found: d"):
            await datasets.update_dataset("d", name="m", **scope)
    with pytest.raises(NotFoundError, match="Dataset not found: e"):
        await datasets.update_dataset("e", name="m")
    assert (await datasets.get_dataset_by_id("d")).name == "n"


async def test_concurrent_updates_of_different_fields_are_all_kept():
    datasets = DatasetsStorage(Yielding())
    await datasets.create_dataset("n", dataset_id="d")
    await asyncio.gather(
        datasets.update_dataset("d", description="d"),
        datasets.update_dataset("d", metadata={"a": 1}),
        datasets.update_dataset("d", input_schema={"type": "string"}),
        datasets.update_dataset("d", ground_truth_schema={"type": "number"}),
        *(datasets.add_item("d", input="x", ground_truth=1) for _ in range(4)),
    )
    stored = await datasets.get_dataset_by_id("d")
    assert (stored.description, stored.metadata, stored.version) == ("d", {"a": 1}, 4)
    assert stored.input_schema == {"type": "string"}
    assert stored.ground_truth_schema == {"type": "number"}


async def test_deleting_takes_items_and_versions_and_frees_experiments(backend, datasets):
    experiments = ExperimentsStorage(backend)
    await datasets.create_dataset("n", dataset_id="d")
    await datasets.create_dataset("n", dataset_id="e")
    item = await datasets.add_item("d", input=1)
    other = await datasets.add_item("e", input=1)
    made = await experiments.create_experiment(dataset_id="d", dataset_version=1)
    await datasets.delete_dataset("d")
    assert await datasets.get_dataset_by_id("d") is None
    assert await datasets.get_item_history(item.id) == []
    assert await versions(datasets, "d") == []
    assert await datasets.get_item_by_id(other.id) == other
    freed = await experiments.get_experiment_by_id(made.id)
    assert (freed.dataset_id, freed.dataset_version) == (None, None)
    await datasets.delete_dataset("d")


async def test_another_tenant_sees_and_changes_nothing(datasets):
    await datasets.create_dataset("n", dataset_id="d", organization_id="o", project_id="p")
    item = await datasets.add_item("d", input=1)
    assert (item.organization_id, item.project_id) == ("o", "p")
    for scope in ({"organization_id": "x"}, {"organization_id": "o", "project_id": "x"}):
        assert await datasets.get_dataset_by_id("d", **scope) is None
        assert await datasets.get_item_by_id(item.id, **scope) is None
        assert await datasets.get_item_history(item.id, **scope) == []
        assert (await datasets.list_items("d", **scope)).items == []
        assert await datasets.get_items_by_version("d", version=1, **scope) == []
        assert (await datasets.list_dataset_versions("d", **scope)).total == 0
        assert (await datasets.list_datasets(**scope)).total == 0
        with pytest.raises(NotFoundError):
            await datasets.add_item("d", input=2, **scope)
        with pytest.raises(NotFoundError):
            await datasets.update_item(item.id, dataset_id="d", input=2, **scope)
        with pytest.raises(NotFoundError):
            await datasets.batch_delete_items("d", item_ids=[item.id], **scope)
        with pytest.raises(NotFoundError):
            await datasets.create_dataset_version("d", version=9, **scope)
        await datasets.delete_item(item.id, dataset_id="d", **scope)
        await datasets.purge_item(item.id, dataset_id="d", **scope)
        await datasets.delete_dataset("d", **scope)
    assert await datasets.get_item_by_id(item.id, organization_id="o", project_id="p") == item
    await datasets.delete_dataset("d", organization_id="o")
    assert await datasets.get_dataset_by_id("d") is None
    assert await datasets.get_item_history(item.id) == []


async def test_filters_of_datasets_apply_together(datasets):
    await datasets.create_dataset(
        "Alpha Test", dataset_id="a", target_type="agent", target_ids=["x", "y"], candidate_key="k"
    )
    await datasets.create_dataset("beta", dataset_id="b", target_type="agent", target_ids=["z"])
    await datasets.create_dataset("ALPHA", dataset_id="c", target_type="workflow")

    async def ids(**filters):
        page = await datasets.list_datasets(order_by={"direction": "ASC"}, **filters)
        assert page.total == len(page.datasets)
        return [dataset.id for dataset in page.datasets]

    assert await ids() == ["a", "b", "c"]
    assert await ids(name="alpha") == ["a", "c"]
    assert await ids(name="lpha t") == ["a"]
    assert await ids(name="%") == []
    assert await ids(target_type="agent") == ["a", "b"]
    assert await ids(target_ids=["y", "z"]) == ["a", "b"]
    assert await ids(target_ids=[]) == ["a", "b", "c"]
    assert await ids(candidate_key="k", name="a") == ["a"]
    assert await ids(candidate_key="k", target_type="workflow") == []


async def test_what_cannot_be_looked_for_is_refused(datasets):
    for filters in ({"name": 5}, {"target_type": 5}, {"candidate_id": ["x"]}, {"target_ids": [5]}):
        with pytest.raises(InvalidArgumentError):
            await datasets.list_datasets(**filters)
    for arguments in ({"search": 5}, {"version": -1}, {"version": True}, {"version": "1"}):
        with pytest.raises(InvalidArgumentError):
            await datasets.list_items("d", **arguments)


async def test_datasets_are_paged_and_ordered(datasets):
    for name in ("b", "c", "a"):
        await datasets.create_dataset(name, dataset_id=name)
    page = await datasets.list_datasets(page=0, per_page=2, order_by={"field": "name"})
    assert [dataset.name for dataset in page.datasets] == ["c", "b"]
    assert (page.total, page.page, page.per_page, page.has_more) == (3, 0, 2, True)
    page = await datasets.list_datasets(page=1, per_page=2, order_by={"field": "name"})
    assert ([dataset.name for dataset in page.datasets], page.has_more) == (["a"], False)
    page = await datasets.list_datasets(per_page=1, with_total=False)
    assert (page.total, page.has_more) == (None, True)
    with pytest.raises(InvalidArgumentError, match="Allowed: createdAt, updatedAt, name"):
        await datasets.list_datasets(order_by={"field": "version"})
    with pytest.raises(InvalidArgumentError):
        await datasets.list_datasets(page=-1)


async def test_every_change_is_the_next_version(datasets):
    dataset = await datasets.create_dataset("n", dataset_id="d")
    item = await datasets.add_item("d", input=1)
    two, three = await datasets.batch_insert_items("d", items=[{"input": 2}, {"input": 3}])
    await datasets.update_item(item.id, dataset_id="d", input="1b")
    await datasets.delete_item(two.id, dataset_id="d")
    await datasets.batch_delete_items("d", item_ids=[item.id, three.id])
    assert (item.dataset_version, two.dataset_version, three.dataset_version) == (1, 2, 2)
    stored = await datasets.get_dataset_by_id("d")
    assert stored.version == 5
    assert stored.updated_at == dataset.updated_at
    assert await versions(datasets, "d") == [5, 4, 3, 2, 1]
    states = [[], [1], [1, 2, 3], ["1b", 2, 3], ["1b", 3], []]
    for version, state in enumerate(states):
        assert await inputs(datasets, "d", version=version) == state
        items = await datasets.get_items_by_version("d", version=version)
        assert [i.input for i in items] == state[::-1]
    assert await inputs(datasets, "d", version=99) == []
    assert await inputs(datasets, "d") == []


async def test_history_keeps_every_version_and_the_deletion(datasets):
    await datasets.create_dataset("n", dataset_id="d", organization_id="o")
    item = await datasets.add_item("d", input=1, ground_truth=None, external_id="e")
    await datasets.add_item("d", input="other")
    changed = await datasets.update_item(item.id, dataset_id="d", metadata={"m": 1})
    await datasets.delete_item(item.id, dataset_id="d")
    gone, second, first = await datasets.get_item_history(item.id)
    assert [row.dataset_version for row in (gone, second, first)] == [4, 3, 1]
    assert [row.valid_to for row in (gone, second, first)] == [None, 4, 3]
    assert [row.is_deleted for row in (gone, second, first)] == [True, False, False]
    assert (gone.organization_id, gone.external_id, gone.input) == ("o", "e", 1)
    assert gone.created_at == second.created_at == first.created_at == item.created_at
    assert gone.updated_at > second.updated_at > first.updated_at
    assert (second.input, second.ground_truth, second.metadata) == (1, None, {"m": 1})
    assert msgspec.structs.replace(second, valid_to=None) == changed
    assert await datasets.get_item_by_id(item.id) is None
    assert await datasets.get_item_by_id(item.id, dataset_version=0) is None
    assert await datasets.get_item_by_id(item.id, dataset_version=2) == first
    assert await datasets.get_item_by_id(item.id, dataset_version=3) == second
    assert await datasets.get_item_by_id(item.id, dataset_version=4) is None


async def test_changes_of_what_is_not_there(datasets):
    await datasets.create_dataset("n", dataset_id="d")
    await datasets.create_dataset("n", dataset_id="e")
    item = await datasets.add_item("d", input=1)
    with pytest.raises(NotFoundError, match="Dataset not found: x"):
        await datasets.add_item("x", input=1)
    with pytest.raises(NotFoundError, match="Dataset not found: x"):
        await datasets.batch_delete_items("x", item_ids=[item.id])
    with pytest.raises(NotFoundError, match="Item not found: x"):
        await datasets.update_item("x", dataset_id="d", input=1)
    with pytest.raises(NotFoundError, match="does not belong to dataset e"):
        await datasets.update_item(item.id, dataset_id="e", input=2)
    with pytest.raises(NotFoundError, match="does not belong to dataset e"):
        await datasets.delete_item(item.id, dataset_id="e")
    await datasets.delete_item("x", dataset_id="d")
    await datasets.delete_item(item.id, dataset_id="x")
    await datasets.batch_delete_items("e", item_ids=[item.id, "x"])
    await datasets.batch_delete_items("d", item_ids=[])
    assert await datasets.batch_insert_items("d", items=[]) == []
    assert (await datasets.get_dataset_by_id("d")).version == 1
    assert (await datasets.get_dataset_by_id("e")).version == 0
    await datasets.delete_item(item.id, dataset_id="d")
    await datasets.delete_item(item.id, dataset_id="d")
    with pytest.raises(NotFoundError, match="Item not found"):
        await datasets.update_item(item.id, dataset_id="d", input=1)
    assert (await datasets.get_dataset_by_id("d")).version == 2


async def test_concurrent_changes_lose_nothing_and_use_each_version_once():
    datasets = DatasetsStorage(Yielding())
    await datasets.create_dataset("n", dataset_id="d")
    kept, gone = await datasets.batch_insert_items("d", items=[{"input": 0}, {"input": -1}])
    await asyncio.gather(
        *(datasets.add_item("d", input=i) for i in range(1, 9)),
        *(datasets.update_item(kept.id, dataset_id="d", metadata={"n": i}) for i in range(8)),
        datasets.delete_item(gone.id, dataset_id="d"),
        datasets.delete_item(gone.id, dataset_id="d"),
    )
    assert (await datasets.get_dataset_by_id("d")).version == 18
    assert await versions(datasets, "d") == list(range(18, 0, -1))
    assert sorted(await inputs(datasets, "d")) == list(range(9))
    history = await datasets.get_item_history(kept.id)
    assert len(history) == 9
    # Each version of an item begins where the one before it ends.
    assert [row.valid_to for row in history[1:]] == [row.dataset_version for row in history[:-1]]
    assert [row.is_deleted for row in await datasets.get_item_history(gone.id)] == [True, False]
    assert len(await inputs(datasets, "d", version=18)) == 9


async def test_nothing_is_left_behind_of_a_dataset_deleted_while_it_changes():
    for number in itertools.count():
        backend = Interrupted()
        datasets = DatasetsStorage(backend)
        await datasets.create_dataset("n", dataset_id="d")
        interrupted, outcome = await backend.run(
            number,
            lambda datasets=datasets: datasets.add_item("d", input=1),
            lambda datasets=datasets: datasets.delete_dataset("d"),
        )
        if not interrupted:
            break
        assert isinstance(outcome, NotFoundError)
        assert await backend.count(DATASET_ITEMS) == 0
        assert await backend.count(DATASET_VERSIONS) == 0
    assert number >= 2


@pytest.mark.parametrize("value", JSON_VALUES, ids=repr)
async def test_json_values_survive_every_read(datasets, value):
    await datasets.create_dataset("n", dataset_id="d")
    item = await datasets.add_item(
        "d", input=value, ground_truth=value, expected_trajectory=value, tool_mocks=value
    )
    reads = [
        item,
        await datasets.get_item_by_id(item.id),
        await datasets.get_item_by_id(item.id, dataset_version=1),
        (await datasets.list_items("d")).items[0],
        (await datasets.list_items("d", version=1)).items[0],
        (await datasets.get_items_by_version("d", version=1))[0],
        (await datasets.get_item_history(item.id))[0],
        await datasets.update_item(item.id, dataset_id="d", metadata={}),
        await datasets.get_item_by_id(item.id),
    ]
    for read in reads:
        for got in (read.input, read.ground_truth, read.expected_trajectory, read.tool_mocks):
            assert (type(got), got) == (type(value), value)


async def test_absent_is_not_null(datasets):
    await datasets.create_dataset("n", dataset_id="d")
    absent = await datasets.add_item("d", input=None)
    null = await datasets.add_item("d", input=None, ground_truth=None)
    assert (await datasets.get_item_by_id(absent.id)).ground_truth is UNSET
    assert (await datasets.get_item_by_id(null.id)).ground_truth is None
    assert (await datasets.get_item_by_id(absent.id)).metadata is None
    cleared = await datasets.update_item(absent.id, dataset_id="d", ground_truth=None)
    assert cleared.ground_truth is None
    assert (await datasets.update_item(null.id, dataset_id="d", input=1)).ground_truth is None
    assert b"groundTruth" not in msgspec.json.encode(absent)


async def test_updating_an_item_changes_only_what_is_given(datasets):
    await datasets.create_dataset("n", dataset_id="d")
    fields = {
        "request_context": {"r": 1},
        "metadata": {"m": 1},
        "source": {"type": "csv", "referenceId": "row"},
        "unmocked_tool_policy": "deny",
        "scorer_ids": ["s"],
    }
    item = await datasets.add_item("d", input=1, ground_truth=2, tool_mocks=[{}], **fields)
    same = await datasets.update_item(item.id, dataset_id="d")
    assert same == msgspec.structs.replace(item, dataset_version=2, updated_at=same.updated_at)
    empty = await datasets.update_item(item.id, dataset_id="d", **dict.fromkeys(fields))
    assert [getattr(empty, name) for name in fields] == [None] * len(fields)
    assert (empty.input, empty.ground_truth, empty.tool_mocks) == (1, 2, [{}])


async def test_items_are_paged_in_one_order_at_any_version(datasets):
    await datasets.create_dataset("n", dataset_id="d")
    made = [await datasets.add_item("d", input=i) for i in range(7)]
    await datasets.update_item(made[1].id, dataset_id="d", input="1b")
    await datasets.delete_item(made[5].id, dataset_id="d")
    await datasets.add_item("d", input="late")
    for version, state in ((7, [6, 5, 4, 3, 2, 1, 0]), (9, [6, 4, 3, 2, "1b", 0])):
        found = []
        for number in range(4):
            page = await datasets.list_items("d", version=version, page=number, per_page=2)
            found += [item.input for item in page.items]
            assert page.total == len(state)
            assert page.has_more is (number * 2 + 2 < len(state))
        assert found == state
        page = await datasets.list_items("d", version=version, per_page=3, with_total=False)
        assert (page.total, page.has_more, len(page.items)) == (None, True, 3)
        page = await datasets.list_items("d", version=version, per_page=0)
        assert (page.total, page.items, page.has_more) == (len(state), [], True)
        page = await datasets.list_items("d", version=version, per_page=False)
        assert (page.total, len(page.items), page.has_more) == (len(state), len(state), False)
    page = await datasets.list_items("d", order_by={"field": "updated_at"})
    by_time = sorted(page.items, key=lambda item: (item.updated_at, item.id), reverse=True)
    assert page.items == by_time
    assert len(by_time) == 7


async def test_versions_are_read_in_bounded_pages(datasets):
    datasets.backend.limits = msgspec.structs.replace(datasets.backend.limits, page_rows=3)
    await datasets.create_dataset("n", dataset_id="d")
    made = await datasets.batch_insert_items("d", items=[{"input": i} for i in range(20)])
    await datasets.batch_delete_items("d", item_ids=[item.id for item in made[::3]])
    assert await inputs(datasets, "d", version=1, per_page=False) == list(range(20))
    left = [i for i in range(20) if i % 3]
    assert await inputs(datasets, "d", version=2, per_page=False) == left
    assert await inputs(datasets, "d", search="1", per_page=False) == [
        i for i in left if "1" in str(i)
    ]


async def test_many_items_at_a_version_come_in_one_order(datasets):
    await datasets.create_dataset("n", dataset_id="d")
    made = await datasets.batch_insert_items("d", items=[{"input": i} for i in range(2500)])
    gone = [item.id for item in made if item.input % 7 == 0 or 500 < item.input < 1800]
    await datasets.batch_delete_items("d", item_ids=gone)
    items = await datasets.get_items_by_version("d", version=1)
    assert [item.input for item in items] == list(range(2499, -1, -1))
    assert await inputs(datasets, "d", version=1, per_page=False) == list(range(2500))
    page = await datasets.list_items("d", version=1, search="7", per_page=5, page=50)
    found = [i for i in range(2499, -1, -1) if "7" in str(i)]
    assert ([item.input for item in page.items], page.total) == (found[250:255], len(found))


async def test_search_looks_into_input_and_ground_truth(datasets):
    await datasets.create_dataset("n", dataset_id="d")
    await datasets.add_item("d", input="Say HELLO", metadata={"x": "needle"})
    await datasets.add_item("d", input={"q": "hello world"})
    second = await datasets.add_item("d", input=1, ground_truth=["Straße", None])
    assert await inputs(datasets, "d", search="hello") == ["Say HELLO", {"q": "hello world"}]
    assert await inputs(datasets, "d", search='"q":"h') == [{"q": "hello world"}]
    assert await inputs(datasets, "d", search="STRASSE") == [1]
    assert await inputs(datasets, "d", search="needle") == []
    assert len(await inputs(datasets, "d", search="")) == 3
    page = await datasets.list_items("d", search="hello", per_page=1)
    assert (page.total, page.has_more, page.items[0].input) == (2, True, {"q": "hello world"})
    page = await datasets.list_items("d", search="hello", per_page=1, page=1, with_total=False)
    assert (page.total, page.has_more, page.items[0].input) == (None, False, "Say HELLO")
    await datasets.update_item(second.id, dataset_id="d", ground_truth="else")
    assert await inputs(datasets, "d", search="straße") == []
    assert await inputs(datasets, "d", search="straße", version=3) == [1]


async def test_an_external_id_makes_adding_safe_to_repeat(datasets):
    await datasets.create_dataset("n", dataset_id="d")
    batch = [
        {"externalId": "a", "input": {"n": 1.0, "l": [None]}},
        {"external_id": "b", "input": 2, "metadata": None},
        {"input": 3},
    ]
    first = await datasets.batch_insert_items("d", items=batch)
    changed = await datasets.update_item(first[0].id, dataset_id="d", input="changed")
    again = await datasets.batch_insert_items(
        "d", items=[{"external_id": "a", "input": {"l": [None], "n": 1}, "ground_truth": None}]
    )
    assert again == [changed]
    assert (await datasets.get_dataset_by_id("d")).version == 2
    mixed = await datasets.batch_insert_items("d", items=[batch[1], {"input": 9}, batch[1]])
    assert mixed[0] == mixed[2] == first[1]
    assert mixed[1].input == 9
    twice = await datasets.batch_insert_items(
        "d", items=[{"external_id": "c", "input": 1}, {"external_id": "c", "input": 1}]
    )
    assert twice[0] == twice[1]
    assert len(await inputs(datasets, "d")) == 5


async def test_an_external_id_of_something_else_is_a_conflict(datasets):
    await datasets.create_dataset("n", dataset_id="d")
    one = await datasets.add_item("d", input=1, external_id="a")
    two = await datasets.add_item("d", input=2, external_id="b")
    await datasets.delete_item(two.id, dataset_id="d")
    with pytest.raises(ItemIdentityConflictError) as caught:
        await datasets.batch_insert_items(
            "d",
            items=[
                {"input": 0},
                {"external_id": "a", "input": True},
                {"external_id": "b", "input": 2},
                {"external_id": "c", "input": 1},
                {"external_id": "c", "input": "1"},
            ],
        )
    found = [(c.index, c.external_id, c.reason) for c in caught.value.conflicts]
    assert found == [
        (1, "a", "payload_mismatch"),
        (2, "b", "deleted"),
        (4, "c", "payload_mismatch"),
    ]
    assert caught.value.conflicts[0].existing_item_id == one.id
    assert caught.value.conflicts[1].existing_item_id == two.id
    assert (await datasets.get_dataset_by_id("d")).version == 3
    assert await inputs(datasets, "d") == [1]


async def test_external_ids_are_of_their_dataset(datasets):
    for dataset_id in ("d", "e"):
        await datasets.create_dataset("n", dataset_id=dataset_id)
    one = await datasets.add_item("d", input=1, external_id="a")
    two = await datasets.add_item("e", input=2, external_id="a")
    assert one.id != two.id
    with pytest.raises(InvalidArgumentError, match="external_id"):
        await datasets.add_item("d", input=1, external_id="")


async def test_concurrent_additions_with_one_external_id_make_one_item():
    datasets = DatasetsStorage(Yielding())
    await datasets.create_dataset("n", dataset_id="d")
    made = await asyncio.gather(
        *(datasets.add_item("d", input=1, external_id="a") for _ in range(6))
    )
    assert len({item.id for item in made}) == 1
    assert (await datasets.get_dataset_by_id("d")).version == 1


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"input": ...},
        {"input": float("inf")},
        {"input": [{"x": float("nan")}]},
        {"input": 1, "metadata": [1]},
        {"input": 1, "scorer_ids": "s"},
        {"input": 1, "unknown": 1},
        {"input": 1, "external_id": 5},
        "text",
    ],
    ids=repr,
)
async def test_what_cannot_be_an_item_is_refused(datasets, item):
    await datasets.create_dataset("n", dataset_id="d")
    with pytest.raises(InvalidArgumentError):
        await datasets.batch_insert_items("d", items=[{"input": 1}, item])
    assert await inputs(datasets, "d") == []
    assert (await datasets.get_dataset_by_id("d")).version == 0


async def test_a_returned_item_is_what_is_stored_not_what_was_given(datasets):
    await datasets.create_dataset("n", dataset_id="d")
    given = {"at": datetime(2026, 1, 2, tzinfo=UTC), "text": "a\0b", "t": (1, 2)}
    item = await datasets.add_item("d", input=given)
    assert item.input == {"at": "2026-01-02T00:00:00Z", "text": "ab", "t": [1, 2]}
    given["text"] = "changed"
    assert await datasets.get_item_by_id(item.id) == item
    made = await datasets.batch_insert_items("d", items=[NewDatasetItem(input=given)])
    assert made[0].input["text"] == "changed"


async def test_items_must_fit_the_schemas(datasets):
    await datasets.create_dataset(
        "n",
        dataset_id="d",
        input_schema={
            "type": "object",
            "properties": {"a/b": {"type": "integer"}, "at": {"type": "string"}},
            "required": ["a/b"],
        },
        ground_truth_schema={"type": ["string", "null"]},
    )
    good = {"a/b": 1, "at": datetime(2026, 1, 2, tzinfo=UTC)}
    item = await datasets.add_item("d", input=good)
    await datasets.add_item("d", input=good, ground_truth=None)
    with pytest.raises(ItemSchemaError, match="input") as caught:
        await datasets.batch_insert_items("d", items=[{"input": good}, {"input": {"a/b": "s3cr"}}])
    assert (caught.value.field, caught.value.errors[0].path) == ("input", "/a~1b")
    assert "items[1]" in str(caught.value)
    assert "s3cr" not in str(caught.value)
    with pytest.raises(ItemSchemaError) as caught:
        await datasets.add_item("d", input=good, ground_truth=1)
    assert (caught.value.field, caught.value.errors[0].path) == ("ground_truth", "")
    with pytest.raises(ItemSchemaError):
        await datasets.update_item(item.id, dataset_id="d", input={})
    with pytest.raises(ItemSchemaError):
        await datasets.update_item(item.id, dataset_id="d", ground_truth=False)
    await datasets.update_item(item.id, dataset_id="d", ground_truth="s")
    assert (await datasets.get_dataset_by_id("d")).version == 3


async def test_a_new_schema_must_accept_the_items(datasets):
    await datasets.create_dataset("n", dataset_id="d")
    bad = await datasets.batch_insert_items("d", items=[{"input": i} for i in range(12)])
    fine = await datasets.add_item("d", input="s")
    old = await datasets.add_item("d", input=99)
    await datasets.delete_item(old.id, dataset_id="d")
    with pytest.raises(SchemaUpdateError) as caught:
        await datasets.update_dataset("d", name="m", input_schema={"type": "string"})
    assert [item.item_id for item in caught.value.failing_items] == [i.id for i in bad[:10]]
    assert caught.value.failing_items[0].field == "input"
    assert (await datasets.get_dataset_by_id("d")).name == "n"
    await datasets.batch_delete_items("d", item_ids=[item.id for item in bad])
    changed = await datasets.update_dataset("d", input_schema={"type": "string"})
    assert changed.input_schema == {"type": "string"}
    with pytest.raises(SchemaUpdateError, match=fine.id):
        await datasets.update_dataset("d", input_schema={"type": "string", "maxLength": 0})
    assert (await datasets.update_dataset("d", input_schema=None)).input_schema is None
    await datasets.add_item("d", input=5)


@pytest.mark.parametrize("first", ["add", "change"])
async def test_items_fit_the_schema_whatever_comes_in_between(first):
    for number in itertools.count():
        backend = Interrupted()
        datasets = DatasetsStorage(backend)
        await datasets.create_dataset("n", dataset_id="d")
        outcomes = []

        async def add(datasets=datasets):
            await datasets.add_item("d", input=1)

        async def change(datasets=datasets):
            await datasets.update_dataset("d", input_schema={"type": "string"})

        async def second(task=change if first == "add" else add, outcomes=outcomes):
            outcomes += await asyncio.gather(task(), return_exceptions=True)

        interrupted, outcome = await backend.run(number, add if first == "add" else change, second)
        if not interrupted:
            break
        refused = [isinstance(o, InvalidArgumentError) for o in (outcome, *outcomes)]
        assert sorted(refused) == [False, True]
    assert number >= 2


async def test_a_schema_without_the_package_says_what_to_install(datasets, monkeypatch):
    import_ = builtins.__import__

    def refuse(name, *rest):
        if name == "jsonschema_rs":
            raise ImportError(name)
        return import_(name, *rest)

    json_schemas._compiled.cache_clear()
    monkeypatch.delitem(sys.modules, "jsonschema_rs", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigurationError, match=r"pip install 'mastra-core\[datasets\]'"):
        await datasets.create_dataset("n", input_schema={"type": "string"})
    await datasets.create_dataset("n", dataset_id="d", request_context_schema={"type": "string"})
    await datasets.add_item("d", input=1)


async def test_purging_erases_the_content_everywhere(backend, datasets):
    experiments = ExperimentsStorage(backend)
    await datasets.create_dataset("n", dataset_id="d")
    await datasets.create_dataset("n", dataset_id="e")
    item = await datasets.add_item(
        "d",
        input="secret",
        ground_truth="secret",
        request_context={"k": "secret"},
        metadata={"k": "secret"},
        source={"type": "csv", "referenceId": "secret"},
        expected_trajectory=["secret"],
        tool_mocks=["secret"],
        unmocked_tool_policy="deny",
        scorer_ids=["secret"],
        external_id="x",
    )
    await datasets.update_item(item.id, dataset_id="d", input="secret too")
    other = await datasets.add_item("d", input="kept")
    results = {}
    for dataset_id in ("d", "e"):
        experiment = await experiments.create_experiment(dataset_id=dataset_id)
        results[dataset_id] = await experiments.add_experiment_result(
            experiment.id,
            item_id=item.id,
            input="secret",
            output="secret",
            ground_truth="secret",
            error={"message": "secret"},
            metadata={"k": "secret"},
            tags=["secret"],
            tool_mock_report={"served": ["secret"]},
            trace_id="trace",
            started_at=now(),
            completed_at=now(),
        )
        await experiments.update_experiment_result(results[dataset_id].id, comment="secret")
    before = await datasets.get_dataset_by_id("d")
    await datasets.purge_item(item.id, dataset_id="d")

    history = await datasets.get_item_history(item.id)
    assert [row.dataset_version for row in history] == [2, 1]
    for row in history:
        assert b"secret" not in msgspec.json.encode(row)
        assert row.metadata["__purged"] is True
        assert row.metadata["purgedAt"].endswith("Z")
        assert (row.external_id, row.input, row.ground_truth) == ("x", None, UNSET)
    after = await datasets.get_dataset_by_id("d")
    assert after.version == before.version
    erased = await experiments.get_experiment_result_by_id(results["d"].id)
    assert b"secret" not in msgspec.json.encode(erased)
    assert (erased.metadata["__purged"], erased.trace_id, erased.tags) == (True, "trace", None)
    kept = await experiments.get_experiment_result_by_id(results["e"].id)
    assert (kept.input, kept.comment) == ("secret", "secret")
    assert (await datasets.get_item_by_id(other.id)).input == "kept"

    with pytest.raises(ConflictError, match="Purged dataset item cannot be updated"):
        await datasets.update_item(item.id, dataset_id="d", input="again")
    with pytest.raises(ItemIdentityConflictError):
        await datasets.add_item("d", input="secret", external_id="x")
    await datasets.purge_item("unknown", dataset_id="d")
    await datasets.purge_item(item.id, dataset_id="e")
    await datasets.delete_item(item.id, dataset_id="d")
    assert await datasets.get_item_by_id(item.id) is None


@pytest.mark.parametrize("what", ["update", "delete", "delete many", "upsert", "add", "replace"])
@pytest.mark.parametrize("purge_first", [False, True])
async def test_nothing_that_was_read_before_a_purge_is_written_after_it(what, purge_first):
    for number in itertools.count():
        backend = Interrupted()
        datasets, experiments = DatasetsStorage(backend), ExperimentsStorage(backend)
        await datasets.create_dataset("n", dataset_id="d")
        await experiments.create_experiment(experiment_id="e", dataset_id="d")
        item = await datasets.add_item("d", input="secret")
        result = {"item_id": item.id, "input": "secret", "started_at": T0, "completed_at": T0}
        if what == "replace":
            await experiments.upsert_experiment_result("e", **result)
        calls = {
            "update": lambda d=datasets, i=item: d.update_item(i.id, dataset_id="d", metadata={}),
            "delete": lambda d=datasets, i=item: d.delete_item(i.id, dataset_id="d"),
            "delete many": lambda d=datasets, i=item: d.batch_delete_items("d", item_ids=[i.id]),
            "upsert": lambda e=experiments, r=result: e.upsert_experiment_result("e", **r),
            "add": lambda e=experiments, r=result: e.add_experiment_result("e", **r),
            "replace": lambda e=experiments, r=result: e.upsert_experiment_result("e", **r),
        }

        async def purge(datasets=datasets, item=item):
            await datasets.purge_item(item.id, dataset_id="d")

        first, second = (purge, calls[what]) if purge_first else (calls[what], purge)
        interrupted, _ = await backend.run(number, first, second)
        if not interrupted:
            break
        rows = await datasets.get_item_history(item.id)
        assert len(rows) >= 1
        assert [row for row in rows if b"secret" in msgspec.json.encode(row)] == []
        results = (await experiments.list_experiment_results("e")).results
        assert len(results) == (what in {"upsert", "add", "replace"})
        assert [r for r in results if b"secret" in msgspec.json.encode(r)] == []
    assert number >= 3


async def test_recording_a_version_twice_is_one_version(datasets):
    await datasets.create_dataset("n", dataset_id="d")
    first = await datasets.create_dataset_version("d", version=3)
    assert await datasets.create_dataset_version("d", version=3) == first
    assert await versions(datasets, "d") == [3]
    for _ in range(3):
        await datasets.add_item("d", input=1)
    assert await versions(datasets, "d") == [3, 2, 1]
    with pytest.raises(NotFoundError):
        await datasets.create_dataset_version("x", version=1)
    for version in (-1, True, 1.0):
        with pytest.raises(InvalidArgumentError):
            await datasets.create_dataset_version("d", version=version)


async def test_versions_are_paged(datasets):
    await datasets.create_dataset("n", dataset_id="d")
    for i in range(3):
        await datasets.add_item("d", input=i)
    page = await datasets.list_dataset_versions("d", per_page=2)
    assert [v.version for v in page.versions] == [3, 2]
    assert (page.total, page.has_more) == (3, True)
    assert page.versions[0].dataset_id == "d"
    page = await datasets.list_dataset_versions("d", per_page=2, page=1, with_total=False)
    assert ([v.version for v in page.versions], page.total, page.has_more) == ([1], None, False)


async def test_what_changes_between_reading_and_writing_is_seen(backend, datasets):
    """A writer that knows nothing of ``updatedAt`` (the original) still moves ``version``."""
    await datasets.create_dataset("n", dataset_id="d")
    find = backend._find
    turns = iter([True, False, False, False])

    async def interfering(table, query):
        rows = await find(table, query)
        if table is DATASETS and next(turns, False):
            foreign = Update(DATASETS, (Where("id", "eq", "d"),), {"version": 7})
            await backend._write((foreign,))
        return rows

    backend._find = interfering
    item = await datasets.add_item("d", input=1)
    assert item.dataset_version == 8
    assert (await datasets.get_dataset_by_id("d")).version == 8


async def test_times_of_items_strictly_increase(backend, datasets):
    await datasets.create_dataset("n", dataset_id="d")
    item = await datasets.add_item("d", input=1)
    later = now() + timedelta(hours=1)
    codec = Codec(DATASET_ITEMS, type(item))
    where = (Where("id", "eq", item.id),)
    await backend.write(Update(DATASET_ITEMS, where, codec.values({"updated_at": later})))
    changed = await datasets.update_item(item.id, dataset_id="d", input=2)
    assert changed.updated_at > later
    assert len(await backend.find(DATASET_ITEMS, Query(where=where))) == 2
