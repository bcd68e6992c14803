"""The waist: rows put, changed and deleted, as every domain relies on."""

from __future__ import annotations

from typing import Any

import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.rows import at, comparable, ids, key, named, pick, result, row, stored
from mastra_conformance.tiers import area, base
from mastra_core.errors import ConflictError, StorageError
from mastra_core.storage.schema import Advance, Delete, Operator, Put, Query, Update, Where
from mastra_core.storage.tables import (
    EXPERIMENT_RESULTS,
    EXPERIMENTS,
    SCORERS,
    SPANS,
    THREADS,
    WORKFLOW_SNAPSHOT,
)

RESULTS = EXPERIMENT_RESULTS


@area("waist")
@pytest.mark.asyncio(loop_scope="function")
class TestRows:
    """What is put is found, with every value as it was."""

    @base
    async def test_a_row_that_was_put_is_found(self, lab: Lab) -> None:
        """A write is visible to the next read of the same instance."""
        run = fresh("run")
        assert await lab.backend.write(Put(RESULTS, [result(run, "a")])) == [1]
        found = await stored(lab.backend, run)
        assert [comparable(RESULTS, r) for r in found] == [
            comparable(RESULTS, r) for r in named([result(run, "a")])
        ]

    @base
    async def test_a_row_that_was_not_put_is_not_found(self, lab: Lab) -> None:
        """An unknown key gives no row and a count of nought, not an error."""
        run = fresh("run")
        await lab.backend.write(Put(RESULTS, [result(run, "a")]))
        assert ids(await stored(lab.backend, run)) == ["a"]
        assert await stored(lab.backend, fresh("run")) == []
        assert await lab.backend.count(RESULTS, (Where("experimentId", "eq", fresh()),)) == 0

    async def test_every_column_keeps_value_and_type(self, lab: Lab) -> None:
        """Text that looks like a number, JSON or a date stays text; ``True`` is not ``1``."""
        run = fresh("run")
        full = result(
            run,
            fresh(),
            retryCount=2**31 - 1,
            comment="007",
            organizationId="[1,2]",
            projectId="2024-01-01T00:00:00.000Z",
            attempt=0,
            input='{"a":[1,2.5,null,"x",true]}',
            metadata="{}",
            status="null",
            createdAt=at(7),
            completedAt=at(-123_456_789),
        )
        await lab.backend.write(Put(RESULTS, [full]))
        found = comparable(RESULTS, (await stored(lab.backend, run))[0])
        wanted = comparable(RESULTS, named([full])[0])
        assert found == wanted
        assert [type(v) for v in found] == [type(v) for v in wanted]

    async def test_rows_of_one_put_keep_value_and_type_too(self, lab: Lab) -> None:
        """Bulk inserts often take another way (arrays, JSON) with types of its own."""
        run = fresh("run")
        rows = [
            result(run, "1", retryCount=1, comment="1", attempt=None, input="1"),
            result(run, "2", retryCount=-2, comment=None, attempt=7, input='"1"'),
            result(run, "3", comment="true", groundTruth="null", input="[null]"),
            result(run, "4", comment="", organizationId=" \n'\"\\ü😀", input='{"a":{}}'),
        ]
        assert await lab.backend.write(Put(RESULTS, rows)) == [4]
        found = await stored(lab.backend, run, order=(("id", "asc"),))
        assert [comparable(RESULTS, r) for r in found] == [
            comparable(RESULTS, r) for r in named(rows)
        ]

    async def test_booleans_are_booleans(self, lab: Lab) -> None:
        """However a database stores them, one by one and in bulk."""
        trace = fresh("trace")
        flags = [True, False, False, True]
        rows = [
            row(SPANS, traceId=trace, spanId=str(i), isEvent=flag) for i, flag in enumerate(flags)
        ]
        await lab.backend.write(Put(SPANS, rows[:1]), Put(SPANS, rows[1:]))
        query = Query(where=(Where("traceId", "eq", trace),), columns=("isEvent",))
        found = [flag for (flag,) in await lab.backend.find(SPANS, query)]
        assert (found, {type(flag) for flag in found}) == (flags, {bool})
        wanted: tuple[tuple[Operator, Any, list[bool]], ...] = (
            ("eq", True, [True, True]),
            ("ne", True, [False, False]),
            ("in", (False,), [False, False]),
        )
        for op, value, matching in wanted:
            where = (Where("traceId", "eq", trace), Where("isEvent", op, value))
            answer = await lab.backend.find(SPANS, Query(where=where, columns=("isEvent",)))
            assert [flag for (flag,) in answer] == matching

    async def test_floats_are_exact(self, lab: Lab) -> None:
        """A float comes back as the same double, also one that is a whole number."""
        run, values = fresh("run"), [0.1, 1.0, -0.5, 1e-9, 123456789.12345679, 1 / 3, 0.0]
        rows = [
            row(SCORERS, id=fresh(), runId=run, score=value, createdAt=at(i), updatedAt=at(i))
            for i, value in enumerate(values)
        ]
        await lab.backend.write(Put(SCORERS, rows[:1]), Put(SCORERS, rows[1:]))
        query = Query(where=(Where("runId", "eq", run),), order=(("createdAt", "asc"),))
        found = [pick(SCORERS, r, "score")[0] for r in await lab.backend.find(SCORERS, query)]
        assert found == values
        assert {type(value) for value in found} == {float}

    async def test_an_absent_json_value_is_not_json_null(self, lab: Lab) -> None:
        """``None`` in a JSON column is "never given"; the text ``null`` is a value."""
        run = fresh("run")
        rows = [result(run, "a", groundTruth=None), result(run, "b", groundTruth="null")]
        await lab.backend.write(Put(RESULTS, rows))
        found = await stored(lab.backend, run, columns=("id", "groundTruth"))
        assert found == [("a", None), ("b", "null")]

    async def test_only_the_columns_asked_for_come_in_their_order(self, lab: Lab) -> None:
        """Columns come in the order of ``columns``, not in that of the table."""
        run = fresh("run")
        await lab.backend.write(Put(RESULTS, [result(run, "a", retryCount=3, attempt=9)]))
        names = ("attempt", "id", "retryCount")
        assert await stored(lab.backend, run, columns=names) == [(9, "a", 3)]

    async def test_keys_of_two_columns_are_not_mixed_up(self, lab: Lab) -> None:
        """``("a-b", "c")`` and ``("a", "b-c")`` are two rows: keys are not joined by a sign."""
        run = fresh()
        keys = [
            (f"{run}-b", "c"),
            (run, "b-c"),
            (f"{run}:b", "c"),
            (run, "b:c"),
            (run, "b"),
            (run, "B"),
        ]
        rows = [
            row(
                WORKFLOW_SNAPSHOT,
                workflow_name=a,
                run_id=b,
                snapshot="{}",
                createdAt=at(0),
                updatedAt=at(0),
            )
            for a, b in keys
        ]
        await lab.backend.write(Put(WORKFLOW_SNAPSHOT, rows))
        for name, run_id in keys:
            where = (Where("workflow_name", "eq", name), Where("run_id", "eq", run_id))
            query = Query(where=where, columns=("workflow_name", "run_id"))
            assert await lab.backend.find(WORKFLOW_SNAPSHOT, query) == [(name, run_id)]


