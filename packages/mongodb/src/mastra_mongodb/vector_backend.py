"""The backend of vectors: what a server knows of indexes and of search, besides documents."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymongo import IndexModel, UpdateOne
from pymongo import errors as driver
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.operations import SearchIndexModel

from mastra_core.storage.settings import only_known
from mastra_core.vector.schema import Index
from mastra_mongodb.backend import MongoDBBackend
from mastra_mongodb.client import connection
from mastra_mongodb.documents import Document
from mastra_mongodb.failures import NO_COLLECTION, code_of, only_duplicates
from mastra_mongodb.options import MongoDBVectorOptions
from mastra_mongodb.vector_schema import (
    REGISTRY,
    MongoDBIndexOptions,
    Target,
    definition,
    search_name,
    target_of,
    text_name,
)

# What servers without search say: no such command, no such stage, or that only others have them.
NO_SEARCH: Final = frozenset({59, 115, 31082, 40324, 6047401})
# What a search index says that is not there, or not yet.
NOT_YET: Final = frozenset({8, 27})
EXISTS: Final = 48
SAME_NAME: Final = 68
ATTEMPTS: Final = 5
BATCH: Final = 500


class VectorBackend(MongoDBBackend):
    """The documents of vectors, the registry of the original, and search indexes."""

    def documents(self, target: Target) -> AsyncCollection[Document]:
        """The collection of an index."""
        return self.connection.collection(target.collection)

    def registry(self) -> AsyncCollection[Document]:
        """The collection of the original that says which indexes there are."""
        return self.connection.collection(REGISTRY)

    def translated(self, error: Exception, doing: str) -> Exception:
        """A driver's error as ours."""
        return self._translate(error, doing)

    async def target(self, name: str) -> Target | None:
        """What there is of an index: in the registry, as a search index, or both."""
        said = await self.registry().find_one({"_id": name})
        collection = str((said or {}).get("collectionName") or name)
        search = str((said or {}).get("searchIndexName") or search_name(name))
        return target_of(name, said, await self.search_index(collection, search))

    async def search_index(self, collection: str, name: str) -> Mapping[str, Any] | None:
        """What the server says of a search index; nothing also where it has no search."""
        try:
            cursor = await self.connection.collection(collection).list_search_indexes(name)
            found = await cursor.to_list()
        except driver.OperationFailure as error:
            if code_of(error) in {*NO_SEARCH, NO_COLLECTION} or _unknown_stage(error):
                return None
            raise
        return next((one for one in found if one.get("name") == name), None)

    async def make_search_index(self, target: Target, options: MongoDBIndexOptions) -> None:
        """Make the search index of an index, and that of its texts if it is wanted, where there is search."""
        described = definition(
            target.index,
            path=target.path,
            quantization=options.quantization,
            paths=sorted(target.declared | target.indexed),
        )
        models = [SearchIndexModel(described, target.search_index, "vectorSearch")]
        if options.text_index:
            texts = target.text_index or text_name(target.index.name)
            models.append(SearchIndexModel({"mappings": {"dynamic": True}}, texts, "search"))
        for model in models:
            try:
                await self.documents(target).create_search_index(model)
            except driver.OperationFailure as error:
                if code_of(error) not in {*NO_SEARCH, SAME_NAME} and not _unknown_stage(error):
                    raise

    async def make_collection(self, target: Target) -> None:
        """Make the collection of an index, with ordinary indexes of the metadata that filters ask for."""
        database = self.connection.client().get_database(self.connection.db_name)
        try:
            await database.create_collection(target.collection, check_exists=False)
        except driver.OperationFailure as error:
            if code_of(error) != EXISTS:
                raise
        models = [IndexModel([(path, 1)]) for path in sorted(target.indexed)]
        if models:
            await self.documents(target).create_indexes(models)

    async def taken(self, index: Index) -> bool:
        """Whether a collection of this name is somebody else's: a table of storage, or one with documents."""
        database = self.connection.client().get_database(self.connection.db_name)
        if not await database.list_collection_names(filter={"name": index.name}):
            return False
        if index.name.startswith("mastra_"):
            return True
        return await self.connection.collection(index.name).find_one({}, {"_id": 1}) is not None

    async def abandon(self, target: Target) -> None:
        """Take back an index that could not be made; what others have stored in it meanwhile stays."""
        await self.registry().delete_one({"_id": target.index.name})
        if await self.documents(target).find_one({}, {"_id": 1}) is None:
            await self.documents(target).drop()

    async def unregistered(self, names: Sequence[str]) -> list[str]:
        """The indexes that older versions of the original made, which wrote down none of them."""
        database = self.connection.client().get_database(self.connection.db_name)
        others = sorted(set(await database.list_collection_names()) - {*names, REGISTRY})
        return [
            name for name in others if await self.search_index(name, search_name(name)) is not None
        ]

    async def drop_search_indexes(self, target: Target) -> None:
        """Drop the search indexes of a collection that is not ours, unless another index has them."""
        names = {target.search_index, *([target.text_index] if target.text_index else ())}
        for name in sorted(names):
            others = {
                "_id": {"$ne": target.index.name},
                "collectionName": target.collection,
                "$or": [{"searchIndexName": name}, {"textSearchIndexName": name}],
            }
            if await self.registry().find_one(others, {"_id": 1}) is not None:
                continue
            if await self.search_index(target.collection, name) is not None:
                await self.documents(target).drop_search_index(name)

    async def store(
        self,
        target: Target,
        requests: Sequence[UpdateOne],
        session: AsyncClientSession | None = None,
    ) -> None:
        """Store documents in batches; again where somebody stored one of them at the same moment."""
        for start in range(0, len(requests), BATCH):
            some = list(requests[start : start + BATCH])
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    await self.documents(target).bulk_write(some, ordered=False, session=session)
                except driver.BulkWriteError as error:
                    raced = only_duplicates(error) and session is None
                    if not raced or attempt == ATTEMPTS:
                        raise
                else:
                    break
            # Others get their turn between two batches.
            await asyncio.sleep(0)


def open_vector_backend(options: MongoDBVectorOptions) -> VectorBackend:
    """The backend for a URL or a client; nothing is opened before the first operation."""
    only_known("MongoDBVector", options, MongoDBVectorOptions.__optional_keys__)
    return VectorBackend(connection(options))


def cannot_search(error: driver.OperationFailure) -> bool:
    """Whether an error says that there is no search, or no search index yet."""
    return code_of(error) in NO_SEARCH | NOT_YET or _unknown_stage(error)


def _unknown_stage(error: driver.OperationFailure) -> bool:
    """Whether a server that gives no codes does not know a stage or a command."""
    text = str(error).lower()
    named = any(word in text for word in ("searchindexes", "vectorsearch"))
    return named and any(
        word in text for word in ("unrecognized", "unsupported", "no such command")
    )
