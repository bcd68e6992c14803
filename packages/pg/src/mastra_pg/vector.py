"""``PgVector``: vectors in PostgreSQL with pgvector, in the tables of the original's ``PgVector``."""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Unpack, cast

import msgspec

from mastra_core.errors import (
    ConfigurationError,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    StorageError,
)
from mastra_core.storage.paging import options as checked
from mastra_core.storage.sql import Statement
from mastra_core.vector.base import MastraVector
from mastra_core.vector.filters import Node
from mastra_core.vector.schema import Index, Item, Match, Nearest
from mastra_pg.settings import PostgresOptions
from mastra_pg.vector_backend import open_vector_backend
from mastra_pg.vector_schema import (
    PgIndexOptions,
    Shape,
    catalogue,
    chosen_type,
    shape_of,
)
from mastra_pg.vector_search import EF, FEW, SMALL, Search, within
from mastra_pg.vector_tables import Target, concurrently, target_of
from mastra_pg.vector_writing import deleting, storing, updating

# Storing a long vector in a graph takes some milliseconds; a statement has a bound on its time.
BATCH: Final = 500


class PgVector(MastraVector):
    """Vectors in one schema of a PostgreSQL database; ``options`` as for ``PostgresStore``.

    It shares the connections of stores with the same settings. Indexes of up to ``small`` vectors are
    searched by looking at all of them, which takes no longer than an index and misses nothing; in
    larger ones a search by graph keeps at least ``ef`` candidates.
    """

    name: ClassVar[str] = "PostgreSQL"
    index_options: ClassVar[type[msgspec.Struct]] = PgIndexOptions
    exact: ClassVar[bool] = False
    small: ClassVar[int] = SMALL
    few: ClassVar[int] = FEW
    ef: ClassVar[int] = EF

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        **options: Unpack[PostgresOptions],
    ) -> None:
        super().__init__(id=id)
        self.backend = open_vector_backend(options)
        self._schema = self.backend.dialect.schema
        self._shapes: dict[str, Shape] = {}
        # The indexes that were seen to be too large to look at every vector.
        self._large: set[str] = set()
        # Those that we added to what the original made.
        self._tried: set[str] = set()

    async def build_index(
        self, index_name: str, *, options: Mapping[str, Any] | PgIndexOptions | None = None
    ) -> None:
        """Make the index by nearness anew of the rows that are there, while others read and write.

        Without ``options`` it is of the type that was asked for when the index was created. It may take
        long, and until it is there searches look at every vector.
        """
        index = await self._index(index_name)
        shape = await self._shape(index)
        asked = shape.meant if options is None else options
        given = checked(PgIndexOptions, asked, f"options of a {self.name} index")
        if given.vector_type not in {None, shape.kind}:
            raise InvalidArgumentError(
                f"the vectors of {index_name!r} are of the type {shape.kind}; that stays"
            )
        chosen_type(index, msgspec.structs.replace(given, vector_type=shape.kind))
        count = await self._in(index, self._count(index), f"count the vectors of {index_name!r}")
        if given.type == "ivfflat" and count == 0:
            raise InvalidArgumentError(
                f"{index_name!r} is empty; ivfflat finds its centres among the rows: store vectors first"
            )
        statements = target_of(self._schema, shape).rebuilding(given, count)
        building = self.backend.build([Statement(sql) for sql in statements])
        self._shapes.pop(index_name, None)
        await self._in(index, building, f"build the index {index_name!r}")

    async def _find_index(self, name: str) -> Index | None:
        self._shapes.pop(name, None)
        for row in await self.backend.fetch(catalogue(self._schema, name)):
            shape = shape_of(row)
            if shape is not None:
                self._shapes[name] = shape
                return shape.index
        return None

    async def _create_index(
        self, index: Index, options: Any, metadata_indexes: tuple[str, ...]
    ) -> None:
        kind = chosen_type(index, options)
        extension = await self._extension()
        taken = Statement(
            "SELECT 1 FROM pg_class WHERE oid = to_regclass($1)", [self._table(index)]
        )
        if await self.backend.fetch(taken) and await self._find_index(index.name) is None:
            raise ConflictError(
                f"the schema {self._schema} has {index.name!r} already, which is no index of vectors; "
                "take another name"
            )
        target = Target(schema=self._schema, extension=extension, index=index, kind=kind)
        await self._define(target.creation(options, metadata_indexes))

    async def _list_indexes(self) -> list[str]:
        rows = await self.backend.fetch(catalogue(self._schema))
        return [row[0] for row in rows if shape_of(row) is not None]

    async def _count(self, index: Index) -> int:
        where = within(await self._shape(index))
        sql = f"SELECT count(*) FROM {self._table(index)} WHERE {where}"
        return int((await self.backend.fetch(Statement(sql)))[0][0])

    async def _delete_index(self, index: Index) -> None:
        self._shapes.pop(index.name, None)
        self._large.discard(index.name)
        self._tried.discard(index.name)
        await self._define([f"DROP TABLE IF EXISTS {self._table(index)}"])

    async def _upsert(
        self, index: Index, items: Sequence[Item], stale: Node | list[str] | None
    ) -> None:
        shape = await self._extended(index)
        # In one order everywhere, so that two who store the same wait for each other and no more.
        ordered = sorted(items, key=lambda item: item.id)
        parts = [ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH)]
        table = self._table(index)
        statements = [storing(table, shape, part) for part in parts]
        if stale is not None:
            # What is deleted before goes in one step with what is stored.
            await self.backend.execute([deleting(table, shape, stale), *statements])
            return
        for statement in statements:
            await self.backend.execute([statement])

    async def _query(self, index: Index, wanted: Sequence[Nearest]) -> list[list[Match]]:
        shape = await self._shape(index)
        searches = [Search(self._schema, shape, one, ef=self.ef) for one in wanted]
        first = searches[0]
        if index.name not in self._large and shape.rows <= self.small:
            answers = await self._ask([s.bounded(self.small, filtered=False) for s in searches])
            if answers[0][0][0] <= self.small:
                return [s.matches(rows) for s, rows in zip(searches, answers, strict=True)]
            self._large.add(index.name)
        if first.by_index:
            answers = await self._ask([s.bounded(self.few, filtered=True) for s in searches])
            if answers[0][0][0] <= self.few:
                return [s.matches(rows) for s, rows in zip(searches, answers, strict=True)]
        found = await self._by_nearness(searches)
        missing = [i for i, matches in enumerate(found) if matches is None]
        if missing and shape.method == "flat" != shape.meant.type:
            # Somebody may make an index meanwhile: look again the next time.
            self._shapes.pop(index.name, None)
        scans = [searches[i].scan() for i in missing]
        scanned: Sequence[Sequence[Any]] = await self._ask(scans) if scans else ()
        for i, rows in zip(missing, scanned, strict=True):
            found[i] = searches[i].matches(rows)
        return cast("list[list[Match]]", found)

    async def _by_nearness(self, searches: Sequence[Search]) -> list[list[Match] | None]:
        """What the index by nearness finds, in one round trip; nothing where it does not find enough."""
        found: list[list[Match] | None] = [None] * len(searches)
        asked = [i for i, search in enumerate(searches) if search.by_graph]
        if not asked:
            return found
        noughts = searches[0].noughts()
        beside = [] if noughts is None else [noughts]
        statements = [searches[0].settings(), *beside, *[searches[i].near() for i in asked]]
        answers = await self.backend.fetch_many(statements)
        rows_beside: Sequence[Any] = answers[1] if beside else ()
        for i, rows in zip(asked, answers[1 + len(beside) :], strict=True):
            if searches[i].enough(rows):
                found[i] = searches[i].matches([*rows, *rows_beside])
        return found

    async def _ask(self, statements: Sequence[Statement]) -> Sequence[Sequence[Any]]:
        if len(statements) == 1:
            rows: Sequence[Any] = await self.backend.fetch(statements[0])
            return [rows]
        return await self.backend.fetch_many(statements)

    async def _update(
        self,
        index: Index,
        chosen: Node | list[str],
        vector: array[float] | None,
        metadata_json: str | None,
    ) -> None:
        shape = await self._extended(index)
        change = updating(self._table(index), shape, chosen, vector, metadata_json)
        await self.backend.execute([change])

    async def _delete(self, index: Index, chosen: Node | list[str]) -> None:
        shape = await self._shape(index)
        await self.backend.execute([deleting(self._table(index), shape, chosen)])

    async def _close(self) -> None:
        self._shapes.clear()
        self._large.clear()
        self._tried.clear()
        await self.backend.close()

    def _table(self, index: Index) -> str:
        return f'"{self._schema}"."{index.name}"'

    async def _define(self, statements: Sequence[str]) -> None:
        await self._do(self.backend.define([Statement(sql) for sql in statements]), "define tables")

    async def _extension(self) -> str:
        """The schema that pgvector is in; it is installed where it is not, and so is our own schema."""
        where = Statement(
            "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
            "WHERE e.extname = 'vector'"
        )
        schemas = Statement("SELECT 1 FROM pg_namespace WHERE nspname = $1", [self._schema])
        found, ours = await self.backend.fetch_many([where, schemas])
        missing = [] if ours else [f'CREATE SCHEMA IF NOT EXISTS "{self._schema}"']
        if not found:
            missing.append("CREATE EXTENSION IF NOT EXISTS vector")
        if missing:
            try:
                await self._define(missing)
            except StorageError as error:
                if found:
                    raise
                raise ConfigurationError(
                    f"{self.backend!r} has no pgvector, and it cannot be installed from here; let an "
                    f"administrator run CREATE EXTENSION vector ({error})"
                ) from error
            found = await self.backend.fetch(where)
        return str(found[0][0])

    async def _shape(self, index: Index) -> Shape:
        """What the catalogue says of an index."""
        known = self._shapes.get(index.name)
        if known is None or known.index != index:
            if await self._find_index(index.name) is None:
                raise NotFoundError(
                    f"index {index.name!r} does not exist; create it with create_index"
                )
            known = self._shapes[index.name]
        return known

    async def _extended(self, index: Index) -> Shape:
        """The same with what is ours in the table; it may be the original's, or be used by it."""
        shape = await self._shape(index)
        if shape.complete or index.name in self._tried:
            return shape
        target = target_of(self._schema, shape)
        if "document" not in shape.columns:
            await self._define([target.document()])
        if index.metric == "cosine":
            # There may be many rows, and others that do the same; what reads can do without it.
            self._tried.add(index.name)
            with contextlib.suppress(ConflictError):
                await self._do(
                    self.backend.build([Statement(concurrently(target.noughts()))]), "index noughts"
                )
        await self._find_index(index.name)
        return await self._shape(index)
