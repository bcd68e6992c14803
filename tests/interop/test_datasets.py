"""Datasets and their versioned items: what one side wrote, the other reads at every version."""

from __future__ import annotations

from typing import Any

import pytest

from mastra_core.errors import ConflictError, NotFoundError
from mastra_core.storage.domains.item_schemas import ItemSchemaError

from .original import OriginalError
from .plain import page_of, plain, plains

pytestmark = pytest.mark.asyncio

SCHEMA = {
    "type": "object",
    "properties": {"question": {"type": "string"}},
    "required": ["question"],
}
# What a caller may say of a dataset, under the original's names.
DATASET = {
    "name": "“Tea” 🦆",
    "description": "d",
    "metadata": {"deep": [None, {"a": 1}]},
    "inputSchema": SCHEMA,
    "groundTruthSchema": {"type": "object"},
    "requestContextSchema": {"type": "object", "properties": {}},
    "targetType": "agent",
    "targetIds": ["agent-1", "agent-2"],
    "scorerIds": ["scorer-1"],
    "organizationId": "organization-1",
    "projectId": "project-1",
    "candidateKey": "key-1",
    "candidateId": "candidate-1",
}
STORED_DATASET = {"id", "tags", "version", "createdAt", "updatedAt"}
# What a caller may say of an item.
ITEM = {
    "input": {"question": "“why”?", "nothing": None},
    "groundTruth": {"answer": [1, {"b": None}]},
    "externalId": "external-1",
    "requestContext": {"user": "u"},
    "metadata": {"m": {"deep": None}},
    "source": {"type": "trace", "referenceId": "trace-1"},
    "expectedTrajectory": [{"step": "a"}],
    "toolMocks": [{"toolName": "t", "args": {}, "output": {"o": None}}],
    "unmockedToolPolicy": "error",
    "scorerIds": ["scorer-1"],
}
STORED_ITEM = {
    "id",
    "datasetId",
    "datasetVersion",
    "organizationId",
    "projectId",
    "validTo",
    "isDeleted",
    "createdAt",
    "updatedAt",
}


