"""``UpstashVector``: an index of Upstash Vector, in whose namespaces our indexes are."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, ClassVar, Final, Unpack

from mastra_core.errors import InvalidArgumentError, LimitExceededError
from mastra_core.storage.portions import portions
from mastra_core.vector.base import MastraVector
from mastra_core.vector.checks import unknown
from mastra_core.vector.filters import NOTHING, Node, holds
from mastra_core.vector.schema import Index, Item, Match, Nearest
from mastra_upstash.vector_filters import translated
from mastra_upstash.vector_rows import Row, Stored, beside, changed, padded, whole
from mastra_upstash.vector_search import TOP_K, Search
from mastra_upstash.vector_service import ERRORS, Gone, Info, Page, ServiceError, Updated
from mastra_upstash.vector_settings import UpstashVectorOptions, connected

# What one request of the service takes and answers.
BATCH: Final = 1000
REQUEST_BYTES: Final = 4_000_000
NUMBER_BYTES: Final = 20
AT_ONCE: Final = 8
# Where our indexes are described; no index can have this name.
REGISTRY: Final = "mastra:indexes"
FIRST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 0.5


class UpstashVector(MastraVector):
    """Vectors in an index of Upstash Vector, whose namespaces are indexes here.

    All of them have its metric, and at most its dimension: shorter vectors are filled up with
    noughts, which change neither angles nor distances. ``options`` are ``UpstashVectorOptions``.
    """

    name: ClassVar[str] = "Upstash Vector"
    texts = ERRORS
    exact: ClassVar[bool] = False
    batch: ClassVar[int] = BATCH
    metrics: ClassVar[frozenset[str]] = frozenset({"cosine", "euclidean"})
    index_names: ClassVar[str] = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
    # Nothing of the service is conditional, so who creates an index waits for others who just did
    # not see it, and looks which of them was the last.
    claim_seconds: ClassVar[float] = 0.25

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        url: str,
        **options: Unpack[UpstashVectorOptions],
    ) -> None:
        super().__init__(id=id)
        self._settings, self._service, self.place = connected(url, options)
        # The index of the service has one metric, which is not known before the first request.
        self.metrics = frozenset({self._settings.metric})  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
        self._dimension: int | None = None
        # Indexes of more vectors than a search looks through.
        self._large: set[str] = set()

    async def _find_index(self, name: str) -> Index | None:
        info, dimension = await asyncio.gather(self._info(), self._described(name))
        space = info.namespaces.get(name)
        if dimension is None and (space is None or not space.used):
            return None
        found = info.dimension if dimension is None else dimension
        return Index(name=name, dimension=found, metric=self._settings.metric)

    async def _create_index(
        self, index: Index, options: Any, metadata_indexes: tuple[str, ...]
    ) -> None:
        dimension = await self._width()
        if index.dimension > dimension:
            raise InvalidArgumentError(
                f"index {index.name!r} cannot have {index.dimension} dimensions: the index of Upstash "
                f"Vector at {self.place} has {dimension}"
            )
        described = {"dimension": index.dimension, "metric": index.metric}
        # (A vector that is all noughts has no direction.)
        vector = [1.0] + [0.0] * (dimension - 1)
        entry = {"id": index.name, "vector": vector, "metadata": described}
        await self._service.ask(str, "upsert", [entry], space=REGISTRY)
        self._large.discard(index.name)
        await asyncio.sleep(self.claim_seconds)

    async def _list_indexes(self) -> list[str]:
        info = await self._info()
        names = {name for name, space in info.namespaces.items() if space.used}
        async for rows in self._pages(REGISTRY):
            names.update(row.key for row in rows)
        return [name for name in names if self._can_be(name)]

    async def _count(self, index: Index) -> int:
        space = (await self._settled(index)).namespaces.get(index.name)
        return 0 if space is None else space.vector_count

    async def _delete_index(self, index: Index) -> None:
        self._large.discard(index.name)
        await self._service.ask(Gone, "delete", {"ids": [index.name]}, space=REGISTRY)
        try:
            await self._service.ask(str, "delete-namespace", space=index.name)
        except ServiceError as error:
            # Nothing was ever stored in it.
            if "does not exist" not in str(error) and "not found" not in str(error).lower():
                raise

    async def _upsert(
        self, index: Index, items: Sequence[Item], stale: Node | list[str] | None
    ) -> None:
        # What is too large is told before anything is sent.
        besides = [beside(item.metadata_json, item.document, item.id) for item in items]
        dimension = await self._width()
        await self._present(index)
        if stale is not None:
            await self._delete(index, stale)
        sizes = [dimension * NUMBER_BYTES + kept.size for kept in besides]
        pairs = list(zip(items, besides, strict=True))
        for part in portions(pairs, sizes, BATCH, REQUEST_BYTES):
            sent = [
                Stored(item.id, padded(item.vector, dimension), kept.metadata, kept.data)
                for item, kept in part
            ]
            await self._service.ask(str, "upsert", sent, space=index.name)
        await self._settled(index)

    async def _query(self, index: Index, wanted: Sequence[Nearest]) -> list[list[Match]]:
        where = wanted[0].where
        if where == NOTHING:
            return [[] for _ in wanted]
        sent = translated(where)
        searches = [Search(index, one, sent) for one in wanted]
        await self._ask(index, searches)
        wider = [search for search in searches if search.widen()]
        if wider:
            await self._ask(index, wider)
        short = [search for search in searches if search.short]
        if short and await self._may_look(index, short):
            await self._look_through(index, short)
        if not any(search.found for search in searches):
            await self._present(index)
        return [list(search.found.values()) for search in searches]

    async def _ask(self, index: Index, searches: Sequence[Search]) -> None:
        dimension = await self._width()
        several = max(1, REQUEST_BYTES // (dimension * NUMBER_BYTES))
        for start in range(0, len(searches), several):
            part = searches[start : start + several]
            asked = [search.request(dimension) for search in part]
            answers = await self._service.ask(list[list[Row]], "query", asked, space=index.name)
            for search, rows in zip(part, answers, strict=True):
                search.take(rows)

    async def _may_look(self, index: Index, short: Sequence[Search]) -> bool:
        """Whether the index is small enough to look at all of it; else the answers may have to do."""
        most = self._settings.scan
        if index.name not in self._large:
            space = (await self._info()).namespaces.get(index.name)
            if space is None or space.vector_count + space.pending_vector_count <= most:
                return space is not None
            self._large.add(index.name)
        if any(search.full for search in short):
            raise LimitExceededError(
                f"the search of {index.name!r} may have more results: Upstash Vector finds {TOP_K:,} at "
                f"once, and the index has more than {most:,} vectors, too many to look at all of them; "
                "ask for fewer, add an equality to the filter, or raise scan"
            )
        return False

    async def _look_through(self, index: Index, short: Sequence[Search]) -> None:
        """Look at the metadata of all vectors, and find what the service left out."""
        names = [name async for name in self._matching(index, short[0].wanted.where)]
        missing = [name for name in names if any(name not in search.found for search in short)]
        async for rows in self._fetched(index, missing, vectors=True):
            for search in short:
                search.add(rows)

    async def _matching(self, index: Index, where: Node | None) -> AsyncIterator[str]:
        """The ids of all vectors that match; all of them are looked at."""
        async for rows in self._pages(index.name):
            unsure: list[str] = []
            for row in rows:
                if not row.complete:
                    unsure.append(row.key)
                elif holds(where, whole(row).metadata or {}):
                    yield row.key
            async for found in self._fetched(index, unsure, vectors=False):
                for row in found:
                    if holds(where, whole(row).metadata or {}):
                        yield row.key

    async def _update(
        self,
        index: Index,
        chosen: Node | list[str],
        vector: array[float] | None,
        metadata_json: str | None,
    ) -> None:
        dimension = await self._width()
        names = (
            chosen
            if isinstance(chosen, list)
            else [name async for name in self._matching(index, chosen)]
        )
        given = {} if vector is None else {"vector": padded(vector, dimension)}
        changes = [{"id": name, **given} for name in names]
        if metadata_json is not None:
            changes = [
                {**given, **changed(row, metadata_json)}
                async for rows in self._fetched(index, names, vectors=False)
                for row in rows
            ]
        for start in range(0, len(changes), AT_ONCE):
            part = changes[start : start + AT_ONCE]
            calls = [self._service.ask(Updated, "update", one, space=index.name) for one in part]
            await asyncio.gather(*calls)
        if changes:
            await self._settled(index)

    async def _delete(self, index: Index, chosen: Node | list[str]) -> None:
        if isinstance(chosen, list):
            for start in range(0, len(chosen), BATCH):
                body = {"ids": chosen[start : start + BATCH]}
                await self._service.ask(Gone, "delete", body, space=index.name)
            return
        sent = translated(chosen)
        if sent is not None and sent.exact:
            await self._service.ask(Gone, "delete", {"filter": sent.text}, space=index.name)
        elif chosen != NOTHING:
            names = [name async for name in self._matching(index, chosen)]
            await self._delete(index, names)

    async def _close(self) -> None:
        self._dimension = None
        self._large.clear()
        await self._service.close()

    async def _info(self) -> Info:
        """What the service says of itself; it must measure as we were told."""
        info = await self._service.ask(Info, "info")
        self._settings.check(info.similarity_function, self.place)
        self._dimension = info.dimension
        return info

    async def _width(self) -> int:
        """The dimension of the service's index."""
        return self._dimension or (await self._info()).dimension

    async def _described(self, name: str) -> int | None:
        """The dimension of an index that was created here."""
        body = {"ids": [name], "includeMetadata": True}
        (row,) = await self._service.ask(list[Row | None], "fetch", body, space=REGISTRY)
        dimension = None if row is None else (row.metadata or {}).get("dimension")
        return dimension if isinstance(dimension, int) else None

    async def _present(self, index: Index) -> None:
        """Refuse what is no index any more: writing would make a namespace of it again."""
        if await self._described(index.name) is None and await self._find_index(index.name) is None:
            raise unknown(index.name)

    async def _settled(self, index: Index) -> Info:
        """Wait, not for ever, until searches see what was stored."""
        deadline = asyncio.get_running_loop().time() + self._settings.settle
        pause = FIRST_PAUSE
        while True:
            info = await self._info()
            space = info.namespaces.get(index.name)
            if space is None or not space.pending_vector_count:
                return info
            if asyncio.get_running_loop().time() + pause > deadline:
                return info
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _pages(self, space: str) -> AsyncIterator[list[Row]]:
        """All vectors of a namespace with their metadata, a page at a time."""
        cursor = "0"
        while cursor:
            body = {"cursor": cursor, "limit": BATCH, "includeMetadata": True}
            page = await self._service.ask(Page, "range", body, space=space)
            yield page.vectors
            cursor = page.next_cursor

    async def _fetched(
        self, index: Index, names: Sequence[str], *, vectors: bool
    ) -> AsyncIterator[list[Row]]:
        """The vectors with these ids that are there, some at a time."""
        for part in self._portions(names, await self._width() if vectors and names else 1):
            body = {
                "ids": part,
                "includeMetadata": True,
                "includeData": True,
                "includeVectors": vectors,
            }
            rows = await self._service.ask(list[Row | None], "fetch", body, space=index.name)
            yield [row for row in rows if row is not None]

    def _portions(self, names: Sequence[str], dimension: int) -> Iterator[Sequence[str]]:
        size = max(1, min(BATCH, REQUEST_BYTES // (dimension * NUMBER_BYTES)))
        for start in range(0, len(names), size):
            yield names[start : start + size]
