"""Random sequences of calls of a vector store, and their play beside the store in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st

from mastra_conformance.suite.hostile import same
from mastra_conformance.vector_lab import index_name
from mastra_conformance.vector_rows import CLOSE, close, kept
from mastra_core.errors import MastraError
from mastra_core.vector import InMemoryVector, MastraVector, Match
from mastra_core.vector.schema import Metric

# One call: its name below, and its arguments.
Call: TypeAlias = tuple[str, dict[str, Any]]

IDS: Final = tuple("abcdefgh")
NUMBERS: Final = (0.0, 0.0, 1.0, -1.0, 0.5, 2.0, 0.1)
KEYS: Final = ("k", "j", "n", "ключ", "a b")
PATHS: Final = (*KEYS, "n.k", "n.j", "n.k.x")
SCALARS: Final[list[Any]] = [
    True,
    False,
    0,
    1,
    2,
    -1.5,
    1.0,
    "",
    "1",
    "a",
    "ab",
    "AB",
    "true",
    "%",
    "it's",
    "😀",
]
DEPTH: Final = 2
DOCUMENTS: Final = (None, None, "", "text", "it's 😀", "a\0b")

scalars: st.SearchStrategy[Any] = st.sampled_from(SCALARS)
leaves: st.SearchStrategy[Any] = st.one_of(
    scalars, st.none(), st.lists(st.one_of(scalars, st.none()), max_size=3)
)
objects: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(KEYS),
    st.one_of(leaves, st.dictionaries(st.sampled_from(["k", "j", "x"]), leaves, max_size=2)),
    max_size=3,
)
numbers = st.lists(st.sampled_from(NUMBERS), min_size=3, max_size=3)
items: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "id": st.sampled_from(IDS),
        "vector": numbers,
        "metadata": st.one_of(st.none(), objects, objects),
        "document": st.sampled_from(DOCUMENTS),
    }
)


maybe_scalars: st.SearchStrategy[Any] = st.one_of(scalars, st.none())
ordered: st.SearchStrategy[Any] = st.sampled_from([0, 1, 1.5, "", "a", "ab"])
OPERANDS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "$eq": maybe_scalars,
    "$ne": maybe_scalars,
    **dict.fromkeys(("$gt", "$gte", "$lt", "$lte"), ordered),
    "$in": st.lists(maybe_scalars, max_size=3),
    "$nin": st.lists(maybe_scalars, max_size=3),
    "$exists": st.booleans(),
    "$contains": st.one_of(scalars, st.lists(scalars, max_size=2)),
}


@st.composite
def conditions(draw: st.DrawFn, operators: frozenset[str]) -> Any:
    """What may stand behind a key: a plain value, or one or two operators, perhaps negated."""
    known = sorted(OPERANDS.keys() & operators)
    if "$eq" in operators and draw(st.integers(0, 3)) == 0:
        return draw(maybe_scalars)
    names = draw(st.lists(st.sampled_from(known), min_size=1, max_size=2, unique=True))
    found: dict[str, Any] = {name: draw(OPERANDS[name]) for name in names}
    return {"$not": found} if "$not" in operators and draw(st.integers(0, 4)) == 0 else found


@st.composite
def filters(draw: st.DrawFn, operators: frozenset[str], depth: int = 0) -> dict[str, Any]:
    """Filters of the operators that a store has, nested, of several keys each."""
    paths = draw(st.lists(st.sampled_from(PATHS), max_size=2, unique=True))
    found: dict[str, Any] = {path: draw(conditions(operators)) for path in paths}
    logical = sorted({"$and", "$or", "$nor", "$not"} & operators)
    if logical and depth < DEPTH and draw(st.booleans()):
        name = draw(st.sampled_from(logical))
        inner = filters(operators, depth + 1)
        found[name] = draw(inner if name == "$not" else st.lists(inner, max_size=3))
    return found or {draw(st.sampled_from(PATHS)): draw(conditions(operators))}


def vector_programs(operators: frozenset[str]) -> st.SearchStrategy[list[Call]]:
    """Programs that begin with some vectors, and go on with anything."""
    given = filters(operators)
    some = st.lists(st.sampled_from(IDS), min_size=1, max_size=3)
    calls = st.one_of(
        _call("store", items=st.lists(items, max_size=4), stale=st.none()),
        _call("store", items=st.lists(items, max_size=2), stale=given),
        _call("change", id=st.sampled_from(IDS), filter=st.none(), **_changes()),
        _call("change", id=st.none(), filter=given, **_changes()),
        _call("remove", ids=some, filter=st.none()),
        _call("remove", ids=st.none(), filter=given),
        _call("count"),
        _search(st.one_of(st.none(), given)),
        _search(given),
        _search(given),
    )
    first = st.lists(items, min_size=2, max_size=8)
    return st.builds(
        _begun,
        first,
        st.lists(calls, min_size=1, max_size=8),
    )


def _begun(items: list[dict[str, Any]], more: list[Call]) -> list[Call]:
    return [("store", {"items": items, "stale": None}), *more]


def _call(name: str, /, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    return st.tuples(st.just(name), st.fixed_dictionaries(arguments))


def _changes() -> dict[str, st.SearchStrategy[Any]]:
    return {
        "vector": st.one_of(st.none(), numbers),
        "metadata": st.one_of(st.none(), objects),
    }


def _search(given: st.SearchStrategy[Any]) -> st.SearchStrategy[Call]:
    return _call(
        "search",
        vectors=st.lists(numbers, min_size=1, max_size=2),
        top_k=st.sampled_from([1, 2, 3, 100]),
        filter=given,
        min_score=st.sampled_from([None, None, None, 0.0, 0.5, -0.5]),
        include_vector=st.booleans(),
    )


class VectorPlayer:
    """Plays programs on a vector store and on one in memory; what they know must be the same."""

    def __init__(self, store: MastraVector, metric: Metric) -> None:
        self.store = store
        self.metric: Metric = metric
        self.index = index_name(store)
        self._ready = False

    async def play(self, program: Sequence[Call]) -> None:
        """One program, in an index that is emptied for it."""
        reference = InMemoryVector()
        reference.operators = self.store.operators  # type: ignore[misc]
        reference.index_names = self.store.index_names  # type: ignore[misc]
        await reference.create_index(self.index, dimension=3, metric=self.metric)
        if not self._ready:
            await self.store.create_index(self.index, dimension=3, metric=self.metric)
            self._ready = True
        await self.store.delete_vectors(self.index, ids=IDS)
        everything: Call = (
            "search",
            {"vectors": [[1.0, 0.5, 0.1]], "top_k": 100, "filter": None, "include_vector": True},
        )
        for name, given in [*program, everything]:
            call, arguments = CALLS[name], self._exact(given)
            wanted = await _outcome(call(reference, self.index, arguments))
            found = await _outcome(call(self.store, self.index, arguments))
            if name == "search" and found[0] == wanted[0] == "answered":
                await self._compare(reference, found[1], arguments)
            else:
                assert found == wanted, ("the answers differ", name, found, "reference", wanted)

    def _exact(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments with numbers that the store keeps as they are."""
        found = dict(given)
        if found.get("vectors") is not None:
            found["vectors"] = [kept(self.store, one) for one in found["vectors"]]
        if found.get("vector") is not None:
            found["vector"] = kept(self.store, found["vector"])
        if found.get("items") is not None:
            found["items"] = [
                {**item, "vector": kept(self.store, item["vector"])} for item in found["items"]
            ]
        return found

    async def _compare(
        self,
        reference: MastraVector,
        found: Sequence[Sequence[Match]],
        arguments: Mapping[str, Any],
    ) -> None:
        every = await reference.query_many(
            self.index,
            query_vectors=arguments["vectors"],
            top_k=10_000,
            filter=arguments["filter"],
            include_vector=arguments["include_vector"],
        )
        for matches, right in zip(found, every, strict=True):
            problem = differs(
                matches, right, top_k=arguments["top_k"], least=arguments.get("min_score")
            )
            assert not problem, ("the search differs", problem, matches, "reference", right)


