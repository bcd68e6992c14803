"""Sets up tables and indexes while others do the same, and without keeping writers out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mastra_core.storage.schema import Table
from mastra_core.storage.sql import Statement
from mastra_pg.pool import Connection, pipelined, sent
from mastra_pg.schema import PostgresSchema, concurrently

# The same number everywhere: who sets up tables waits for others who do.
LOCK: Final = 0x6D617374
INDEX_LOCK: Final = LOCK + 1


class Installation:
    """The tables that are wanted in a schema, and how what is not there is made."""

    def __init__(self, schema: PostgresSchema, tables: Sequence[Table]) -> None:
        self.schema = schema
        self.tables = tables

    async def missing(self, connection: Connection) -> list[Statement]:
        """The statements that are needed."""
        cursors = await pipelined(connection, self.schema.catalogue())
        columns, indexes = [await cursor.fetchall() for cursor in cursors]
        return self.schema.missing(self.tables, self.schema.existing(columns, indexes))

    async def make(self, connection: Connection) -> list[Statement]:
        """Make all in one transaction, but indexes of tables that have rows: these are given back."""
        async with connection.transaction():
            await sent(connection, Statement("SET LOCAL statement_timeout = 0"))
            await sent(connection, Statement(f"SELECT pg_advisory_xact_lock({LOCK})"))
            await self.make_schema(connection)
            broken = await self.broken(connection)
            late: list[Statement] = []
            for statement in await self.missing(connection):
                index = self.schema.index_of(statement)
                if index in broken or (index and await self.has_rows(connection, statement)):
                    late.append(statement)
                else:
                    await sent(connection, statement)
        return late

    async def make_schema(self, connection: Connection) -> None:
        """Make the schema; asking first, since even for one that is there it needs a right."""
        name = self.schema.schema
        asked = Statement("SELECT 1 FROM pg_namespace WHERE nspname = $1", [name])
        if await (await sent(connection, asked)).fetchone() is None:
            await sent(connection, Statement(f'CREATE SCHEMA IF NOT EXISTS "{name}"'))

    async def broken(self, connection: Connection) -> set[str]:
        """The indexes whose making was broken off; nothing uses them, and the name is taken."""
        cursor = await sent(connection, self.schema.broken())
        return {str(row[0]) for row in await cursor.fetchall()}

    async def has_rows(self, connection: Connection, statement: Statement) -> bool:
        """Whether the table of a statement has rows."""
        name = f'"{self.schema.schema}"."{statement.table}"'
        cursor = await sent(connection, Statement(f"SELECT 1 FROM {name} LIMIT 1"))
        return await cursor.fetchone() is not None

    async def index(
        self, connection: Connection, late: Sequence[Statement], *, lasting: bool
    ) -> None:
        """Make indexes one after another, while others write.

        If somebody else is about it, there is nothing to do: what reads does not need them to be
        right. Sessions that do not last (behind a pooler) can hold no lock; there, two who make the
        same index at once may undo each other, and it is made by the next set-up.
        """
        if lasting:
            await sent(connection, Statement("SET statement_timeout = 0"))
            asked = Statement(f"SELECT pg_try_advisory_lock({INDEX_LOCK})")
            if await (await sent(connection, asked)).fetchone() != (True,):
                return
        try:
            broken = await self.broken(connection)
            for statement in late:
                index = self.schema.index_of(statement)
                if index in broken:
                    dropped = f'"{self.schema.schema}"."{index}"'
                    await sent(
                        connection, Statement(f"DROP INDEX CONCURRENTLY IF EXISTS {dropped}")
                    )
                await sent(connection, Statement(concurrently(statement)))
        finally:
            if lasting and not connection.closed:
                await sent(connection, Statement(f"SELECT pg_advisory_unlock({INDEX_LOCK})"))
                await sent(connection, Statement("RESET statement_timeout"))
