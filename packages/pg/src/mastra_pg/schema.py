"""Tables and indexes as the original makes them, and the indexes of ours that it lacks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from mastra_core.storage.ddl import Existing, SqliteSchema
from mastra_core.storage.schema import Column, ColumnType, Table
from mastra_core.storage.sql import Statement
from mastra_core.storage.tables import SPANS, WORKFLOW_SNAPSHOT
from mastra_pg.dialect import TWIN, PostgresDialect, moment, timestamps

NAME_BYTES: Final = 63
# The thread of a suspended step, or of a durable loop, as the original looks for it.
_THREAD: Final = (
    'COALESCE((jsonb_path_query_first(snapshot, \'$."context".*?(@."status" == "suspended")'
    '."suspendPayload"."__streamState"."messageList"."memoryInfo"."threadId"\') #>> \'{}\'), '
    "(snapshot #>> '{context,input,messageListState,memoryInfo,threadId}'))"
)
# The original's indexes: (table, name, how); the unique ones only on tables that we make.
ORIGINAL: Final[Sequence[tuple[str, str, str]]] = (
    (
        "mastra_threads",
        "mastra_threads_resourceid_createdat_idx",
        '("resourceId", "createdAt" DESC)',
    ),
    ("mastra_messages", "mastra_messages_thread_id_createdat_idx", '(thread_id, "createdAt" DESC)'),
    ("mastra_observational_memory", "idx_om_lookup_key", '("lookupKey")'),
    (
        "mastra_workflow_snapshot",
        "mastra_workflow_snapshot_name_createdat_idx",
        '(workflow_name, "createdAt" DESC)',
    ),
    (
        "mastra_workflow_snapshot",
        "mastra_workflow_snapshot_name_status_createdat_idx",
        "(workflow_name, (snapshot ->> 'status'), \"createdAt\" DESC)",
    ),
    ("mastra_workflow_snapshot", "mastra_workflow_snapshot_threadid_idx", f"({_THREAD})"),
    (
        "mastra_scorers",
        "mastra_scores_trace_id_span_id_created_at_idx",
        '("traceId", "spanId", "createdAt" DESC)',
    ),
    ("mastra_ai_spans", "mastra_ai_spans_traceid_startedat_idx", '("traceId", "startedAt" DESC)'),
    (
        "mastra_ai_spans",
        "mastra_ai_spans_parentspanid_startedat_idx",
        '("parentSpanId", "startedAt" DESC)',
    ),
    ("mastra_ai_spans", "mastra_ai_spans_name_idx", "(name)"),
    ("mastra_ai_spans", "mastra_ai_spans_spantype_startedat_idx", '("spanType", "startedAt" DESC)'),
    (
        "mastra_ai_spans",
        "mastra_ai_spans_root_spans_idx",
        '("startedAt" DESC) WHERE "parentSpanId" IS NULL',
    ),
    ("mastra_ai_spans", "mastra_ai_spans_entitytype_entityid_idx", '("entityType", "entityId")'),
    (
        "mastra_ai_spans",
        "mastra_ai_spans_entitytype_entityname_idx",
        '("entityType", "entityName")',
    ),
    ("mastra_ai_spans", "mastra_ai_spans_orgid_userid_idx", '("organizationId", "userId")'),
    ("mastra_ai_spans", "mastra_ai_spans_metadata_gin_idx", "USING gin (metadata)"),
    ("mastra_ai_spans", "mastra_ai_spans_tags_gin_idx", "USING gin (tags)"),
    ("mastra_datasets", "idx_datasets_candidate", '("candidateKey", "candidateId")'),
    ("mastra_datasets", "idx_datasets_org_project", '("organizationId", "projectId")'),
    ("mastra_dataset_items", "idx_dataset_items_dataset_validto", '("datasetId", "validTo")'),
    (
        "mastra_dataset_items",
        "idx_dataset_items_dataset_validto_deleted",
        '("datasetId", "validTo", "isDeleted")',
    ),
    (
        "mastra_dataset_items",
        "idx_dataset_items_dataset_version",
        '("datasetId", "datasetVersion")',
    ),
    (
        "mastra_dataset_items",
        "idx_dataset_items_external_id_history",
        '("datasetId", "externalId", "datasetVersion")',
    ),
    ("mastra_dataset_items", "idx_dataset_items_org_project", '("organizationId", "projectId")'),
    ("mastra_dataset_versions", "idx_dataset_versions_dataset_version", '("datasetId", version)'),
    ("mastra_experiments", "idx_experiments_datasetid", '("datasetId")'),
    (
        "mastra_experiments",
        "idx_experiments_grouping",
        '("experimentSetId", "comparisonId", "variantId", "trialIndex")',
    ),
    ("mastra_experiments", "idx_experiments_org_project", '("organizationId", "projectId")'),
    ("mastra_experiment_results", "idx_experiment_results_experimentid", '("experimentId")'),
    (
        "mastra_experiment_results",
        "idx_experiment_results_org_project",
        '("organizationId", "projectId")',
    ),
    ("mastra_experiment_results", "idx_experiment_results_tags_gin", "USING gin (tags)"),
)
UNIQUE: Final[Sequence[tuple[str, str, str]]] = (
    (
        "mastra_dataset_versions",
        "idx_dataset_versions_dataset_version_unique",
        '("datasetId", version)',
    ),
    (
        "mastra_experiment_results",
        "idx_experiment_results_exp_item_attempt",
        '("experimentId", "itemId", attempt)',
    ),
)
# What indexes of spans begin with that are for lists of traces, which are the spans without it. An index of these
# alone is small, and statistics of its order say that reading it is no wandering about: otherwise the server
# rather reads and sorts all traces for a page of those that meet a condition.
ROOTS: Final = (SPANS.name, "parentSpanId")
# What the original calls the same in every schema, and what it writes in small letters.
PLAIN: Final = frozenset(name for _, name, _ in (*ORIGINAL, *UNIQUE) if name.startswith("idx_"))
SMALL: Final = frozenset(
    {"mastra_workflow_snapshot_name_status_createdat_idx", "mastra_workflow_snapshot_threadid_idx"}
)


class PostgresSchema(SqliteSchema):
    """Reads PostgreSQL's catalogue of one schema and writes its DDL."""

    fillers: ClassVar[Mapping[ColumnType, str]] = {
        **SqliteSchema.fillers,
        "timestamp": "'1970-01-01 00:00:00'",
        "boolean": "FALSE",
    }

    def __init__(self, dialect: PostgresDialect, *, default_indexes: bool = True) -> None:
        super().__init__(dialect)
        self.schema = dialect.schema
        self.default_indexes = default_indexes

    def catalogue(self) -> tuple[Statement, Statement]:
        """Two queries: (table, column, required) and (table, index, unique, column) in order."""
        within = "JOIN pg_namespace n ON n.oid = t.relnamespace AND n.nspname = $1"
        return (
            Statement(
                "SELECT t.relname, a.attname, a.attnotnull AND NOT a.atthasdef "
                f"AND a.attidentity = '' FROM pg_class t {within} "
                "JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped "
                "WHERE t.relkind IN ('r', 'p')",
                [self.schema],
            ),
            Statement(
                "SELECT t.relname, i.relname, x.indisunique AND x.indpred IS NULL, a.attname "
                f"FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid {within} "
                "JOIN pg_class i ON i.oid = x.indexrelid "
                "CROSS JOIN LATERAL unnest(x.indkey) WITH ORDINALITY k(number, place) "
                "LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number "
                "WHERE x.indisvalid ORDER BY t.relname, i.relname, k.place",
                [self.schema],
            ),
        )

    def broken(self) -> Statement:
        """The query for indexes whose building was broken off."""
        return Statement(
            "SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid "
            "JOIN pg_namespace n ON n.oid = i.relnamespace AND n.nspname = $1 "
            "WHERE NOT x.indisvalid",
            [self.schema],
        )

    def index_of(self, statement: Statement) -> str:
        """The name of the index that a statement makes, or nothing."""
        found = re.match(r'CREATE (?:UNIQUE )?INDEX IF NOT EXISTS "([^"]+)"', statement.sql)
        return found[1] if found else ""

    def missing(self, tables: Sequence[Table], existing: Mapping[str, Existing]) -> list[Statement]:
        """The statements that add what is not there: twins before the indexes that use them."""
        twins = [
            Statement(sql, table=table.name)
            for table in tables
            if table.name in existing
            for name in timestamps(table)
            if name + TWIN not in existing[table.name].columns
            for sql in self.twin(table, name)
        ]
        return twins + super().missing(tables, existing) + self.original(tables, existing)

    def original(
        self, tables: Sequence[Table], existing: Mapping[str, Existing]
    ) -> list[Statement]:
        """The original's own indexes; it would make them itself, later."""
        if not self.default_indexes:
            return []
        wanted = {table.name for table in tables}
        statements: list[Statement] = []
        for unique, listed in (("", ORIGINAL), ("UNIQUE ", UNIQUE)):
            for table, name, how in listed:
                has = existing.get(table)
                full = self.named(name)
                # A unique index on rows that are there might be refused.
                there = has is not None and (full in has.indexes or bool(unique))
                if table in wanted and not there:
                    sql = f'CREATE {unique}INDEX IF NOT EXISTS "{full}" '
                    sql += f'ON "{self.schema}"."{table}" {how}'
                    statements.append(Statement(sql, table=table))
        return statements

    def named(self, name: str) -> str:
        """The original's name of an index: with the schema's before some, and some in small letters."""
        full = name if self.schema == "public" or name in PLAIN else f"{self.schema}_{name}"
        full = full.lower() if name in SMALL else full
        return full.encode()[:NAME_BYTES].decode(errors="ignore")

    def create(self, table: Table) -> str:
        """CREATE TABLE with its key, and the twins at the end."""
        columns = [self.definition(table, column) for column in table.columns]
        columns += [f'"{name}{TWIN}" TIMESTAMPTZ DEFAULT NOW()' for name in timestamps(table)]
        if len(table.key) > 1:
            columns.append(f"{self.constraint(table)} ({', '.join(map(_quoted, table.key))})")
        return f"CREATE TABLE IF NOT EXISTS {self.dialect.name(table)} ({', '.join(columns)})"

    def constraint(self, table: Table) -> str:
        """The kind and name of a key of several columns."""
        prefix = f"{self.schema}_{table.name}_".lower()
        if table is WORKFLOW_SNAPSHOT or table.name == WORKFLOW_SNAPSHOT.name:
            return f'CONSTRAINT "{_cut(prefix + "workflow_name_run_id_key")}" UNIQUE'
        if table.name == SPANS.name:
            return f'CONSTRAINT "{_cut(prefix + "traceid_spanid_pk")}" PRIMARY KEY'
        return "PRIMARY KEY"

    def definition(self, table: Table, column: Column) -> str:
        """One column of CREATE TABLE: what the original leaves unset is NOT NULL there."""
        text = f'"{column.name}" {self.dialect.types[column.type]}'
        if not column.nullable:
            text += " NOT NULL"
        return text + (" PRIMARY KEY" if table.key == (column.name,) else "")

    def twin(self, table: Table, name: str) -> tuple[str, str]:
        """The twin of a column that rows have already: absent in these, not the current time."""
        head, column = f"ALTER TABLE {self.dialect.name(table)}", f'"{name}{TWIN}"'
        return (
            f"{head} ADD COLUMN IF NOT EXISTS {column} TIMESTAMPTZ",
            f"{head} ALTER COLUMN {column} SET DEFAULT NOW()",
        )

    def add(self, table: Table, column: Column) -> str:
        """ALTER TABLE for a column that an older version did not make."""
        text = super().add(table, column)
        return text.replace("ADD COLUMN", "ADD COLUMN IF NOT EXISTS", 1)

    def index(self, table: Table, name: str, columns: Sequence[str], unique: str = "") -> str:
        """CREATE INDEX under our own name, on what is read: moments, and keys by their bytes."""
        full = name if name.startswith(table.name) else f"{table.name}_{name}"
        terms = [self.indexed(table, column, i) for i, column in enumerate(columns)]
        if unique:
            terms = list(map(_quoted, columns))
        partial = ""
        if (table.name, columns[0]) == ROOTS:
            partial, terms = f' WHERE "{columns[0]}" IS NULL', terms[1:]
        return (
            f'CREATE {unique}INDEX IF NOT EXISTS "{_cut(full)}" '
            f"ON {self.dialect.name(table)} ({', '.join(terms)}){partial}"
        )

    def indexed(self, table: Table, name: str, place: int) -> str:
        """One column of an index: behind the first, keys are there for the order."""
        column = table.column(name)
        if column.type == "timestamp":
            return f"({moment(table, column)})"
        ordering = column.type == "text" and place > 0 and name in table.key
        return f'"{name}" COLLATE "C"' if ordering else f'"{name}"'


def concurrently(statement: Statement) -> str:
    """The text of a CREATE INDEX that lets others write meanwhile."""
    return statement.sql.replace("INDEX ", "INDEX CONCURRENTLY ", 1)


def _quoted(name: str) -> str:
    return f'"{name}"'


def _cut(name: str) -> str:
    return name.encode()[:NAME_BYTES].decode(errors="ignore")
