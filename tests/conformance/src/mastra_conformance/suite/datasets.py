"""Datasets: versioned items to evaluate against."""

from __future__ import annotations

from typing import Any

import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.tiers import area, base
from mastra_core.errors import ConflictError, InvalidArgumentError, NotFoundError


@area("datasets")
@pytest.mark.asyncio(loop_scope="function")
class TestDatasets:
    """Datasets themselves."""

    @base
    async def test_a_dataset_is_created_and_read_back(self, lab: Lab) -> None:
        """At version 0, with what was given and nothing else."""
        datasets = lab.store.datasets
        made = await datasets.create_dataset(
            "Questions",
            description="",
            metadata={"a": [1]},
            request_context_schema={"type": "object"},
            tags=["x"],
            target_type="agent",
            target_ids=["a", "b"],
            scorer_ids=[],
            organization_id=fresh("org"),
            project_id="p",
            candidate_key="k",
            candidate_id="c",
        )
        assert (made.version, made.name, made.description, len(made.id)) == (0, "Questions", "", 36)
        assert (made.tags, made.scorer_ids, made.input_schema) == (["x"], [], None)
        assert await datasets.get_dataset_by_id(made.id) == made
        assert await datasets.get_dataset_by_id(fresh("dataset")) is None

    async def test_creating_an_id_again_gives_what_is_there(self, lab: Lab) -> None:
        """So a retry is safe; with another owner or candidate it is a conflict."""
        datasets, key, org = lab.store.datasets, fresh("dataset"), fresh("org")
        made = await datasets.create_dataset("one", dataset_id=key, organization_id=org)
        again = await datasets.create_dataset("two", dataset_id=key, organization_id=org)
        assert again == made
        others: list[dict[str, Any]] = [
            {},
            {"organization_id": fresh("org")},
            {"organization_id": org, "project_id": "p"},
            {"organization_id": org, "candidate_key": "k"},
            {"organization_id": org, "candidate_id": "c"},
        ]
        for other in others:
            with pytest.raises(ConflictError):
                await datasets.create_dataset("three", dataset_id=key, **other)
        assert await datasets.get_dataset_by_id(key) == made
        with pytest.raises(InvalidArgumentError):
            await datasets.create_dataset("four", dataset_id="")

    async def test_an_update_sets_the_given_fields(self, lab: Lab) -> None:
        """``None`` clears, not given stays; the version stays, the time moves on."""
        datasets = lab.store.datasets
        made = await datasets.create_dataset(
            "one", description="d", metadata={"a": 1}, tags=["x"], scorer_ids=["s"]
        )
        changed = await datasets.update_dataset(
            made.id, name="two", description=None, tags=[], metadata={"b": None}
        )
        assert (changed.name, changed.description, changed.tags) == ("two", None, [])
        assert (changed.metadata, changed.scorer_ids, changed.version) == ({"b": None}, ["s"], 0)
        assert changed.updated_at > made.updated_at
        assert await datasets.get_dataset_by_id(made.id) == changed
        with pytest.raises(NotFoundError):
            await datasets.update_dataset(fresh("dataset"), name="x")

    async def test_deleting_a_dataset_deletes_items_and_versions(self, lab: Lab) -> None:
        """Its experiments stay and no longer name it; unknown ones are no error."""
        datasets, experiments = lab.store.datasets, lab.store.experiments
        made = await datasets.create_dataset("one")
        other = await datasets.create_dataset("two")
        items = [await datasets.add_item(owner.id, input=1) for owner in (made, other)]
        run = await experiments.create_experiment(
            target_type="agent", target_id="a", dataset_id=made.id, dataset_version=1
        )
        await datasets.delete_dataset(made.id)
        await datasets.delete_dataset(made.id)
        assert await datasets.get_dataset_by_id(made.id) is None
        assert await datasets.get_item_by_id(items[0].id) is None
        assert (await datasets.list_items(made.id)).items == []
        assert (await datasets.list_dataset_versions(made.id)).versions == []
        found = await experiments.get_experiment_by_id(run.id)
        assert found is not None
        assert (found.dataset_id, found.dataset_version) == (None, None)
        assert (await datasets.list_items(other.id)).items == [items[1]]

    async def test_lists_are_filtered_ordered_and_paged(self, lab: Lab) -> None:
        """By name in any case, targets (one of them is enough), candidate; ties by the id."""
        datasets, org = lab.store.datasets, fresh("org")
        given: list[dict[str, Any]] = [
            {"name": "Alpha 100%", "target_ids": ["a", "b"], "target_type": "agent"},
            {"name": "beta", "target_ids": ["b"], "target_type": "workflow"},
            {"name": "ALPHABET", "target_ids": [], "candidate_key": "k", "candidate_id": "c"},
            {"name": "gamma", "project_id": "p"},
        ]
        for arguments in given:
            await datasets.create_dataset(organization_id=org, **arguments)

        async def found(**filters: Any) -> list[str]:
            order = {"field": "name", "direction": "ASC"}
            page = await datasets.list_datasets(organization_id=org, order_by=order, **filters)
            assert page.total == len(page.datasets)
            return [dataset.name for dataset in page.datasets]

        assert await found() == ["ALPHABET", "Alpha 100%", "beta", "gamma"]
        assert await found(name="alpha") == ["ALPHABET", "Alpha 100%"]
        assert await found(name="0%") == ["Alpha 100%"]
        assert await found(target_ids=["b", "z"]) == ["Alpha 100%", "beta"]
        assert await found(target_ids=[]) == ["ALPHABET", "Alpha 100%", "beta", "gamma"]
        assert await found(target_type="workflow") == ["beta"]
        assert await found(candidate_key="k", candidate_id="c") == ["ALPHABET"]
        assert await found(project_id="p") == ["gamma"]
        seen: list[str] = []
        for page in range(3):
            listed = await datasets.list_datasets(organization_id=org, page=page, per_page=2)
            assert (listed.total, listed.has_more) == (4, page == 0)
            seen += [dataset.name for dataset in listed.datasets]
        assert sorted(seen) == sorted(arguments["name"] for arguments in given)
        with pytest.raises(InvalidArgumentError):
            await datasets.list_datasets(order_by={"field": "version"})

    async def test_invalid_datasets_are_refused(self, lab: Lab) -> None:
        """What cannot be stored is said so by name."""
        datasets = lab.store.datasets
        bad: list[dict[str, Any]] = [
            {"name": 1},
            {"name": "x", "metadata": {"a": object()}},
            {"name": "x", "organization_id": ""},
            {"name": "x", "tags": "text"},
        ]
        for arguments in bad:
            with pytest.raises(InvalidArgumentError):
                await datasets.create_dataset(**arguments)
