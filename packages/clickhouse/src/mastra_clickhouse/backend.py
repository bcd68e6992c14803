"""ClickHouse as a backend: reads of rows that are kept as versions, writes by way of a journal."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar, Final, cast
from weakref import WeakValueDictionary

import msgspec

from mastra_clickhouse.adoption import adopts
from mastra_clickhouse.dialect import ClickhouseDialect
from mastra_clickhouse.journal import Journal, Progress
from mastra_clickhouse.layout import DELETED, VERSION, Layout, Lifetime
from mastra_clickhouse.options import Connection, Options, checked
from mastra_clickhouse.schema import JOURNAL, NEW, Existing, Schema
from mastra_clickhouse.times import Times
from mastra_clickhouse.wire import Wire, translated
from mastra_clickhouse.writers import Writers
from mastra_clickhouse.writes import Attempt, Part
from mastra_core.storage.backend import Backend, Limits
from mastra_core.storage.loops import PerLoop
from mastra_core.storage.schema import Change, Query, Row, Table, Where
from mastra_core.storage.sql import Statement

# How often rows are read again whose places were found, and which changed in between.
ATTEMPTS: Final = 5
# How many versions are read beside those that are asked for, which may be of rows that changed.
SPARE: Final = 8
# How many times as many are read of a listing where the first were not enough.
WIDER: Final = 4


_journals: WeakValueDictionary[Hashable, Progress] = WeakValueDictionary()


class ClickhouseBackend(Backend):
    """One database of a ClickHouse server."""

    name: ClassVar[str] = "ClickHouse"
    limits: ClassVar[Limits] = Limits(page_rows=5000)

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        self.place = options.place
        self.schema = Schema(options)
        self.lifetimes: dict[str, Lifetime] = {}
        self._times = Times()
        self._wire = Wire(options)
        self._layouts: dict[str, Layout] = {}
        self._seen: set[str] = set()
        # The columns that the listings of tables have.
        self._listed: dict[str, frozenset[str]] = {}
        self._progress = _progress(self._target())
        self.dialect = ClickhouseDialect(self.layout, self.schema.name, self._times)
        self._writers: PerLoop[Writers] = PerLoop(self._make_writers)

    def __repr__(self) -> str:
        return f"ClickhouseBackend({self.place!r})"

    def layout(self, table: Table) -> Layout:
        """How a table is kept."""
        found = self._layouts.get(table.name)
        if found is None:
            declared = self._declared.get(table.name) or table
            found = Layout(declared, (), self.lifetimes.get(table.name), self._times)
            self._layouts[table.name] = found
        return found

    def expire(self, table: Table, lifetime: Lifetime) -> None:
        """Have the server remove old rows of a table, which are not found from then on."""
        self.lifetimes[table.name] = lifetime
        self._layouts.pop(table.name, None)
        self._ready.done = False

    async def server(self) -> str:
        """The name and version that the database gives itself."""
        try:
            return str((await self._wire.fetch(self.dialect.version, {}))[0][0])
        except Exception as error:
            raise self._translate(error, "ask for the version") from error

    def _make_writers(self) -> Writers:
        journal = Journal(self._wire, self.schema, self._progress)
        return Writers(journal, lambda: Attempt(self._load, self.layout), self._target())

    def _target(self) -> Hashable:
        """What writers in this process share: they take turns there."""
        options = self.options
        place = options.client if options.client is not None else (options.host, options.port)
        return (place, options.database, options.prefix)

    async def _fetch(self, statement: Statement) -> list[Row]:
        params = {f"p{i}": value for i, value in enumerate(statement.params)}
        columns = await self._wire.fetch(statement.sql, params)
        return list(zip(*columns, strict=True)) if columns else []

    async def _find(self, table: Table, query: Query) -> list[Row]:
        layout = self.layout(table)
        # What a late page passes over is left to the server.
        early = query.limit is not None and query.offset + query.limit <= self.limits.page_rows
        first = await self._first(table, query) if early else None
        if first is not None:
            return first
        two = layout.wide and query.limit is not None and bool(query.order)
        if not two or self.dialect.streamed(layout, query):
            rows = await self._fetch(self.dialect.select(table, query))
            return self.dialect.rows(table, query.columns, rows)
        if early and self.dialect.is_listed(layout, query, self._listed.get(table.name, ())):
            listed = await self._by_listing(table, query)
            if listed is not None:
                return listed
        return await self._two_steps(table, query)

    async def _first(self, table: Table, query: Query) -> list[Row] | None:
        """The rows of a query that is in the table's own order, if few of them were changed.

        The first versions are read, and some more than are asked for: then the server reads no more of
        the table than these, however long it is.
        """
        end = query.offset + cast("int", query.limit)
        most = end + end // 4 + SPARE
        statement = self.dialect.first_versions(table, query, most)
        if statement is None:
            return None
        found = await self._fetch(statement)
        width = len(query.columns or table.names)
        latest: dict[Row, Row] = {}
        for row in found:
            latest.setdefault(row[width:-1], row)
        rows = [row[:width] for row in latest.values() if not row[-1]]
        if len(found) == most and len(rows) < end:
            return None
        return self.dialect.rows(table, query.columns, rows[query.offset : end])

    async def _by_listing(self, table: Table, query: Query) -> list[Row] | None:
        """The rows of a query whose places are listed; ``None`` if too many changed since."""
        if not query.offset:
            rows = await self._listed_rows(table, query)
            return rows and self.dialect.rows(table, query.columns or table.names, rows)
        end = query.offset + cast("int", query.limit)
        place = self.layout(table).place
        narrow = msgspec.structs.replace(query, columns=place, offset=0, limit=end)
        places = await self._listed_rows(table, narrow)
        return places and await self._all_at(table, query, places[query.offset :])

    async def _listed_rows(self, table: Table, query: Query) -> list[Row] | None:
        """As many rows as the listing names and the table still has, in steps until they are enough."""
        layout, wanted = self.layout(table), cast("int", query.limit)
        at = [layout.place.index(name) for name, _ in query.order]
        rows: list[Row] = []
        asked, most = query, 2 * wanted + SPARE
        for _ in range(ATTEMPTS):
            found = await self._fetch(self.dialect.listed_places(table, asked, most))
            named = list(dict.fromkeys(found))
            need = wanted - len(rows)
            # The others are there for those of the first that changed since.
            for some in (named[:need], named[need:]):
                if len(rows) < wanted:
                    by_place = await self._at(table, query, some)
                    rows += [by_place[place] for place in some if place in by_place]
            if len(rows) >= wanted or len(found) < most:
                return rows[:wanted]
            (behind,) = self.dialect.rows(table, layout.place, found[-1:])
            last: Row = tuple([behind[i] for i in at])
            asked = msgspec.structs.replace(query, after=last)
            most = min(most * WIDER, self.limits.page_rows)
        return None

    async def _at(self, table: Table, query: Query, named: list[Row]) -> dict[Row, Row]:
        """The rows at some places, as the driver gives both, so far as they match a query still."""
        if not named:
            return {}
        place = self.layout(table).place
        shown = self.dialect.rows(table, place, named)
        found = await self._fetch(self.dialect.at_places(table, query, shown))
        return {row[: len(place)]: row[len(place) :] for row in found}

    async def _all_at(self, table: Table, query: Query, places: list[Row]) -> list[Row] | None:
        """The rows at all of these places, in their order; ``None`` if one is not there any more."""
        by_place = await self._at(table, query, places)
        if len(by_place) < len(places):
            return None
        rows = [by_place[place] for place in places]
        return self.dialect.rows(table, query.columns or table.names, rows)

    async def _two_steps(self, table: Table, query: Query) -> list[Row]:
        """Find the places of rows first, by the few columns that say which; then read them."""
        for _ in range(ATTEMPTS):
            places = await self._fetch(self.dialect.places(table, query))
            rows = await self._all_at(table, query, places)
            if rows is not None:
                return rows
        rows = await self._fetch(self.dialect.select(table, query))
        return self.dialect.rows(table, query.columns, rows)

    async def _find_many(self, table: Table, queries: Sequence[Query]) -> list[list[Row]]:
        return list(await asyncio.gather(*(self._find(table, query) for query in queries)))

    async def _count(self, table: Table, where: Sequence[Where]) -> int:
        return int(str((await self._fetch(self.dialect.counted(table, where)))[0][0]))

    async def _write(self, changes: Sequence[Change]) -> list[int]:
        unseen = {c.table.name: c.table for c in changes if c.table.name not in self._seen}
        if unseen:
            # Tables that somebody else set up may have columns that are not known here.
            self._look(list(unseen.values()), await self._existing(list(unseen.values())))
        return await self._writers.get().write(changes)

    async def _load(self, layout: Layout, where: tuple[Where, ...], part: Part) -> Sequence[Row]:
        """Stored rows for a write: whole, or only their places and keys."""
        whole = part == "rows"
        if whole:
            table, names = layout.whole, layout.whole.names
        else:
            table, names = layout.table, tuple(dict.fromkeys((*layout.place, *layout.table.key)))
        query = Query(where=where, columns=names)
        if all(self.dialect.pushes(table, condition) for condition in where):
            rows = await self._fetch(self.dialect.select(table, query))
            rows = self.dialect.rows(table, names, rows)
        else:
            rows = await self.find(table, query)
        if whole:
            return rows
        at = [names.index(name) if name in names else None for name in layout.whole.names]
        return [tuple([None if i is None else row[i] for i in at]) for row in rows]

    def _pushes(self, table: Table, where: Where) -> bool:
        return self.dialect.pushes(table, where)

    async def adopt(self) -> list[str]:
        """Rewrite the tables that the original made; their names.

        They stay beside, as ``…_before_adoption``. Nobody may write meanwhile.
        """
        tables = tuple(self._declared.values())
        try:
            existing = await self._existing(tables)
            self._look(tables, existing)
            foreign = [t for t in tables if (has := existing.get(t.name)) and not has.is_ours]
            for table in foreign:
                layout = self.layout(table)
                for statement in adopts(self.schema, layout, existing[table.name]):
                    await self._wire.command(statement)
        except Exception as error:
            raise self._translate(error, "adopt tables") from error
        self._ready.done = False
        return [table.name for table in foreign]

    async def optimize(self, table: Table) -> None:
        """Have the server merge a table now, so that it keeps the latest versions only."""
        await self.setup((table,))
        name = self.schema.name(table.name)
        try:
            await self._wire.command(f"OPTIMIZE TABLE {name}{self.schema.cluster} FINAL")
        except Exception as error:
            raise self._translate(error, f"optimize {table.name}") from error

    async def _setup(self, tables: Sequence[Table]) -> None:
        """Look what is there, and add what is not."""
        existing = await self._existing(tables)
        if self.options.create_database and self.schema.database and not existing:
            await self._wire.command(self.schema.create_database())
        self._look(tables, existing)
        statements = [
            statement
            for table in tables
            for statement in self.schema.missing(self.layout(table), existing.get(table.name))
        ]
        for table in tables:
            statements += self.schema.list_places(self.layout(table), existing)
        if JOURNAL not in existing:
            statements.append(self.schema.journal())
        for statement in statements:
            await self._wire.command(statement)
        for table in tables:
            listing = self.layout(table).listing
            if listing is not None:
                has = existing.get(listing.name)
                columns = listing.columns(table) if has is None else has.columns
                self._listed[table.name] = frozenset(columns)
        journal = self._writers.get().journal
        await (journal.probe() if statements else journal.recover())

    def _look(self, tables: Sequence[Table], existing: Mapping[str, Existing]) -> None:
        """Note how tables are kept, with columns of theirs that are not known here."""
        for table in tables:
            has = existing.get(table.name)
            known = {*table.names, VERSION, DELETED}
            columns = has.columns.items() if has is not None else NEW.get(table.name, {}).items()
            extra = [(name, kind) for name, kind in columns if name not in known]
            self._layouts[table.name] = Layout(
                table, extra, self.lifetimes.get(table.name), self._times
            )
            self._seen.add(table.name)

    async def _existing(self, tables: Sequence[Table]) -> dict[str, Existing]:
        """What there is of some tables, by their names without the prefix."""
        rows = list(zip(*await self._wire.fetch(*self.schema.catalogue(tables)), strict=True))
        self._times.probed(next(int(a) for kind, _, a, _ in rows if kind == "times"))
        return self.schema.existing(rows)

    async def _close(self) -> None:
        writers = self._writers.pop()
        if writers is not None:
            await writers.settle()
        await self._wire.close()

    def _translate(self, error: Exception, doing: str) -> Exception:
        known = translated(error, doing, self.place)
        return known if known is not error else super()._translate(error, doing)


def _progress(target: Hashable) -> Progress:
    """What is known of a journal, shared by all stores of this process that use it."""
    known = _journals.get(target)
    if known is None:
        known = _journals[target] = Progress()
    return known


def open_backend(given: Connection) -> ClickhouseBackend:
    """The backend of a database; nothing is opened before the first operation."""
    return ClickhouseBackend(checked(given))
