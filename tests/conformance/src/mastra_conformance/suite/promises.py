"""What a backend promises: its capabilities, both ways, its limits, and its life."""

from __future__ import annotations

import asyncio

import pytest

from mastra_conformance.lab import Lab, Site, backend_of, fresh
from mastra_conformance.rows import at, ids, item, key, stored
from mastra_conformance.tiers import area, base, full
from mastra_core.errors import ConflictError, LimitExceededError, StorageError, UnsupportedError
from mastra_core.storage.backend import Backend, Capability
from mastra_core.storage.schema import Change, Delete, Order, Put, Query, Update, Where
from mastra_core.storage.store import MastraStorage
from mastra_core.storage.tables import DATASET_ITEMS, TABLES

ITEMS = DATASET_ITEMS


async def refuses(backend: Backend, capability: Capability, *changes: Change) -> None:
    """An undeclared capability raises, names itself, and nothing is written."""
    with pytest.raises(UnsupportedError, match=capability.name):
        await backend.write(*changes)


@area("waist")
@pytest.mark.asyncio(loop_scope="function")
class TestCapabilities:
    """A declared capability works; one that is not declared is refused by name."""

    async def test_atomic_write_is_whole_or_refused(self, lab: Lab) -> None:
        """A change that fails undoes those before it, in other tables too."""
        dataset = fresh("dataset")
        await lab.backend.write(Put(ITEMS, [item(dataset, "old")]))
        changes: tuple[Change, ...] = (
            Put(ITEMS, [item(dataset, n) for n in "ab"]),
            Delete(ITEMS, (Where("datasetId", "eq", dataset), Where("id", "eq", key(dataset, "old")))),
            Put(ITEMS, [item(dataset, "a")], "fail"),
        )
        if not lab.declares(Capability.ATOMIC_WRITE):
            await refuses(lab.backend, Capability.ATOMIC_WRITE, *changes)
        else:
            with pytest.raises(ConflictError) as caught:
                await lab.backend.write(*changes)
            assert caught.value.change in {2, None}
        assert ids(await stored(lab.backend, dataset)) == ["old"]

    async def test_a_large_atomic_write_is_whole_or_refused(self, lab: Lab) -> None:
        """Batches that are committed one by one leave the first ones behind."""
        dataset = fresh("dataset")
        changes = (
            Put(ITEMS, [item(dataset, f"{i:05}") for i in range(2500)]),
            Update(ITEMS, (Where("datasetId", "eq", fresh()),), {"validTo": 1}, expect=1),
        )
        if not lab.declares(Capability.ATOMIC_WRITE):
            await refuses(lab.backend, Capability.ATOMIC_WRITE, *changes)
        else:
            with pytest.raises((ConflictError, LimitExceededError)):
                await lab.backend.write(*changes)
        assert await stored(lab.backend, dataset, columns=("id",), limit=3) == []

    async def test_compare_and_set_applies_as_expected_or_is_refused(self, lab: Lab) -> None:
        """``expect`` is of matching rows, for updates and deletes, nought included."""
        dataset = fresh("dataset")
        await lab.backend.write(Put(ITEMS, [item(dataset, n, validTo=1) for n in "ab"]))
        where = (Where("datasetId", "eq", dataset), Where("validTo", "eq", 1))
        if not lab.declares(Capability.COMPARE_AND_SET):
            change = Update(ITEMS, where, {"validTo": 2}, expect=2)
            await refuses(lab.backend, Capability.COMPARE_AND_SET, change)
            return
        for expect in (0, 1, 3):
            for change in (Update(ITEMS, where, {"validTo": 2}, expect), Delete(ITEMS, where, expect)):
                with pytest.raises(ConflictError) as caught:
                    await lab.backend.write(change)
                assert caught.value.change in {0, None}
        found = await stored(lab.backend, dataset, columns=("id", "validTo"))
        assert found == [("a", 1), ("b", 1)]
        assert await lab.backend.write(Update(ITEMS, where, {"validTo": 2}, expect=2)) == [2]
        assert await lab.backend.write(Update(ITEMS, where, {"validTo": 2}, expect=0)) == [0]
        gone = (Where("datasetId", "eq", dataset),)
        assert await lab.backend.write(Delete(ITEMS, gone, expect=2)) == [2]
        assert await lab.backend.write(Delete(ITEMS, gone, expect=0)) == [0]

    async def test_compare_and_set_compares_every_kind_of_value(self, lab: Lab) -> None:
        """What was read is what is compared: text with JSON, times, absent values, emoji."""
        if not lab.declares(Capability.COMPARE_AND_SET):
            await self.test_compare_and_set_applies_as_expected_or_is_refused(lab)
            return
        dataset, text = fresh("dataset"), '{"ä": [1.0,  "😀\\u0001"]}'
        made = item(dataset, "a", externalId=text, updatedAt=at(999), validTo=None, isDeleted=True)
        await lab.backend.write(Put(ITEMS, [made]))
        for name in ("externalId", "updatedAt", "validTo", "isDeleted", "datasetVersion"):
            value = made[ITEMS.positions[name]]
            where = (Where("datasetId", "eq", dataset), Where(name, "eq", value))
            change = Update(ITEMS, where, {"projectId": name}, expect=1)
            assert await lab.backend.write(change) == [1]

    async def test_ordered_find_is_ordered_or_refused(self, lab: Lab) -> None:
        """The first rows of an order, not the first that were found, then ordered."""
        dataset = fresh("dataset")
        rows = [item(dataset, f"{i:03}", createdAt=at(997 * i % 100)) for i in range(100)]
        await lab.backend.write(Put(ITEMS, rows))
        order: Order = (("createdAt", "desc"),)
        where = (Where("datasetId", "eq", dataset),)
        query = Query(where=where, order=order, limit=10, columns=("createdAt",))
        if not lab.declares(Capability.ORDERED_FIND):
            with pytest.raises(UnsupportedError, match=Capability.ORDERED_FIND.name):
                await lab.backend.find(ITEMS, query)
            return
        found = await lab.backend.find(ITEMS, query)
        assert found == [(at(99 - i),) for i in range(10)]

    async def test_a_consistent_read_sees_what_was_acknowledged(self, lab: Lab) -> None:
        """From another instance at once; without the promise, within ten seconds."""
        dataset, other = fresh("dataset"), backend_of(lab.open())
        await stored(other, dataset)
        for i in range(1, 21):
            name = f"{i:02}"
            await lab.backend.write(Put(ITEMS, [item(dataset, name)]))
            found = await stored(other, dataset, columns=("id",))
            if not lab.declares(Capability.CONSISTENT_READ):
                for _ in range(1000):
                    found = await stored(other, dataset, columns=("id",))
                    if len(found) == i:
                        break
                    await asyncio.sleep(0.01)
            assert len(found) == i


