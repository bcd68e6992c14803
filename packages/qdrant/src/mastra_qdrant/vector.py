"""``QdrantVector``: an index is a collection of Qdrant, a vector one of its points."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar, Final, Unpack, cast

import httpx
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from mastra_core.errors import (
    AuthenticationError,
    InvalidArgumentError,
    LimitExceededError,
    MastraError,
    SchemaError,
    StorageError,
    UnavailableError,
)
from mastra_core.vector.base import MastraVector
from mastra_core.vector.filters import NOTHING, Node, holds
from mastra_core.vector.schema import Index, Item, Match, Metric, Nearest
from mastra_qdrant.filters import translated
from mastra_qdrant.points import PointId, Read, numbers, payload, point, point_id, unit
from mastra_qdrant.settings import Connection, IndexOptions, QdrantOptions, connected

BATCH: Final = 500
PAGE: Final = 1000
ATTEMPTS: Final = 5
# How many times as many are asked for where what was found did not all match.
WIDER: Final = 8
DISTANCES: Final[dict[Metric, models.Distance]] = {
    "cosine": models.Distance.COSINE,
    "euclidean": models.Distance.EUCLID,
    "dotproduct": models.Distance.DOT,
}
METRIC_OF: Final = {distance: metric for metric, distance in DISTANCES.items()}
STATUS: Final[dict[int, type[StorageError]]] = {
    400: InvalidArgumentError,
    401: AuthenticationError,
    403: AuthenticationError,
    413: LimitExceededError,
    422: InvalidArgumentError,
    429: UnavailableError,
}


class QdrantVector(MastraVector):
    """Vectors in Qdrant: a server, Qdrant Cloud, or a folder; ``options`` are ``QdrantOptions``."""

    name: ClassVar[str] = "Qdrant"
    exact: ClassVar[bool] = False
    batch: ClassVar[int] = BATCH
    index_options = IndexOptions
    index_names: ClassVar[str] = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,127}"

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        **options: Unpack[QdrantOptions],
    ) -> None:
        super().__init__(id=id)
        self._connection: Connection = connected(options)
        self.place = self._connection.place

    def __repr__(self) -> str:
        return f"QdrantVector(id={self.id!r}, at={self.place!r})"

    @property
    def _client(self) -> AsyncQdrantClient:
        return self._connection.client()

    async def _find_index(self, name: str) -> Index | None:
        if not await self._client.collection_exists(name):
            return None
        found = await self._client.get_collection(name)
        vectors = found.config.params.vectors
        if isinstance(vectors, dict) and set(vectors) == {""}:
            vectors = vectors[""]
        metric = METRIC_OF.get(vectors.distance) if isinstance(vectors, models.VectorParams) else None
        if not isinstance(vectors, models.VectorParams) or metric is None:
            raise SchemaError(
                f"the collection {name!r} has named vectors, or a distance other than Cosine, Euclid and "
                "Dot; an index is a collection of one vector for each point"
            )
        return Index(name=name, dimension=vectors.size, metric=metric)

    async def _create_index(
        self, index: Index, options: IndexOptions, metadata_indexes: tuple[str, ...]
    ) -> None:
        try:
            await self._client.create_collection(
                index.name,
                vectors_config=models.VectorParams(
                    size=index.dimension,
                    distance=DISTANCES[index.metric],
                    on_disk=options.on_disk or None,
                ),
                shard_number=options.shard_number,
                replication_factor=options.replication_factor,
            )
        except (UnexpectedResponse, ValueError):
            # Another may have made it meanwhile; what there is now is compared with what was wanted.
            if not await self._client.collection_exists(index.name):
                raise
        if not self._connection.local:
            for key in metadata_indexes:
                await self._client.create_payload_index(
                    index.name, key, models.PayloadSchemaType.KEYWORD, wait=True
                )

    async def _list_indexes(self) -> list[str]:
        found = await self._client.get_collections()
        return [one.name for one in found.collections if self._can_be(one.name)]

    async def _count(self, index: Index) -> int:
        return (await self._client.count(index.name, exact=True)).count

    async def _delete_index(self, index: Index) -> None:
        await self._client.delete_collection(index.name)

    async def _upsert(
        self, index: Index, items: Sequence[Item], stale: Node | list[str] | None
    ) -> None:
        points = [point(item, index) for item in items]
        operations: list[Any] = []
        if stale is not None:
            operations += await self._deleting(index, stale)
        for start in range(0, len(points), BATCH):
            part = models.PointsList(points=points[start : start + BATCH])
            operations.append(models.UpsertOperation(upsert=part))
            await self._change(index, operations)
            operations = []
        if operations:
            await self._change(index, operations)

    async def _query(self, index: Index, wanted: Sequence[Nearest]) -> list[list[Match]]:
        where = wanted[0].where
        if where == NOTHING:
            return [[] for _ in wanted]
        sent, _ = translated(where)
        found: list[list[Match]] = [[] for _ in wanted]
        open_ = dict(enumerate(wanted))
        # First as a server likes, then exactly, and of ever more until enough of them match.
        limit, exactly = wanted[0].top_k, self._connection.local
        while open_:
            answers = await self._nearest(index, list(open_.values()), sent, limit, exactly=exactly)
            for (number, one), points in zip(list(open_.items()), answers, strict=True):
                found[number] = self._matches(index, points, where)
                whole = exactly and len(points) < limit
                if whole or len(found[number]) >= one.top_k:
                    del open_[number]
            if exactly:
                limit *= WIDER
            exactly = True
        return found

    async def _nearest(
        self,
        index: Index,
        wanted: Sequence[Nearest],
        sent: models.Filter | None,
        limit: int,
        *,
        exactly: bool,
    ) -> list[list[models.ScoredPoint]]:
        """What is nearest to each, in one request."""
        remote = not self._connection.local
        asked = [
            models.QueryRequest(
                query=one.vector.tolist(),
                filter=sent,
                limit=limit,
                with_payload=True,
                with_vector=one.include_vector,
                params=models.SearchParams(exact=True) if exactly and remote else None,
            )
            for one in wanted
        ]
        answers = await self._client.query_batch_points(index.name, requests=asked)
        return [answer.points for answer in answers]

    def _matches(
        self, index: Index, points: Sequence[models.ScoredPoint], where: Node | None
    ) -> list[Match]:
        found: list[Match] = []
        for one in points:
            read = Read(cast("PointId", one.id), one.payload, one.vector)
            metadata = read.metadata
            if holds(where, metadata):
                score = one.score
                if index.metric == "euclidean":
                    score = 1 / (1 + score)
                elif index.metric == "cosine":
                    score = max(-1.0, min(1.0, score))
                found.append(
                    Match(
                        id=read.id,
                        score=score,
                        metadata=metadata,
                        vector=read.vector,
                        document=read.document,
                    )
                )
        return found

    async def _update(
        self,
        index: Index,
        chosen: Node | list[str],
        vector: array[float] | None,
        metadata_json: str | None,
    ) -> None:
        async for keys in self._chosen_points(index, chosen):
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    await self._change_points(index, keys, vector, metadata_json)
                except (UnexpectedResponse, ValueError):
                    # One of them may have been deleted since it was read.
                    if attempt == ATTEMPTS or await self._find_index(index.name) is None:
                        raise
                else:
                    break

    async def _change_points(
        self,
        index: Index,
        keys: Sequence[PointId],
        vector: array[float] | None,
        metadata_json: str | None,
    ) -> None:
        """Change those that are there."""
        records = await self._client.retrieve(index.name, list(keys), with_payload=True)
        operations: list[Any] = []
        if vector is not None and records:
            changed = [models.PointVectors(id=one.id, vector=vector.tolist()) for one in records]
            operations.append(
                models.UpdateVectorsOperation(update_vectors=models.UpdateVectors(points=changed))
            )
        kept = numbers(vector) if vector is not None and unit(index) else None
        for one in records:
            read = Read(cast("PointId", one.id), one.payload)
            if metadata_json is None and kept is None:
                continue
            text = read.metadata_json if metadata_json is None else metadata_json
            made = payload(read.id, text, read.document, kept or read.kept)
            operations.append(
                models.OverwritePayloadOperation(
                    overwrite_payload=models.SetPayload(payload=made, points=[one.id])
                )
            )
        if operations:
            await self._change(index, operations)

    async def _delete(self, index: Index, chosen: Node | list[str]) -> None:
        for operation in await self._deleting(index, chosen):
            await self._change(index, [operation])

    async def _deleting(self, index: Index, chosen: Node | list[str]) -> list[Any]:
        """The operations that delete these."""
        if chosen == NOTHING:
            return []
        if not isinstance(chosen, list):
            sent, exact = translated(chosen)
            if exact and sent is not None:
                return [models.DeleteOperation(delete=models.FilterSelector(filter=sent))]
        return [
            models.DeleteOperation(delete=models.PointIdsList(points=list(keys)))
            async for keys in self._chosen_points(index, chosen)
        ]

    async def _chosen_points(
        self, index: Index, chosen: Node | list[str]
    ) -> AsyncIterator[Sequence[PointId]]:
        """The ids of the points that are chosen, some at a time; all of them are known first."""
        if isinstance(chosen, list):
            keys = [point_id(name) for name in chosen]
        else:
            keys = [key async for key in self._matching(index, chosen)]
        for start in range(0, len(keys), PAGE):
            yield keys[start : start + PAGE]

    async def _matching(self, index: Index, where: Node) -> AsyncIterator[PointId]:
        if where == NOTHING:
            return
        sent, _ = translated(where)
        offset: Any = None
        while True:
            records, offset = await self._client.scroll(
                index.name, scroll_filter=sent, limit=PAGE, offset=offset, with_payload=True
            )
            for one in records:
                read = Read(cast("PointId", one.id), one.payload)
                if holds(where, read.metadata):
                    yield read.key
            if offset is None:
                return

    async def _change(self, index: Index, operations: Sequence[Any]) -> None:
        await self._client.batch_update_points(
            index.name, update_operations=list(operations), wait=True
        )

    async def _close(self) -> None:
        await self._connection.close()

    def _translate(self, error: Exception, doing: str) -> Exception:
        if isinstance(error, MastraError):
            return error
        text = f"{self!r} could not {doing}"
        if isinstance(error, UnexpectedResponse):
            code = error.status_code or 0
            kind = STATUS.get(code, UnavailableError if code >= 500 else StorageError)
            return kind(f"{text}: the server answered {code}: {_reason(error)}")
        if isinstance(error, (ResponseHandlingException, httpx.HTTPError, OSError)):
            source = error.source if isinstance(error, ResponseHandlingException) else error
            return UnavailableError(f"{text}: {type(source).__name__}: {source}")
        if isinstance(error, asyncio.TimeoutError):
            return UnavailableError(f"{text}: it took too long")
        return super()._translate(error, doing)


def _reason(error: UnexpectedResponse) -> str:
    """What the server says, without what it was sent."""
    try:
        said: Any = error.structured()
        return str(said["status"]["error"])[:500]
    except (ValueError, KeyError, TypeError):
        return error.reason_phrase