@area("waist")
@pytest.mark.asyncio(loop_scope="function")
class TestPuts:
    """What becomes of rows whose key is stored already."""

    @base
    async def test_a_put_replaces_the_stored_row(self, lab: Lab) -> None:
        """``replace`` is the default: one row stays, and it counts as one."""
        run = fresh("run")
        await lab.backend.write(Put(RESULTS, [result(run, "a", comment="old", attempt=1)]))
        assert await lab.backend.write(Put(RESULTS, [result(run, "a", comment="new")])) == [1]
        found = await stored(lab.backend, run, columns=("comment", "attempt"))
        assert found == [("new", None)]

    async def test_fail_refuses_a_stored_key_and_writes_nothing(self, lab: Lab) -> None:
        """The whole put fails, also rows that come before the one that is there."""
        run = fresh("run")
        await lab.backend.write(Put(RESULTS, [result(run, "b", comment="old")]))
        rows = [result(run, name, comment="new") for name in "abc"]
        with pytest.raises(ConflictError):
            await lab.backend.write(Put(RESULTS, rows, "fail"))
        assert await stored(lab.backend, run, columns=("id", "comment")) == [("b", "old")]

    async def test_skip_leaves_stored_rows_and_counts_new_ones(self, lab: Lab) -> None:
        """The count tells who inserted: exactly the rows that were not there."""
        run = fresh("run")
        await lab.backend.write(Put(RESULTS, [result(run, "b", comment="old")]))
        rows = [result(run, name, comment="new") for name in "abc"]
        assert await lab.backend.write(Put(RESULTS, rows, "skip")) == [2]
        assert await lab.backend.write(Put(RESULTS, rows[1:2], "skip")) == [0]
        found = await stored(lab.backend, run, columns=("id", "comment"))
        assert found == [("a", "new"), ("b", "old"), ("c", "new")]

    async def test_keep_lets_the_stored_value_stay(self, lab: Lab) -> None:
        """A kept column is written for new rows only; one kept as absent stays absent."""
        run = fresh("run")
        stored_rows = [
            result(run, "a", createdAt=at(1), comment="x"),
            result(run, "b", createdAt=at(1), comment=None),
        ]
        await lab.backend.write(Put(RESULTS, stored_rows))
        rows = [result(run, n, createdAt=at(2), comment="y", attempt=1) for n in "abc"]
        merge = {"createdAt": "keep", "comment": "keep"}
        assert await lab.backend.write(Put(RESULTS, rows, "replace", merge)) == [3]  # type: ignore[arg-type]
        names = ("id", "createdAt", "comment", "attempt")
        assert await stored(lab.backend, run, columns=names, order=(("id", "asc"),)) == [
            ("a", at(1), "x", 1),
            ("b", at(1), None, 1),
            ("c", at(2), "y", 1),
        ]

    async def test_coalesce_ignores_a_new_absent_value(self, lab: Lab) -> None:
        """A new value replaces; ``None`` leaves what is stored, in every row of the put."""
        run = fresh("run")
        await lab.backend.write(Put(RESULTS, [result(run, n, comment="old") for n in "ab"]))
        rows = [result(run, "a", comment=None), result(run, "b", comment="new")]
        await lab.backend.write(Put(RESULTS, rows, "replace", {"comment": "coalesce"}))
        found = await stored(lab.backend, run, columns=("id", "comment"))
        assert found == [("a", "old"), ("b", "new")]

    async def test_advance_strictly_increases(self, lab: Lab) -> None:
        """The later of the new time and the stored one plus a millisecond, never the same again."""
        run = fresh("run")
        await lab.backend.write(Put(RESULTS, [result(run, n, completedAt=at(500)) for n in "abc"]))
        rows = [
            result(run, n, completedAt=at(i)) for n, i in zip("abc", (499, 500, 900), strict=True)
        ]
        await lab.backend.write(Put(RESULTS, rows, "replace", {"completedAt": "advance"}))
        found = await stored(lab.backend, run, columns=("id", "completedAt"))
        assert found == [("a", at(501)), ("b", at(501)), ("c", at(900))]

    async def test_match_replaces_where_the_stored_value_is_the_same(self, lab: Lab) -> None:
        """Absent matches absent; new rows have nothing to match."""
        run = fresh("run")
        await lab.backend.write(
            Put(RESULTS, [result(run, "a", comment="x"), result(run, "b", comment=None)])
        )
        rows = [
            result(run, "a", comment="x", attempt=1),
            result(run, "b", comment=None, attempt=1),
            result(run, "c", comment="y", attempt=1),
        ]
        assert await lab.backend.write(Put(RESULTS, rows, "replace", {"comment": "match"})) == [3]
        found = await stored(lab.backend, run, columns=("id", "attempt"))
        assert found == [("a", 1), ("b", 1), ("c", 1)]

    async def test_match_refuses_the_whole_write_where_it_differs(self, lab: Lab) -> None:
        """One row that does not match undoes all changes of the write, and is named."""
        run = fresh("run")
        await lab.backend.write(
            Put(RESULTS, [result(run, "a", comment="x"), result(run, "b", comment=None)])
        )
        before = await stored(lab.backend, run)
        for name, other in (("a", "y"), ("b", "y"), ("a", None)):
            rows = [result(run, "new"), result(run, name, comment=other)]
            with pytest.raises(ConflictError) as caught:
                await lab.backend.write(
                    Put(RESULTS, [result(run, "first")]),
                    Put(RESULTS, rows, "replace", {"comment": "match"}),
                )
            assert caught.value.change in {1, None}
            assert await stored(lab.backend, run) == before

    async def test_an_empty_put_changes_nothing(self, lab: Lab) -> None:
        """No rows are no statement; the count is nought. So is a write of nothing."""
        assert await lab.backend.write(Put(RESULTS, [])) == [0]
        assert await lab.backend.write() == []

    async def test_a_put_of_many_rows_is_whole(self, lab: Lab) -> None:
        """More rows than one statement takes are still one write."""
        run = fresh("run")
        rows = [result(run, f"{i:05}", createdAt=at(i)) for i in range(2500)]
        assert await lab.backend.write(Put(RESULTS, rows)) == [2500]
        assert await lab.backend.count(RESULTS, (Where("experimentId", "eq", run),)) == 2500
        assert ids(await stored(lab.backend, run)) == [f"{i:05}" for i in range(2500)]


