"""LanceDB as a backend: tables in a folder or an object store, read and written by its own engine."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, Final, Unpack

from mastra_core.errors import StorageError
from mastra_core.storage.backend import Backend, Limits
from mastra_core.storage.schema import Change, Query, Row, Table, Where
from mastra_lance.conditions import conditions, pushes
from mastra_lance.database import MESSAGES, Database
from mastra_lance.layout import Layout, checked, declared, missing
from mastra_lance.options import LanceOptions, Settings
from mastra_lance.options import checked as checked_options
from mastra_lance.reading import Reader
from mastra_lance.upkeep import care_of
from mastra_lance.writing import Writer

# What is sensible, not what fits: a value is copied several times on its way.
VALUE_BYTES: Final = 16_000_000


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
        database = self._database
        self._writer = Writer(database.commits, database.handles, self._reader, self._layout)

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
                await self._database.upkeep.optimize(care_of(table))
            except Exception as error:
                raise self._translate(error, f"optimize {table.name}") from error

    async def _lacking(self, tables: Sequence[Table]) -> Sequence[str] | None:
        folder = self._settings.folder
        if folder is None:
            # The turns of an object store need a table of their own, which only set-up looks for.
            return None
        if not folder.is_dir():
            return [f"create table {table.name}" for table in tables]
        found: list[str] = []
        for table in tables:
            handle = await self._database.opened(table.name)
            if handle is None:
                found.append(f"create table {table.name}")
            elif missing(table, await handle.schema()) is not None:
                found.append(f"add columns to {table.name}")
        return found

    async def _setup(self, tables: Sequence[Table]) -> None:
        await self._database.ledger.setup()
        layouts = {table.name: await self._stored(table) for table in tables}
        if None in layouts.values():
            async with self._database.commits.turn():
                layouts = {table.name: await self._made(table) for table in tables}
        self._layouts.update({name: found for name, found in layouts.items() if found is not None})

    async def _stored(self, table: Table) -> Layout | None:
        """The layout of a table that is there with all its columns."""
        handle = await self._database.opened(table.name)
        schema = None if handle is None else await handle.schema()
        return None if schema is None or missing(table, schema) else checked(table, schema)

    async def _made(self, table: Table) -> Layout:
        """The layout of a table, created or given the columns that it lacks."""
        handle = await self._database.created(table.name, declared(table))
        lacking = missing(table, await handle.schema())
        if lacking is not None:
            await handle.add_columns(lacking)
        return checked(table, await handle.schema())

    async def _layout(self, table: Table) -> Layout:
        found = self._layouts.get(table.name)
        if found is None or found.table is not table:
            handle = await self._database.handles.latest(table.name)
            found = self._layouts[table.name] = checked(table, await handle.schema())
        return found

    def _pushes(self, table: Table, where: Where) -> bool:
        return pushes(where)

    async def _settled(self, table: Table) -> Any:
        """The table as it is; the driver would make a folder that is not there by looking into it."""
        folder = self._settings.folder
        if folder is not None and not folder.is_dir():
            raise StorageError(
                f"{self!r} could not read {table.name}: there is no such folder; call init()"
            )
        return await self._database.handles.settled(table.name)

    async def _find(self, table: Table, query: Query) -> list[Row]:
        handle = await self._settled(table)
        return await self._reader.find(handle, await self._layout(table), query)

    async def _find_many(self, table: Table, queries: Sequence[Query]) -> list[list[Row]]:
        handle, layout = await self._settled(table), await self._layout(table)
        return [await self._reader.find(handle, layout, query) for query in queries]

    async def _count(self, table: Table, where: Sequence[Where]) -> int:
        handle = await self._settled(table)
        return int(await handle.count_rows(conditions(table, where) or None))

    async def _write(self, changes: Sequence[Change]) -> list[int]:
        counts, versions = await self._writer.write(changes)
        tables = {change.table.name: change.table for change in changes}
        for name, committed in versions.items():
            self._database.upkeep.wrote(care_of(tables[name]), committed)
        return counts

    async def _close(self) -> None:
        await self._database.close()


def open_backend(uri: str | Path | None, **options: Unpack[LanceOptions]) -> LanceBackend:
    """The backend of a database; nothing is opened before the first operation."""
    return LanceBackend(checked_options(uri, options))
