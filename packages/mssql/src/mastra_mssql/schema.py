"""Tables and indexes as the original makes them, and the indexes of ours that it lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from mastra_core.storage.ddl import Existing, SqliteSchema
from mastra_core.storage.schema import Column, ColumnType, Table
from mastra_core.storage.sql import Statement
from mastra_core.storage.tables import SPANS, WORKFLOW_SNAPSHOT
from mastra_mssql.columns import TYPES, Stored, declared
from mastra_mssql.dialect import MSSQLDialect

# The original's tie-breaker: the order in which rows came.
SEQUENCE: Final = "seq_id"
# The original's indexes: (table, name, how).
ORIGINAL: Final[Sequence[tuple[str, str, str]]] = (
    ("mastra_threads", "mastra_threads_resourceid_seqid_idx", "([resourceId], [seq_id] DESC)"),
    ("mastra_messages", "mastra_messages_thread_id_seqid_idx", "([thread_id], [seq_id] DESC)"),
    (
        "mastra_scorers",
        "mastra_scores_trace_id_span_id_seqid_idx",
        "([traceId], [spanId], [seq_id] DESC)",
    ),
    (
        "mastra_ai_spans",
        "mastra_ai_spans_traceid_startedat_idx",
        "([traceId], [startedAt] DESC)",
    ),
    (
        "mastra_ai_spans",
        "mastra_ai_spans_parentspanid_startedat_idx",
        "([parentSpanId], [startedAt] DESC)",
    ),
    ("mastra_ai_spans", "mastra_ai_spans_name_idx", "([name])"),
    (
        "mastra_ai_spans",
        "mastra_ai_spans_spantype_startedat_idx",
        "([spanType], [startedAt] DESC)",
    ),
    (
        "mastra_ai_spans",
        "mastra_ai_spans_root_spans_idx",
        "([startedAt] DESC) WHERE [parentSpanId] IS NULL",
    ),
    ("mastra_ai_spans", "mastra_ai_spans_entitytype_entityid_idx", "([entityType], [entityId])"),
    (
        "mastra_ai_spans",
        "mastra_ai_spans_entitytype_entityname_idx",
        "([entityType], [entityName])",
    ),
    ("mastra_ai_spans", "mastra_ai_spans_orgid_userid_idx", "([organizationId], [userId])"),
)
_OF_SCHEMA: Final = (
    "FROM sys.tables AS t JOIN sys.schemas AS s ON s.[schema_id] = t.[schema_id] AND s.[name] = ? "
)


class MSSQLSchema(SqliteSchema):
    """Reads SQL Server's catalogue and writes its DDL; nothing is ever dropped or changed."""

    fillers: ClassVar[Mapping[ColumnType, str]] = {
        "text": "N''",
        "timestamp": "'1970-01-01T00:00:00'",
        "json": "N'{}'",
        "integer": "0",
        "bigint": "0",
        "float": "0",
        "boolean": "0",
    }

    def __init__(self, dialect: MSSQLDialect, *, default_indexes: bool = True) -> None:
        super().__init__(dialect)
        self.dialect: MSSQLDialect = dialect
        self.default_indexes = default_indexes
        # The name of every constraint and default index of the original begins so.
        self.prefix = f"{dialect.schema}_"

    def catalogue(self) -> tuple[Statement, Statement]:
        """Two queries: (table, column, required, bytes, collation) and (table, index, unique, column)."""
        schema = [self.dialect.schema]
        return (
            Statement(
                "SELECT t.[name], c.[name], CASE WHEN c.[is_nullable] = 0 "
                "AND c.[default_object_id] = 0 AND c.[is_identity] = 0 AND c.[is_computed] = 0 "
                "THEN 1 ELSE 0 END, c.[max_length], c.[collation_name] "
                f"{_OF_SCHEMA}JOIN sys.columns AS c ON c.[object_id] = t.[object_id]",
                schema,
            ),
            Statement(
                "SELECT t.[name], i.[name], CASE WHEN i.[is_unique] = 1 AND i.[has_filter] = 0 "
                f"THEN 1 ELSE 0 END, c.[name] {_OF_SCHEMA}"
                "JOIN sys.indexes AS i ON i.[object_id] = t.[object_id] "
                "JOIN sys.index_columns AS x ON x.[object_id] = i.[object_id] "
                "AND x.[index_id] = i.[index_id] AND x.[is_included_column] = 0 "
                "JOIN sys.columns AS c ON c.[object_id] = x.[object_id] "
                "AND c.[column_id] = x.[column_id] "
                "WHERE i.[is_disabled] = 0 ORDER BY t.[name], i.[name], x.[key_ordinal]",
                schema,
            ),
        )

    def existing(
        self, columns: Sequence[Sequence[object]], indexes: Sequence[Sequence[object]]
    ) -> dict[str, Existing]:
        """The answers of the two queries, by table."""
        return super().existing([row[:3] for row in columns], indexes)

    @staticmethod
    def found(
        tables: Sequence[Table], columns: Sequence[Sequence[Any]]
    ) -> dict[tuple[str, str], Stored]:
        """The text columns of tables that are otherwise than this version would make them."""
        wanted = {
            (table.name, column.name): declared(table, column)
            for table in tables
            for column in table.columns
            if column.type in {"text", "json"}
        }
        found: dict[tuple[str, str], Stored] = {}
        for table, column, _, size, collation in columns:
            made = wanted.get((table, column))
            # (Text of any length has the size -1; another than Unicode text has half the bytes.)
            has = Stored(None if size < 0 else size // 2, str(collation or ""))
            if made is not None and collation and has != made:
                found[table, column] = has
        return found

    def missing(self, tables: Sequence[Table], existing: Mapping[str, Existing]) -> list[Statement]:
        """The statements that add what is not there."""
        statements = super().missing(tables, existing)
        statements += [
            Statement(
                f"ALTER TABLE {self.dialect.name(table)} ADD {self.sequence()}", table=table.name
            )
            for table in tables
            if table.name in existing and SEQUENCE not in existing[table.name].columns
        ]
        return statements + self.original(tables, existing)

    def original(
        self, tables: Sequence[Table], existing: Mapping[str, Existing]
    ) -> list[Statement]:
        """The original's own indexes; it would make them itself, later."""
        if not self.default_indexes:
            return []
        wanted = {table.name for table in tables}
        return [
            Statement(
                f"CREATE INDEX [{self.prefix}{name}] ON [{self.dialect.schema}].[{table}] {how}",
                table=table,
            )
            for table, name, how in ORIGINAL
            if table in wanted and self.prefix + name not in existing.get(table, Existing()).indexes
        ]

    def create(self, table: Table) -> str:
        """CREATE TABLE with its key, and the original's number of each row at the end."""
        columns = [self.definition(table, column) for column in table.columns]
        columns.append(self.sequence())
        if len(table.key) > 1:
            columns.append(f"{self.constraint(table)} ({_bracketed(table.key)})")
        return f"CREATE TABLE {self.dialect.name(table)} ({', '.join(columns)})"

    def sequence(self) -> str:
        """The column with the number of each row."""
        return f"[{SEQUENCE}] BIGINT IDENTITY(1,1)"

    def constraint(self, table: Table) -> str:
        """The kind and name of a key of several columns."""
        if table.name == WORKFLOW_SNAPSHOT.name:
            name = f"{self.prefix}mastra_workflow_snapshot_workflow_name_run_id_key"
            return f"CONSTRAINT [{name}] UNIQUE"
        if table.name == SPANS.name:
            return f"CONSTRAINT [{self.prefix}mastra_ai_spans_traceid_spanid_pk] PRIMARY KEY"
        return "PRIMARY KEY"

    def definition(self, table: Table, column: Column) -> str:
        """One column of CREATE TABLE: what the original leaves unset is NOT NULL there."""
        key = " PRIMARY KEY" if table.key == (column.name,) else ""
        return f"{self.typed(table, column)}{'' if column.nullable else ' NOT NULL'}{key}"

    def typed(self, table: Table, column: Column) -> str:
        """A column's name, type and collation."""
        if column.type not in {"text", "json"}:
            return f"[{column.name}] {TYPES[column.type]}"
        stored = declared(table, column)
        return f"[{column.name}] {stored.type} COLLATE {stored.collation}"

    def add(self, table: Table, column: Column) -> str:
        """ALTER TABLE for a column that an older version did not make."""
        text = f"ALTER TABLE {self.dialect.name(table)} ADD {self.typed(table, column)}"
        if not column.nullable:
            text += f" NOT NULL DEFAULT {self.fillers[column.type]}"
        return text

    def index(self, table: Table, name: str, columns: Sequence[str], unique: str = "") -> str:
        """CREATE INDEX under our own name."""
        full = name if name.startswith(table.name) else f"{table.name}_{name}"
        head = f"CREATE {unique}INDEX [{full}] ON {self.dialect.name(table)}"
        return f"{head} ({_bracketed(columns)})"


def _bracketed(names: Sequence[str]) -> str:
    return ", ".join([f"[{name}]" for name in names])
