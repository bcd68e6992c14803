"""``MongoDBVector``: vectors in MongoDB, in the collections of the original's ``MongoDBVector``."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Unpack

import msgspec
from pymongo import errors as driver
from pymongo.asynchronous.client_session import AsyncClientSession

from mastra_core.errors import (
    ConflictError,
    InvalidArgumentError,
    UnavailableError,
    UnsupportedError,
)
from mastra_core.storage.paging import options as checked
from mastra_core.vector.base import MastraVector
from mastra_core.vector.checks import unknown
from mastra_core.vector.filters import Node, holds
from mastra_core.vector.schema import Index, Item, Match, Nearest
from mastra_mongodb.documents import Document
from mastra_mongodb.options import MongoDBVectorOptions
from mastra_mongodb.vector_backend import cannot_search, open_vector_backend
from mastra_mongodb.vector_documents import (
    EXACTLY,
    changing,
    identified,
    metadata_of,
    storing,
)
from mastra_mongodb.vector_filters import METADATA, leads, wider
from mastra_mongodb.vector_schema import (
    DIMENSIONS,
    REGISTRY,
    MongoDBIndexOptions,
    Target,
    entry,
    filter_paths,
    target_of,
)
from mastra_mongodb.vector_search import (
    Best,
    by_nearness,
    directionless,
    needs_noughts,
    projection,
)

# So many vectors are compared here, which misses nothing; a search index is for more.
SMALL: Final = 1000
# The same of those that an ordinary index of metadata leads to.
FEW: Final = 1000
# How many documents come at a time where all are looked at, so that others get their turn.
AT_ONCE: Final = 200
KEYS_AT_ONCE: Final = 1000
# How long to wait between two looks at a search index that is being built, in seconds.
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 2.0


class MongoDBVector(MastraVector):
    """Vectors in one MongoDB database; ``options`` are those of ``MongoDBVectorOptions``.

    Indexes of up to ``small`` vectors are searched by comparing all of them. Above that the search index
    of the server (Atlas, or MongoDB 8.2 with search) is asked; where there is none, or where it does not
    find enough, all vectors that may match are compared, one batch after the other.
    """

    name: ClassVar[str] = "MongoDB"
    index_options: ClassVar[type[msgspec.Struct]] = MongoDBIndexOptions
    index_names: ClassVar[str] = rf"(?!{REGISTRY}$)[A-Za-z_][A-Za-z0-9_]{{0,62}}"
    exact: ClassVar[bool] = False
    small: ClassVar[int] = SMALL
    few: ClassVar[int] = FEW

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        **options: Unpack[MongoDBVectorOptions],
    ) -> None:
        super().__init__(id=id)
        self.backend = open_vector_backend(options)
        self._targets: dict[str, Target] = {}
        # The indexes that were seen to be too large to compare every vector.
        self._large: set[str] = set()

    async def build_index(
        self, index_name: str, *, options: Mapping[str, Any] | MongoDBIndexOptions | None = None
    ) -> None:
        """Make the search index of an index that has none: its server may have learned to search."""
        given = checked(MongoDBIndexOptions, options or {}, f"options of a {self.name} index")
        index = await self._index(index_name)
        target = await self._target(index)
        self._targets.pop(index_name, None)
        making = self.backend.make_search_index(target, given)
        await self._in(index, making, f"build the index {index_name!r}")

    async def wait_until_ready(self, index_name: str, *, seconds: float = 60.0) -> None:
        """Wait until the search index answers; queries are right before, but compare every vector."""
        index = await self._index(index_name)
        end, pause = time.monotonic() + seconds, FIRST_PAUSE
        while True:
            self._targets.pop(index_name, None)
            target = await self._in(index, self._target(index), f"look at {index_name!r}")
            if target.queryable:
                return
            if time.monotonic() + pause > end:
                break
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        raise UnavailableError(
            f"the search index of {index_name!r} was not ready within {seconds:g} seconds; wait longer, or "
            "make it with build_index if there is none"
        )

    async def _find_index(self, name: str) -> Index | None:
        self._targets.pop(name, None)
        target = await self.backend.target(name)
        if target is None:
            return None
        self._targets[name] = target
        return target.index

    async def _create_index(
        self, index: Index, options: Any, metadata_indexes: tuple[str, ...]
    ) -> None:
        if index.dimension > DIMENSIONS:
            raise InvalidArgumentError(
                f"MongoDB searches vectors of up to {DIMENSIONS:,} numbers, not {index.dimension:,}"
            )
        backend, paths = self.backend, filter_paths(metadata_indexes)
        said = entry(index, options, paths)
        target = target_of(index.name, said, None)
        if target is None or await backend.registry().find_one({"_id": index.name}) is not None:
            return
        if await backend.taken(index):
            raise ConflictError(
                f"{backend!r} has a collection {index.name!r} already, which is no index of vectors; take "
                "another name"
            )
        try:
            await backend.registry().insert_one(said)
        except driver.DuplicateKeyError:
            return
        try:
            await backend.make_collection(target)
            await backend.make_search_index(target, options)
        except BaseException:
            await asyncio.shield(backend.abandon(target))
            raise

    async def _list_indexes(self) -> list[str]:
        fields = {"_id": 1, "collectionName": 1}
        said = await self.backend.registry().find({}, fields).to_list()
        names = [str(one["_id"]) for one in said]
        known = [*names, *(str(one.get("collectionName")) for one in said)]
        return names + await self.backend.unregistered(known)

    async def _count(self, index: Index) -> int:
        target = await self._target(index)
        return await self.backend.documents(target).count_documents(
            {target.path: {"$exists": True}}
        )

    async def _delete_index(self, index: Index) -> None:
        target = await self._target(index)
        self._targets.pop(index.name, None)
        self._large.discard(index.name)
        await self._delete_target(target)

    async def _delete_target(self, target: Target) -> None:
        if target.foreign:
            await self.backend.drop_search_indexes(target)
        else:
            await self.backend.documents(target).drop()
        await self.backend.registry().delete_one({"_id": target.index.name})

    async def _upsert(
        self, index: Index, items: Sequence[Item], stale: Node | list[str] | None
    ) -> None:
        target = await self._writable(index)
        requests = [storing(target, item) for item in items]
        # A write would make the collection anew.
        await self._there(index)
        if stale is None:
            await self.backend.store(target, requests)
        elif await self.backend.connection.has_transactions():

            async def both(session: AsyncClientSession) -> None:
                await self._remove(target, stale, session)
                await self.backend.store(target, requests, session)

            async with self.backend.connection.client().start_session() as session:
                await session.with_transaction(both)
        else:
            await self._remove(target, stale)
            await self.backend.store(target, requests)

    async def _query(self, index: Index, wanted: Sequence[Nearest]) -> list[list[Match]]:
        target = await self._target(index)
        best = [Best(target, one) for one in wanted]
        if not await self._by_comparing(target, best):
            by_search: list[Best] = []
            for i, one in enumerate(best):
                if await self._by_nearness(one):
                    by_search.append(one)
                else:
                    best[i] = Best(target, one.wanted)
            if by_search and target.index.metric == "cosine" and needs_noughts(by_search):
                where = directionless(target, wider(wanted[0].where))
                await self._look(by_search, where, in_order=True)
            missing = [one for one in best if not any(one is other for other in by_search)]
            if missing:
                await self._scan(missing)
        if not any(one.found() for one in best):
            await self._there(index)
        return [one.matches() for one in best]

    async def _by_comparing(self, target: Target, best: Sequence[Best]) -> bool:
        """Compare every vector, or every one that an index leads to, if they are few; whether they are."""
        documents, name = self.backend.documents(target), target.index.name
        where = best[0].wanted.where
        filtered = wider(where)
        if name in self._large and await documents.estimated_document_count() <= self.small:
            self._large.discard(name)
        if name not in self._large:
            found = await self._first(target, {}, self.small)
            if found is not None:
                return _offered(best, found)
            if self.small:
                self._large.add(name)
        if filtered is None or not self.few or not leads(where, target.indexed):
            return False
        if await documents.count_documents(filtered, limit=self.few + 1) > self.few:
            return False
        found = await self._first(target, filtered, self.few)
        return found is not None and _offered(best, found)

    async def _first(self, target: Target, where: Document, most: int) -> list[Document] | None:
        """The documents of a filter, if there are at most so many."""
        if not most:
            return None
        cursor = self.backend.documents(target).find(where, projection(target), limit=most + 1)
        found = await cursor.to_list()
        return found if len(found) <= most else None

    async def _by_nearness(self, best: Best) -> bool:
        """Ask the search index; whether it found as many as are wanted."""
        target, wanted = best.target, best.wanted
        nowhere = target.index.metric == "cosine" and not any(wanted.vector)
        if nowhere or not target.queryable:
            return False
        stages = by_nearness(target, wanted)
        try:
            cursor = await self.backend.documents(target).aggregate(stages)
            async for document in cursor:
                best.offer(document)
        except driver.OperationFailure as error:
            if not cannot_search(error):
                raise
            self._targets.pop(target.index.name, None)
            return False
        return best.enough

    async def _scan(self, best: Sequence[Best]) -> None:
        """Compare all that may match."""
        target = best[0].target
        if not target.queryable:
            # The search index may be ready the next time.
            self._targets.pop(target.index.name, None)
        nowhere = target.index.metric == "cosine" and not any(any(b.wanted.vector) for b in best)
        # What is near to nothing is so in the order of the ids.
        await self._look(best, wider(best[0].wanted.where) or {}, in_order=nowhere)

    async def _look(self, best: Sequence[Best], where: Document, *, in_order: bool) -> None:
        """Compare what a filter finds; in the order of the ids it ends when as many as are wanted match."""
        documents, matched = self.backend.documents(best[0].target), 0
        cursor = documents.find(where, projection(best[0].target), batch_size=AT_ONCE)
        async with cursor.sort("_id", 1) if in_order else cursor:
            async for document in cursor:
                # All have the same filter, so that it matches for each of them or for none.
                offered = [one.offer(document) for one in best]
                matched += offered[0]
                if in_order and matched >= best[0].wanted.top_k:
                    return

    async def _update(
        self,
        index: Index,
        chosen: Node | list[str],
        vector: array[float] | None,
        metadata_json: str | None,
    ) -> None:
        target = await self._writable(index)
        documents, change = (
            self.backend.documents(target),
            changing(target, vector, metadata_json),
        )
        touched = 0
        for where in await self._chosen_of(target, chosen):
            touched += (await documents.update_many(where, change)).matched_count
        if not touched:
            await self._there(index)

    async def _delete(self, index: Index, chosen: Node | list[str]) -> None:
        if not await self._remove(await self._writable(index), chosen):
            await self._there(index)

    async def _remove(
        self, target: Target, chosen: Node | list[str], session: AsyncClientSession | None = None
    ) -> int:
        documents, removed = self.backend.documents(target), 0
        for where in await self._chosen_of(target, chosen, session):
            removed += (await documents.delete_many(where, session=session)).deleted_count
        return removed

    async def _chosen_of(
        self, target: Target, chosen: Node | list[str], session: AsyncClientSession | None = None
    ) -> list[Document]:
        """The filters of what is chosen, some ids at a time, and of the metadata that they must still have."""
        if isinstance(chosen, list):
            parts = _parts(chosen)
            return [identified(target, part) for part in parts]
        where = wider(chosen)
        fields = dict.fromkeys(("_id", METADATA, EXACTLY), 1)
        cursor = self.backend.documents(target).find(where or {}, fields, session=session)
        keys = [one["_id"] async for one in cursor if holds(chosen, metadata_of(one))]
        found: list[Document] = [{"_id": {"$in": part}} for part in _parts(keys)]
        return found if where is None else [{"$and": [part, where]} for part in found]

    async def _close(self) -> None:
        self._targets.clear()
        self._large.clear()
        await self.backend.close()

    async def _target(self, index: Index) -> Target:
        known = self._targets.get(index.name)
        if known is None or known.index != index:
            if await self._find_index(index.name) != index:
                raise unknown(index.name)
            known = self._targets[index.name]
        return known

    async def _writable(self, index: Index) -> Target:
        target = await self._target(index)
        if not target.writable:
            raise UnsupportedError(
                f"{index.name!r} is an index of the application's own collection {target.collection!r}, "
                "which is only read; the original's createIndex lets it be written (allowWrites)"
            )
        return target

    async def _there(self, index: Index) -> None:
        """An error if the index is gone, or is another one by now."""
        target = await self._target(index)
        if not target.registered:
            found = await self._find_index(index.name) == index
        else:
            said = await self.backend.registry().find_one({"_id": index.name}, {"dimension": 1})
            found = said is not None and said.get("dimension", index.dimension) == index.dimension
        if not found:
            self._targets.pop(index.name, None)
            raise unknown(index.name)

    def _translate(self, error: Exception, doing: str) -> Exception:
        return self.backend.translated(error, doing)


def _offered(best: Sequence[Best], found: Sequence[Document]) -> bool:
    for document in found:
        for one in best:
            one.offer(document)
    return True


def _parts(keys: Sequence[Any]) -> list[list[Any]]:
    return [list(keys[i : i + KEYS_AT_ONCE]) for i in range(0, len(keys), KEYS_AT_ONCE)]
