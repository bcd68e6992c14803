"""``$and``, ``$or``, ``$nor`` and ``$not``: as in logic, however deep and however many keys."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from mastra_conformance.tiers import area, base
from mastra_conformance.vector_lab import VectorLab, nothing_sent
from mastra_conformance.vector_rows import AXIS, finds, ids, turned
from mastra_core.errors import InvalidArgumentError

# Every combination of three keys, and one that has none of them.
POINTS: Final = {
    f"{a}{b}{c}": {"a": a, "b": b, "c": c} for a in (0, 1) for b in (0, 1) for c in (0, 1)
}
NONE: Final = "none"
ALL: Final = frozenset({*POINTS, NONE})


def where(*, a: int | None = None, b: int | None = None, c: int | None = None) -> set[str]:
    """The ids of the points with these values."""
    wanted = {key: value for key, value in (("a", a), ("b", b), ("c", c)) if value is not None}
    return {name for name, point in POINTS.items() if wanted.items() <= point.items()}


async def points(lab: VectorLab) -> str:
    """An index of all of them."""
    index = await lab.index()
    await lab.store.upsert(
        index,
        ids=[*POINTS, NONE],
        vectors=[turned(10 * n) for n in range(len(POINTS) + 1)],
        metadata=[*POINTS.values(), {}],
    )
    return index


async def find(lab: VectorLab, *pairs: tuple[dict[str, Any], Any]) -> None:
    """Each filter finds exactly the ids beside it."""
    index = await points(lab)
    for given, wanted in pairs:
        await finds(lab, index, given, wanted)


@area("filters")
@pytest.mark.asyncio(loop_scope="function")
class TestLogic:
    """No condition is lost, and none becomes another."""

    @base
    async def test_several_keys_must_all_match(self, vector_lab: VectorLab) -> None:
        """And several operators of one key."""
        await find(
            vector_lab,
            ({"a": 1, "b": 0}, where(a=1, b=0)),
            ({"a": 1, "b": 0, "c": 1}, ["101"]),
            ({"a": {"$gte": 0, "$lt": 1}, "b": 1}, where(a=0, b=1)),
            ({"a": {"$exists": True, "$ne": 1}}, where(a=0)),
        )

    async def test_no_condition_finds_everything(self, vector_lab: VectorLab) -> None:
        """An empty filter, and none."""
        index = await points(vector_lab)
        await finds(vector_lab, index, {}, ALL)
        found = await vector_lab.store.query(index, query_vector=AXIS, top_k=100, filter=None)
        assert set(ids(found)) == ALL

    async def test_and_takes_what_all_match(self, vector_lab: VectorLab) -> None:
        """Branches of several keys too; with no branch it takes everything."""
        await find(
            vector_lab,
            ({"$and": [{"a": 1}, {"b": 0}]}, where(a=1, b=0)),
            ({"$and": [{"a": 1, "b": 1}, {"c": 0}]}, ["110"]),
            ({"$and": [{"a": 1}, {"a": 0}]}, []),
            ({"$and": []}, ALL),
            ({"$and": [{}]}, ALL),
            ({"a": 1, "$and": [{"b": 1}, {}]}, where(a=1, b=1)),
        )

    async def test_or_takes_what_any_matches(self, vector_lab: VectorLab) -> None:
        """A branch of several keys takes what has them all; with no branch nothing is found."""
        await find(
            vector_lab,
            ({"$or": [{"a": 1}, {"b": 1}]}, where(a=1) | where(b=1)),
            ({"$or": [{"a": 1, "b": 1}, {"c": 1}]}, where(a=1, b=1) | where(c=1)),
            ({"$or": [{"a": 1, "b": 0, "c": 0}]}, ["100"]),
            ({"$or": []}, []),
            ({"$or": [{}, {"a": 1}]}, ALL),
            ({"a": 0, "$or": [{"b": 1}, {"c": 1}]}, ["010", "001", "011"]),
        )

    async def test_nor_takes_what_none_matches(self, vector_lab: VectorLab) -> None:
        """Also what lacks the keys; with no branch everything is found."""
        await find(
            vector_lab,
            ({"$nor": [{"a": 1}, {"b": 1}]}, {*where(a=0, b=0), NONE}),
            ({"$nor": [{"a": 1, "b": 1}]}, ALL - where(a=1, b=1)),
            ({"$nor": []}, ALL),
            ({"$nor": [{}]}, []),
            ({"c": 1, "$nor": [{"a": 1, "b": 1}, {"a": 0}]}, ["101"]),
        )

    async def test_not_takes_what_does_not_match(self, vector_lab: VectorLab) -> None:
        """Before keys a filter, behind a key its operators; the whole of it is negated."""
        await find(
            vector_lab,
            ({"$not": {"a": 1}}, ALL - where(a=1)),
            ({"$not": {"a": 1, "b": 1}}, ALL - where(a=1, b=1)),
            ({"$not": {"$not": {"a": 1}}}, where(a=1)),
            ({"$not": {"$or": [{"a": 1}, {"b": 1}]}}, {*where(a=0, b=0), NONE}),
            ({"$not": {"$and": [{"a": 1}, {"b": 1}]}}, ALL - where(a=1, b=1)),
            ({"$not": {"$nor": [{"a": 1}, {"b": 1}]}}, where(a=1) | where(b=1)),
            ({"a": {"$not": {"$gt": 0}}}, ALL - where(a=1)),
            ({"a": {"$not": {"$gte": 0, "$lt": 1}}}, ALL - where(a=0)),
            ({"a": {"$not": {"$not": {"$eq": 1}}}}, where(a=1)),
            ({"a": {"$not": {"$exists": True}}}, [NONE]),
            ({"a": {"$not": {"$in": [0, None]}}}, where(a=1)),
            ({"a": {"$not": {"$nin": [0]}}}, where(a=0)),
            ({"a": {"$not": {"$ne": 1}}}, where(a=1)),
        )

    async def test_branches_are_nested_in_branches(self, vector_lab: VectorLab) -> None:
        """Each keeps its meaning, with keys beside it, in either order."""
        await find(
            vector_lab,
            (
                {"$or": [{"$and": [{"a": 1}, {"b": 1}]}, {"$and": [{"a": 0}, {"c": 1}]}]},
                where(a=1, b=1) | where(a=0, c=1),
            ),
            ({"$or": [{"$or": [{"a": 1}, {"b": 1}], "c": 1}]}, where(a=1, c=1) | where(b=1, c=1)),
            ({"$or": [{"c": 1, "$or": [{"a": 1}, {"b": 1}]}]}, where(a=1, c=1) | where(b=1, c=1)),
            (
                {"$and": [{"$or": [{"a": 1}, {"b": 1}], "$nor": [{"c": 1}]}, {"$not": {"b": 0}}]},
                ["110", "010"],
            ),
            (
                {"$nor": [{"$or": [{"a": 1, "b": 1}, {"c": 1}]}, {"a": {"$exists": False}}]},
                ["000", "010", "100"],
            ),
        )

    async def test_a_tenant_is_never_lost(self, vector_lab: VectorLab) -> None:
        """The filter of a memory around its user's: what stands beside ``$or`` counts as well."""
        store, index = vector_lab.store, await vector_lab.index()
        owners = [(r, t, k) for r in "rs" for t in "xy" for k in (1, 2, 3)]
        await store.upsert(
            index,
            ids=[f"{r}{t}{k}" for r, t, k in owners],
            vectors=[turned(n) for n in range(len(owners))],
            metadata=[{"resource_id": r, "tenant": t, "kind": k} for r, t, k in owners],
        )
        either = [{"kind": 1}, {"kind": 2}]
        for scope in (
            {"$and": [{"resource_id": "r"}, {"$or": either, "tenant": "x"}]},
            {"$and": [{"resource_id": "r"}, {"tenant": "x", "$or": either}]},
            {"$and": [{"$or": either, "tenant": "x"}, {"resource_id": "r"}]},
            {"resource_id": "r", "$or": either, "$and": [{"tenant": "x"}]},
            {"$or": [{"kind": 1, "tenant": "x"}, {"kind": 2, "tenant": "x"}], "resource_id": "r"},
        ):
            await finds(vector_lab, index, scope, ["rx1", "rx2"])

    async def test_deep_filters_work_and_endless_ones_are_refused(
        self, vector_lab: VectorLab
    ) -> None:
        """Twenty levels are kept; what would break a parser is an error, unsent."""
        index, store = await points(vector_lab), vector_lab.store
        given: dict[str, Any] = {"a": 1}
        for _ in range(10):
            given = {"$and": [{"$or": [given, {"b": 2}]}], "b": {"$gte": 0}}
        await finds(vector_lab, index, given, where(a=1))
        for operator in ("$and", "$or", "$nor", "$not"):
            if operator not in store.operators:
                continue
            endless: dict[str, Any] = {"a": 1}
            for _ in range(10_000):
                endless = {operator: endless if operator == "$not" else [endless]}
            behind: dict[str, Any] = {"a": {"$eq": 1}}
            for _ in range(10_000 if operator == "$not" else 0):
                behind = {"a": {"$not": behind["a"]}}
            for asked in (endless, behind if operator == "$not" else endless):
                with (
                    nothing_sent(store),
                    pytest.raises(InvalidArgumentError, match="nested more than"),
                ):
                    await store.query(index, query_vector=AXIS, filter=asked)

    async def test_what_is_no_filter_is_refused(self, vector_lab: VectorLab) -> None:
        """With a sentence for each mistake, before anything is sent."""
        store, index = vector_lab.store, await points(vector_lab)
        wrong: list[tuple[Any, str]] = [
            ([], "a filter is a mapping"),
            ("a", "a filter is a mapping"),
            ({"": 1}, "is a non-empty string"),
            ({1: 1}, "is a non-empty string"),
            ({"a..b": 1}, "is no metadata key"),
            ({".": 1}, "is no metadata key"),
            ({"a\0": 1}, "is no metadata key"),
            ({"a": {}}, "the condition on 'a' is empty"),
            ({"a": {"b": 1}}, "write a.b for a nested key"),
            ({"a": {"$regex": "x"}}, "Unsupported operator: $regex"),
            ({"$where": "1"}, "Unsupported operator: $where"),
            ({"a": [1]}, "it can with strings, booleans"),
            ({"a": b"x"}, "it can with strings, booleans"),
            ({"a": 10**30}, "it can with strings, booleans"),
            ({"a": float("nan")}, "it can with strings, booleans"),
            ({"a": object()}, "it can with strings, booleans"),
        ]
        behind: dict[str, list[tuple[Any, str]]] = {
            "$or": [({"$or": {"a": 1}}, "$or takes a list"), ({"$or": ["a"]}, "is a mapping")],
            "$not": [({"$not": {}}, "$not takes a filter"), ({"a": {"$not": 5}}, "$not of 'a'")],
            "$and": [({"a": {"$and": [{"$eq": 1}]}}, "$and stands before metadata keys")],
            "$gt": [
                ({"$gt": 5}, "$gt stands behind a metadata key"),
                ({"a": {"$gt": None}}, "it can with strings"),
                ({"a": {"$gt": True}}, "takes a number or a string"),
            ],
            "$in": [
                ({"a": {"$in": 5}}, "take a list, not int"),
                ({"a": {"$in": "abc"}}, "take a list, not str"),
                ({"a": {"$in": {1, 2}}}, "take a list, not set"),
            ],
            "$exists": [({"a": {"$exists": 1}}, "takes True or False")],
        }
        for operator, more in behind.items():
            wrong += more if operator in store.operators else []
        for given, sentence in wrong:
            with (
                nothing_sent(store),
                pytest.raises(InvalidArgumentError, match=re.escape(sentence)),
            ):
                await store.query(index, query_vector=AXIS, filter=given)
