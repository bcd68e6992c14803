"""How DuckDB's SQL differs from SQLite's, which is the base."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec

from mastra_core.clock import iso
from mastra_core.storage.ddl import Existing, SqliteSchema
from mastra_core.storage.schema import Column, ColumnType, Query, Table, Value, Where
from mastra_core.storage.sql import Dialect, Statement


class DuckDBDialect(Dialect):
    """Typed columns and arrays; what is read and written otherwise is SQLite's."""

    version = "SELECT 'DuckDB ' || version()"
    clock = "SELECT strftime(now() AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%gZ')"
    types: ClassVar = {
        **Dialect.types,
        "timestamp": "TIMESTAMP",
        "integer": "BIGINT",
        "bigint": "BIGINT",
        "float": "DOUBLE",
        "boolean": "BOOLEAN",
    }
    loose = frozenset()
    sames = ("IS NOT DISTINCT FROM", "IS DISTINCT FROM")
    encoders: ClassVar = {"timestamp": iso}
    decoders: ClassVar = {"timestamp": lambda times: [t and t.replace(tzinfo=UTC) for t in times]}

    def bind(self, params: list[Any], value: Value, kind: ColumnType = "text") -> str:
        text = super().bind(params, value, kind)
        return f"CAST({text} AS TIMESTAMP)" if kind == "timestamp" else text

    def picked(self, position: int, kind: ColumnType) -> str:
        return f"CAST(value->>{position} AS {self.types[kind]})"

    def equals(self, table: Table, column: Column, bound: str) -> str:
        return f'"{column.name}" = {bound}'

    def beyond(self, table: Table, query: Query, params: list[Any]) -> str:
        """By the first column alone whole blocks are passed over, by pairs every row is looked at."""
        text, (name, direction) = super().beyond(table, query, params), query.order[0]
        if not table.column(name).nullable:
            bound = self.bind(params, (query.after or ())[0], table.column(name).type)
            text += f' AND "{name}" {"<=" if direction == "desc" else ">="} {bound}'
        return text

    def is_member(self, name: str, column: Column, values: Sequence[Value], params: Any) -> str:
        given = [iso(v) if isinstance(v, datetime) else v for v in values]
        return f"{name} = ANY(CAST({self.bound(params, given)} AS {self.types[column.type]}[]))"

    def json_condition(self, table: Table, where: Where, params: list[Any]) -> str:
        """A comparison with a text, a truth value or null; ``_pushes`` keeps numbers away."""
        name, value, path = f'"{where.column}"', where.value, self.json_path(where.path)
        kind = "NULL" if value is None else "BOOLEAN" if isinstance(value, bool) else "VARCHAR"
        text = str(value).lower() if kind == "BOOLEAN" else value or ""
        params += [path, path, f"{kind}:{text}"]
        found = f"json_type({name}, ?) || ':' || coalesce(json_extract_string({name}, ?), '')"
        sign = "=" if where.op == "eq" else "<>"
        return f"CASE WHEN json_valid({name}) THEN {found} {sign} ? END"

    def advance(self, new: str, stored: str) -> str:
        return f"greatest({new}, {stored} + INTERVAL 1 MILLISECOND)"


class DuckDBSchema(SqliteSchema):
    """Reads DuckDB's catalogue and writes its DDL."""

    def catalogue(self) -> tuple[Statement, Statement]:
        return (
            Statement(
                "SELECT table_name, column_name, NOT is_nullable AND column_default IS NULL "
                "FROM duckdb_columns() WHERE NOT internal"
            ),
            Statement(
                "SELECT table_name, constraint_name, true, unnest(constraint_column_names) "
                "FROM duckdb_constraints() WHERE constraint_type IN ('PRIMARY KEY', 'UNIQUE')"
            ),
        )

    def missing(self, tables: Sequence[Table], existing: Mapping[str, Existing]) -> list[Statement]:
        """Tables and keys only: DuckDB scans columns, and its indexes would not order them."""
        plain = [msgspec.structs.replace(table, indexes=()) for table in tables]
        return super().missing(plain, existing)
