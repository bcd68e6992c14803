"""``MastraVector``: what every vector store does, over the few operations that an adapter gives."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from array import array
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, ClassVar, Final, Self, TypeVar

import msgspec

from mastra_core.errors import (
    ConfigurationError,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    SchemaError,
    StorageError,
    UnsupportedError,
)
from mastra_core.storage.codec import check_id
from mastra_core.storage.driver_errors import DriverErrors
from mastra_core.storage.paging import options as checked
from mastra_core.vector.checks import (
    described,
    fit,
    floats,
    items,
    least,
    listed,
    metadata_json,
    top,
    unknown,
)
from mastra_core.vector.filters import OPERATORS, Node, parse
from mastra_core.vector.schema import (
    METRICS,
    Filter,
    Index,
    IndexStats,
    Item,
    Match,
    Metric,
    Nearest,
    Vector,
    nearest_first,
)

T = TypeVar("T")
# What an index that is gone may look like.
UNCLEAR: Final = frozenset({StorageError, SchemaError, NotFoundError})


class NoOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of an index in a store that has none."""


class MastraVector(DriverErrors, ABC):
    """Indexes of vectors, each with an id, metadata and perhaps the text that it stands for.

    Public methods check and map errors; an adapter implements their underscored twins. Like a
    storage, a vector store may be made outside any event loop and used from several in turn; as a
    context manager it is closed at the end, and using it again opens it again.
    """

    # The operators of filters that the store can do; others raise before anything is sent.
    operators: ClassVar[frozenset[str]] = OPERATORS
    metrics: ClassVar[frozenset[str]] = frozenset(METRICS)
    # The frozen struct of what ``create_index`` takes as options; unknown ones are refused.
    index_options: ClassVar[type[msgspec.Struct]] = NoOptions
    index_names: ClassVar[str] = r"[A-Za-z_][A-Za-z0-9_]{0,62}"
    # What stands between the parts of the names that a memory gives its indexes.
    index_separator: ClassVar[str] = "_"
    # How many vectors one request of the store takes.
    batch: ClassVar[int] = 1000
    # Whether a query finds the nearest always. Otherwise it does among a few hundred vectors, and
    # 95 of 100 of them on average among more; how many match a filter is exact for all.
    exact: ClassVar[bool] = True
    # In how many bits a number is kept, 32 or 16: so rounded vectors are compared and come back.
    bits: ClassVar[int] = 32

    def __init__(self, *, id: str) -> None:  # noqa: A002 (the original's name)
        if not isinstance(id, str) or not id.strip():
            raise ConfigurationError(f"{type(self).__name__}: id must be provided and not empty")
        self.id = id
        self._indexes: dict[str, Index] = {}

    async def create_index(
        self,
        index_name: str,
        *,
        dimension: int,
        metric: Metric = "cosine",
        options: Mapping[str, Any] | None = None,
        metadata_indexes: Sequence[str] = (),
    ) -> None:
        """Create an index, unless it is there with this dimension and metric.

        One that is there with others is a ``ConflictError``. ``options`` are the store's own
        (``index_options``), ``metadata_indexes`` name the keys that filters will ask for most.
        """
        if not self._can_be(index_name):
            raise InvalidArgumentError(
                f"{index_name!r} cannot be the name of an index here; it must match {self.index_names}"
            )
        wanted = described(index_name, dimension, metric)
        if metric not in self.metrics:
            raise UnsupportedError(
                f"{self.name} has no {metric} metric; it has {', '.join(sorted(self.metrics))}"
            )
        given = checked(self.index_options, options or {}, f"options of a {self.name} index")
        keys = tuple(listed(metadata_indexes, "metadata_indexes", "metadata keys"))
        if not all(isinstance(key, str) and key for key in keys):
            raise InvalidArgumentError(f"metadata_indexes must be non-empty strings, not {keys!r}")
        doing = f"create the index {index_name!r}"
        there = await self._do(self._find_index(index_name), doing)
        if there is None:
            await self._do(self._create_index(wanted, given, keys), doing)
            there = await self._do(self._find_index(index_name), doing)
        if there is not None and there != wanted:
            raise ConflictError(
                f"index {index_name!r} is there with {there.dimension} dimensions and the metric "
                f"{there.metric}, not {dimension} and {metric}; take another name, or delete_index"
            )
        self._indexes[index_name] = wanted

    async def list_indexes(self) -> list[str]:
        """The names of all indexes, sorted."""
        return sorted(await self._do(self._list_indexes(), "list the indexes"))

    async def describe_index(self, index_name: str) -> IndexStats:
        """How many vectors an index has, and of what kind; an unknown one is a ``NotFoundError``."""
        self._indexes.pop(index_name, None)
        index = await self._index(index_name)
        counting = self._count(index)
        count = await self._in(index, counting, f"count the vectors of {index_name!r}")
        return IndexStats(dimension=index.dimension, count=count, metric=index.metric)

    async def delete_index(self, index_name: str) -> None:
        """Delete an index with all its vectors; an unknown one is no error."""
        if not self._can_be(index_name):
            return
        self._indexes.pop(index_name, None)
        doing = f"delete the index {index_name!r}"
        index = await self._do(self._find_index(index_name), doing)
        if index is not None:
            await self._do(self._delete_index(index), doing)

    async def upsert(
        self,
        index_name: str,
        *,
        vectors: Sequence[Vector],
        ids: Sequence[str] | None = None,
        metadata: Sequence[Mapping[str, Any] | None] | None = None,
        documents: Sequence[str | None] | None = None,
        delete_filter: Filter | None = None,
    ) -> list[str]:
        """Store vectors, each over the one with its id if there is one; their ids.

        Without ``ids`` new ones are made. Of an id given twice the last vector is stored.
        ``documents`` are the texts that the vectors stand for. What matches ``delete_filter`` is
        deleted before: in one step with the rest where the store has transactions.
        """
        given = [floats(one) for one in listed(vectors, "vectors", "vectors")]
        names, made = items(given, ids=ids, metadata=metadata, documents=documents)
        stale = self._chosen(delete_filter) if delete_filter is not None else None
        index = await self._fitting(index_name, given)
        if made or stale is not None:
            writing = self._upsert(index, made, stale)
            await self._in(index, writing, f"store vectors in {index_name!r}")
        return names

    async def query(
        self,
        index_name: str,
        *,
        query_vector: Vector,
        top_k: int = 10,
        filter: Filter | None = None,  # noqa: A002 (the original's name)
        min_score: float | None = None,
        include_vector: bool = False,
    ) -> list[Match]:
        """The ``top_k`` nearest vectors that match the filter (see ``filters``), the nearest first.

        Of equal scores the lower id comes first. ``min_score`` leaves out what scores lower.
        """
        found = await self.query_many(
            index_name,
            query_vectors=[query_vector],
            top_k=top_k,
            filter=filter,
            min_score=min_score,
            include_vector=include_vector,
        )
        return found[0]

    async def query_many(
        self,
        index_name: str,
        *,
        query_vectors: Sequence[Vector],
        top_k: int = 10,
        filter: Filter | None = None,  # noqa: A002 (the original's name)
        min_score: float | None = None,
        include_vector: bool = False,
    ) -> list[list[Match]]:
        """The same for several vectors, in one round trip where the store can; a list for each."""
        bound, least_score, where = top(top_k), least(min_score), self._parsed(filter)
        vectors = [floats(one) for one in listed(query_vectors, "query_vectors", "vectors")]
        index = await self._fitting(index_name, vectors)
        wanted = [
            Nearest(
                vector=vector,
                top_k=bound,
                where=where,
                min_score=least_score,
                include_vector=include_vector,
            )
            for vector in vectors
        ]
        if not wanted:
            return []
        found = await self._in(index, self._query(index, wanted), f"search {index_name!r}")
        return [nearest_first(matches, wanted[0]) for matches in found]

    async def update_vector(
        self,
        index_name: str,
        *,
        id: str | None = None,  # noqa: A002 (the original's name)
        filter: Filter | None = None,  # noqa: A002 (the original's name)
        vector: Vector | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Give a vector (by id), or all that match a filter, another value, other metadata, or both.

        Metadata are replaced as a whole; what is not given stays. Unknown ids are no error.
        """
        if id is not None and filter is not None:
            raise InvalidArgumentError("id and filter are mutually exclusive")
        if id is None and filter is None:
            raise InvalidArgumentError("Either id or filter must be provided")
        if vector is None and metadata is None:
            raise InvalidArgumentError("No updates provided: give a vector, metadata, or both")
        chosen = [check_id(id, "id")] if id is not None else self._chosen(filter)
        values = None if vector is None else floats(vector)
        text = None if metadata is None else metadata_json(metadata)
        index = await self._fitting(index_name, [] if values is None else [values])
        changing = self._update(index, chosen, values, text)
        await self._in(index, changing, f"update vectors of {index_name!r}")

    async def delete_vector(self, index_name: str, *, id: str) -> None:  # noqa: A002
        """Delete a vector by id; an unknown id is no error."""
        await self.delete_vectors(index_name, ids=[id])

    async def delete_vectors(
        self,
        index_name: str,
        *,
        ids: Sequence[str] | None = None,
        filter: Filter | None = None,  # noqa: A002 (the original's name)
    ) -> None:
        """Delete vectors by ids, or all that match a filter; unknown ids are no error."""
        if ids is not None and filter is not None:
            raise InvalidArgumentError("ids and filter are mutually exclusive")
        names = None if ids is None else listed(ids, "ids", "strings")
        if names is not None and not len(names):
            raise InvalidArgumentError("Cannot delete by an empty ids array")
        if ids is None and filter is None:
            raise InvalidArgumentError("Either filter or ids must be provided")
        chosen = self._chosen(filter)
        if names is not None:
            chosen = list(dict.fromkeys(check_id(one, "id") for one in names))
        index = await self._index(index_name)
        deleting = self._delete(index, chosen)
        await self._in(index, deleting, f"delete vectors of {index_name!r}")

    async def close(self) -> None:
        """Release what was opened; safe to call twice, and using the store again opens it again."""
        self._indexes.clear()
        await self._do(self._close(), "close")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r})"

    def _can_be(self, name: object) -> bool:
        """Whether an index can have this name here: no other one ever reaches an adapter."""
        if not isinstance(name, str):
            raise InvalidArgumentError(f"an index has a name, a string, not {type(name).__name__}")
        return re.fullmatch(self.index_names, name) is not None

    async def _index(self, name: str) -> Index:
        """The index of this name; looked up once, and again after an error."""
        possible = self._can_be(name)
        known = self._indexes.get(name)
        if known is None:
            doing = f"look up the index {name!r}"
            known = await self._do(self._find_index(name), doing) if possible else None
            if known is None:
                raise unknown(name)
            self._indexes[name] = known
        return known

    async def _fitting(self, name: str, vectors: Sequence[array[float]]) -> Index:
        """The index, whose length these vectors have; it may be another than when it was looked up."""
        known = self._indexes.get(name) if self._can_be(name) else None
        if known is not None and any(len(vector) != known.dimension for vector in vectors):
            del self._indexes[name]
        index = await self._index(name)
        fit(vectors, index)
        return index

    async def _do(self, work: Awaitable[T], doing: str) -> T:
        """Do it; a driver's error as ours."""
        try:
            return await work
        except Exception as error:
            raise self._translate(error, doing) from error

    async def _in(self, index: Index, work: Awaitable[T], doing: str) -> T:
        """Do it in an index; if it fails because the index is gone meanwhile, say that."""
        try:
            return await self._do(work, doing)
        except Exception as error:
            self._indexes.pop(index.name, None)
            if type(error) in UNCLEAR and await self._gone(index):
                raise unknown(index.name) from error
            raise

    async def _gone(self, index: Index) -> bool:
        try:
            return await self._find_index(index.name) is None
        except Exception:  # noqa: BLE001 (the error that made us look is the one to tell)
            return False

    def _parsed(self, given: Filter | None) -> Node | None:
        return parse(given, operators=self.operators, store=self.name)

    def _chosen(self, given: Filter | None) -> Node | list[str]:
        """The tree of a filter that chooses what is changed, which must leave something out."""
        if given is None:
            return []
        node = self._parsed(given)
        if node is None:
            raise InvalidArgumentError("Cannot change vectors by an empty filter: it matches all")
        return node

    @abstractmethod
    async def _find_index(self, name: str) -> Index | None:
        """The index of this name, if there is one."""

    @abstractmethod
    async def _create_index(
        self, index: Index, options: Any, metadata_indexes: tuple[str, ...]
    ) -> None:
        """Create the index; another process may be doing the same."""

    @abstractmethod
    async def _list_indexes(self) -> list[str]: ...

    @abstractmethod
    async def _count(self, index: Index) -> int: ...

    @abstractmethod
    async def _delete_index(self, index: Index) -> None: ...

    @abstractmethod
    async def _upsert(
        self, index: Index, items: Sequence[Item], stale: Node | list[str] | None
    ) -> None:
        """Delete what is stale, and store the items (whose ids differ) in batches."""

    @abstractmethod
    async def _query(self, index: Index, wanted: Sequence[Nearest]) -> list[list[Match]]:
        """For each what is nearest: ``top_k`` of them whenever that many match."""

    @abstractmethod
    async def _update(
        self,
        index: Index,
        chosen: Node | list[str],
        vector: array[float] | None,
        metadata_json: str | None,
    ) -> None: ...

    @abstractmethod
    async def _delete(self, index: Index, chosen: Node | list[str]) -> None: ...

    async def _close(self) -> None:
        """Release what was opened; nothing by default."""
