"""``PineconeVector``: an index is an index of Pinecone, a vector one of its records."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, ClassVar, Final, Unpack

import httpx
import msgspec
from pinecone.errors import exceptions
from pinecone.models.indexes.schema import DenseVectorField

from mastra_core.errors import (
    AuthenticationError,
    InvalidArgumentError,
    LimitExceededError,
    SchemaError,
    StorageError,
    UnavailableError,
)
from mastra_core.records import JsonObject
from mastra_core.storage.loops import Turns
from mastra_core.storage.portions import portions
from mastra_core.vector.base import MastraVector
from mastra_core.vector.checks import unknown
from mastra_core.vector.filters import NOTHING, Node, holds
from mastra_core.vector.schema import METRICS, Index, Item, Match, Nearest
from mastra_pinecone.filters import Where, translated
from mastra_pinecone.records import (
    METADATA_BYTES,
    NOUGHT,
    Read,
    metadata_of,
    record,
    record_id,
    values_of,
)
from mastra_pinecone.search import Search
from mastra_pinecone.settings import PineconeOptions, connected

# What one request takes: vectors and bytes; what one answer has; what one page has.
BATCH: Final = 1000
REQUEST_BYTES: Final = 1_900_000
RESULT_BYTES: Final = 3_900_000
NUMBER_BYTES: Final = 24
ID_BYTES: Final = 600
PAGE: Final = 100
AT_ONCE: Final = 8
CREATE_SECONDS: Final = 300
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.5
STATUS: Final[dict[int, type[StorageError]]] = {
    400: InvalidArgumentError,
    401: AuthenticationError,
    403: AuthenticationError,
    413: LimitExceededError,
    429: UnavailableError,
}
# Writers of one id in this process, whichever store they use.
TURNS: Final = Turns()


class IndexOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an index is made: whether it can be deleted by nobody until that is switched off."""

    deletion_protection: bool = False


