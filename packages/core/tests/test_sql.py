"""The SQLite dialect: constant text, bound values, quoted names."""

from __future__ import annotations

import pytest

from mastra_core.clock import now
from mastra_core.errors import InvalidArgumentError, SchemaError
from mastra_core.storage.ddl import SqliteSchema
from mastra_core.storage.schema import Advance, Put, Query, Update, Where
from mastra_core.storage.sql import Dialect
from mastra_core.storage.tables import DATASET_ITEMS, MESSAGES, SPANS, TABLES, THREADS

DIALECT = Dialect()
SCHEMA = SqliteSchema(DIALECT)


def test_a_list_is_one_parameter_however_long_it_is():
    short = DIALECT.select(
        THREADS, Query(where=(Where("id", "in", ("a",)),), order=(("id", "asc"),))
    )
    many = Where("id", "in", tuple(str(i) for i in range(70_000)))
    long = DIALECT.select(THREADS, Query(where=(many,), order=(("id", "asc"),)))
    assert short.sql == long.sql
    assert len(long.params) == 1


def test_rows_of_one_insert_are_one_parameter_however_many():
    row = ("i", "r", "t", None, now(), now())
    (two,) = DIALECT.put(Put(THREADS, [row, row]), 0)
    (ten,) = DIALECT.put(Put(THREADS, [row] * 10), 0)
    assert two.sql == ten.sql
    assert len(ten.params) == 1


def test_values_never_become_part_of_the_text():
    hostile = "x'; DROP TABLE mastra_threads; --"
    statement = DIALECT.select(
        THREADS,
        Query(
            where=(Where("id", "eq", hostile), Where("metadata", "eq", hostile, ("k",))),
            order=(("id", "asc"),),
            after=(hostile,),
            limit=1,
        ),
    )
    assert "DROP" not in statement.sql
    assert statement.params.count(hostile) == 3


@pytest.mark.parametrize("name", ["nope", 'id" OR 1=1 --'])
def test_a_column_that_the_table_lacks_is_refused(name):
    with pytest.raises(InvalidArgumentError, match="mastra_threads has no column"):
        DIALECT.select(THREADS, Query(where=(Where(name, "eq", 1),), order=(("id", "asc"),)))


def test_a_json_key_with_a_quote_is_refused():
    where = Where("metadata", "eq", 1, ('a"b',))
    with pytest.raises(InvalidArgumentError, match="has a quote"):
        DIALECT.condition(THREADS, where, [])


def test_integers_beyond_32_bits_are_bound_so_that_no_driver_rounds_them():
    params: list[object] = []
    assert DIALECT.bind(params, 2**53 + 1) == "CAST(? AS INTEGER)"
    assert params == ["9007199254740993"]
    with pytest.raises(InvalidArgumentError, match="needs more than 64 bits"):
        DIALECT.bind(params, 2**63)


def test_the_page_behind_a_row_uses_the_index_where_no_value_can_be_absent():
    at = now()
    order = (("createdAt", "desc"), ("id", "desc"))
    sql = DIALECT.select(MESSAGES, Query(order=order, after=(at, "m"))).sql
    assert '("createdAt", "id") < (?, ?)' in sql
    order = (("endedAt", "desc"), ("traceId", "desc"), ("spanId", "desc"))
    sql = DIALECT.select(SPANS, Query(order=order, after=(None, "t", "s"))).sql
    assert '"endedAt" IS NOT NULL' in sql
    assert "NULLS FIRST" in sql


def test_advance_moves_a_time_on_in_the_database():
    (sql, params) = (
        (u := DIALECT.update(Update(THREADS, (), {"updatedAt": Advance(now())}), 0)).sql,
        u.params,
    )
    assert "max(?, COALESCE(strftime" in sql
    assert len(params) == 1


def test_an_empty_database_gets_every_table_key_and_index():
    statements = [s.sql for s in SCHEMA.missing(TABLES, {})]
    assert sum(s.startswith("CREATE TABLE") for s in statements) == len(TABLES)
    # One table may hold its key twice; that key is an index and no more.
    assert sum(s.startswith("CREATE INDEX") for s in statements) == 1 + sum(
        len(t.indexes) for t in TABLES
    )


def test_a_table_of_an_older_version_gets_the_columns_it_lacks():
    existing = SCHEMA.existing(
        [("mastra_dataset_items", n, False) for n in DATASET_ITEMS.names if n != "isDeleted"],
        [
            ("mastra_dataset_items", i.name, False, c)
            for i in DATASET_ITEMS.indexes
            for c in i.columns
        ],
    )
    statements = [s.sql for s in SCHEMA.missing([DATASET_ITEMS], existing)]
    assert statements == [
        'ALTER TABLE "mastra_dataset_items" ADD COLUMN "isDeleted" INTEGER NOT NULL DEFAULT 0',
        (
            'CREATE INDEX IF NOT EXISTS "mastra_dataset_items_key" ON "mastra_dataset_items" '
            '("id", "datasetVersion")'
        ),
    ]


def test_a_table_of_a_newer_version_that_needs_more_is_refused():
    names = [("mastra_threads", n, False) for n in THREADS.names]
    existing = SCHEMA.existing([*names, ("mastra_threads", "tenant", True)], [])
    with pytest.raises(SchemaError, match="made by a newer version: it requires tenant"):
        SCHEMA.missing([THREADS], existing)
