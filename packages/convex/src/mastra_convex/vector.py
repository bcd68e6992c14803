"""``ConvexVector``: vectors in a deployment of Convex, compared exactly or by its vector search."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar, Final, Unpack

from mastra_convex.deployment import Deployment, FunctionThrew
from mastra_convex.errors import ERRORS, thrown
from mastra_convex.options import ConvexVectorOptions, place, vector_settings
from mastra_convex.vector_wire import (
    Change,
    Found,
    batches,
    each,
    filter_text,
    found,
    looking,
    packed,
    put,
)
from mastra_core.errors import InvalidArgumentError
from mastra_core.vector.base import MastraVector
from mastra_core.vector.checks import unknown
from mastra_core.vector.filters import NOTHING, Node, holds
from mastra_core.vector.schema import Index, Item, Match, Nearest

# What an array of Convex holds.
DIMENSIONS: Final = 8192
# What a vector search finds at most.
SEARCHED: Final = 256
# How many vectors one request looks at, if they have no more than six mebibytes.
PAGE: Final = 4000
# For how many vectors one request looks: each of them takes time of the function, which has a second.
AT_ONCE: Final = 50


class ConvexVector(MastraVector):
    """Vectors in a deployment, in the tables of the TypeScript framework; all measured by cosines.

    An index of at most ``scan`` vectors is looked at whole, so that what is found is exact. A larger
    one is searched by Convex where ``mastra-convex init --dimensions`` made it an index; whatever
    that does not answer (a filter that leaves too little of what it found, more than 256 results)
    is found by looking at all of it, a part at a time. ``options`` are ``ConvexVectorOptions``.
    """

    name: ClassVar[str] = "Convex"
    texts = ERRORS
    exact: ClassVar[bool] = False
    batch: ClassVar[int] = 500
    metrics: ClassVar[frozenset[str]] = frozenset({"cosine"})
    index_names: ClassVar[str] = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        deployment_url: str,
        admin_auth_token: str | None = None,
        **options: Unpack[ConvexVectorOptions],
    ) -> None:
        super().__init__(id=id)
        settings, self._scan = vector_settings(options)
        where = place(deployment_url, admin_auth_token)
        self.place = where.url
        self._functions = settings.functions
        self._deployment = Deployment(where, settings, options.get("client"))
        # Indexes of more vectors than are looked at, that Convex can search.
        self._large: set[str] = set()

    def _translate(self, error: Exception, doing: str) -> Exception:
        if isinstance(error, FunctionThrew):
            return thrown(error.data, f"{self!r} could not {doing}: {error}")
        return super()._translate(error, doing)

    async def _find_index(self, name: str) -> Index | None:
        answer = await self._deployment.call("query", "vectors:find", {"index": name})
        if answer is None:
            return None
        return Index(name=name, dimension=int(answer["dimension"]), metric="cosine")

    async def _create_index(
        self, index: Index, options: Any, metadata_indexes: tuple[str, ...]
    ) -> None:
        if index.dimension > DIMENSIONS:
            raise InvalidArgumentError(
                f"index {index.name!r} cannot have {index.dimension} dimensions: an array of Convex "
                f"has at most {DIMENSIONS} members"
            )
        self._large.discard(index.name)
        await self._deployment.call("mutation", "vectors:create", _named(index))

    async def _list_indexes(self) -> list[str]:
        names = [name async for answer in self._parts("list", {}) for name in answer["names"]]
        return [name for name in names if self._can_be(name)]

    async def _count(self, index: Index) -> int:
        return sum([int(part["count"]) async for part in self._parts("count", _named(index))])

    async def _delete_index(self, index: Index) -> None:
        self._large.discard(index.name)
        while not await self._deployment.call("mutation", "vectors:drop", {"index": index.name}):
            pass

    async def _upsert(
        self, index: Index, items: Sequence[Item], stale: Node | list[str] | None
    ) -> None:
        # What is too large is told before anything is sent.
        stored = [put(item) for item in items]
        chosen: Node | list[str] = [] if stale is None else stale
        gone = each("delete", await self._names(index, chosen))
        await self._change(index, [*gone, *stored], chosen)

    async def _query(self, index: Index, wanted: Sequence[Nearest]) -> list[list[Match]]:
        if wanted[0].where == NOTHING:
            if await self._find_index(index.name) is None:
                raise unknown(index.name)
            return [[] for _ in wanted]
        matches: list[list[Match]] = []
        for start in range(0, len(wanted), AT_ONCE):
            matches += await self._nearest(index, wanted[start : start + AT_ONCE])
        return matches

    async def _nearest(self, index: Index, wanted: Sequence[Nearest]) -> list[list[Match]]:
        """What is nearest to some vectors: searched for where that is enough, else looked for."""
        few = wanted[0].top_k <= SEARCHED
        if few and index.name in self._large:
            searched = await self._searched(index, wanted)
            if searched is not None:
                return searched
        rows: list[Found] = []
        first = self._scan if few else PAGE
        async for part, searchable in self._looked_at(index, wanted, wanted[0].where, first):
            if few and searchable and index.name not in self._large:
                self._large.add(index.name)
                searched = await self._searched(index, wanted)
                if searched is not None:
                    return searched
            rows += part
        return [[row.match(position) for row in rows] for position in range(len(wanted))]

    async def _searched(self, index: Index, wanted: Sequence[Nearest]) -> list[list[Match]] | None:
        """What Convex's search finds; nothing, where too little of that matches for one of them."""
        asked = {"asked": looking(index, wanted, wanted[0].where), "functions": self._functions}
        answers = await self._deployment.call("action", "vectors:search", asked)
        matches: list[list[Match]] = []
        for one, answer in zip(wanted, answers, strict=True):
            rows, rest = list(answer["rows"]), answer["rest"]
            while rest:
                arguments = {"asked": looking(index, [one], one.where), "ids": rest}
                more = await self._deployment.call("query", "vectors:among", arguments)
                rows += more["rows"]
                rest = more["rest"]
            kept = [row.match(0) for row in found(rows) if holds(one.where, row.metadata)]
            if len(kept) < one.top_k:
                return None
            matches.append(kept)
        return matches

    async def _looked_at(
        self, index: Index, wanted: Sequence[Nearest], where: Node | None, first: int = PAGE
    ) -> AsyncIterator[tuple[list[Found], bool]]:
        """What matches in each part of an index, and whether there is more that can be searched."""
        asked = looking(index, wanted, where)
        async for answer in self._parts("scan", {"asked": asked, "first": float(first)}):
            rows = list(found(answer["rows"]))
            if asked["metadata"]:
                rows = [row for row in rows if holds(where, row.metadata)]
            yield rows, answer["next"] is not None and bool(answer["searchable"])

    async def _parts(
        self, function: str, arguments: Mapping[str, Any]
    ) -> AsyncIterator[Mapping[str, Any]]:
        """The answers of a function that goes through ids, each from behind the one before."""
        behind: str | None = None
        while True:
            given = {**arguments, "from": behind}
            answer = await self._deployment.call("query", f"vectors:{function}", given)
            yield answer
            behind = answer["next"]
            if behind is None:
                return

    async def _names(self, index: Index, chosen: Node | list[str]) -> list[str]:
        """The ids that are chosen; a filter is applied to all vectors of the index."""
        if isinstance(chosen, list):
            return chosen
        if chosen == NOTHING:
            return []
        return [one.id async for rows, _ in self._looked_at(index, [], chosen) for one in rows]

    async def _update(
        self,
        index: Index,
        chosen: Node | list[str],
        vector: array[float] | None,
        metadata_json: str | None,
    ) -> None:
        changes = each("update", await self._names(index, chosen))
        values = None if vector is None else packed(vector)
        await self._change(index, changes, chosen, vector=values, metadata=metadata_json)

    async def _delete(self, index: Index, chosen: Node | list[str]) -> None:
        await self._change(index, each("delete", await self._names(index, chosen)), chosen)

    async def _change(
        self,
        index: Index,
        changes: Sequence[Change],
        chosen: Node | list[str],
        *,
        vector: bytes | None = None,
        metadata: str | None = None,
    ) -> None:
        """Send changes in parts; what was chosen by a filter must match it still."""
        where = None if isinstance(chosen, list) else filter_text(chosen)
        given = {**_named(index), "where": where, "vector": vector, "metadata": metadata}
        for part in batches(changes):
            left = part
            while left:
                arguments = {**given, "changes": left}
                done = await self._deployment.call("mutation", "vectors:write", arguments)
                left = left[int(done) :]

    async def _close(self) -> None:
        self._large.clear()
        await self._deployment.close()


def _named(index: Index) -> dict[str, Any]:
    return {"index": index.name, "dimension": float(index.dimension)}
