"""Every kind of statement, as Microsoft's parser of T-SQL reads it, and where it is no SQLite."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mastra_core.storage.schema import Advance, Delete, Put, Query, Update, Where, complete
from mastra_core.storage.sql import Statement
from mastra_core.storage.tables import MESSAGES, SPANS, TABLES, THREADS, WORKFLOW_SNAPSHOT
from mastra_mssql.backend import _LOCK
from mastra_mssql.batch import transaction
from mastra_mssql.columns import MARK, Stored, marked, units, unmarked
from mastra_mssql.dialect import MSSQLDialect
from mastra_mssql.schema import MSSQLSchema

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def foreign():
    """A dialect of tables that the original made."""
    dialect = MSSQLDialect("s")
    collation = "SQL_Latin1_General_CP1_CI_AS"
    widths = {("mastra_messages", c): Stored(255, collation) for c in ("id", "thread_id")}
    dialect.learn(widths | {("mastra_messages", "role"): Stored(400, collation)})
    return dialect


def puts(dialect):
    merges = {
        MESSAGES: {"createdAt": "keep", "thread_id": "match"},
        THREADS: {"updatedAt": "advance", "metadata": "coalesce"},
        WORKFLOW_SNAPSHOT: {"resourceId": "coalesce"},
    }
    for table in TABLES:
        row = tuple([None for _ in table.names])
        for how in ("replace", "skip", "fail"):
            yield from dialect.put(Put(table, [row], how, merges.get(table, {})), 0)


def conditions():
    values = {"text": "a", "timestamp": NOW, "json": "{}", "integer": 1, "boolean": True}
    for table in (MESSAGES, SPANS):
        for column in table.columns:
            value = values[column.type]
            ranges = () if column.type in {"json", "boolean"} else ("lt", "lte", "gt", "gte")
            yield from [(table, Where(column.name, op, value)) for op in ("eq", "ne", *ranges)]
            yield table, Where(column.name, "in", (value, None))
            yield table, Where(column.name, "eq", None)
    for value in ("a", 1, 1.5, True, None, NOW):
        for op in ("eq", "ne", "lt"):
            yield MESSAGES, Where("content", op, value, ("a", "b]'\""))
    for op in ("has_all", "has_any"):
        yield SPANS, Where("tags", op, ("a", "b"))


def queries(dialect):
    for table, where in conditions():
        order = complete(table, (("createdAt", "desc"),))
        after = tuple([NOW if name == "createdAt" else "a" for name, _ in order])
        query = Query(where=(where,), order=order, limit=3, offset=1, after=after)
        yield dialect.select(table, query)
        yield dialect.delete(Delete(table, (where,)), 0)
    for way in ("asc", "desc"):
        order = complete(SPANS, (("endedAt", way),))
        for last in (None, NOW):
            yield dialect.select(SPANS, Query(order=order, limit=3, after=(last, "t", "s")))
    values = {"createdAt": Advance(NOW), "content": "x", "resourceId": None, "role": "user "}
    yield dialect.update(Update(MESSAGES, (Where("id", "eq", "m"),), values, expect=1), 0)


def definitions(schema):
    yield from [statement.sql for statement in schema.missing(TABLES, {})]
    yield from [statement.sql for statement in schema.catalogue()]
    yield from [schema.add(table, column) for table in TABLES for column in table.columns]
    yield f"ALTER TABLE [s].[t] ADD {schema.sequence()}"
    yield from (_LOCK, "IF SCHEMA_ID(N's') IS NULL EXEC(N'CREATE SCHEMA [s]')")


@pytest.mark.parametrize("make", [lambda: MSSQLDialect("s"), foreign], ids=["ours", "foreign"])
def test_every_kind_of_statement_is_tsql(tsql_parser, make):
    dialect = make()
    texts = [statement.sql for statement in queries(dialect)]
    texts += [transaction([each]).sql for each in puts(dialect)]
    texts += definitions(MSSQLSchema(dialect))
    pair = [Statement("SELECT 1", expect=1), Statement("SELECT ?", [1])]
    texts += [transaction(pair, own=own).sql for own in (True, False)]
    given = sorted({text.replace("?", "@P1") for text in texts})
    assert len(given) > 400
    assert tsql_parser.complaints(given) == []


def test_the_parser_takes_nothing_that_is_not_tsql(tsql_parser):
    wrong = [
        "SELECT 1 FROM t LIMIT 1",
        "INSERT INTO t (a) VALUES (1) ON CONFLICT DO NOTHING",
        "CREATE TABLE IF NOT EXISTS t (a INT)",
        "SELECT a FROM t OFFSET 1 ROWS FETCH NEXT 1 ROWS ONLY",
        "MERGE INTO t USING (SELECT 1 AS a) AS n ON t.a = n.a WHEN MATCHED THEN DELETE",
        "SELECT a FROM t WHERE (a, b) > (1, 2)",
        "BEGIN TRY SELECT 1 END TRY",
    ]
    right = ["SELECT a FROM t", "SELECT TOP (1) a FROM t ORDER BY a"]
    told = tsql_parser.complaints([right[0], *wrong, right[1]])
    assert {complaint.statement for complaint in told} == set(wrong)


def test_a_table_is_created_as_the_original_does():
    schema = MSSQLSchema(MSSQLDialect("dbo"))
    exact = "COLLATE Latin1_General_100_BIN2"
    assert schema.create(THREADS) == (
        f"CREATE TABLE [dbo].[mastra_threads] ([id] NVARCHAR(255) {exact} NOT NULL PRIMARY KEY, "
        f"[resourceId] NVARCHAR(400) {exact} NOT NULL, [title] NVARCHAR(MAX) {exact} NOT NULL, "
        f"[metadata] NVARCHAR(MAX) {exact}, [createdAt] DATETIME2(7) NOT NULL, "
        "[updatedAt] DATETIME2(7) NOT NULL, [seq_id] BIGINT IDENTITY(1,1))"
    )
    assert schema.create(WORKFLOW_SNAPSHOT) == (
        "CREATE TABLE [dbo].[mastra_workflow_snapshot] "
        f"([workflow_name] NVARCHAR(255) {exact} NOT NULL, "
        f"[run_id] NVARCHAR(255) {exact} NOT NULL, [resourceId] NVARCHAR(400) {exact}, "
        f"[snapshot] NVARCHAR(MAX) {exact} NOT NULL, [createdAt] DATETIME2(7) NOT NULL, "
        "[updatedAt] DATETIME2(7) NOT NULL, [seq_id] BIGINT IDENTITY(1,1), CONSTRAINT "
        "[dbo_mastra_workflow_snapshot_workflow_name_run_id_key] UNIQUE ([workflow_name], [run_id]))"
    )


def test_an_upsert_holds_the_range_of_its_key():
    (statement,) = MSSQLDialect("dbo").put(Put(THREADS, [("t", "r", "", None, NOW, NOW)]), 0)
    assert statement.sql.startswith("MERGE INTO [dbo].[mastra_threads] WITH (HOLDLOCK) AS t USING")
    assert "ON t.[id] = n.[id] COLLATE Latin1_General_100_BIN2 WHEN MATCHED" in statement.sql
    assert statement.params == [
        '[["t","r","",null,"2026-01-02T03:04:05.678","2026-01-02T03:04:05.678"]]'
    ]


def test_a_write_is_one_transaction_that_any_error_undoes():
    batch = transaction([Statement("A ?", [1], expect=2), Statement("B ?;", [3])])
    assert batch.sql == (
        "SET NOCOUNT ON; SET XACT_ABORT ON; DECLARE @at INT = 0, @n0 BIGINT, @n1 BIGINT; "
        "BEGIN TRY BEGIN TRANSACTION; SET @at = 0; A ?; SET @n0 = @@ROWCOUNT; "
        "IF @n0 <> 2 THROW 51000, N'unmet', 1; SET @at = 1; B ?; SET @n1 = @@ROWCOUNT; "
        "COMMIT TRANSACTION; SELECT 0, N'', @n0, @n1; END TRY BEGIN CATCH IF XACT_STATE() <> 0 "
        "ROLLBACK TRANSACTION; SELECT ERROR_NUMBER(), ERROR_MESSAGE(), @at; END CATCH"
    )
    assert batch.params == [1, 3]


def test_what_is_marked_comes_back_and_nothing_else_is_marked():
    for text in ("", "a", " a", "a ", "a  ", MARK, f"a{MARK}", f"a {MARK}", "a\t"):
        assert unmarked(marked(text)) == text
        assert not marked(text).endswith(" ")
    assert [marked(text) for text in ("a", " a", "a\t")] == ["a", " a", "a\t"]


def test_length_is_counted_as_the_server_counts():
    assert [units(text) for text in ("", "abc", "äß", "😀", "a😀b")] == [0, 3, 2, 2, 4]