def differs(
    found: Sequence[Match], right: Sequence[Match], *, top_k: int, least: float | None
) -> str:
    """What is wrong with an answer, given all that match and their scores; nothing, or a word.

    Scores are computed in 32 bits here and in 64 there: what is that close may stand in any order,
    and on either side of where the answer ends.
    """
    known = {match.id: match for match in right}
    for match in found:
        other = known.get(match.id)
        if other is None:
            return f"{match.id} does not match the filter"
        if not close(match.score, other.score):
            return f"{match.id} scores {match.score}, not {other.score}"
        if not same(match.metadata, other.metadata) or match.document != other.document:
            return f"{match.id} has other metadata, or another document"
        if match.vector != other.vector:
            return f"{match.id} has another vector"
    scores = [match.score for match in found]
    if scores != sorted(scores, reverse=True) or len({match.id for match in found}) < len(found):
        return "the order is wrong, or an id is there twice"
    lowest = least if least is not None else float("-inf")
    sure = [match for match in right if match.score > lowest + CLOSE]
    perhaps = [match for match in right if match.score >= lowest - CLOSE]
    if not min(top_k, len(sure)) <= len(found) <= min(top_k, len(perhaps)):
        return f"{len(found)} were found, of {len(sure)} to {len(perhaps)}"
    last = scores[-1] if len(found) == top_k else float("-inf")
    seen = {match.id for match in found}
    lost = [match.id for match in sure if match.score > last + CLOSE * 2 and match.id not in seen]
    return f"{lost} are nearer than the last" if lost else ""


async def _outcome(call: Awaitable[Any]) -> tuple[str, Any]:
    try:
        return "answered", await call
    except MastraError as error:
        return type(error).__name__, None


def _store(store: MastraVector, index: str, given: Mapping[str, Any]) -> Awaitable[Any]:
    chosen = given["items"]
    return store.upsert(
        index,
        ids=[item["id"] for item in chosen],
        vectors=[item["vector"] for item in chosen],
        metadata=[item["metadata"] for item in chosen],
        documents=[item["document"] for item in chosen],
        delete_filter=given["stale"],
    )


def _change(store: MastraVector, index: str, given: Mapping[str, Any]) -> Awaitable[Any]:
    return store.update_vector(index, **given)


def _remove(store: MastraVector, index: str, given: Mapping[str, Any]) -> Awaitable[Any]:
    return store.delete_vectors(index, **given)


async def _count(store: MastraVector, index: str, given: Mapping[str, Any]) -> int:
    return (await store.describe_index(index)).count


def _searched(store: MastraVector, index: str, given: Mapping[str, Any]) -> Awaitable[Any]:
    asked = {name: value for name, value in given.items() if name != "vectors"}
    return store.query_many(index, query_vectors=given["vectors"], **asked)


CALLS: Final[Mapping[str, Callable[[MastraVector, str, Mapping[str, Any]], Awaitable[Any]]]] = {
    "store": _store,
    "change": _change,
    "remove": _remove,
    "count": _count,
    "search": _searched,
}
