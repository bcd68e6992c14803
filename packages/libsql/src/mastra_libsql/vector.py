"""``LibSQLVector``: vectors in libSQL, in the tables of the original's ``LibSQLVector``."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, Unpack

import msgspec

from mastra_core.errors import ConflictError, NotFoundError
from mastra_core.storage.codec import to_json
from mastra_core.storage.sql import Statement
from mastra_core.vector.base import MastraVector
from mastra_core.vector.filters import Node
from mastra_core.vector.schema import Index, Item, Match, Nearest
from mastra_libsql.backend import LibSQLOptions, LibSQLRemoteBackend, open_backend
from mastra_libsql.vector_filters import Params, translated
from mastra_libsql.vector_schema import (
    LibSQLIndexOptions,
    Shape,
    additions,
    creation,
    remarked,
    shape_of,
)
from mastra_libsql.vector_search import SMALL, STEP, Search

# Storing a vector in the graph takes some milliseconds, during which nothing else in this process
# runs; the transaction around it is nothing beside that. A server takes as many at once.
BATCH: Final = 8
REMOTE_BATCH: Final = 250
FLAT_BATCH: Final = 1000
DELETED: Final = 64
ATTEMPTS: Final = 3


class LibSQLVector(MastraVector):
    """Vectors in a file, in private memory, or on a libSQL server; ``options`` as for ``LibSQLStore``.

    The file may be that of a ``LibSQLStore``. Indexes of up to ``small`` vectors are searched by
    looking at all of them, which takes no longer than the graph and misses nothing.
    """

    name: ClassVar[str] = "libSQL"
    metrics: ClassVar[frozenset[str]] = frozenset({"cosine", "euclidean"})
    index_options: ClassVar[type[msgspec.Struct]] = LibSQLIndexOptions
    index_names: ClassVar[str] = (
        r"(?!(?i:sqlite_|libsql_|.*_vector_gone$))[A-Za-z_][A-Za-z0-9_]{0,62}"
    )
    exact: ClassVar[bool] = False
    small: ClassVar[int] = SMALL

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        url: str,
        **options: Unpack[LibSQLOptions],
    ) -> None:
        super().__init__(id=id)
        self.backend = open_backend(url, **options)
        self._remote = isinstance(self.backend, LibSQLRemoteBackend)
        self._shapes: dict[str, Shape] = {}
        # The indexes that were seen to be too large to look at every vector.
        self._large: set[str] = set()

    async def rebuild_index(self, index_name: str) -> None:
        """Make the graph of an index anew, which after many deletions and changes has grown worse.

        It takes as long as storing all vectors again, during which nobody else can write.
        """
        index = await self._index(index_name)
        shape = await self._shape(index)
        if not shape.graph:
            return
        statements = [f'REINDEX "{index.name}_vector_idx"', remarked(index.name)]
        statements.append(f'DELETE FROM "{index.name}_vector_gone"')
        await self._extend(shape)
        await self._in(index, self._execute(statements), f"rebuild the index {index_name!r}")

    async def _find_index(self, name: str) -> Index | None:
        catalogue = "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = ?"
        entries = await self.backend.fetch(Statement(catalogue, [name]))
        shape = shape_of(name, entries)
        if shape is None:
            self._shapes.pop(name, None)
            return None
        self._shapes[name] = shape
        return shape.index

    async def _create_index(
        self, index: Index, options: Any, metadata_indexes: tuple[str, ...]
    ) -> None:
        other = "SELECT name FROM sqlite_master WHERE name = ? COLLATE NOCASE"
        for (name,) in await self.backend.fetch(Statement(other, [index.name])):
            if name != index.name or await self._find_index(index.name) is None:
                raise ConflictError(
                    f"the database has {name!r} already, which is no index of vectors by the name of "
                    f"{index.name!r}; take another name"
                )
        await self._execute(creation(index, options, metadata_indexes))
        if await self._find_index(index.name) is not None:
            await self._extend(self._shapes[index.name])

    async def _list_indexes(self) -> list[str]:
        tables = (
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql LIKE '%F32_BLOB%'"
        )
        found = await self.backend.fetch(Statement(tables))
        return [name for name, sql in found if shape_of(name, [("table", name, sql)]) is not None]

    async def _count(self, index: Index) -> int:
        rows = await self.backend.fetch(Statement(f'SELECT count(*) FROM "{index.name}"'))
        return int(rows[0][0])

    async def _delete_index(self, index: Index) -> None:
        self._shapes.pop(index.name, None)
        self._large.discard(index.name)
        # The vectors' table takes its indexes and triggers with it.
        tables = (index.name, f"{index.name}_vector_gone")
        await self._execute([f'DROP TABLE IF EXISTS "{name}"' for name in tables])

    async def _upsert(
        self, index: Index, items: Sequence[Item], stale: Node | list[str] | None
    ) -> None:
        shape = await self._extend(await self._shape(index))
        before = [] if stale is None else [_deletion(index, stale)]
        # What is deleted before goes in one step with what is stored, however long it takes.
        size = self._size(shape) if stale is None else max(len(items), 1)
        for start in range(0, len(items) or 1, size):
            part = items[start : start + size]
            await self.backend.execute([*before, *_storing(index, part)])
            await asyncio.sleep(0)

    def _size(self, shape: Shape) -> int:
        """How many vectors are stored in one step."""
        if not shape.graph:
            return FLAT_BATCH
        return REMOTE_BATCH if self._remote else BATCH

    async def _query(self, index: Index, wanted: Sequence[Nearest]) -> list[list[Match]]:
        shape = await self._shape(index)
        searches = [Search(shape, one) for one in wanted]
        found: list[list[Match] | None] = [None] * len(searches)
        if index.name not in self._large:
            # A server is not in this process, so it may look at all that are few at once.
            bound = self.small if self._remote else min(self.small, STEP)
            answers = await self._ask([one.small(self.small, bound) for one in searches])
            count = answers[0][0][0]
            if count <= bound:
                return [one.matches(rows) for one, rows in zip(searches, answers, strict=True)]
            if count <= self.small:
                return [await self._scanned(one) for one in searches]
            self._large.add(index.name)
        await self._attempt(searches, found, Search.few, Search.counted)
        await self._attempt(searches, found, Search.graph, Search.enough)
        return [
            await self._scanned(one) if matches is None else matches
            for one, matches in zip(searches, found, strict=True)
        ]

    async def _attempt(
        self,
        searches: Sequence[Search],
        found: list[list[Match] | None],
        ask: Callable[[Search], Statement | None],
        whole: Callable[[Search, Sequence[Any]], bool],
    ) -> None:
        """Ask one way for what is not found yet, all in one round trip; keep the answers that are whole."""
        asked = [(i, ask(one)) for i, one in enumerate(searches) if found[i] is None]
        sent = [(i, statement) for i, statement in asked if statement is not None]
        if not sent:
            return
        answers = await self._ask([statement for _, statement in sent])
        for (i, _), rows in zip(sent, answers, strict=True):
            if whole(searches[i], rows):
                found[i] = searches[i].matches(rows)

    async def _ask(self, statements: Sequence[Statement]) -> Sequence[Sequence[Any]]:
        """The answers of several searches: a server gets them at once, the engine by turns with others."""
        if self._remote:
            return await self.backend.fetch_many(statements)
        answers: list[Sequence[Any]] = []
        for statement in statements:
            if answers:
                await asyncio.sleep(0)
            answers.append(await self.backend.fetch(statement))
        return answers

    async def _scanned(self, search: Search) -> list[Match]:
        """The nearest of all rows, step by step, so that other tasks run meanwhile."""
        # A server is not in this process, where a step would only be one more round trip.
        size = 2**31 - 1 if self._remote else STEP
        found: list[Match] = []
        after: int | None = None
        while True:
            rows = await self.backend.fetch(search.step(after, size))
            if rows[0][0] is None:
                return found
            after = int(rows[0][0])
            found += search.matches(rows)
            found.sort(key=lambda match: (-match.score, match.id))
            del found[search.wanted.top_k :]
            if self._remote:
                return found
            await asyncio.sleep(0)

    async def _update(
        self,
        index: Index,
        chosen: Node | list[str],
        vector: array[float] | None,
        metadata_json: str | None,
    ) -> None:
        await self._extend(await self._shape(index))
        statements: list[Statement] = []
        if vector is not None:
            params = Params(vector.tobytes())
            # A vector that changes its place gets a new row, since the graph would look at the old one.
            moved = (
                f'SELECT rowid r, row_number() OVER () n FROM "{index.name}" '
                f"WHERE ({_chosen(chosen, params)}) AND embedding IS NOT ?1"
            )
            statements.append(
                Statement(
                    f'UPDATE "{index.name}" SET embedding = ?1, rowid = {_fresh(index, params)} + n '
                    f'FROM ({moved}) moved WHERE "{index.name}".rowid = moved.r',
                    params.values,
                )
            )
        if metadata_json is not None:
            params = Params(metadata_json)
            where = _chosen(chosen, params)
            sql = f'UPDATE "{index.name}" SET metadata = ?1 WHERE {where}'
            statements.append(Statement(sql, params.values))
        await self.backend.execute(statements)

    async def _delete(self, index: Index, chosen: Node | list[str]) -> None:
        shape = await self._extend(await self._shape(index))
        if self._remote:
            await self.backend.execute([_deletion(index, chosen)])
            return
        names, where = (chosen, None) if isinstance(chosen, list) else ([], chosen)
        if where is not None:
            params = Params()
            sql = f'SELECT vector_id FROM "{index.name}" WHERE {translated(where, params)}'
            names = [name for (name,) in await self.backend.fetch(Statement(sql, params.values))]
        # In steps, for the reason that storing is; each looks again whether it still matches.
        size = DELETED if shape.graph else FLAT_BATCH
        for start in range(0, len(names), size):
            await self.backend.execute([_deletion(index, names[start : start + size], where)])
            await asyncio.sleep(0)

    async def _close(self) -> None:
        self._shapes.clear()
        self._large.clear()
        await self.backend.close()

    async def _execute(self, statements: Sequence[str]) -> None:
        await self.backend.execute([Statement(sql) for sql in statements])

    async def _shape(self, index: Index) -> Shape:
        """What the catalogue says of an index; asked again until it has all that is ours."""
        known = self._shapes.get(index.name)
        if known is None or not known.complete or known.index != index:
            if await self._find_index(index.name) is None:
                raise NotFoundError(f"index {index.name!r} does not exist")
            known = self._shapes[index.name]
        return known

    async def _extend(self, shape: Shape) -> Shape:
        """Add what is ours to the table of an index; others may be doing the same."""
        for attempt in range(1, ATTEMPTS + 1):
            if shape.complete:
                return shape
            try:
                await self._execute(additions(shape))
            except Exception:
                if attempt == ATTEMPTS:
                    raise
            shape = await self._shape(shape.index)
        return shape


def _fresh(index: Index, params: Params) -> str:
    """A number that no row has or had: the graph keeps pointing to numbers of deleted rows."""
    now = params.add(str(time.time_ns() // 1000))
    return f'max(COALESCE((SELECT max(rowid) FROM "{index.name}"), 0), CAST({now} AS INTEGER))'


def _storing(index: Index, items: Sequence[Item]) -> list[Statement]:
    """Two statements: rows whose vector changes get a new number, then all are stored."""
    if not items:
        return []
    params = Params(
        to_json([[item.id, item.metadata_json, item.document] for item in items]),
        b"".join([item.vector.tobytes() for item in items]),
    )
    fresh, width = _fresh(index, params), 4 * index.dimension
    table, given = f'"{index.name}"', f"substr(?2, key * {width} + 1, {width})"
    moving = (
        f"UPDATE {table} SET rowid = {fresh} + 1 + key, embedding = {given} FROM json_each(?1) "
        f"WHERE vector_id = value->>0 AND embedding IS NOT {given}"
    )
    storing = (
        f"INSERT INTO {table} (rowid, vector_id, embedding, metadata, document) "
        f"SELECT {fresh} + 1 + key, value->>0, {given}, value->>1, value->>2 FROM json_each(?1) "
        "WHERE true ON CONFLICT (vector_id) DO UPDATE "
        "SET metadata = excluded.metadata, document = excluded.document"
    )
    return [Statement(moving, params.values), Statement(storing, params.values)]


def _deletion(index: Index, chosen: Node | list[str], also: Node | None = None) -> Statement:
    params = Params()
    where = _chosen(chosen, params)
    if also is not None:
        where += f" AND {translated(also, params)}"
    return Statement(f'DELETE FROM "{index.name}" WHERE {where}', params.values)


def _chosen(chosen: Node | list[str], params: Params) -> str:
    if isinstance(chosen, list):
        return f"vector_id IN (SELECT value FROM json_each({params.add(to_json(chosen))}))"
    return translated(chosen, params)
