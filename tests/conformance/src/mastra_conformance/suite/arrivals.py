"""Rows of every table as copies and imports write them: once, and never over others unasked."""

from __future__ import annotations

import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.rows import at, comparable, row
from mastra_conformance.tiers import area, base
from mastra_core.storage.schema import Put, Query, Row, Table, Value, Where
from mastra_core.storage.tables import TABLES

LATER = at(60_000)


def another(table: Table) -> Row:
    """A row that is unlike every other one in all that is a text and must be there."""
    given: dict[str, Value] = {
        column.name: fresh(column.name)
        for column in table.columns
        if column.type == "text" and not column.nullable
    }
    return row(table, **given)


def key_of(table: Table, found: Row) -> tuple[Where, ...]:
    """The conditions that only this row meets."""
    return tuple([Where(name, "eq", found[table.positions[name]]) for name in table.key])


@area("waist")
@pytest.mark.asyncio(loop_scope="function")
class TestArrivals:
    """Every table takes rows from elsewhere, also where the original keeps no key unique."""

    @base
    @pytest.mark.parametrize("table", TABLES, ids=[table.name for table in TABLES])
    async def test_rows_arrive_once_and_are_replaced_when_told(
        self, lab: Lab, table: Table
    ) -> None:
        """``skip`` writes those that are not there, ``replace`` the others, too; no key is there twice."""
        first, second, third = another(table), another(table), another(table)
        column = table.positions["createdAt"]
        changed = (*first[:column], LATER, *first[column + 1 :])

        async def there() -> list[Row]:
            keys = [key_of(table, one) for one in (first, second, third)]
            queries = [Query(where=key, limit=2) for key in keys]
            answers = await lab.backend.find_many(table, queries)
            return [comparable(table, found) for answer in answers for found in answer]

        def expected(*rows: Row) -> list[Row]:
            return [comparable(table, one) for one in rows]

        backend = lab.backend
        assert await backend.write(Put(table, [first], "skip", fresh=True)) == [1]
        assert await backend.write(Put(table, [changed], "skip", fresh=True)) == [0]
        assert await backend.write(Put(table, [changed, second], "skip", fresh=True)) == [1]
        assert await there() == expected(first, second)
        assert await backend.write(Put(table, [changed])) == [1]
        assert await there() == expected(changed, second)
        assert await backend.write(Put(table, [first, third])) == [2]
        assert await there() == expected(first, second, third)
