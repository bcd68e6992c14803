"""LanceDB as a backend: tables in a folder or an object store, read and written by its own engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, Final, Unpack

import lancedb

from mastra_core.errors import (
    AuthenticationError,
    CorruptDataError,
    StorageError,
    UnavailableError,
)
from mastra_core.storage.backend import Backend, Limits
from mastra_core.storage.schema import Change, Query, Row, Table, Where
from mastra_lance.conditions import conditions, pushes
from mastra_lance.layout import Layout, checked, declared, missing
from mastra_lance.lease import LeaseLedger
from mastra_lance.ledger import FileLedger, Ledger
from mastra_lance.options import LanceOptions, Settings
from mastra_lance.options import checked as checked_options
from mastra_lance.reading import Handles, Reader
from mastra_lance.upkeep import Upkeep
from mastra_lance.writing import Writer

# What is sensible, not what fits: a value is copied several times on its way.
VALUE_BYTES: Final = 16_000_000
# The driver raises the errors of Python, so that only the text tells what happened.
MESSAGES: Final[Sequence[tuple[str, type[StorageError], str]]] = (
    (r"Table '.*' was not found", StorageError, "the tables are not there; call init()"),
    (r"[Cc]onflict", UnavailableError, "another program wrote at the same time; try again"),
    (
        r"\b40[13]\b|InvalidAccessKey|SignatureDoesNotMatch|[Cc]redential|[Ff]orbidden|[Uu]nauthori",
        AuthenticationError,
        "check storage_options",
    ),
    (r"No space left|os error 28", UnavailableError, "the disk is full; nothing was written"),
    (
        r"[Pp]ermission denied|[Rr]ead-only|os error (13|30)",
        StorageError,
        "the folder cannot be written to",
    ),
    (r"[Nn]ot found|No such file", UnavailableError, "what is read was removed meanwhile; try again"),
    (r"magic|[Cc]orrupt|EOF|protobuf", CorruptDataError, "its files are damaged; restore a backup"),
    (r"[Tt]imed? ?out|[Cc]onnect|dns", UnavailableError, "the object store did not answer; try again"),
)


class Database:
    """One database: its connection, which is made when it is used, and its lock and journal."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._connection: Any = settings.client
        self.ledger: Ledger = (
            LeaseLedger(self.connection, settings.timeout)
            if settings.folder is None
            else FileLedger(settings.folder, settings.timeout)
        )
        self.handles = Handles(
            self.connection, self.ledger, wander=settings.client is not None
        )

    async def connection(self) -> Any:
        """The connection; it belongs to no event loop."""
        if self._connection is None:
            options = dict(self.settings.storage_options or {})
            self._connection = await lancedb.connect_async(
                self.settings.uri, storage_options=options or None
            )
        return self._connection

    def close(self) -> None:
        """Close the connection, unless it is the caller's."""
        if self.settings.client is None and self._connection is not None:
            self._connection.close()
            self._connection = None


class LanceBackend(Backend):
    """All tables of one LanceDB database.

    Writers take turns, in this process and in others; a write of several tables is undone where it
    is not finished, and is not seen before.
    """

    name: ClassVar[str] = "LanceDB"
    texts = MESSAGES
    limits: ClassVar[Limits] = Limits(value_bytes=VALUE_BYTES)

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self.place = settings.uri
        self._database = Database(settings)
        self._reader = Reader()
        self._layouts: dict[str, Layout] = {}
        ledger, handles = self._database.ledger, self._database.handles
        self._writer = Writer(ledger, handles, self._reader, self._layout)
        self._upkeep = Upkeep(
            ledger,
            handles,
            self._writer.recover,
            every=settings.optimize_every,
            keep=settings.keep_versions,
        )

    def __repr__(self) -> str:
        return f"LanceBackend({self.place!r})"

    async def server(self) -> str:
        """The version of the engine, which runs in this process."""
        return f"LanceDB {metadata.version('lancedb')}"

    async def optimize(self, *tables: Table) -> None:
        """Join small files, update indexes and remove old versions (of all tables by default)."""
        await self.setup(tables)
        for table in tables or tuple(self._declared.values()):
            try:
                await self._upkeep.optimize(table)
            except Exception as error:
                raise self._translate(error, f"optimize {table.name}") from error

    async def _setup(self, tables: Sequence[Table]) -> None:
        await self._database.ledger.setup()
        connection = await self._database.connection()
        for table in tables:
            handle = await connection.create_table(
                table.name, schema=declared(table), exist_ok=True
            )
            schema = await handle.schema()
            if missing(table, schema) is not None:
                schema = await self._extended(table)
            self._layouts[table.name] = checked(table, schema)

    async def _extended(self, table: Table) -> Any:
        """The schema of an older table, once it has all columns."""
        async with self._database.ledger.turn():
            handle = await self._database.handles.latest(table.name)
            lacking = missing(table, await handle.schema())
            if lacking is not None:
                await handle.add_columns(lacking)
            return await handle.schema()

    async def _layout(self, table: Table) -> Layout:
        found = self._layouts.get(table.name)
        if found is None or found.table is not table:
            handle = await self._database.handles.latest(table.name)
            found = self._layouts[table.name] = checked(table, await handle.schema())
        return found

    def _pushes(self, table: Table, where: Where) -> bool:
        return pushes(where)

    async def _find(self, table: Table, query: Query) -> list[Row]:
        handle = await self._database.handles.settled(table.name)
        return await self._reader.find(handle, await self._layout(table), query)

    async def _find_many(self, table: Table, queries: Sequence[Query]) -> list[list[Row]]:
        handle, layout = (
            await self._database.handles.settled(table.name),
            await self._layout(table),
        )
        return [await self._reader.find(handle, layout, query) for query in queries]

    async def _count(self, table: Table, where: Sequence[Where]) -> int:
        handle = await self._database.handles.settled(table.name)
        return int(await handle.count_rows(conditions(table, where) or None))

    async def _write(self, changes: Sequence[Change]) -> list[int]:
        counts, versions = await self._writer.write(changes)
        self._upkeep.wrote(versions, self._tables(changes))
        return counts

    def _tables(self, changes: Sequence[Change]) -> Mapping[str, Table]:
        return {change.table.name: change.table for change in changes}

    async def _close(self) -> None:
        await self._upkeep.settled()
        self._database.close()


def open_backend(uri: str | Path | None, **options: Unpack[LanceOptions]) -> LanceBackend:
    """The backend of a database; nothing is opened before the first operation."""
    return LanceBackend(checked_options(uri, options))