@area("waist")
@pytest.mark.asyncio(loop_scope="function")
class TestLife:
    """Setting up, closing, limits, and many tasks at once."""

    @base
    async def test_another_instance_sees_the_same_rows(self, lab: Lab) -> None:
        """The factory gives independent instances on one database."""
        dataset = fresh("dataset")
        await lab.backend.write(Put(ITEMS, [item(dataset, "a")]))
        await lab.store.close()
        assert ids(await stored(backend_of(lab.open()), dataset)) == ["a"]

    async def test_setting_up_again_changes_nothing(self, lab: Lab) -> None:
        """Idempotent, also by several instances at once, and no row is lost."""
        dataset = fresh("dataset")
        await lab.backend.write(Put(ITEMS, [item(dataset, "a")]))
        stores = [lab.open() for _ in range(4)]
        await asyncio.gather(*(store.init() for store in stores))
        await asyncio.gather(*(backend_of(store).setup(TABLES) for store in stores))
        assert ids(await stored(lab.backend, dataset)) == ["a"]

    async def test_closing_twice_is_no_error_and_use_opens_again(self, lab: Lab) -> None:
        """Also before anything was opened."""
        other = lab.open()
        await other.close()
        dataset = fresh("dataset")
        await backend_of(other).write(Put(ITEMS, [item(dataset, "a")]))
        await other.close()
        await other.close()
        assert ids(await stored(backend_of(other), dataset)) == ["a"]

    async def test_a_context_manager_sets_up_and_closes(self, lab: Lab) -> None:
        """``async with storage`` is all that a script needs."""
        dataset = fresh("dataset")
        async with lab.open() as store:
            await backend_of(store).write(Put(ITEMS, [item(dataset, "a")]))
        assert ids(await stored(lab.backend, dataset)) == ["a"]

    async def test_init_can_be_left_to_somebody_else(self, lab: Lab) -> None:
        """With ``disable_init`` a store creates nothing and works where tables are there."""
        await lab.store.init()
        dataset, other = fresh("dataset"), lab.open()
        without = MastraStorage(id="without-init", default=other, disable_init=True)
        await backend_of(without).write(Put(ITEMS, [item(dataset, "a")]))
        assert ids(await stored(backend_of(without), dataset)) == ["a"]

    async def test_many_tasks_may_use_one_instance(self, lab: Lab) -> None:
        """Neither answers nor rows get mixed up."""
        dataset = fresh("dataset")

        async def work(i: int) -> None:
            name = f"{i:03}"
            await lab.backend.write(Put(ITEMS, [item(dataset, name, validTo=i)]))
            where = (Where("id", "eq", key(dataset, name)),)
            found = await stored(lab.backend, dataset, where=where, columns=("id", "validTo"))
            assert found == [(name, i)]

        await asyncio.gather(*(work(i) for i in range(60)))
        assert len(await stored(lab.backend, dataset)) == 60

    async def test_values_up_to_the_limit_are_kept(self, lab: Lab) -> None:
        """The declared limit, or a megabyte where none is declared, is stored whole."""
        dataset = fresh("dataset")
        size = min(lab.backend.limits.value_bytes or 1_000_000, 1_000_000)
        text = "x" * (size - 100)
        await lab.backend.write(Put(ITEMS, [item(dataset, "a", externalId=None, input=f'"{text}"')]))
        found = await stored(lab.backend, dataset, columns=("input",))
        assert found == [(f'"{text}"',)]

    async def test_values_beyond_the_limit_are_refused_and_not_cut(self, lab: Lab) -> None:
        """``LimitExceededError`` says which value; nothing of the write is stored."""
        dataset, bound = fresh("dataset"), lab.backend.limits.value_bytes
        if bound is None:
            assert ids(await stored(lab.backend, dataset)) == []
            return
        changes = (
            Put(ITEMS, [item(dataset, "a")]),
            Put(ITEMS, [item(dataset, "b", input='"' + "ä" * (bound // 2 + 1) + '"')]),
        )
        with pytest.raises(LimitExceededError, match="input"):
            await lab.backend.write(*changes)
        assert ids(await stored(lab.backend, dataset)) == []

    @full
    async def test_an_error_leaves_the_instance_usable(self, lab: Lab) -> None:
        """A failed write neither blocks the connection nor leaves a transaction open."""
        dataset = fresh("dataset")
        for i in range(30):
            with pytest.raises(StorageError):
                await lab.backend.write(
                    Put(ITEMS, [item(dataset, f"lost{i}")]),
                    Update(ITEMS, (Where("id", "eq", fresh()),), {"validTo": 1}, expect=1),
                )
        await backend_of(lab.open()).write(Put(ITEMS, [item(dataset, "kept")]))
        assert ids(await stored(lab.backend, dataset)) == ["kept"]


@area("waist")
class TestLoops:
    """A store outlives the event loop that used it."""

    def test_one_instance_serves_several_loops_in_turn(self, conformance_site: Site) -> None:
        """Notebooks, tests and serverless functions make a loop for each call."""
        store, dataset = conformance_site.make(), fresh("dataset")

        async def use(name: str) -> int:
            backend = backend_of(store)
            await backend.write(Put(ITEMS, [item(dataset, name)]))
            return len(await stored(backend, dataset))

        async def last() -> None:
            await use("z")
            await store.close()

        assert [asyncio.run(use(name)) for name in "abc"] == [1, 2, 3]
        asyncio.run(last())
