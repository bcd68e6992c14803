"""Order and pages: rows in the order asked for, every row on exactly one page."""

from __future__ import annotations

import itertools

import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.rows import at, ids, item, key, named, pick, stored
from mastra_conformance.tiers import area, base
from mastra_core.storage.schema import Delete, Direction, Order, Put, Query, Row, Where, complete
from mastra_core.storage.tables import DATASET_ITEMS

ITEMS = DATASET_ITEMS
BOTH: tuple[Direction, Direction] = ("asc", "desc")


async def walk(lab: Lab, dataset: str, order: Order, size: int) -> list[Row]:
    """All rows, page after page by ``after``."""
    found: list[Row] = []
    last: Row | None = None
    names = [name for name, _ in complete(ITEMS, order)]
    for _ in range(1000):
        rows = await stored(lab.backend, dataset, order=order, limit=size, after=last)
        found += rows
        if len(rows) < size:
            return found
        end = (key(dataset, str(rows[-1][0])), *rows[-1][1:])
        last = pick(ITEMS, end, *names)
    raise AssertionError("the pages do not end")


@area("waist")
@pytest.mark.asyncio(loop_scope="function")
class TestOrder:
    """In which order rows come."""

    @base
    async def test_rows_come_in_the_order_asked_for(self, lab: Lab) -> None:
        """Both ways, whatever the order they were stored in."""
        dataset = fresh("dataset")
        rows = [item(dataset, n, createdAt=at(t)) for n, t in zip("abcd", (3, 1, 4, 2), strict=True)]
        await lab.backend.write(Put(ITEMS, rows))
        assert ids(await stored(lab.backend, dataset, order=(("createdAt", "asc"),))) == list("bdac")
        assert ids(await stored(lab.backend, dataset, order=(("createdAt", "desc"),))) == list("cadb")

    async def test_ties_are_broken_by_the_key_in_the_same_direction(self, lab: Lab) -> None:
        """Otherwise pages repeat some rows and lose others."""
        dataset = fresh("dataset")
        names = [f"{i:02}" for i in (5, 3, 9, 1, 7, 0, 8, 2, 6, 4)]
        await lab.backend.write(Put(ITEMS, [item(dataset, n, createdAt=at(0)) for n in names]))
        ascending = await stored(lab.backend, dataset, order=(("createdAt", "asc"),))
        assert ids(ascending) == sorted(names)
        descending = await stored(lab.backend, dataset, order=(("createdAt", "desc"),))
        assert ids(descending) == sorted(names, reverse=True)

    async def test_without_an_order_rows_come_by_key(self, lab: Lab) -> None:
        """By all columns of the key, numbers as numbers."""
        dataset = fresh("dataset")
        keys = [("b", 2), ("a", 10), ("a", 9), ("b", 1)]
        await lab.backend.write(Put(ITEMS, [item(dataset, n, v) for n, v in keys]))
        found = await stored(lab.backend, dataset, columns=("id", "datasetVersion"))
        assert found == sorted(keys)

    async def test_absent_values_come_last_and_first_when_descending(self, lab: Lab) -> None:
        """Absent counts as the greatest; databases differ unless they are told."""
        dataset = fresh("dataset")
        values = {"a": None, "b": 2, "c": None, "d": 1}
        await lab.backend.write(Put(ITEMS, [item(dataset, n, validTo=v) for n, v in values.items()]))
        assert ids(await stored(lab.backend, dataset, order=(("validTo", "asc"),))) == list("dbac")
        assert ids(await stored(lab.backend, dataset, order=(("validTo", "desc"),))) == list("cabd")

    async def test_text_is_ordered_by_code_points(self, lab: Lab) -> None:
        """Not by a language's rules: upper case first, then lower case, then the rest."""
        dataset = fresh("dataset")
        texts = ["a", "B", "Z", "b", "_", "1", "10", "2", "ä", "z", "é", "\uffee", "😀", "a b", "aa", ""]
        rows = [item(dataset, f"{i:02}", externalId=text) for i, text in enumerate(texts)]
        await lab.backend.write(Put(ITEMS, rows))
        order: Order = (("externalId", "asc"),)
        found = await stored(lab.backend, dataset, order=order, columns=("externalId",))
        assert [text for (text,) in found] == sorted(texts)

    async def test_several_columns_order_one_after_the_other(self, lab: Lab) -> None:
        """The second decides where the first is tied, the key where both are."""
        dataset = fresh("dataset")
        rows = [
            item(dataset, f"{i}", externalId="xy"[i % 2], validTo=[1, None, 0][i % 3])
            for i in range(8)
        ]
        await lab.backend.write(Put(ITEMS, rows))
        for way in BOTH:
            order: Order = (("externalId", way), ("validTo", way))
            found = await stored(lab.backend, dataset, order=order)

            def rank(row: Row) -> tuple[object, ...]:
                text, number, name = pick(ITEMS, row, "externalId", "validTo", "id")
                return text, number is None, number or 0, name

            assert found == sorted(found, key=rank, reverse=way == "desc")
            assert len(found) == 8