@area("waist")
@pytest.mark.asyncio(loop_scope="function")
class TestChanges:
    """Updates and deletes, alone and several in one write."""

    @base
    async def test_an_update_sets_columns_of_all_matching_rows(self, lab: Lab) -> None:
        """The count is of rows that matched; other columns and rows stay."""
        run = fresh("run")
        await lab.backend.write(Put(RESULTS, [result(run, n, comment=n) for n in "abc"]))
        where = (Where("experimentId", "eq", run), Where("id", "ne", key(run, "b")))
        counts = await lab.backend.write(Update(RESULTS, where, {"attempt": 5, "retryCount": 7}))
        assert counts == [2]
        names = ("id", "attempt", "retryCount", "comment")
        assert await stored(lab.backend, run, columns=names) == [
            ("a", 5, 7, "a"),
            ("b", None, 0, "b"),
            ("c", 5, 7, "c"),
        ]

    async def test_an_update_counts_rows_that_had_the_values_already(self, lab: Lab) -> None:
        """Rows matched, not rows altered: otherwise a repeated write looks like a lost one."""
        run = fresh("run")
        await lab.backend.write(Put(RESULTS, [result(run, "a", attempt=5)]))
        where = (Where("experimentId", "eq", run),)
        assert await lab.backend.write(Update(RESULTS, where, {"attempt": 5}, expect=1)) == [1]

    async def test_an_update_may_set_a_column_to_absent(self, lab: Lab) -> None:
        """``None`` is a value to write, not one to leave out."""
        run = fresh("run")
        await lab.backend.write(Put(RESULTS, [result(run, "a", attempt=5, groundTruth="1")]))
        where = (Where("experimentId", "eq", run),)
        await lab.backend.write(Update(RESULTS, where, {"attempt": None, "groundTruth": None}))
        names = ("attempt", "groundTruth")
        assert await stored(lab.backend, run, columns=names) == [(None, None)]

    async def test_an_update_of_nothing_is_no_error(self, lab: Lab) -> None:
        """Unless rows are expected, no match is a count of nought, and makes no row."""
        where = (Where("id", "eq", fresh()),)
        assert await lab.backend.write(Update(RESULTS, where, {"attempt": 1})) == [0]
        assert await lab.backend.find(RESULTS, Query(where=where)) == []

    async def test_an_update_advances_each_row_by_its_own_time(self, lab: Lab) -> None:
        """``Advance`` looks at what is stored in each row."""
        run = fresh("run")
        times = {"a": at(0), "b": at(700), "c": at(5000)}
        await lab.backend.write(
            Put(RESULTS, [result(run, n, completedAt=t) for n, t in times.items()])
        )
        where = (Where("experimentId", "eq", run),)
        await lab.backend.write(Update(RESULTS, where, {"completedAt": Advance(at(700))}))
        found = await stored(lab.backend, run, columns=("id", "completedAt"))
        assert found == [("a", at(700)), ("b", at(701)), ("c", at(5001))]

    async def test_advance_of_an_absent_time_is_the_new_one(self, lab: Lab) -> None:
        """Nothing stored is earlier than everything."""
        run = fresh("run")
        await lab.backend.write(Put(EXPERIMENTS, [row(EXPERIMENTS, id=run, startedAt=None)]))
        where = (Where("id", "eq", run),)
        await lab.backend.write(Update(EXPERIMENTS, where, {"startedAt": Advance(at(3))}))
        query = Query(where=where, columns=("startedAt",))
        assert await lab.backend.find(EXPERIMENTS, query) == [(at(3),)]

    async def test_advance_over_a_second_or_a_day_carries(self, lab: Lab) -> None:
        """23:59:59.999 and a millisecond is the next day, in whatever form times are stored."""
        run = fresh("run")
        last = at(12 * 3600 * 1000 - 1)
        await lab.backend.write(Put(RESULTS, [result(run, "a", completedAt=last)]))
        where = (Where("experimentId", "eq", run),)
        await lab.backend.write(Update(RESULTS, where, {"completedAt": Advance(at(0))}))
        found = await stored(lab.backend, run, columns=("completedAt",))
        assert found == [(at(12 * 3600 * 1000),)]

    async def test_a_delete_removes_what_matches_only(self, lab: Lab) -> None:
        """The count is of rows that were there; deleting again is nought."""
        run = fresh("run")
        await lab.backend.write(Put(RESULTS, [result(run, n) for n in "abc"]))
        where = (
            Where("experimentId", "eq", run),
            Where("id", "in", tuple([key(run, n) for n in "acx"])),
        )
        assert await lab.backend.write(Delete(RESULTS, where)) == [2]
        assert await lab.backend.write(Delete(RESULTS, where)) == [0]
        assert ids(await stored(lab.backend, run)) == ["b"]

    async def test_changes_of_one_write_see_those_before_them(self, lab: Lab) -> None:
        """Applied in order: an update changes the row that the put before it made."""
        run = fresh("run")
        where = (Where("experimentId", "eq", run),)
        counts = await lab.backend.write(
            Put(RESULTS, [result(run, n) for n in "ab"]),
            Update(RESULTS, (*where, Where("id", "eq", key(run, "a"))), {"attempt": 4}, expect=1),
            Delete(RESULTS, (*where, Where("attempt", "eq", None)), expect=1),
            Put(RESULTS, [result(run, "c", attempt=6)], "fail"),
        )
        assert counts == [2, 1, 1, 1]
        found = await stored(lab.backend, run, columns=("id", "attempt"))
        assert found == [("a", 4), ("c", 6)]

    async def test_one_write_may_change_several_tables(self, lab: Lab) -> None:
        """Counts come for each change, whichever table it is of."""
        run, thread = fresh("run"), fresh("thread")
        counts = await lab.backend.write(
            Put(RESULTS, [result(run, n) for n in "ab"]),
            Put(THREADS, [row(THREADS, id=thread, resourceId=fresh())]),
        )
        assert counts == [2, 1]
        query = Query(where=(Where("id", "eq", thread),), columns=("id",))
        assert await lab.backend.find(THREADS, query) == [(thread,)]

    async def test_an_unknown_column_is_refused(self, lab: Lab) -> None:
        """Names that the schema does not have never reach the database."""
        hostile = 'id" = "id" OR "id'
        with pytest.raises(StorageError):
            await lab.backend.find(RESULTS, Query(where=(Where(hostile, "eq", "x"),), limit=1))
        with pytest.raises(StorageError):
            await lab.backend.write(Update(RESULTS, (Where("id", "eq", fresh()),), {hostile: 1}))
