"""The databases that both sides share in tests: how one is made, emptied, opened and dropped."""

from __future__ import annotations

import shutil
import sqlite3
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

import libsql
import psycopg
from psycopg import sql

from mastra_core.storage.store import BackendStore
from mastra_libsql import LibSQLStore
from mastra_pg import PostgresStore

EMPTY = """
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema LOOP
    EXECUTE format('DELETE FROM %I', name);
  END LOOP;
END $$
"""


class Shared(Protocol):
    """A database that both sides use: the original by its ``url``, we by ``ours()``."""

    url: str

    @abstractmethod
    def ours(self) -> BackendStore:
        """A store of ours on it, not opened yet."""

    @abstractmethod
    def run(self, statement: str, *values: Any) -> list[tuple]:
        """Run one statement past both sides; its rows, if it has any."""

    @abstractmethod
    def copied(self, folder: Path) -> Shared:
        """The same tables without rows, for one test."""


class File(Shared):
    """A file of SQLite."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"file:{path}"

    def ours(self) -> LibSQLStore:
        return LibSQLStore(id="ours", url=self.url)

    def run(self, statement: str, *values: Any) -> list[tuple]:
        connection = libsql.connect(str(self.path), isolation_level=None, timeout=5)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    def copied(self, folder: Path) -> File:
        # A copy is of one file, and both sides leave what they wrote last in a log beside it.
        with closing(sqlite3.connect(self.path)) as connection:
            busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            assert not busy
        return File(Path(shutil.copy(self.path, folder / "shared.db")))


class Postgres(Shared):
    """A schema of a database of PostgreSQL."""

    def __init__(self, url: str, schema: str = "public") -> None:
        self.address, self.schema = url, schema
        self.url = url if schema == "public" else f"{url}#{schema}"

    def ours(self, **options: Any) -> PostgresStore:
        return PostgresStore(
            id="ours", connection_string=self.address, schema_name=self.schema, **options
        )

    def run(self, statement: str, *values: Any) -> list[tuple]:
        with psycopg.connect(self.address, autocommit=True) as connection:
            connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(self.schema)))
            cursor = psycopg.RawCursor(connection).execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def copied(self, folder: Path) -> Postgres:
        # A new database costs a quarter of a second; there are few rows, and deleting is quick.
        self.run(EMPTY)
        return self


@contextmanager
def new_postgres(server: str, schema: str = "public") -> Iterator[Postgres]:
    """A new database on a server, dropped at the end whoever is still connected."""
    name = f"interop_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        identifier = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
        try:
            yield Postgres(urlsplit(server)._replace(path=f"/{name}").geturl(), schema)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))