@area("waist")
@pytest.mark.asyncio(loop_scope="function")
class TestPages:
    """Limits, offsets and continuing behind a row."""

    @base
    async def test_limit_and_offset_cut_a_page(self, lab: Lab) -> None:
        """Beyond the end there is nothing; a limit of nought is nothing."""
        dataset = fresh("dataset")
        await lab.backend.write(Put(ITEMS, [item(dataset, n) for n in "abcde"]))
        expected = {(0, 2): "ab", (1, 2): "bc", (4, 2): "e", (5, 2): "", (99, 1): "", (0, 0): ""}
        for (offset, limit), names in expected.items():
            found = await stored(lab.backend, dataset, offset=offset, limit=limit)
            assert "".join(map(str, ids(found))) == names
        assert len(await stored(lab.backend, dataset, offset=2)) == 3

    async def test_pages_by_key_give_every_row_once(self, lab: Lab) -> None:
        """For every order, with ties and absent values, in steps of any size."""
        dataset = fresh("dataset")
        rows = [
            item(dataset, n, createdAt=at(i % 3), validTo=[None, 1, 2, None][i % 4])
            for i, n in enumerate("abcdefghijk")
        ]
        await lab.backend.write(Put(ITEMS, rows))
        orders: list[tuple[str, ...]] = [(), ("createdAt",), ("validTo",), ("validTo", "createdAt")]
        for names, way, size in itertools.product(orders, BOTH, (1, 2, 3, 11, 12)):
            order: Order = tuple([(name, way) for name in names])
            whole = await stored(lab.backend, dataset, order=order)
            assert sorted(map(str, ids(whole))) == list("abcdefghijk")
            assert await walk(lab, dataset, order, size) == whole, (order, size)

    async def test_continuing_needs_no_row_to_continue_behind(self, lab: Lab) -> None:
        """``after`` is a place in the order: the row that stood there may be gone."""
        dataset = fresh("dataset")
        await lab.backend.write(Put(ITEMS, [item(dataset, n, createdAt=at(0)) for n in "abcd"]))
        where = (Where("datasetId", "eq", dataset), Where("id", "eq", key(dataset, "b")))
        await lab.backend.write(Delete(ITEMS, where))
        order: Order = (("createdAt", "asc"),)
        found = await stored(lab.backend, dataset, order=order, after=(at(0), key(dataset, "b"), 1), limit=9)
        assert ids(found) == ["c", "d"]

    async def test_continuing_keeps_to_the_conditions(self, lab: Lab) -> None:
        """``after`` is one condition more, beside ranges and residual ones."""
        dataset = fresh("dataset")
        rows = [item(dataset, n, createdAt=at(i), externalId=n) for i, n in enumerate("abcdefgh")]
        await lab.backend.write(Put(ITEMS, rows))
        where = (Where("createdAt", "lte", at(6)), Where("externalId", "ne", "d"))
        order: Order = (("createdAt", "asc"),)
        found = await stored(
            lab.backend, dataset, where=where, order=order, after=(at(1), key(dataset, "b"), 1), limit=3
        )
        assert ids(found) == ["c", "e", "f"]

    async def test_pages_of_residual_conditions_are_full(self, lab: Lab) -> None:
        """A condition applied after fetching must not make pages short, nor miss later rows."""
        dataset = fresh("dataset")
        rows = [
            item(dataset, f"{i:04}", metadata=f'{{"n":{i % 100}}}', externalId=f"E{i % 50}")
            for i in range(2300)
        ]
        await lab.backend.write(Put(ITEMS, rows))
        rare = (Where("metadata", "eq", 99, ("n",)), Where("externalId", "icontains", "e49"))
        found = await stored(lab.backend, dataset, where=rare, limit=5, offset=3)
        assert ids(found) == [f"{i:04}" for i in (399, 499, 599, 699, 799)]
        found = await stored(lab.backend, dataset, where=rare, limit=50, columns=("id",))
        assert ids(found) == [f"{i:04}" for i in range(99, 2300, 100)]
        within = (Where("datasetId", "eq", dataset), *rare)
        assert await lab.backend.count(ITEMS, within) == 23

    async def test_a_read_without_a_limit_is_everything(self, lab: Lab) -> None:
        """Whatever a database's own page is: nothing is cut silently."""
        dataset = fresh("dataset")
        size = min(lab.backend.limits.page_rows, 2000) + 7
        rows = [item(dataset, f"{i:06}", createdAt=at(i // 3)) for i in range(size)]
        await lab.backend.write(Put(ITEMS, rows))
        for way in BOTH:
            order: Order = (("createdAt", way),)
            found = ids(await stored(lab.backend, dataset, order=order))
            assert found == sorted(map(str, ids(named(rows))), reverse=way == "desc")
            found = ids(await stored(lab.backend, dataset, order=order, limit=size - 1, offset=1))
            assert len(set(found)) == size - 1

    async def test_several_queries_at_once_give_what_each_gives_alone(self, lab: Lab) -> None:
        """``find_many`` is only a round trip less."""
        dataset = fresh("dataset")
        rows = [item(dataset, n, createdAt=at(i), validTo=i) for i, n in enumerate("abcdef")]
        await lab.backend.write(Put(ITEMS, rows))
        where = (Where("datasetId", "eq", dataset),)
        queries = [
            Query(where=where, order=(("createdAt", "asc"),), limit=2),
            Query(where=where, order=(("createdAt", "desc"),), limit=2, columns=("id",)),
            Query(where=(Where("datasetId", "eq", fresh()),), limit=2),
            Query(where=where, order=(("createdAt", "asc"),), limit=2, after=(at(2), key(dataset, "c"), 1)),
            Query(where=(*where, Where("validTo", "gt", 3)), limit=9, offset=1),
        ]
        alone = [await lab.backend.find(ITEMS, query) for query in queries]
        assert await lab.backend.find_many(ITEMS, queries) == alone
        assert [len(found) for found in alone] == [2, 2, 0, 2, 1]
        assert await lab.backend.find_many(ITEMS, []) == []
