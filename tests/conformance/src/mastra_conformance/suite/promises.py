"""What a backend promises: its capabilities, both ways, its limits, and its life."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

import pytest

from mastra_conformance.lab import Lab, Site, backend_of, fresh
from mastra_conformance.rows import at, ids, key, result, stored
from mastra_conformance.tiers import area, base, full
from mastra_core.clock import now
from mastra_core.errors import ConflictError, LimitExceededError, StorageError, UnsupportedError
from mastra_core.storage.backend import Backend, Capability
from mastra_core.storage.schema import Change, Delete, Order, Put, Query, Update, Where
from mastra_core.storage.store import MastraStorage
from mastra_core.storage.tables import EXPERIMENT_RESULTS, TABLES

RESULTS = EXPERIMENT_RESULTS


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
        run = fresh("run")
        await lab.backend.write(Put(RESULTS, [result(run, "old")]))
        changes: tuple[Change, ...] = (
            Put(RESULTS, [result(run, n) for n in "ab"]),
            Delete(RESULTS, (Where("experimentId", "eq", run), Where("id", "eq", key(run, "old")))),
            Put(RESULTS, [result(run, "a")], "fail"),
        )
        if not lab.declares(Capability.ATOMIC_WRITE):
            await refuses(lab.backend, Capability.ATOMIC_WRITE, *changes)
        else:
            with pytest.raises(ConflictError) as caught:
                await lab.backend.write(*changes)
            assert caught.value.change in {2, None}
        assert ids(await stored(lab.backend, run)) == ["old"]

    async def test_a_large_atomic_write_is_whole_or_refused(self, lab: Lab) -> None:
        """Batches that are committed one by one leave the first ones behind."""
        run = fresh("run")
        changes = (
            Put(RESULTS, [result(run, f"{i:05}") for i in range(2500)]),
            Update(RESULTS, (Where("experimentId", "eq", fresh()),), {"attempt": 1}, expect=1),
        )
        if not lab.declares(Capability.ATOMIC_WRITE):
            await refuses(lab.backend, Capability.ATOMIC_WRITE, *changes)
        else:
            with pytest.raises((ConflictError, LimitExceededError)):
                await lab.backend.write(*changes)
        assert await stored(lab.backend, run, columns=("id",), limit=3) == []

    async def test_compare_and_set_applies_as_expected_or_is_refused(self, lab: Lab) -> None:
        """``expect`` is of matching rows, for updates and deletes, nought included."""
        run = fresh("run")
        await lab.backend.write(Put(RESULTS, [result(run, n, attempt=1) for n in "ab"]))
        where = (Where("experimentId", "eq", run), Where("attempt", "eq", 1))
        if not lab.declares(Capability.COMPARE_AND_SET):
            change = Update(RESULTS, where, {"attempt": 2}, expect=2)
            await refuses(lab.backend, Capability.COMPARE_AND_SET, change)
            return
        for expect in (0, 1, 3):
            changes: list[Change] = [
                Update(RESULTS, where, {"attempt": 2}, expect),
                Delete(RESULTS, where, expect),
            ]
            for refused in changes:
                with pytest.raises(ConflictError) as caught:
                    await lab.backend.write(refused)
                assert caught.value.change in {0, None}
        found = await stored(lab.backend, run, columns=("id", "attempt"))
        assert found == [("a", 1), ("b", 1)]
        assert await lab.backend.write(Update(RESULTS, where, {"attempt": 2}, expect=2)) == [2]
        assert await lab.backend.write(Update(RESULTS, where, {"attempt": 2}, expect=0)) == [0]
        gone = (Where("experimentId", "eq", run),)
        assert await lab.backend.write(Delete(RESULTS, gone, expect=2)) == [2]
        assert await lab.backend.write(Delete(RESULTS, gone, expect=0)) == [0]

    async def test_compare_and_set_compares_every_kind_of_value(self, lab: Lab) -> None:
        """What was read is what is compared: text with JSON, times, absent values, emoji."""
        if not lab.declares(Capability.COMPARE_AND_SET):
            await self.test_compare_and_set_applies_as_expected_or_is_refused(lab)
            return
        run, text = fresh("run"), '{"ä": [1.0,  "😀\\u0001"]}'
        made = result(run, "a", comment=text, completedAt=at(999), attempt=None, retryCount=-7)
        await lab.backend.write(Put(RESULTS, [made]))
        for name in ("comment", "completedAt", "attempt", "retryCount", "createdAt"):
            value = made[RESULTS.positions[name]]
            where = (Where("experimentId", "eq", run), Where(name, "eq", value))
            change = Update(RESULTS, where, {"projectId": name}, expect=1)
            assert await lab.backend.write(change) == [1]

    async def test_ordered_find_is_ordered_or_refused(self, lab: Lab) -> None:
        """The first rows of an order, not the first that were found, then ordered."""
        run = fresh("run")
        rows = [result(run, f"{i:03}", createdAt=at(997 * i % 100)) for i in range(100)]
        await lab.backend.write(Put(RESULTS, rows))
        order: Order = (("createdAt", "desc"),)
        where = (Where("experimentId", "eq", run),)
        query = Query(where=where, order=order, limit=10, columns=("createdAt",))
        if not lab.declares(Capability.ORDERED_FIND):
            with pytest.raises(UnsupportedError, match=Capability.ORDERED_FIND.name):
                await lab.backend.find(RESULTS, query)
            return
        found = await lab.backend.find(RESULTS, query)
        assert found == [(at(99 - i),) for i in range(10)]

    async def test_a_consistent_read_sees_what_was_acknowledged(self, lab: Lab) -> None:
        """From another instance at once; without the promise, within ten seconds."""
        run, other = fresh("run"), backend_of(lab.open())
        await stored(other, run)
        for i in range(1, 21):
            name = f"{i:02}"
            await lab.backend.write(Put(RESULTS, [result(run, name)]))
            found = await stored(other, run, columns=("id",))
            if not lab.declares(Capability.CONSISTENT_READ):
                for _ in range(1000):
                    found = await stored(other, run, columns=("id",))
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
        run = fresh("run")
        await lab.backend.write(Put(RESULTS, [result(run, "a")]))
        await lab.store.close()
        assert ids(await stored(backend_of(lab.open()), run)) == ["a"]

    async def test_setting_up_again_changes_nothing(self, lab: Lab) -> None:
        """Idempotent, also by several instances at once, and no row is lost."""
        run = fresh("run")
        await lab.backend.write(Put(RESULTS, [result(run, "a")]))
        stores = [lab.open() for _ in range(4)]
        await asyncio.gather(*(store.init() for store in stores))
        await asyncio.gather(*(backend_of(store).setup(TABLES) for store in stores))
        assert ids(await stored(lab.backend, run)) == ["a"]

    async def test_what_was_set_up_lacks_nothing_and_tells_its_time(self, lab: Lab) -> None:
        """Where a database can be asked what set-up would add, and what time it is."""
        await lab.store.init()
        assert not await lab.backend.lacking()
        time = await lab.backend.clock()
        assert time is None or abs(time - now()) < timedelta(hours=1)

    async def test_what_an_empty_database_lacks_is_told_and_not_made(self, lab: Lab) -> None:
        """Neither asking nor reading without set-up makes anything; set-up makes all of it."""
        backend = backend_of(lab.empty()())
        try:
            lacking = await backend.lacking()
            if lacking is not None:
                assert len(lacking) > 0
                backend.auto_setup = False
                with contextlib.suppress(StorageError):
                    assert await backend.find(RESULTS, Query(limit=1)) == []
                with contextlib.suppress(StorageError):
                    assert await backend.count(RESULTS) == 0
                assert await backend.lacking() == lacking
            await backend.setup()
            assert not await backend.lacking()
        finally:
            await backend.close()

    async def test_closing_twice_is_no_error_and_use_opens_again(self, lab: Lab) -> None:
        """Also before anything was opened."""
        other = lab.open()
        await other.close()
        run = fresh("run")
        await backend_of(other).write(Put(RESULTS, [result(run, "a")]))
        await other.close()
        await other.close()
        assert ids(await stored(backend_of(other), run)) == ["a"]

    async def test_a_context_manager_sets_up_and_closes(self, lab: Lab) -> None:
        """``async with storage`` is all that a script needs."""
        run = fresh("run")
        async with lab.open() as store:
            await backend_of(store).write(Put(RESULTS, [result(run, "a")]))
        assert ids(await stored(lab.backend, run)) == ["a"]

    async def test_init_can_be_left_to_somebody_else(self, lab: Lab) -> None:
        """With ``disable_init`` a store creates nothing and works where tables are there."""
        await lab.store.init()
        run, other = fresh("run"), lab.open()
        without = MastraStorage(id="without-init", default=other, disable_init=True)
        await backend_of(without).write(Put(RESULTS, [result(run, "a")]))
        assert ids(await stored(backend_of(without), run)) == ["a"]

    async def test_many_tasks_may_use_one_instance(self, lab: Lab) -> None:
        """Neither answers nor rows get mixed up."""
        run = fresh("run")

        async def work(i: int) -> None:
            name = f"{i:03}"
            await lab.backend.write(Put(RESULTS, [result(run, name, attempt=i)]))
            where = (Where("id", "eq", key(run, name)),)
            found = await stored(lab.backend, run, where=where, columns=("id", "attempt"))
            assert found == [(name, i)]

        await asyncio.gather(*(work(i) for i in range(60)))
        assert len(await stored(lab.backend, run)) == 60

    async def test_values_up_to_the_limit_are_kept(self, lab: Lab) -> None:
        """The declared limit, or a megabyte where none is declared, is stored whole."""
        run = fresh("run")
        size = min(lab.backend.limits.value_bytes or 1_000_000, 1_000_000)
        text = "x" * (size - 100)
        await lab.backend.write(Put(RESULTS, [result(run, "a", comment=None, input=f'"{text}"')]))
        found = await stored(lab.backend, run, columns=("input",))
        assert found == [(f'"{text}"',)]

    async def test_values_beyond_the_limit_are_refused_and_not_cut(self, lab: Lab) -> None:
        """``LimitExceededError`` says which value; nothing of the write is stored."""
        run, bound = fresh("run"), lab.backend.limits.value_bytes
        if bound is None:
            assert ids(await stored(lab.backend, run)) == []
            return
        changes = (
            Put(RESULTS, [result(run, "a")]),
            Put(RESULTS, [result(run, "b", input='"' + "ä" * (bound // 2 + 1) + '"')]),
        )
        with pytest.raises(LimitExceededError, match="input"):
            await lab.backend.write(*changes)
        assert ids(await stored(lab.backend, run)) == []

    @full
    async def test_an_error_leaves_the_instance_usable(self, lab: Lab) -> None:
        """A failed write neither blocks the connection nor leaves a transaction open."""
        run = fresh("run")
        for i in range(30):
            with pytest.raises(StorageError):
                await lab.backend.write(
                    Put(RESULTS, [result(run, f"lost{i}")]),
                    Update(RESULTS, (Where("id", "eq", fresh()),), {"attempt": 1}, expect=1),
                )
        await backend_of(lab.open()).write(Put(RESULTS, [result(run, "kept")]))
        assert ids(await stored(lab.backend, run)) == ["kept"]


@area("waist")
class TestLoops:
    """A store outlives the event loop that used it."""

    def test_one_instance_serves_several_loops_in_turn(self, conformance_site: Site) -> None:
        """Notebooks, tests and serverless functions make a loop for each call."""
        store, run = conformance_site.make(), fresh("run")

        async def use(name: str) -> int:
            backend = backend_of(store)
            await backend.write(Put(RESULTS, [result(run, name)]))
            return len(await stored(backend, run))

        async def last() -> None:
            await use("z")
            await store.close()

        assert [asyncio.run(use(name)) for name in "abc"] == [1, 2, 3]
        asyncio.run(last())
