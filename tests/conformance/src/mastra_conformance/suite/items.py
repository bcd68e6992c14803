"""Items of datasets, each change of which is a version."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.tiers import area, base
from mastra_core.errors import ConflictError, InvalidArgumentError, NotFoundError
from mastra_core.records import DatasetItem
from mastra_core.storage.domains.item_identity import ItemIdentityConflictError

JSON: list[Any] = [
    None,
    False,
    0,
    "",
    "null",
    "false",
    "42",
    "[]",
    '{"x":1}',
    1.5,
    [],
    {},
    {"a": [None, {"b": []}]},
]


@area("datasets")
@pytest.mark.asyncio(loop_scope="function")
class TestItems:
    """Items, each change of which is a version."""

    @base
    async def test_an_added_item_is_read_back(self, lab: Lab) -> None:
        """At version 1, open ended, with its dataset's owners."""
        datasets, org = lab.store.datasets, fresh("org")
        owner = await datasets.create_dataset("d", organization_id=org, project_id="p")
        item = await datasets.add_item(
            owner.id,
            input={"q": "?"},
            ground_truth="!",
            external_id="e1",
            request_context={"a": 1},
            metadata={"m": []},
            source={"type": "csv", "referenceId": "r"},
            expected_trajectory=[1],
            tool_mocks=[{"name": "t"}],
            unmocked_tool_policy="fail",
            scorer_ids=["s"],
        )
        assert (item.dataset_version, item.valid_to, item.is_deleted) == (1, None, False)
        assert (item.organization_id, item.project_id) == (org, "p")
        assert await datasets.get_item_by_id(item.id) == item
        assert (await datasets.list_items(owner.id)).items == [item]
        assert await datasets.get_item_by_id(fresh("item")) is None
        with pytest.raises(NotFoundError):
            await datasets.add_item(fresh("dataset"), input=1)

    async def test_json_values_survive_every_way_of_reading(self, lab: Lab) -> None:
        """``null``, ``false``, ``0``, empty text and text that is JSON; absent is not ``null``."""
        datasets = lab.store.datasets
        owner = await datasets.create_dataset("d")
        given = [
            {"input": v, "groundTruth": v, "expected_trajectory": v, "tool_mocks": v} for v in JSON
        ]
        items = await datasets.batch_insert_items(owner.id, items=[*given, {"input": 1}])
        listed = {item.id: item for item in (await datasets.list_items(owner.id)).items}
        at_version = {i.id: i for i in await datasets.get_items_by_version(owner.id, version=1)}
        for value, item in zip((*JSON, UNSET), items, strict=True):
            history = await datasets.get_item_history(item.id)
            read = await datasets.get_item_by_id(item.id)
            for found in (item, listed[item.id], at_version[item.id], history[0], read):
                assert found is not None
                kept = (found.ground_truth, found.expected_trajectory, found.tool_mocks)
                assert kept == (value, value, value)
                assert type(found.ground_truth) is type(value)
            assert item.input == (1 if value is UNSET else value)

    async def test_optional_fields_that_were_not_given_are_absent(self, lab: Lab) -> None:
        """And empty ones are empty."""
        datasets = lab.store.datasets
        owner = await datasets.create_dataset("d")
        bare = await datasets.add_item(owner.id, input=1)
        empty = await datasets.add_item(
            owner.id,
            input=1,
            metadata={},
            scorer_ids=[],
            request_context={},
            unmocked_tool_policy="",
        )
        cases: list[tuple[DatasetItem, tuple[Any, ...]]] = [
            (bare, (None,) * 4),
            (empty, ({}, [], {}, "")),
        ]
        for item, values in cases:
            found = await datasets.get_item_by_id(item.id)
            assert found is not None
            names = ("metadata", "scorer_ids", "request_context", "unmocked_tool_policy")
            assert tuple(getattr(found, name) for name in names) == values

    async def test_every_change_is_one_version(self, lab: Lab) -> None:
        """Also a batch; the dataset counts them, and lists them, the latest first."""
        datasets = lab.store.datasets
        owner = await datasets.create_dataset("d")
        items = await datasets.batch_insert_items(owner.id, items=[{"input": n} for n in range(5)])
        assert {item.dataset_version for item in items} == {1}
        await datasets.update_item(items[0].id, dataset_id=owner.id, input="new")
        await datasets.delete_item(items[1].id, dataset_id=owner.id)
        await datasets.batch_delete_items(owner.id, item_ids=[i.id for i in items[2:4]])
        await datasets.batch_delete_items(owner.id, item_ids=[fresh("item")])
        await datasets.batch_insert_items(owner.id, items=[])
        found = await datasets.get_dataset_by_id(owner.id)
        assert found is not None
        assert (found.version, found.updated_at) == (4, owner.updated_at)
        page = await datasets.list_dataset_versions(owner.id, per_page=3)
        assert [v.version for v in page.versions] == [4, 3, 2]
        assert (page.total, page.has_more) == (4, True)

    async def test_items_are_read_as_they_stood_at_a_version(self, lab: Lab) -> None:
        """Added, changed and deleted ones, in lists and one by one."""
        datasets = lab.store.datasets
        owner = await datasets.create_dataset("d")
        first = await datasets.add_item(owner.id, input="a1")
        second = await datasets.add_item(owner.id, input="b1")
        await datasets.update_item(first.id, dataset_id=owner.id, input="a2")
        await datasets.delete_item(second.id, dataset_id=owner.id)
        expected: dict[int | None, set[str]] = {
            0: set(),
            1: {"a1"},
            2: {"a1", "b1"},
            3: {"a2", "b1"},
            4: {"a2"},
            9: {"a2"},
            None: {"a2"},
        }
        for version, inputs in expected.items():
            page = await datasets.list_items(owner.id, version=version)
            assert ({i.input for i in page.items}, page.total) == (inputs, len(inputs)), version
            if version is not None:
                found = await datasets.get_items_by_version(owner.id, version=version)
                assert {i.input for i in found} == inputs
                item = await datasets.get_item_by_id(second.id, dataset_version=version)
                assert (item is not None) is ("b1" in inputs)
        assert await datasets.get_item_by_id(second.id) is None

    async def test_the_history_of_an_item_is_closed_step_by_step(self, lab: Lab) -> None:
        """The latest first; each row ends where the next begins; a deletion is one too."""
        datasets, org = lab.store.datasets, fresh("org")
        owner = await datasets.create_dataset("d", organization_id=org)
        item = await datasets.add_item(owner.id, input=1, metadata={"a": 1})
        await datasets.add_item(owner.id, input="other")
        await datasets.update_item(item.id, dataset_id=owner.id, input=2)
        await datasets.delete_item(item.id, dataset_id=owner.id)
        rows = await datasets.get_item_history(item.id)
        steps = [(r.dataset_version, r.valid_to, r.is_deleted, r.input) for r in rows]
        assert steps == [(4, None, True, 2), (3, 4, False, 2), (1, 3, False, 1)]
        assert {(r.organization_id, r.created_at) for r in rows} == {(org, item.created_at)}
        assert rows[0].updated_at > rows[1].updated_at > rows[2].updated_at
        assert await datasets.get_item_history(fresh("item")) == []

    async def test_an_update_sets_the_given_fields(self, lab: Lab) -> None:
        """``None`` clears, or is JSON's ``null`` where that is a value; not given stays."""
        datasets = lab.store.datasets
        owner = await datasets.create_dataset("d")
        other = await datasets.create_dataset("e")
        item = await datasets.add_item(
            owner.id, input=1, ground_truth=2, metadata={"a": 1}, scorer_ids=["s"], external_id="e"
        )
        changed = await datasets.update_item(
            item.id, dataset_id=owner.id, ground_truth=None, metadata=None
        )
        assert (changed.input, changed.ground_truth, changed.metadata) == (1, None, None)
        assert (changed.scorer_ids, changed.external_id) == (["s"], "e")
        assert changed.dataset_version == 2
        assert await datasets.get_item_by_id(item.id) == changed
        foreign: list[dict[str, Any]] = [
            {"item_id": fresh("item"), "dataset_id": owner.id},
            {"item_id": item.id, "dataset_id": other.id},
            {"item_id": item.id, "dataset_id": fresh("dataset")},
        ]
        for arguments in foreign:
            with pytest.raises(NotFoundError):
                await datasets.update_item(**arguments, input=3)

    async def test_an_item_is_deleted_from_its_own_dataset_only(self, lab: Lab) -> None:
        """Unknown and deleted ones are no error and make no version."""
        datasets = lab.store.datasets
        owner = await datasets.create_dataset("d")
        other = await datasets.create_dataset("e")
        item = await datasets.add_item(owner.id, input=1)
        with pytest.raises(NotFoundError):
            await datasets.delete_item(item.id, dataset_id=other.id)
        await datasets.batch_delete_items(other.id, item_ids=[item.id])
        assert await datasets.get_item_by_id(item.id) == item
        for _ in range(2):
            await datasets.delete_item(item.id, dataset_id=owner.id)
        found = await datasets.get_dataset_by_id(owner.id)
        assert found is not None
        assert found.version == 2

    async def test_lists_of_items_are_paged_ordered_and_searched(self, lab: Lab) -> None:
        """Ties by the id; the text is looked for in input and ground truth, in any case."""
        datasets = lab.store.datasets
        owner = await datasets.create_dataset("d")
        given: list[dict[str, Any]] = [
            {"input": {"n": n, "t": "Äpfel" if n % 3 else "x"}} for n in range(10)
        ]
        given[9] = {"input": 1, "ground_truth": "ein ÄPFEL"}
        items = await datasets.batch_insert_items(owner.id, items=given)
        seen: list[str] = []
        for page in range(4):
            found = await datasets.list_items(owner.id, page=page, per_page=3)
            assert (found.total, found.has_more) == (10, page < 3)
            seen += [item.id for item in found.items]
        assert seen == sorted((item.id for item in items), reverse=True)
        order = {"field": "createdAt", "direction": "ASC"}
        up = await datasets.list_items(owner.id, order_by=order)
        assert [item.id for item in up.items] == seen[::-1]
        found = await datasets.list_items(owner.id, search="äpfel", per_page=5)
        assert (len(found.items), found.total, found.has_more) == (5, 7, True)
        found = await datasets.list_items(owner.id, search="nowhere")
        assert (found.items, found.total) == ([], 0)

    async def test_an_external_id_makes_adding_again_safe(self, lab: Lab) -> None:
        """The same payload gives the item that is there; another one, or a deleted item, conflicts."""
        datasets = lab.store.datasets
        owner = await datasets.create_dataset("d")
        item = await datasets.add_item(owner.id, input={"a": 1, "b": 2}, external_id="e")
        again = await datasets.add_item(owner.id, input={"b": 2, "a": 1}, external_id="e")
        assert again == item
        new = [{"input": "new"}, {"input": "other", "external_id": "e"}]
        with pytest.raises(ConflictError) as caught:
            await datasets.batch_insert_items(owner.id, items=new)
        assert isinstance(caught.value, ItemIdentityConflictError)
        assert [(c.index, c.reason) for c in caught.value.conflicts] == [(1, "payload_mismatch")]
        assert (await datasets.list_items(owner.id)).items == [item]
        elsewhere = await datasets.create_dataset("e")
        copy = await datasets.add_item(elsewhere.id, input="other", external_id="e")
        assert copy.id != item.id
        await datasets.delete_item(item.id, dataset_id=owner.id)
        with pytest.raises(ConflictError):
            await datasets.add_item(owner.id, input={"a": 1, "b": 2}, external_id="e")
        with pytest.raises(InvalidArgumentError):
            await datasets.add_item(owner.id, input=1, external_id="")

    async def test_a_batch_is_added_whole_or_not_at_all(self, lab: Lab) -> None:
        """What is no JSON is refused by name, and there is no new version."""
        datasets = lab.store.datasets
        owner = await datasets.create_dataset("d")
        for wrong in ({"input": object()}, {"ground_truth": 1}, {"input": 1, "unknown": 1}):
            with pytest.raises(InvalidArgumentError):
                await datasets.batch_insert_items(owner.id, items=[{"input": 1}, wrong])
        assert (await datasets.list_items(owner.id)).items == []
        assert await datasets.get_dataset_by_id(owner.id) == owner

    async def test_a_large_batch_is_one_version(self, lab: Lab) -> None:
        """However many items; deleting them all is the next."""
        datasets = lab.store.datasets
        owner = await datasets.create_dataset("d")
        items = await datasets.batch_insert_items(
            owner.id, items=[{"input": n} for n in range(1200)]
        )
        page = await datasets.list_items(owner.id, per_page=False)
        assert (len(page.items), page.total) == (1200, 1200)
        await datasets.batch_delete_items(owner.id, item_ids=[item.id for item in items])
        assert (await datasets.list_items(owner.id)).total == 0
        assert len(await datasets.get_items_by_version(owner.id, version=1)) == 1200

    async def test_purging_erases_all_versions_and_results(self, lab: Lab) -> None:
        """Ids and times stay, contents go; a purged item takes no update."""
        datasets, experiments = lab.store.datasets, lab.store.experiments
        owner = await datasets.create_dataset("d")
        item = await datasets.add_item(owner.id, input="secret-1", ground_truth="secret-1")
        await datasets.update_item(item.id, dataset_id=owner.id, input="secret-2")
        run = await experiments.create_experiment(
            target_type="agent", target_id="a", dataset_id=owner.id, dataset_version=2
        )
        result = await experiments.add_experiment_result(
            run.id,
            item_id=item.id,
            input="secret-2",
            output="secret-3",
            started_at=item.created_at,
            completed_at=item.created_at,
        )
        await datasets.purge_item(item.id, dataset_id=owner.id)
        rows = await datasets.get_item_history(item.id)
        assert [row.dataset_version for row in rows] == [2, 1]
        found = await experiments.get_experiment_result_by_id(result.id)
        assert "secret" not in repr(rows) + repr(found)
        assert all((row.metadata or {})["__purged"] is True for row in rows)
        with pytest.raises(ConflictError):
            await datasets.update_item(item.id, dataset_id=owner.id, input="again")
        await datasets.purge_item(fresh("item"), dataset_id=owner.id)
