"""``ChromaVector``: an index is a collection of Chroma, a vector one of its records."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, Final, TypeVar, Unpack

import httpx

from mastra_chroma.filters import Where, translated
from mastra_chroma.records import (
    NO_DOCUMENT,
    VECTOR,
    Held,
    Read,
    held_of,
    metadata_of,
    numbers,
    replacing,
)
from mastra_chroma.search import Search
from mastra_chroma.service import MISSING, Body, Collection, Metadata, RefusedError, Rows
from mastra_chroma.settings import ChromaOptions, IndexOptions, connected
from mastra_core.errors import (
    AuthenticationError,
    InvalidArgumentError,
    LimitExceededError,
    SchemaError,
    StorageError,
    UnavailableError,
)
from mastra_core.storage.codec import from_json
from mastra_core.storage.loops import Turns
from mastra_core.vector.base import MastraVector
from mastra_core.vector.checks import unknown
from mastra_core.vector.filters import NOTHING, Node, holds
from mastra_core.vector.schema import Index, Item, Match, Metric, Nearest

T = TypeVar("T")
SPACES: Final[dict[Metric, str]] = {"cosine": "cosine", "euclidean": "l2", "dotproduct": "ip"}
METRIC_OF: Final[dict[str, Metric]] = {space: metric for metric, space in SPACES.items()}
STATUS: Final[dict[int, type[StorageError]]] = {
    400: InvalidArgumentError,
    401: AuthenticationError,
    403: AuthenticationError,
    413: LimitExceededError,
    422: InvalidArgumentError,
    429: UnavailableError,
}
# How often what is just being changed is looked at again; what others wrote stays as it is.
ATTEMPTS: Final = 5
# Writers of one id in this process, whichever store they use.
TURNS: Final = Turns()


class ChromaVector(MastraVector):
    """Vectors in Chroma: a server, Chroma Cloud, or a folder; ``options`` are ``ChromaOptions``."""

    name: ClassVar[str] = "Chroma"
    exact: ClassVar[bool] = False
    index_options = IndexOptions
    index_names: ClassVar[str] = (
        r"(?!.*\.\.)(?![0-9]+(\.[0-9]+){3}$)[A-Za-z0-9][A-Za-z0-9._-]{1,126}[A-Za-z0-9]"
    )

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        **options: Unpack[ChromaOptions],
    ) -> None:
        super().__init__(id=id)
        self._service, self.place = connected(options)
        self._handles: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"ChromaVector(id={self.id!r}, at={self.place!r})"

    async def _find_index(self, name: str) -> Index | None:
        found = await self._service.find(name)
        if found is None:
            self._handles.pop(name, None)
            return None
        self._handles[name] = found.handle
        return _described(name, found)

    async def _create_index(
        self, index: Index, options: IndexOptions, metadata_indexes: tuple[str, ...]
    ) -> None:
        graph: Body = {
            "space": SPACES[index.metric],
            "ef_construction": options.ef_construction,
            "ef_search": options.ef_search,
            "max_neighbors": options.max_neighbors,
        }
        said = {name: value for name, value in graph.items() if value is not None}
        body: Body = {
            "metadata": {"dimension": index.dimension},
            "configuration": {"hnsw": said},
        }
        try:
            await self._service.create(index.name, body)
        except RefusedError:
            # Another may have made it meanwhile; what there is now is compared with what was wanted.
            if await self._service.find(index.name) is None:
                raise

    async def _list_indexes(self) -> list[str]:
        return [name for name in await self._service.names() if self._can_be(name)]

    async def _count(self, index: Index) -> int:
        return await self._at(index, self._service.count)

    async def _delete_index(self, index: Index) -> None:
        if self._service.leaks:
            # Lists of a collection that is deleted come up again in records of others.
            names = [name async for ids in self._pages(index, None) for name in ids]
            await self._delete(index, names)
        self._handles.pop(index.name, None)
        await self._service.drop(index.name)

    async def _upsert(
        self, index: Index, items: Sequence[Item], stale: Node | list[str] | None
    ) -> None:
        keep = self._keeps(index)
        made = [(item, metadata_of(item, keep_vector=keep)) for item in items]
        if stale is not None:
            await self._delete(index, stale)
        batch = self._service.batch
        for start in range(0, len(made), batch):
            await self._store(index, made[start : start + batch])

    async def _store(self, index: Index, made: Sequence[tuple[Item, Held]]) -> None:
        """Store some records as a whole: what Chroma would keep of older ones is taken away."""
        names = [item.id for item, _ in made]
        async with self._turns(index, names):
            old = await self._stored(index, names)
            metadatas: list[Held | None] = []
            documents: list[str | None] = []
            for item, held in made:
                metadata, document = held, item.document
                if item.id in old:
                    if document is None:
                        metadata, document = {**metadata, NO_DOCUMENT: True}, ""
                    metadata = replacing(old[item.id], metadata)
                metadatas.append(metadata or None)
                documents.append(document)
            body: Body = {
                "ids": names,
                "embeddings": [item.vector for item, _ in made],
                "metadatas": metadatas,
                "documents": documents,
            }
            await self._change(index, "upsert", body)

    async def _query(self, index: Index, wanted: Sequence[Nearest]) -> list[list[Match]]:
        if wanted[0].where == NOTHING:
            return [[] for _ in wanted]
        sent = translated(wanted[0].where)
        searches = [Search(index, one, limit=self._service.results) for one in wanted]
        while open_ := [search for search in searches if not search.done]:
            body = open_[0].body([search.wanted.vector for search in open_], sent)
            answers = await self._nearest(index, body)
            for search, rows in zip(open_, answers, strict=True):
                search.take(rows)
        short = [search for search in searches if search.short]
        if short:
            await self._look_through(index, short, sent)
        await self._mend(index, searches)
        return [list(search.found.values()) for search in searches]

    async def _nearest(self, index: Index, body: Body) -> list[Rows]:
        return await self._at(index, lambda handle: self._service.query(handle, body))

    async def _look_through(
        self, index: Index, short: Sequence[Search], sent: Where | None
    ) -> None:
        """Look at what the approximate searches left out, if they did."""
        names = [name async for ids in self._pages(index, sent) for name in ids]
        missing = [name for name in names if any(name not in one.seen for one in short)]
        await self._look_at(index, missing, short)

    async def _mend(self, index: Index, searches: Sequence[Search]) -> None:
        """Look again at what others changed meanwhile: a server reads vectors and metadata apart."""
        for _ in range(ATTEMPTS):
            torn = set[str]().union(*(search.torn for search in searches))
            if not torn:
                return
            await self._look_at(index, sorted(torn), searches)

    async def _look_at(
        self, index: Index, names: Sequence[str], searches: Sequence[Search]
    ) -> None:
        batch = self._service.batch
        for start in range(0, len(names), batch):
            part = list(names[start : start + batch])
            rows = await self._get(index, ["metadatas", "documents", "embeddings"], ids=part)
            for search in searches:
                search.add(rows)
                search.drop(set(part).difference(rows.ids))

    async def _update(
        self,
        index: Index,
        chosen: Node | list[str],
        vector: array[float] | None,
        metadata_json: str | None,
    ) -> None:
        names = await self._chosen_names(index, chosen)
        held = None if metadata_json is None else held_of(from_json(metadata_json))
        batch = self._service.batch
        for start in range(0, len(names), batch):
            part = names[start : start + batch]
            async with self._turns(index, part):
                await self._update_some(index, part, vector, held)

    async def _update_some(
        self, index: Index, names: Sequence[str], vector: array[float] | None, held: Held | None
    ) -> None:
        """Change those that are there; their documents stay."""
        kept = {VECTOR: numbers(vector)} if vector is not None and self._keeps(index) else {}
        # (A vector that is not there stays away: Chroma changes what it has.)
        there: list[str] = list(names)
        metadatas: list[Held] = [kept for _ in names]
        if held is not None:
            old = await self._stored(index, names)
            there = list(old)
            metadatas = [_changed(old[name], held, kept) for name in there]
        if not there:
            return
        body: Body = {"ids": there}
        if vector is not None:
            body["embeddings"] = [vector for _ in there]
        if any(metadatas):
            body["metadatas"] = [one or None for one in metadatas]
        if len(body) > 1:
            await self._change(index, "update", body)

    async def _delete(self, index: Index, chosen: Node | list[str]) -> None:
        names = await self._chosen_names(index, chosen)
        batch = self._service.batch
        for start in range(0, len(names), batch):
            await self._change(index, "delete", {"ids": names[start : start + batch]})

    async def _chosen_names(self, index: Index, chosen: Node | list[str]) -> list[str]:
        """The ids of the records that are chosen."""
        if isinstance(chosen, list):
            return chosen
        if chosen == NOTHING:
            return []
        found: list[str] = []
        async for names in self._pages(index, translated(chosen)):
            rows = await self._get(index, ["metadatas"], ids=names)
            metadatas = rows.metadatas or []
            for name, metadata in zip(rows.ids, metadatas, strict=True):
                if holds(chosen, Read(name, metadata).metadata):
                    found.append(name)
        return found

    async def _pages(self, index: Index, sent: Where | None) -> AsyncIterator[list[str]]:
        """The ids of the records that may match, some at a time."""
        batch, start = self._service.batch, 0
        where = {} if sent is None else {"where": sent}
        while True:
            rows = await self._get(index, [], limit=batch, offset=start, **where)
            if rows.ids:
                yield rows.ids
            start += batch
            if len(rows.ids) < batch:
                return

    async def _stored(self, index: Index, names: Sequence[str]) -> dict[str, Metadata]:
        """The metadata of those that are there."""
        rows = await self._get(index, ["metadatas"], ids=list(names))
        return dict(zip(rows.ids, rows.metadatas or [], strict=True))

    async def _get(self, index: Index, include: list[str], **asked: Any) -> Rows:
        body: Body = {"include": include, **asked}
        return await self._at(index, lambda handle: self._service.get(handle, body))

    async def _change(self, index: Index, verb: str, body: Body) -> None:
        await self._at(index, lambda handle: self._service.change(handle, verb, body))

    async def _at(self, index: Index, do: Callable[[Any], Awaitable[T]]) -> T:
        """Do it in the collection of an index, which may be another than when it was looked up."""
        handle = self._handles.get(index.name)
        if handle is not None:
            try:
                return await do(handle)
            except RefusedError as error:
                if error.status != MISSING:
                    raise
        if await self._find_index(index.name) is None:
            raise unknown(index.name)
        return await do(self._handles[index.name])

    def _turns(self, index: Index, names: Sequence[str]) -> AbstractAsyncContextManager[None]:
        """Hold the ids: between reading what a record has and replacing it nobody else may write."""
        return TURNS.all((self.place, index.name, name) for name in names)

    def _keeps(self, index: Index) -> bool:
        """Whether vectors are kept beside Chroma's: of cosines it gives back rounded ones."""
        return index.metric == "cosine" and not self._service.faithful

    async def _close(self) -> None:
        self._handles.clear()
        await self._service.close()

    def _translate(self, error: Exception, doing: str) -> Exception:
        text = f"{self!r} could not {doing}"
        if isinstance(error, RefusedError):
            kind = STATUS.get(error.status, StorageError)
            if "quota" in str(error).lower():
                kind = LimitExceededError
            elif kind is StorageError and error.status >= 500:
                kind = UnavailableError
            return kind(f"{text}: Chroma answered {error}")
        if isinstance(error, (httpx.HTTPError, OSError)):
            return UnavailableError(f"{text}: {type(error).__name__}: {error}")
        return super()._translate(error, doing)


def _described(name: str, found: Collection) -> Index:
    metric = METRIC_OF.get(found.space)
    dimension = found.metadata.get("dimension", found.dimension)
    if metric is None or not isinstance(dimension, int):
        raise SchemaError(
            f"the collection {name!r} is no index: it has the space {found.space!r} and "
            f"{'no' if not isinstance(dimension, int) else dimension} dimensions; create_index makes "
            "one that says both"
        )
    return Index(name=name, dimension=dimension, metric=metric)


def _changed(old: Metadata, held: Held, kept: Held) -> Held:
    """Other metadata for a record: what is kept of its vector and document stays."""
    before = old or {}
    stays: Held = {key: before[key] for key in (VECTOR, NO_DOCUMENT) if key in before}
    return replacing(before, {**stays, **held, **kept})
