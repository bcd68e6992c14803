"""What a SQL database lacks of the tables that are wanted, as statements that add it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from mastra_core.errors import SchemaError
from mastra_core.storage.schema import Column, ColumnType, Table
from mastra_core.storage.sql import Dialect, Statement, quoted


class Existing(msgspec.Struct, frozen=True):
    """What one table has: columns, those that a writer must give, index names, unique keys."""

    columns: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    indexes: frozenset[str] = frozenset()
    unique: frozenset[tuple[str, ...]] = frozenset()


class SqliteSchema:
    """Reads SQLite's catalogue and writes its DDL; nothing is ever dropped or changed."""

    # The value that a column added later gives to the rows that are there already.
    fillers: ClassVar[Mapping[ColumnType, str]] = {
        "text": "''",
        "timestamp": "'1970-01-01T00:00:00.000Z'",
        "json": "'{}'",
        "integer": "0",
        "bigint": "0",
        "float": "0",
        "boolean": "0",
    }

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def catalogue(self) -> tuple[Statement, Statement]:
        """Two queries: (table, column, required) and (table, index, unique, column) in order.

        Their columns have names, since some protocols give rows as objects.
        """
        # What Cloudflare keeps in the same database may not be looked at.
        prefix = self.dialect.prefix
        tables = (
            f"m.type = 'table' AND substr(m.name, 1, {len(prefix)}) = '{prefix}' "
            "AND substr(m.name, 1, 4) <> '_cf_'"
        )
        return (
            Statement(
                'SELECT m.name AS owner, c.name AS name, c."notnull" AND c.dflt_value IS NULL '
                "AND c.pk = 0 AS required "
                f"FROM sqlite_master m, pragma_table_info(m.name) c WHERE {tables}"
            ),
            Statement(
                'SELECT m.name AS owner, l.name AS name, l."unique" AND l.partial = 0 AS sole, '
                "i.name AS col "
                "FROM sqlite_master m, pragma_index_list(m.name) l, pragma_index_info(l.name) i "
                f"WHERE {tables} ORDER BY m.name, l.name, i.seqno"
            ),
        )

    def existing(
        self, columns: Sequence[Sequence[object]], indexes: Sequence[Sequence[object]]
    ) -> dict[str, Existing]:
        """The answers of the two queries, by table."""
        found: dict[str, tuple[set[str], set[str], dict[str, list[str]], set[str]]] = {}
        for table, column, required in columns:
            entry = found.setdefault(str(table), (set(), set(), {}, set()))
            entry[0].add(str(column))
            if required:
                entry[1].add(str(column))
        for table, index, unique, column in indexes:
            entry = found.setdefault(str(table), (set(), set(), {}, set()))
            entry[2].setdefault(str(index), []).append(str(column))
            if unique:
                entry[3].add(str(index))
        return {
            table: Existing(
                frozenset(names),
                frozenset(required),
                frozenset(by_index),
                frozenset(tuple(sorted(by_index[index])) for index in unique),
            )
            for table, (names, required, by_index, unique) in found.items()
        }

    def missing(self, tables: Sequence[Table], existing: Mapping[str, Existing]) -> list[Statement]:
        """The statements that add what is not there; a table made by a newer version may refuse."""
        statements: list[Statement] = []
        for table in tables:
            name = self.dialect.prefix + table.name
            has = existing.get(name)
            if has is None:
                statements.append(Statement(self.create(table), table=table.name))
                made = () if table.name in self.dialect.loose else (tuple(sorted(table.key)),)
                has = Existing(unique=frozenset(made))
            else:
                self.check(table, has)
                statements += [
                    Statement(self.add(table, column), table=table.name)
                    for column in table.columns
                    if column.name not in has.columns
                ]
            if tuple(sorted(table.key)) not in has.unique and f"{name}_key" not in has.indexes:
                unique = "" if table.name in self.dialect.loose else "UNIQUE "
                key = self.index(table, "key", table.key, unique)
                statements.append(Statement(key, table=table.name))
            statements += [
                Statement(self.index(table, index.name, index.columns), table=table.name)
                for index in table.indexes
                if self.dialect.prefix + index.name not in has.indexes
            ]
        return statements

    def check(self, table: Table, has: Existing) -> None:
        """Refuse a table into which this version could not insert."""
        unknown = sorted(has.required - set(table.names))
        if unknown:
            raise SchemaError(
                f"the table {self.dialect.prefix}{table.name} was made by a newer version: it "
                f"requires {', '.join(unknown)}, which this version does not know; upgrade this "
                "package"
            )

    def create(self, table: Table) -> str:
        """CREATE TABLE with its key."""
        columns = [self.definition(table, column) for column in table.columns]
        if len(table.key) > 1 and table.name not in self.dialect.loose:
            columns.append(f"UNIQUE ({quoted(table.key)})")
        return f"CREATE TABLE IF NOT EXISTS {self.dialect.name(table)} ({', '.join(columns)})"

    def definition(self, table: Table, column: Column) -> str:
        """One column of CREATE TABLE."""
        text = f'"{column.name}" {self.dialect.types[column.type]}'
        if column.nullable is False:
            text += " NOT NULL"
        return text + (" PRIMARY KEY" if table.key == (column.name,) else "")

    def add(self, table: Table, column: Column) -> str:
        """ALTER TABLE for a column that an older version did not make."""
        text = f'ALTER TABLE {self.dialect.name(table)} ADD COLUMN "{column.name}" '
        text += self.dialect.types[column.type]
        if column.nullable is False:
            text += f" NOT NULL DEFAULT {self.fillers[column.type]}"
        return text

    def index(self, table: Table, name: str, columns: Sequence[str], unique: str = "") -> str:
        """CREATE INDEX under our own name."""
        full = name if name.startswith(table.name) else f"{table.name}_{name}"
        return (
            f'CREATE {unique}INDEX IF NOT EXISTS "{self.dialect.prefix}{full}" '
            f"ON {self.dialect.name(table)} ({quoted(columns)})"
        )