def snake(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of our methods for those of the original."""
    return {
        "".join(f"_{c.lower()}" if c.isupper() else c for c in name): value
        for name, value in given.items()
    }


def standing(item: Any) -> dict[str, Any]:
    """An item as it stands: the original names the end of its validity in histories only."""
    return {k: v for k, v in plain(item).items() if k not in {"isDeleted", "validTo"}}


async def create_ours(ours, number: str = "dataset-1", **changes):
    return await ours.datasets.create_dataset(dataset_id=number, **snake({**DATASET, **changes}))


async def add_ours(ours, **changes):
    return await ours.datasets.add_item("dataset-1", **snake({**ITEM, **changes}))


async def create_theirs(theirs, number: str = "dataset-1", **changes):
    return await theirs.datasets.createDataset(id=number, **{**DATASET, **changes})


async def add_theirs(theirs, **changes):
    return await theirs.datasets.addItem(datasetId="dataset-1", **{**ITEM, **changes})


async def test_we_read_a_dataset_of_the_original(ours, theirs):
    created = await create_theirs(theirs)
    tagged = await theirs.datasets.updateDataset(id="dataset-1", tags=["a"])

    mine = plain(await ours.datasets.get_dataset_by_id("dataset-1"))
    assert mine == {
        **DATASET,
        "id": "dataset-1",
        "tags": ["a"],
        "version": 0,
        "createdAt": created["createdAt"],
        "updatedAt": tagged["updatedAt"],
    }
    assert plains((await ours.datasets.list_datasets()).datasets) == [mine]


async def test_the_original_reads_a_dataset_of_ours(ours, theirs):
    created = await create_ours(ours, tags=["a"])

    expected = {
        **DATASET,
        "id": "dataset-1",
        "tags": ["a"],
        "version": 0,
        "createdAt": created.created_at,
        "updatedAt": created.updated_at,
    }
    assert plain(created) == expected
    assert plain(await theirs.datasets.getDatasetById(id="dataset-1")) == expected
    listed = await theirs.datasets.listDatasets(pagination={"page": 0, "perPage": 9})
    assert plains(listed["datasets"]) == [expected]


async def test_a_dataset_with_nothing_but_a_name_goes_both_ways(ours, theirs):
    await ours.datasets.create_dataset("bare", dataset_id="dataset-1")
    await theirs.datasets.createDataset(id="dataset-2", name="bare")

    for number in ("dataset-1", "dataset-2"):
        mine = plain(await ours.datasets.get_dataset_by_id(number))
        assert mine == plain(await theirs.datasets.getDatasetById(id=number))
        times = {k: mine[k] for k in ("createdAt", "updatedAt")}
        assert mine == {"id": number, "name": "bare", "version": 0, **times}


CHANGES = {
    "name": "new",
    "description": "changed",
    "metadata": {"new": [None]},
    "inputSchema": None,
    "groundTruthSchema": {"type": "object", "properties": {}},
    "requestContextSchema": None,
    "tags": ["b"],
    "targetType": None,
    "targetIds": ["agent-3"],
    "scorerIds": None,
}


async def test_we_update_a_dataset_of_the_original(ours, theirs):
    await create_theirs(theirs)
    answered = plain(await ours.datasets.update_dataset("dataset-1", **snake(CHANGES)))

    assert plain(await theirs.datasets.getDatasetById(id="dataset-1")) == answered
    assert {k: answered.get(k) for k in CHANGES} == CHANGES
    assert answered["version"] == 0


async def test_the_original_updates_a_dataset_of_ours(ours, theirs):
    await create_ours(ours)
    answered = plain(await theirs.datasets.updateDataset(id="dataset-1", **CHANGES))

    mine = plain(await ours.datasets.get_dataset_by_id("dataset-1"))
    assert mine == answered
    assert {k: mine.get(k) for k in CHANGES} == CHANGES


async def test_creating_a_dataset_again_gives_the_stored_one_on_both_sides(ours, theirs):
    await create_theirs(theirs)
    await create_ours(ours, "dataset-2")

    assert (await create_ours(ours, name="other")).name == DATASET["name"]
    assert (await create_theirs(theirs, "dataset-2", name="other"))["name"] == DATASET["name"]
    with pytest.raises(ConflictError):
        await create_ours(ours, projectId="project-2")
    with pytest.raises(OriginalError, match="immutable") as refused:
        await create_theirs(theirs, "dataset-2", projectId="project-2")
    assert refused.value.id == "DATASET_ID_CONFLICT"


async def test_we_read_an_item_of_the_original(ours, theirs):
    await create_theirs(theirs)
    added = await add_theirs(theirs)

    mine = await ours.datasets.get_item_by_id(added["id"])
    assert standing(mine) == plain(added)
    assert {name: plain(mine)[name] for name in ITEM} == ITEM
    assert (mine.dataset_version, mine.valid_to, mine.is_deleted) == (1, None, False)
    listed = await ours.datasets.list_items("dataset-1")
    assert [standing(item) for item in listed.items] == [plain(added)]


async def test_the_original_reads_an_item_of_ours(ours, theirs):
    await create_ours(ours)
    added = await add_ours(ours)

    original = plain(await theirs.datasets.getItemById(id=added.id))
    assert original == standing(added)
    assert {name: original[name] for name in ITEM} == ITEM
    assert original["organizationId"] == "organization-1"
    listed = await theirs.datasets.listItems(
        datasetId="dataset-1", pagination={"page": 0, "perPage": 9}
    )
    assert plains(listed["items"]) == [original]
    assert (await theirs.datasets.getDatasetById(id="dataset-1"))["version"] == 1


@pytest.mark.parametrize(
    "value",
    [False, 0, "", "null", "false", "42", "[]", '{"x":1}', 1.5, [], {}, [None, {"a": None}]],
)
async def test_any_json_value_goes_both_ways(ours, theirs, value):
    await ours.datasets.create_dataset("bare", dataset_id="dataset-1")
    payload = {"input": value, "groundTruth": value, "expectedTrajectory": [value]}
    theirs_added = await theirs.datasets.addItem(datasetId="dataset-1", **payload)
    ours_added = await ours.datasets.add_item("dataset-1", **snake(payload))

    for number in (theirs_added["id"], ours_added.id):
        mine = plain(await ours.datasets.get_item_by_id(number))
        original = plain(await theirs.datasets.getItemById(id=number))
        assert {name: mine[name] for name in payload} == payload
        assert {name: original[name] for name in payload} == payload


async def test_items_changed_in_turns_have_one_history(ours, theirs):
    await create_theirs(theirs)
    first = (await add_theirs(theirs))["id"]
    second = (await add_ours(ours, externalId="external-2")).id
    await ours.datasets.update_item(first, dataset_id="dataset-1", input={"question": "3"})
    await theirs.datasets.updateItem(
        id=second, datasetId="dataset-1", input={"question": "4"}, metadata={"n": None}
    )
    await ours.datasets.delete_item(second, dataset_id="dataset-1")
    await theirs.datasets.deleteItem(id=first, datasetId="dataset-1")

    for number, spans in (
        (first, [(6, None), (3, 6), (1, 3)]),
        (second, [(5, None), (4, 5), (2, 4)]),
    ):
        mine = await ours.datasets.get_item_history(number)
        original = await theirs.datasets.getItemHistory(number)
        assert plains(mine) == plains(original)
        assert [(row.dataset_version, row.valid_to) for row in mine] == spans
        assert [row.is_deleted for row in mine] == [True, False, False]
        assert await ours.datasets.get_item_by_id(number) is None
        assert await theirs.datasets.getItemById(id=number) is None
        for version in range(8):
            at_version = {"id": number, "datasetVersion": version}
            item = await ours.datasets.get_item_by_id(number, dataset_version=version)
            found = await theirs.datasets.getItemById(**at_version)
            assert (item and standing(item)) == (found and plain(found))
    assert (await ours.datasets.get_dataset_by_id("dataset-1")).version == 6


async def test_a_dataset_is_the_same_at_every_version(ours, theirs):
    await create_theirs(theirs)
    numbers = []
    for n in range(3):
        numbers += [
            (await add_theirs(theirs, externalId=f"theirs-{n}", input={"question": f"t{n}"}))["id"],
            (await add_ours(ours, externalId=f"ours-{n}", input={"question": f"o{n}"})).id,
        ]
    await ours.datasets.update_item(numbers[0], dataset_id="dataset-1", metadata={"v": 7})
    await theirs.datasets.batchDeleteItems(datasetId="dataset-1", itemIds=numbers[1:3])
    await ours.datasets.batch_delete_items("dataset-1", item_ids=[numbers[4], "unknown"])

    for version in range(11):
        mine = await ours.datasets.get_items_by_version("dataset-1", version=version)
        original = await theirs.datasets.getItemsByVersion(datasetId="dataset-1", version=version)
        assert by_id(mine) == by_id(original)
        listed = await ours.datasets.list_items("dataset-1", version=version, per_page=2)
        found = await theirs.datasets.listItems(
            datasetId="dataset-1", version=version, pagination={"page": 0, "perPage": 2}
        )
        assert page_of(listed) == page_of(found)
    assert {item.id for item in mine} == {numbers[0], numbers[3], numbers[5]}
    versions = await ours.datasets.list_dataset_versions("dataset-1", per_page=4)
    found = await theirs.datasets.listDatasetVersions(
        datasetId="dataset-1", pagination={"page": 0, "perPage": 4}
    )
    assert plains(versions.versions) == plains(found["versions"])
    assert [v.version for v in versions.versions] == [9, 8, 7, 6]
    assert page_of(versions) == page_of(found)


def by_id(items) -> list[dict[str, Any]]:
    """Items in the order of their ids: several may have been made in one millisecond."""
    return sorted((standing(item) for item in items), key=lambda item: item["id"])


async def test_a_batch_is_one_version_on_both_sides(ours, theirs):
    await create_ours(ours)
    items = [{"input": {"question": str(n)}, "groundTruth": {"n": n}} for n in range(3)]

    original = await theirs.datasets.batchInsertItems(datasetId="dataset-1", items=items)
    mine = await ours.datasets.batch_insert_items("dataset-1", items=[snake(i) for i in items])

    assert {item["datasetVersion"] for item in original} == {1}
    assert {item.dataset_version for item in mine} == {2}
    stored = await ours.datasets.get_items_by_version("dataset-1", version=2)
    assert by_id(stored) == by_id([*original, *mine])
    found = await theirs.datasets.getItemsByVersion(datasetId="dataset-1", version=2)
    assert by_id(found) == by_id(stored)


async def test_an_external_id_names_one_item_for_both_sides(ours, theirs):
    await create_ours(ours)
    first = await add_theirs(theirs)
    second = await add_ours(ours, externalId="external-2")

    assert (await add_ours(ours)).id == first["id"]
    assert (await add_theirs(theirs, externalId="external-2"))["id"] == second.id
    other = {"input": {"question": "other"}}
    with pytest.raises(ConflictError, match="payload_mismatch"):
        await add_ours(ours, **other)
    with pytest.raises(OriginalError) as refused:
        await add_theirs(theirs, externalId="external-2", **other)
    assert refused.value.id == "DATASET_ITEM_IDENTITY_CONFLICT"
    # What an external id stands for is what it was first accepted with, by either side.
    await ours.datasets.update_item(first["id"], dataset_id="dataset-1", **other)
    await theirs.datasets.updateItem(id=second.id, datasetId="dataset-1", **other)
    assert (await add_theirs(theirs))["id"] == first["id"]
    assert (await add_ours(ours, externalId="external-2")).id == second.id
    # A deleted item gives its external id back to nobody.
    await ours.datasets.delete_item(first["id"], dataset_id="dataset-1")
    await theirs.datasets.deleteItem(id=second.id, datasetId="dataset-1")
    with pytest.raises(OriginalError):
        await add_theirs(theirs)
    with pytest.raises(ConflictError, match="deleted"):
        await add_ours(ours, externalId="external-2")


async def test_both_sides_check_items_against_the_schemas_of_a_dataset(ours, theirs):
    await create_theirs(theirs)
    await create_ours(ours, "dataset-2")

    for number in ("dataset-1", "dataset-2"):
        with pytest.raises(ItemSchemaError):
            await ours.datasets.add_item(number, input={"question": 1})
        with pytest.raises(OriginalError, match="Validation failed"):
            await theirs.datasets.addItem(datasetId=number, input={"question": 1})
        assert (await ours.datasets.get_dataset_by_id(number)).version == 0


async def test_an_item_purged_by_one_side_is_purged_on_the_other(ours, theirs):
    await create_theirs(theirs)
    first = (await add_theirs(theirs))["id"]
    second = (await add_ours(ours, externalId="external-2")).id
    await ours.datasets.update_item(first, dataset_id="dataset-1", input={"question": "2"})
    await ours.datasets.purge_item(first, dataset_id="dataset-1")
    await theirs.datasets.purgeItem(id=second, datasetId="dataset-1")

    for number, versions in ((first, 2), (second, 1)):
        mine = await ours.datasets.get_item_history(number)
        assert plains(mine) == plains(await theirs.datasets.getItemHistory(number))
        assert len(mine) == versions
        for item in plains(mine):
            assert item["metadata"].keys() == {"__purged", "purgedAt"}
            assert item["metadata"]["__purged"] is True
            assert not set(ITEM) - {"metadata", "externalId"} & item.keys()
        with pytest.raises(ConflictError, match="Purged"):
            await ours.datasets.update_item(number, dataset_id="dataset-1", input={})
        with pytest.raises(OriginalError, match="Purged"):
            await theirs.datasets.updateItem(id=number, datasetId="dataset-1", input={})


async def test_an_item_of_another_dataset_is_refused_by_both_sides(ours, theirs):
    await create_theirs(theirs)
    await create_theirs(theirs, "dataset-2")
    number = (await add_theirs(theirs))["id"]

    with pytest.raises(NotFoundError, match="dataset-2"):
        await ours.datasets.update_item(number, dataset_id="dataset-2", input={})
    with pytest.raises(OriginalError):
        await theirs.datasets.updateItem(id=number, datasetId="dataset-2", input={})
    assert (await ours.datasets.get_item_by_id(number)).dataset_version == 1


QUERIES = {
    "everything": {},
    "owner": {"organizationId": "organization-1", "projectId": "project-1"},
    "another owner": {"organizationId": "organization-2"},
    "candidate": {"candidateKey": "key-1", "candidateId": "candidate-1"},
    "target type": {"targetType": "workflow"},
    "one of the targets": {"targetIds": ["agent-3", "agent-1"]},
    "no targets": {"targetIds": []},
    "a part of the name": {"name": "DATASET 1"},
}


async def test_both_sides_list_datasets_alike(ours, theirs):
    for n in range(6):
        given = {
            "name": f"dataset {n}",
            "targetType": ("agent", "workflow")[n % 2],
            "targetIds": [f"agent-{n}"],
            "organizationId": f"organization-{n % 2}",
        }
        if n % 2:
            await create_theirs(theirs, f"dataset-{n}", **given)
        else:
            await create_ours(ours, f"dataset-{n}", **given)

    for name, query in QUERIES.items():
        for field, direction in (("createdAt", "ASC"), ("name", "DESC")):
            order = {"field": field, "direction": direction}
            mine = await ours.datasets.list_datasets(
                **snake(query), order_by=order, page=0, per_page=2
            )
            original = await theirs.datasets.listDatasets(
                filters=query, orderBy=order, pagination={"page": 0, "perPage": 2}
            )
            assert page_of(mine) == page_of(original), name
            # Those of one millisecond are a tie; names are not.
            if field == "name":
                assert plains(mine.datasets) == plains(original["datasets"]), name


@pytest.mark.parametrize("search", ["WHY", "o1", "answer", "nowhere"])
async def test_both_sides_search_items_alike(ours, theirs, search):
    await create_ours(ours)
    await add_theirs(theirs)
    await add_ours(ours, externalId="o1", input={"question": "o1 why"})
    await add_ours(ours, externalId="o2", input={"question": "o2"}, groundTruth={})

    mine = await ours.datasets.list_items("dataset-1", search=search)
    original = await theirs.datasets.listItems(
        datasetId="dataset-1", search=search, pagination={"page": 0, "perPage": 100}
    )
    assert by_id(mine.items) == by_id(original["items"])
    assert page_of(mine) == page_of(original)
    assert mine.items or search == "nowhere"


async def test_a_deleted_dataset_is_gone_for_the_other_side_with_its_items(ours, theirs):
    await create_theirs(theirs)
    first = (await add_theirs(theirs))["id"]
    await ours.datasets.delete_dataset("dataset-1")
    assert await theirs.datasets.getDatasetById(id="dataset-1") is None
    assert await theirs.datasets.getItemHistory(first) == []

    await create_ours(ours)
    second = (await add_ours(ours)).id
    await theirs.datasets.deleteDataset(id="dataset-1")
    assert await ours.datasets.get_dataset_by_id("dataset-1") is None
    assert await ours.datasets.get_item_history(second) == []
    assert (await ours.datasets.list_dataset_versions("dataset-1")).versions == []
