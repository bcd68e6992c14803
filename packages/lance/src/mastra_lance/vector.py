"""``LanceVector``: vectors in LanceDB, one table for each index."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Unpack

import msgspec

from mastra_core.errors import ConflictError, NotFoundError
from mastra_core.vector.base import MastraVector
from mastra_core.vector.filters import Node
from mastra_core.vector.schema import Index, Item, Match, Metric, Nearest
from mastra_lance.commits import Commit, Steps
from mastra_lance.conditions import member
from mastra_lance.database import MESSAGES, Database
from mastra_lance.driver import pa
from mastra_lance.ledger import Pending
from mastra_lance.literals import literal
from mastra_lance.options import LanceOptions, checked
from mastra_lance.upkeep import Care
from mastra_lance.vector_filters import COLUMN as FILTER
from mastra_lance.vector_filters import entries, translated
from mastra_lance.vector_search import search
from mastra_lance.vector_tables import (
    ASIDE,
    DISTANCES,
    ID,
    METADATA,
    VECTOR,
    Shape,
    adopted,
    aside,
    columns,
    declared,
    encoded,
    metadata_of,
    shape_of,
)

IDS: Final = 1000


class Change(msgspec.Struct, frozen=True):
    """One commit of a write, and filters of all rows that it may touch."""

    touched: list[str]
    commit: Commit


class LanceVector(MastraVector):
    """Vectors in a folder or an object store; ``options`` as for ``LanceStore``.

    The database may be that of a ``LanceStore``. Every search compares all vectors that match its
    filter, and misses nothing.
    """

    name: ClassVar[str] = "LanceDB"
    texts = MESSAGES
    index_names: ClassVar[str] = r"(?!(?i:mastra_))[A-Za-z_][A-Za-z0-9_]{0,62}"
    exact: ClassVar[bool] = True

    def __init__(
        self,
        uri: str | Path | None = None,
        *,
        id: str = "lance",  # noqa: A002 (the original's name)
        **options: Unpack[LanceOptions],
    ) -> None:
        super().__init__(id=id)
        settings = checked(uri, options)
        self.place = settings.uri
        self._database = Database(settings)
        self._shapes: dict[str, Shape] = {}

    def __repr__(self) -> str:
        return f"LanceVector({self.place!r})"

    async def optimize(self, index_name: str) -> None:
        """Join small files, update the index of ids and remove old versions, of one index."""
        index = await self._index(index_name)
        work = self._database.upkeep.optimize(_care(index))
        await self._in(index, work, f"optimize {index_name!r}")

    async def _find_index(self, name: str) -> Index | None:
        self._shapes.pop(name, None)
        handle = await self._database.opened(name)
        if handle is None:
            return None
        shape = shape_of(name, await handle.schema(), await _metric(handle))
        if shape is None:
            return None
        self._shapes[name] = shape
        return shape.index

    async def _create_index(
        self, index: Index, options: Any, metadata_indexes: tuple[str, ...]
    ) -> None:
        await self._database.ledger.setup()
        async with self._database.commits.turn():
            # Of several that create one table at once, LanceDB lets more than one succeed.
            handle = await self._database.created(index.name, declared(index))
            if shape_of(index.name, await handle.schema()) is None:
                raise ConflictError(
                    f"the database has a table {index.name!r} already, which is no index of vectors; "
                    "take another name"
                )

    async def _list_indexes(self) -> list[str]:
        connection = await self._database.connection()
        names: list[str] = []
        token: str | None = None
        while True:
            page = await connection.list_tables(page_token=token)
            names += [name for name in page.tables if self._can_be(name)]
            token = page.page_token
            if not token:
                break
        found: list[str] = []
        for name in names:
            schema = await (await connection.open_table(name)).schema()
            if shape_of(name, schema) is not None:
                found.append(name)
        return found

    async def _count(self, index: Index) -> int:
        return int(await (await self._settled(index)).count_rows())

    async def _delete_index(self, index: Index) -> None:
        self._shapes.pop(index.name, None)
        async with self._database.commits.turn():
            if await self._database.opened(index.name) is not None:
                await (await self._database.connection()).drop_table(index.name)

    async def _upsert(
        self, index: Index, items: Sequence[Item], stale: Node | list[str] | None
    ) -> None:
        await self._adopted(index)

        def steps(handle: Any) -> Sequence[Change]:
            before = [] if stale is None else _chosen(stale)
            made = [Change([where], _deletion(handle, where)) for where in before]
            if items:
                ids = [item.id for item in items]
                made.append(Change(_among(ids), _storing(handle, index, items)))
            return made

        await self._write(index, steps)

    async def _query(self, index: Index, wanted: Sequence[Nearest]) -> list[list[Match]]:
        await self._adopted(index)
        handle = await self._settled(index)
        return [await search(handle, index, one) for one in wanted]

    async def _update(
        self,
        index: Index,
        chosen: Node | list[str],
        vector: array[float] | None,
        metadata_json: str | None,
    ) -> None:
        await self._adopted(index)
        values: dict[str, str] = {}
        if vector is not None:
            values[VECTOR] = f"[{', '.join([literal(number) for number in vector])}]"
            values[ASIDE] = literal(aside(vector, index.metric))
        if metadata_json is not None:
            values[METADATA] = literal(metadata_json)
            values[FILTER] = literal(entries(metadata_of(metadata_json)))

        def steps(handle: Any) -> Sequence[Change]:
            return [Change([w], _changing(handle, values, w)) for w in _chosen(chosen)]

        await self._write(index, steps)

    async def _delete(self, index: Index, chosen: Node | list[str]) -> None:
        await self._adopted(index)

        def steps(handle: Any) -> Sequence[Change]:
            return [Change([w], _deletion(handle, w)) for w in _chosen(chosen)]

        await self._write(index, steps)

    async def _close(self) -> None:
        self._shapes.clear()
        await self._database.close()

    async def _settled(self, index: Index) -> Any:
        return await self._database.handles.settled(index.name)

    async def _write(self, index: Index, steps: Callable[[Any], Sequence[Change]]) -> None:
        """Commit what is to be done to one index, all of it or nothing."""
        async with self._database.commits.turn():
            handle = await self._database.handles.latest(index.name)
            if shape_of(index.name, await handle.schema(), index.metric) is None:
                raise NotFoundError(f"index {index.name!r} does not exist")
            version = int(await handle.version())
            made = steps(handle)
            filters = [one for change in made for one in change.touched]
            commits = [change.commit for change in made]
            await self._database.commits.commit(
                {index.name: Steps(Pending(version, filters), commits)}
            )
        self._database.upkeep.wrote(_care(index), (version, version + len(commits)))

    async def _adopted(self, index: Index) -> None:
        """Give a table that the original made the columns that filters need."""
        shape = self._shapes.get(index.name)
        if shape is None or shape.index != index:
            if await self._find_index(index.name) is None:
                raise NotFoundError(f"index {index.name!r} does not exist")
            shape = self._shapes[index.name]
        if shape.lacking:
            async with self._database.commits.turn():
                await self._adopt(shape)
            await self._find_index(index.name)

    async def _adopt(self, shape: Shape) -> None:
        handle = await self._database.handles.latest(shape.index.name)
        schema = await handle.schema()
        kinds = columns(shape.index.dimension)
        lacking = [name for name in kinds if name not in schema.names]
        if not lacking:
            return
        rows = (await handle.query().to_arrow()).to_pylist()
        await handle.add_columns(pa.schema([pa.field(name, kinds[name]) for name in lacking]))
        adopting = handle.merge_insert(ID).when_matched_update_all()
        await adopting.execute(adopted(shape.index, rows))


def _care(index: Index) -> Care:
    return Care(index.name, (ID,), indexed=(ID,))


def _among(ids: Sequence[str]) -> list[str]:
    return [member(ID, ids[i : i + IDS]) for i in range(0, len(ids), IDS)]


def _chosen(chosen: Node | list[str]) -> list[str]:
    return _among(chosen) if isinstance(chosen, list) else [translated(chosen)]


def _deletion(handle: Any, where: str) -> Commit:
    return lambda: handle.delete(where)


def _changing(handle: Any, values: dict[str, str], where: str) -> Commit:
    return lambda: handle.update(updates_sql=values, where=where)


def _storing(handle: Any, index: Index, items: Sequence[Item]) -> Commit:
    builder = handle.merge_insert(ID).when_matched_update_all().when_not_matched_insert_all()
    return lambda: builder.execute(encoded(index, items))


async def _metric(handle: Any) -> Metric | None:
    """The metric of the original's index, which is where it says it."""
    for one in await handle.list_indices():
        if VECTOR in one.columns:
            stats = await handle.index_stats(one.name)
            for metric, distance in DISTANCES.items():
                if stats is not None and stats.distance_type == distance:
                    return metric
    return None
