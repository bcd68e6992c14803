"""Order and pages: rows in the order asked for, every row on exactly one page."""

from __future__ import annotations

import itertools

import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.rows import at, ids, key, named, pick, result, row, stored
from mastra_conformance.tiers import area, base
from mastra_core.storage.schema import Delete, Direction, Order, Put, Query, Row, Where, complete
from mastra_core.storage.tables import EXPERIMENT_RESULTS, SPANS

RESULTS = EXPERIMENT_RESULTS
BOTH: tuple[Direction, Direction] = ("asc", "desc")


async def walk(lab: Lab, run: str, order: Order, size: int) -> list[Row]:
    """All rows, page after page by ``after``."""
    found: list[Row] = []
    last: Row | None = None
    names = [name for name, _ in complete(RESULTS, order)]
    for _ in range(1000):
        rows = await stored(lab.backend, run, order=order, limit=size, after=last)
        found += rows
        if len(rows) < size:
            return found
        end = (key(run, str(rows[-1][0])), *rows[-1][1:])
        last = pick(RESULTS, end, *names)
    raise AssertionError("the pages do not end")


@area("waist")
@pytest.mark.asyncio(loop_scope="function")
class TestOrder:
    """In which order rows come."""

    @base
    async def test_rows_come_in_the_order_asked_for(self, lab: Lab) -> None:
        """Both ways, whatever the order they were stored in."""
        run = fresh("run")
        rows = [result(run, n, createdAt=at(t)) for n, t in zip("abcd", (3, 1, 4, 2), strict=True)]
        await lab.backend.write(Put(RESULTS, rows))
        assert ids(await stored(lab.backend, run, order=(("createdAt", "asc"),))) == list("bdac")
        assert ids(await stored(lab.backend, run, order=(("createdAt", "desc"),))) == list("cadb")

    async def test_ties_are_broken_by_the_key_in_the_same_direction(self, lab: Lab) -> None:
        """Otherwise pages repeat some rows and lose others."""
        run = fresh("run")
        names = [f"{i:02}" for i in (5, 3, 9, 1, 7, 0, 8, 2, 6, 4)]
        await lab.backend.write(Put(RESULTS, [result(run, n, createdAt=at(0)) for n in names]))
        ascending = await stored(lab.backend, run, order=(("createdAt", "asc"),))
        assert ids(ascending) == sorted(names)
        descending = await stored(lab.backend, run, order=(("createdAt", "desc"),))
        assert ids(descending) == sorted(names, reverse=True)

    async def test_without_an_order_rows_come_by_key(self, lab: Lab) -> None:
        """By all columns of the key, one after the other."""
        trace = fresh("trace")
        names = ["b2", "a10", "a9", "b1", "B1", "a"]
        await lab.backend.write(Put(SPANS, [row(SPANS, traceId=trace, spanId=n) for n in names]))
        query = Query(where=(Where("traceId", "eq", trace),), columns=("spanId",))
        assert [name for (name,) in await lab.backend.find(SPANS, query)] == sorted(names)

    async def test_absent_values_come_last_and_first_when_descending(self, lab: Lab) -> None:
        """Absent counts as the greatest; databases differ unless they are told."""
        run = fresh("run")
        values = {"a": None, "b": 2, "c": None, "d": 1}
        await lab.backend.write(
            Put(RESULTS, [result(run, n, attempt=v) for n, v in values.items()])
        )
        assert ids(await stored(lab.backend, run, order=(("attempt", "asc"),))) == list("dbac")
        assert ids(await stored(lab.backend, run, order=(("attempt", "desc"),))) == list("cabd")

    async def test_text_is_ordered_by_code_points(self, lab: Lab) -> None:
        """Not by a language's rules: upper case first, then lower case, then the rest."""
        run = fresh("run")
        texts = [
            "a",
            "B",
            "Z",
            "b",
            "_",
            "1",
            "10",
            "2",
            "ä",
            "z",
            "é",
            "\uffee",
            "😀",
            "a b",
            "aa",
            "",
        ]
        rows = [result(run, f"{i:02}", comment=text) for i, text in enumerate(texts)]
        await lab.backend.write(Put(RESULTS, rows))
        order: Order = (("comment", "asc"),)
        found = await stored(lab.backend, run, order=order, columns=("comment",))
        assert [text for (text,) in found] == sorted(texts)

    async def test_several_columns_order_one_after_the_other(self, lab: Lab) -> None:
        """The second decides where the first is tied, the key where both are; each may be absent."""
        run = fresh("run")
        texts, numbers = ("x", None, "y"), (1, None, 0)
        rows = [
            result(run, f"{i:02}", comment=texts[i % 3], attempt=numbers[i // 3 % 3])
            for i in range(18)
        ]
        await lab.backend.write(Put(RESULTS, rows))

        def rank(row: Row) -> tuple[object, ...]:
            text, number, name = pick(RESULTS, row, "comment", "attempt", "id")
            return text is None, text or "", number is None, number or 0, name

        for way in BOTH:
            order: Order = (("comment", way), ("attempt", way))
            wanted = ids(named(sorted(rows, key=rank, reverse=way == "desc")))
            assert ids(await stored(lab.backend, run, order=order)) == wanted
            for size in (1, 4, 7):
                assert ids(await walk(lab, run, order, size)) == wanted


@area("waist")
@pytest.mark.asyncio(loop_scope="function")
class TestPages:
    """Limits, offsets and continuing behind a row."""

    @base
    async def test_limit_and_offset_cut_a_page(self, lab: Lab) -> None:
        """Beyond the end there is nothing; a limit of nought is nothing."""
        run = fresh("run")
        await lab.backend.write(Put(RESULTS, [result(run, n) for n in "abcde"]))
        expected = {(0, 2): "ab", (1, 2): "bc", (4, 2): "e", (5, 2): "", (99, 1): "", (0, 0): ""}
        for (offset, limit), names in expected.items():
            found = await stored(lab.backend, run, offset=offset, limit=limit)
            assert "".join(map(str, ids(found))) == names
        assert len(await stored(lab.backend, run, offset=2)) == 3

    async def test_pages_by_key_give_every_row_once(self, lab: Lab) -> None:
        """For every order, with ties and absent values, in steps of any size."""
        run = fresh("run")
        rows = [
            result(run, n, createdAt=at(i % 3), attempt=[None, 1, 2, None][i % 4])
            for i, n in enumerate("abcdefghijk")
        ]
        await lab.backend.write(Put(RESULTS, rows))
        orders: list[tuple[str, ...]] = [(), ("createdAt",), ("attempt",), ("attempt", "createdAt")]
        for names, way, size in itertools.product(orders, BOTH, (1, 2, 3, 11, 12)):
            order: Order = tuple([(name, way) for name in names])
            whole = await stored(lab.backend, run, order=order)
            assert sorted(map(str, ids(whole))) == list("abcdefghijk")
            assert await walk(lab, run, order, size) == whole, (order, size)

    async def test_continuing_needs_no_row_to_continue_behind(self, lab: Lab) -> None:
        """``after`` is a place in the order: the row that stood there may be gone."""
        run = fresh("run")
        await lab.backend.write(Put(RESULTS, [result(run, n, createdAt=at(0)) for n in "abcd"]))
        where = (Where("experimentId", "eq", run), Where("id", "eq", key(run, "b")))
        await lab.backend.write(Delete(RESULTS, where))
        order: Order = (("createdAt", "asc"),)
        found = await stored(lab.backend, run, order=order, after=(at(0), key(run, "b")), limit=9)
        assert ids(found) == ["c", "d"]

    async def test_continuing_keeps_to_the_conditions(self, lab: Lab) -> None:
        """``after`` is one condition more, beside ranges and residual ones."""
        run = fresh("run")
        rows = [result(run, n, createdAt=at(i), comment=n) for i, n in enumerate("abcdefgh")]
        await lab.backend.write(Put(RESULTS, rows))
        where = (Where("createdAt", "lte", at(6)), Where("comment", "ne", "d"))
        order: Order = (("createdAt", "asc"),)
        found = await stored(
            lab.backend, run, where=where, order=order, after=(at(1), key(run, "b")), limit=3
        )
        assert ids(found) == ["c", "e", "f"]

    async def test_pages_of_residual_conditions_are_full(self, lab: Lab) -> None:
        """A condition applied after fetching must not make pages short, nor miss later rows."""
        run = fresh("run")
        rows = [
            result(run, f"{i:04}", metadata=f'{{"n":{i % 100}}}', comment=f"E{i % 50}")
            for i in range(2300)
        ]
        await lab.backend.write(Put(RESULTS, rows))
        rare = (Where("metadata", "eq", 99, ("n",)), Where("comment", "icontains", "e49"))
        found = await stored(lab.backend, run, where=rare, limit=5, offset=3)
        assert ids(found) == [f"{i:04}" for i in (399, 499, 599, 699, 799)]
        found = await stored(lab.backend, run, where=rare, limit=50, columns=("id",))
        assert ids(found) == [f"{i:04}" for i in range(99, 2300, 100)]
        within = (Where("experimentId", "eq", run), *rare)
        assert await lab.backend.count(RESULTS, within) == 23

    async def test_a_read_without_a_limit_is_everything(self, lab: Lab) -> None:
        """Whatever a database's own page is: nothing is cut silently."""
        run = fresh("run")
        size = min(lab.backend.limits.page_rows, 2000) + 7
        rows = [result(run, f"{i:06}", createdAt=at(i // 3)) for i in range(size)]
        await lab.backend.write(Put(RESULTS, rows))
        for way in BOTH:
            order: Order = (("createdAt", way),)
            found = ids(await stored(lab.backend, run, order=order))
            assert found == sorted(map(str, ids(named(rows))), reverse=way == "desc")
            found = ids(await stored(lab.backend, run, order=order, limit=size - 1, offset=1))
            assert len(set(found)) == size - 1

    async def test_several_queries_at_once_give_what_each_gives_alone(self, lab: Lab) -> None:
        """``find_many`` is only a round trip less."""
        run = fresh("run")
        rows = [result(run, n, createdAt=at(i), attempt=i) for i, n in enumerate("abcdef")]
        await lab.backend.write(Put(RESULTS, rows))
        where = (Where("experimentId", "eq", run),)
        queries = [
            Query(where=where, order=(("createdAt", "asc"),), limit=2),
            Query(where=where, order=(("createdAt", "desc"),), limit=2, columns=("id",)),
            Query(where=(Where("experimentId", "eq", fresh()),), limit=2),
            Query(
                where=where, order=(("createdAt", "asc"),), limit=2, after=(at(2), key(run, "c"))
            ),
            Query(where=(*where, Where("attempt", "gt", 3)), limit=9, offset=1),
        ]
        alone = [await lab.backend.find(RESULTS, query) for query in queries]
        assert await lab.backend.find_many(RESULTS, queries) == alone
        assert [len(found) for found in alone] == [2, 2, 0, 2, 1]
        assert await lab.backend.find_many(RESULTS, []) == []


@area("waist")
@pytest.mark.asyncio(loop_scope="function")
class TestSweep:
    """All rows of a table, in whatever order the database keeps its keys in."""

    async def test_a_sweep_gives_every_row_once(self, lab: Lab) -> None:
        """Each page goes on behind the last key of the one before; the order is the database's own."""
        trace = fresh("trace")
        names = ["b2", "a10", "a9", "B1", "_", "ä", "é", "😀", *(f"n{i:03}" for i in range(60))]
        rows = [row(SPANS, traceId=trace, spanId=name) for name in names]
        await lab.backend.write(Put(SPANS, rows))
        found: list[Row] = []
        last: Row | None = None
        for _ in range(100_000):
            page = await lab.backend.sweep(SPANS, limit=400, after=last)
            if not page:
                break
            assert len(page) <= 400
            found += [r for r in page if r[0] == trace]
            last = pick(SPANS, page[-1], *SPANS.key)
        query = Query(where=(Where("traceId", "eq", trace),))
        wanted = await lab.backend.find(SPANS, query)
        assert sorted(str(r[1]) for r in found) == sorted(names)
        assert sorted(found, key=lambda r: str(r[1])) == wanted