class PineconeVector(MastraVector):
    """Vectors in a project of Pinecone; ``options`` are ``PineconeOptions``."""

    name: ClassVar[str] = "Pinecone"
    exact: ClassVar[bool] = False
    batch: ClassVar[int] = BATCH
    index_options = IndexOptions
    index_names: ClassVar[str] = r"[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?"
    index_separator: ClassVar[str] = "-"

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        **options: Unpack[PineconeOptions],
    ) -> None:
        super().__init__(id=id)
        self._connection = connected(options)
        self._settings = self._connection.settings
        self.place = self._settings.host.partition("://")[2] or self._settings.host
        self._hosts: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"PineconeVector(id={self.id!r}, at={self.place!r})"

    async def _find_index(self, name: str) -> Index | None:
        try:
            found = await self._connection.client().indexes.describe(name)
        except exceptions.NotFoundError:
            self._hosts.pop(name, None)
            return None
        fields = list(found.schema.fields.values())
        field = fields[0] if len(fields) == 1 else None
        metric: Any = getattr(field, "metric", None)
        if not isinstance(field, DenseVectorField) or metric not in METRICS:
            raise SchemaError(
                f"the index {name!r} of Pinecone has other fields than one dense vector: it is none here"
            )
        self._hosts[name] = found.host
        return Index(name=name, dimension=int(field.dimension or 0), metric=metric)

    async def _create_index(
        self, index: Index, options: IndexOptions, metadata_indexes: tuple[str, ...]
    ) -> None:
        try:
            await self._connection.client().indexes.create(
                name=index.name,
                dimension=index.dimension,
                metric=index.metric,
                deployment={
                    "deployment_type": "managed",
                    "cloud": self._settings.cloud,
                    "region": self._settings.region,
                },
                deletion_protection="enabled" if options.deletion_protection else "disabled",
                timeout=CREATE_SECONDS,
            )
        except exceptions.ConflictError:
            # Another has made it meanwhile; what there is now is compared with what was wanted.
            return

    async def _list_indexes(self) -> list[str]:
        client = self._connection.client()
        return [one.name async for one in client.indexes.list() if self._can_be(one.name)]

    async def _count(self, index: Index) -> int:
        stats = await self._at(index, "describe_index_stats")
        space = self._settings.namespace
        found = stats.namespaces.get(space) or stats.namespaces.get(space or "__default__")
        return 0 if found is None else int(found.vector_count)

    async def _delete_index(self, index: Index) -> None:
        self._hosts.pop(index.name, None)
        try:
            await self._connection.client().indexes.delete(index.name, timeout=CREATE_SECONDS)
        except exceptions.NotFoundError:
            # Another was faster.
            return

    async def _upsert(
        self, index: Index, items: Sequence[Item], stale: Node | list[str] | None
    ) -> None:
        # What is too large is told before anything is sent.
        records = [record(item) for item in items]
        if stale is not None:
            await self._delete(index, stale)
        async with TURNS.all(self._turn(index, one["id"]) for one in records):
            await self._store(index, records)

    async def _store(self, index: Index, records: Sequence[JsonObject]) -> None:
        space = self._settings.namespace
        stored: Any = None
        for part in _portions(records, index.dimension):
            stored = await self._at(index, "upsert", vectors=part, namespace=space)
        await self._settled(index, stored)

    async def _query(self, index: Index, wanted: Sequence[Nearest]) -> list[list[Match]]:
        if wanted[0].where == NOTHING:
            return [[] for _ in wanted]
        sent = translated(wanted[0].where)
        found: list[list[Match]] = []
        for start in range(0, len(wanted), AT_ONCE):
            part = wanted[start : start + AT_ONCE]
            found += await asyncio.gather(*(self._search(index, one, sent) for one in part))
        return found

    async def _search(self, index: Index, wanted: Nearest, sent: Where | None) -> list[Match]:
        search = Search(index, wanted)
        while not search.done:
            rows = await self._nearest(index, search, sent)
            search.take(rows)
        if search.noughts:
            noughts: Where = {NOUGHT: True}
            only = noughts if sent is None else {"$and": [sent, noughts]}
            search.limit = wanted.top_k
            search.take_noughts(await self._nearest(index, search, only))
        if search.cut:
            # More may match than one request finds.
            async for reads in self._scan(index, sent):
                search.add(reads)
        return list(search.found.values())

    async def _nearest(
        self, index: Index, search: Search, sent: Where | None
    ) -> list[tuple[Read, float]]:
        """What is nearest; with their metadata if one answer can have them all, else these are fetched."""
        numbers = NUMBER_BYTES * index.dimension if search.values else 0
        whole = search.limit <= RESULT_BYTES // (METADATA_BYTES + numbers)
        request: dict[str, Any] = {
            "vector": search.asked,
            "top_k": search.limit,
            "filter": sent,
            "namespace": self._settings.namespace,
            "include_metadata": whole,
            "include_values": whole and search.values,
        }
        answer = await self._at(index, "query", **request)
        if whole:
            return [(Read(one.id, one.metadata, one.values), one.score) for one in answer.matches]
        scores = {one.id: float(one.score) for one in answer.matches}
        reads = await self._fetched(index, list(scores))
        return [(read, scores[read.key]) for read in reads]

    async def _fetched(self, index: Index, keys: Sequence[str]) -> list[Read]:
        """The records with these ids that are there."""
        size = _page(index)
        found: list[Read] = []
        parts = [keys[start : start + size] for start in range(0, len(keys), size)]
        for start in range(0, len(parts), AT_ONCE):
            calls = [self._fetch(index, part) for part in parts[start : start + AT_ONCE]]
            for reads in await asyncio.gather(*calls):
                found += reads
        return found

    async def _fetch(self, index: Index, keys: Sequence[str]) -> list[Read]:
        space = self._settings.namespace
        answer = await self._at(index, "fetch", ids=list(keys), namespace=space)
        return [Read(key, one.metadata, one.values) for key, one in answer.vectors.items()]

    async def _scan(self, index: Index, sent: Where | None) -> AsyncIterator[list[Read]]:
        """All records that may match, a page at a time."""
        token: str | None = None
        space, size = self._settings.namespace, _page(index)
        while True:
            asked: dict[str, Any] = {"limit": size, "pagination_token": token, "namespace": space}
            if sent is None:
                page = await self._at(index, "list_paginated", **asked)
                yield await self._fetched(index, [one.id for one in page.vectors])
            else:
                asked["filter"] = sent
                page = await self._at(index, "fetch_by_metadata", **asked)
                yield [Read(key, one.metadata, one.values) for key, one in page.vectors.items()]
            token = page.pagination.next if page.pagination else None
            if not token:
                return

    async def _update(
        self,
        index: Index,
        chosen: Node | list[str],
        vector: array[float] | None,
        metadata_json: str | None,
    ) -> None:
        keys = await self._chosen_keys(index, chosen)
        for start in range(0, len(keys), PAGE):
            part = keys[start : start + PAGE]
            async with TURNS.all(self._turn(index, key) for key in part):
                if metadata_json is None:
                    assert vector is not None
                    await self._change_vectors(index, part, vector)
                else:
                    reads = await self._fetched(index, part)
                    made = [_changed(read, vector, metadata_json) for read in reads]
                    await self._store(index, made)

    async def _change_vectors(
        self, index: Index, keys: Sequence[str], vector: array[float]
    ) -> None:
        """Give those that are there another vector: Pinecone changes what it has."""
        request: dict[str, Any] = {
            "values": values_of(vector),
            "set_metadata": {NOUGHT: not any(vector)},
            "namespace": self._settings.namespace,
        }
        changed: Any = None
        for start in range(0, len(keys), AT_ONCE):
            calls = [
                self._at(index, "update", id=key, **request)
                for key in keys[start : start + AT_ONCE]
            ]
            changed = (await asyncio.gather(*calls))[-1]
        await self._settled(index, changed)

    async def _delete(self, index: Index, chosen: Node | list[str]) -> None:
        keys = await self._chosen_keys(index, chosen)
        space = self._settings.namespace
        for start in range(0, len(keys), BATCH):
            part = keys[start : start + BATCH]
            try:
                await self._at(index, "delete", ids=part, namespace=space)
            except exceptions.NotFoundError:
                # Nothing was ever stored in the namespace.
                return

    async def _chosen_keys(self, index: Index, chosen: Node | list[str]) -> list[str]:
        """The ids of the records that are chosen."""
        if isinstance(chosen, list):
            return [record_id(name) for name in chosen]
        if chosen == NOTHING:
            return []
        return [
            read.key
            async for reads in self._scan(index, translated(chosen))
            for read in reads
            if holds(chosen, read.metadata)
        ]

    async def _settled(self, index: Index, written: Any) -> None:
        """Wait, not for ever, until reads see what was written, if Pinecone says how far they are."""
        info = getattr(written, "response_info", None)
        if info is None or info.lsn_committed is None:
            return
        deadline = asyncio.get_running_loop().time() + self._settings.settle
        asked: dict[str, Any] = {
            "vector": [1.0] + [0.0] * (index.dimension - 1),
            "top_k": 1,
            "namespace": self._settings.namespace,
        }
        pause = FIRST_PAUSE
        while True:
            read = (await self._at(index, "query", **asked)).response_info
            if (
                read is None
                or read.lsn_reconciled is None
                or read.is_reconciled(info.lsn_committed)
            ):
                return
            if asyncio.get_running_loop().time() + pause > deadline:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _at(self, index: Index, operation: str, **asked: Any) -> Any:
        """Do it with the client of an index, which may be another than when it was looked up."""
        host = self._hosts.get(index.name)
        if host is not None:
            try:
                return await getattr(await self._connection.index(host), operation)(**asked)
            except exceptions.NotFoundError:
                self._hosts.pop(index.name, None)
        if await self._find_index(index.name) is None:
            raise unknown(index.name)
        at = await self._connection.index(self._hosts[index.name])
        return await getattr(at, operation)(**asked)

    def _turn(self, index: Index, key: str) -> tuple[str, ...]:
        return (self.place, index.name, self._settings.namespace, key)

    async def _close(self) -> None:
        self._hosts.clear()
        await self._connection.close()

    def _translate(self, error: Exception, doing: str) -> Exception:
        text = f"{self!r} could not {doing}"
        if isinstance(error, exceptions.ApiError):
            code = error.status_code
            kind = STATUS.get(code, UnavailableError if code >= 500 else StorageError)
            return kind(f"{text}: Pinecone answered {code}: {str(error)[:300]}")
        if isinstance(error, (exceptions.PineconeValueError, exceptions.PineconeTypeError)):
            return InvalidArgumentError(f"{text}: {str(error)[:300]}")
        lost = (exceptions.PineconeConnectionError, exceptions.PineconeTimeoutError)
        if isinstance(error, (*lost, httpx.HTTPError, OSError)):
            return UnavailableError(f"{text} at {self.place}: {type(error).__name__}: {error}")
        return super()._translate(error, doing)


def _changed(read: Read, vector: array[float] | None, metadata_json: str) -> JsonObject:
    """A record with other metadata, and perhaps another vector; its document stays."""
    values = vector if vector is not None else read.vector
    assert values is not None
    metadata = metadata_of(read.id, metadata_json, read.document, nought=not any(values))
    return {"id": read.key, "values": values_of(values), "metadata": metadata}


def _portions(records: Sequence[JsonObject], dimension: int) -> Iterator[list[JsonObject]]:
    """The records in parts that one request takes."""
    own = NUMBER_BYTES * dimension + ID_BYTES
    sizes = [own + len(msgspec.json.encode(one["metadata"])) for one in records]
    return portions(records, sizes, BATCH, REQUEST_BYTES)


def _page(index: Index) -> int:
    """How many records one answer can have with all they have."""
    return max(1, min(PAGE, RESULT_BYTES // (METADATA_BYTES + NUMBER_BYTES * index.dimension)))
