"""Every operator of the filter language, alone, on every kind of value."""

from __future__ import annotations

from typing import Any, Final

import pytest

from mastra_conformance.tiers import area, base, full
from mastra_conformance.vector_lab import VectorLab
from mastra_conformance.vector_rows import finds, turned

# What is stored at "v", by id; every test says which of these a filter finds.
VALUES: Final[dict[str, Any]] = {
    "one": 1,
    "half": 0.5,
    "two": 2,
    "minus": -3,
    "nought": 0,
    "text-1": "1",
    "true": True,
    "false": False,
    "text-true": "true",
    "empty": "",
    "abc": "abc",
    "ABC": "ABC",
    "b": "b",
    "null": None,
    "list": [1, "abc", True, None],
    "list-2": [2, "1"],
    "no-list": [],
    "object": {"w": 1},
    "nested": {"w": {"x": "deep"}},
    "of-lists": {"w": [1, 5]},
}
ABSENT: Final = frozenset({"null", "absent"})
ALL: Final = frozenset(VALUES) | ABSENT
NUMBERS: Final = frozenset({"one", "half", "two", "minus", "nought"})
TEXTS: Final = frozenset({"text-1", "text-true", "empty", "abc", "ABC", "b"})


async def values(lab: VectorLab) -> str:
    """An index of ``VALUES``, and one vector without ``v`` but with other keys."""
    index = await lab.index()
    metadata: list[Any] = [{"v": value, "other": name} for name, value in VALUES.items()]
    metadata.append({"other": "absent", "v.w": 1, "V": 1})
    await lab.store.upsert(
        index,
        ids=[*VALUES, "absent"],
        vectors=[turned(5 * n) for n in range(len(metadata))],
        metadata=metadata,
    )
    return index


async def find(lab: VectorLab, *pairs: tuple[Any, Any]) -> None:
    """Each condition on ``v`` finds exactly the ids beside it."""
    index = await values(lab)
    for condition, wanted in pairs:
        await finds(lab, index, {"v": condition}, wanted)


@area("filters")
@pytest.mark.asyncio(loop_scope="function")
class TestComparisons:
    """Strict by type; a negation finds exactly what the other does not."""

    @base
    async def test_plain_values_are_equal_by_value_and_type(self, vector_lab: VectorLab) -> None:
        """``1`` equals ``1.0``, but neither ``"1"`` nor ``True``; of an array any element counts."""
        await find(
            vector_lab,
            (1, ["one", "list"]),
            (1.0, ["one", "list"]),
            (2, ["two", "list-2"]),
            (0.5, ["half"]),
            (0, ["nought"]),
            (-0.0, ["nought"]),
            ("1", ["text-1", "list-2"]),
            (True, ["true", "list"]),
            (False, ["false"]),
            ("true", ["text-true"]),
            ("", ["empty"]),
            ("abc", ["abc", "list"]),
            ("[]", []),
            ("deep", []),
        )

    async def test_eq_is_a_plain_value(self, vector_lab: VectorLab) -> None:
        """The long way to say it."""
        await find(
            vector_lab,
            ({"$eq": 1}, ["one", "list"]),
            ({"$eq": "1"}, ["text-1", "list-2"]),
            ({"$eq": True}, ["true", "list"]),
            ({"$eq": None}, ABSENT),
        )

    async def test_ne_finds_what_eq_does_not(self, vector_lab: VectorLab) -> None:
        """Also what has another type, and what has no such key at all."""
        await find(
            vector_lab,
            ({"$ne": 1}, ALL - {"one", "list"}),
            ({"$ne": "1"}, ALL - {"text-1", "list-2"}),
            ({"$ne": True}, ALL - {"true", "list"}),
            ({"$ne": False}, ALL - {"false"}),
            ({"$ne": "nothing like it"}, ALL),
            ({"$ne": None}, ALL - ABSENT),
        )

    async def test_none_is_what_is_absent(self, vector_lab: VectorLab) -> None:
        """A stored null is as absent as a key that is not there; an empty list or text is not."""
        await find(vector_lab, (None, ABSENT))

    async def test_exists_is_that_a_key_has_a_value(self, vector_lab: VectorLab) -> None:
        """Any but null, also false, nought, and what is empty."""
        index = await values(vector_lab)
        await finds(vector_lab, index, {"v": {"$exists": True}}, ALL - ABSENT)
        await finds(vector_lab, index, {"v": {"$exists": False}}, ABSENT)
        await finds(vector_lab, index, {"v.w": {"$exists": True}}, ["object", "nested", "of-lists"])
        await finds(vector_lab, index, {"v.w.x": {"$exists": True}}, ["nested"])
        await finds(vector_lab, index, {"no": {"$exists": True}}, [])
        await finds(vector_lab, index, {"no": {"$exists": False}}, ALL)

    async def test_numbers_are_compared_with_numbers(self, vector_lab: VectorLab) -> None:
        """Texts that look like numbers are texts, booleans are none, arrays have no order."""
        await find(
            vector_lab,
            ({"$gt": 0}, ["one", "half", "two"]),
            ({"$gte": 0}, ["one", "half", "two", "nought"]),
            ({"$lt": 1}, ["half", "minus", "nought"]),
            ({"$lte": 1}, ["half", "minus", "nought", "one"]),
            ({"$gt": 2}, []),
            ({"$lt": 0.5}, ["minus", "nought"]),
            ({"$gte": -3, "$lt": 2}, NUMBERS - {"two"}),
        )

    async def test_texts_are_compared_with_texts(self, vector_lab: VectorLab) -> None:
        """By their characters: capitals first, no number among them."""
        await find(
            vector_lab,
            ({"$gt": ""}, TEXTS - {"empty"}),
            ({"$gte": ""}, TEXTS),
            ({"$lt": "abc"}, ["empty", "text-1", "ABC"]),
            ({"$lte": "abc"}, ["empty", "text-1", "ABC", "abc"]),
            ({"$gt": "abc", "$lt": "c"}, ["b"]),
            ({"$lt": "0"}, ["empty"]),
        )

    @full
    async def test_texts_are_in_the_order_of_their_code_points(self, vector_lab: VectorLab) -> None:
        """Not of UTF-16, where emoji come before some letters, nor of any language."""
        store, index = vector_lab.store, await vector_lab.index()
        texts = ["Z", "a", "z", "ä", "ｚ", "😀"]
        await store.upsert(
            index, ids=texts, vectors=[turned(0)] * 6, metadata=[{"k": text} for text in texts]
        )
        for n, text in enumerate(texts):
            await finds(vector_lab, index, {"k": {"$lt": text}}, texts[:n])
            await finds(vector_lab, index, {"k": {"$gte": text}}, texts[n:])

    @full
    async def test_large_integers_are_exact(self, vector_lab: VectorLab) -> None:
        """Beyond 2**53, where floats have gaps: ids of other systems are such numbers."""
        store, index = vector_lab.store, await vector_lab.index()
        numbers = [2**53, 2**53 + 1, 2**53 + 2, 2**63 - 1, -(2**63)]
        names = ["a", "b", "c", "max", "min"]
        metadata = [{"k": n} for n in numbers]
        await store.upsert(index, ids=names, vectors=[turned(0)] * 5, metadata=metadata)
        for name, number in zip(names, numbers, strict=True):
            await finds(vector_lab, index, {"k": number}, [name])
            await finds(vector_lab, index, {"k": {"$in": [number, "x"]}}, [name])
        await finds(vector_lab, index, {"k": {"$gt": 2**53}}, ["b", "c", "max"])
        await finds(vector_lab, index, {"k": {"$lt": 2**53 + 1}}, ["a", "min"])

    async def test_in_finds_any_of_a_list(self, vector_lab: VectorLab) -> None:
        """Each strictly by type; of a stored array any element; nothing by an empty list."""
        await find(
            vector_lab,
            ({"$in": [1, "b"]}, ["one", "list", "b"]),
            ({"$in": ["1", True]}, ["text-1", "true", "list", "list-2"]),
            ({"$in": [2, 0.5, "nothing"]}, ["two", "list-2", "half"]),
            ({"$in": []}, []),
            ({"$in": [None]}, ABSENT),
            ({"$in": [None, 0]}, [*ABSENT, "nought"]),
        )

    async def test_nin_finds_what_in_does_not(self, vector_lab: VectorLab) -> None:
        """Everything by an empty list; ``None`` in it leaves out what is absent."""
        await find(
            vector_lab,
            ({"$nin": [1, "b"]}, ALL - {"one", "list", "b"}),
            ({"$nin": ["1", True]}, ALL - {"text-1", "true", "list", "list-2"}),
            ({"$nin": []}, ALL),
            ({"$nin": [None]}, ALL - ABSENT),
            ({"$nin": [None, 0]}, ALL - ABSENT - {"nought"}),
        )

    async def test_long_lists_are_looked_through(self, vector_lab: VectorLab) -> None:
        """Thousands of values are as good as one: the messages of a thread, say."""
        index = await values(vector_lab)
        many = [f"nothing {n}" for n in range(5000)]
        await finds(vector_lab, index, {"v": {"$in": [*many, 1]}}, ["one", "list"])
        await finds(vector_lab, index, {"v": {"$nin": [*many, 1]}}, ALL - {"one", "list"})

    async def test_contains_finds_parts_of_texts(self, vector_lab: VectorLab) -> None:
        """Whatever the case of ASCII letters; no character stands for others."""
        store, index = vector_lab.store, await vector_lab.index()
        texts = {
            "plain": "Green Tea",
            "percent": "100% tea",
            "under": "tea_pot",
            "star": "te*a [tea] t?a",
            "quote": 'tea\'s "best" \\ tea',
            "umlaut": "TÄE",
            "number": 5,
        }
        await store.upsert(
            index,
            ids=list(texts),
            vectors=[turned(n) for n in range(len(texts))],
            metadata=[{"k": text} for text in texts.values()],
        )
        for part, wanted in {
            "tea": ["plain", "percent", "under", "star", "quote"],
            "TEA": ["plain", "percent", "under", "star", "quote"],
            "%": ["percent"],
            "_": ["under"],
            "*": ["star"],
            "?": ["star"],
            "[": ["star"],
            "\\": ["quote"],
            "'s \"": ["quote"],
            "Ä": ["umlaut"],
            "": ["plain", "percent", "under", "star", "quote", "umlaut"],
            "t%a": [],
            "t_a": [],
            "t*a": [],
        }.items():
            await finds(vector_lab, index, {"k": {"$contains": part}}, wanted)
        await finds(vector_lab, index, {"k": {"$contains": 5}}, [])

    async def test_contains_finds_elements_of_arrays(self, vector_lab: VectorLab) -> None:
        """One, or all of a list of them: strictly by type and whole, not parts of texts."""
        await find(
            vector_lab,
            ({"$contains": 1}, ["list"]),
            ({"$contains": True}, ["list"]),
            ({"$contains": "1"}, ["text-1", "list-2"]),
            ({"$contains": "abc"}, ["abc", "ABC", "list"]),
            ({"$contains": "ab"}, ["abc", "ABC"]),
            ({"$contains": [1, "abc"]}, ["list"]),
            ({"$contains": [1, 2]}, []),
            ({"$contains": ["1"]}, ["list-2"]),
            ({"$contains": []}, ["list", "list-2", "no-list"]),
        )

    async def test_dotted_keys_go_into_objects(self, vector_lab: VectorLab) -> None:
        """Not into keys that have a dot in them, not into arrays or texts."""
        index = await values(vector_lab)
        await finds(vector_lab, index, {"v.w": 1}, ["object", "of-lists"])
        await finds(vector_lab, index, {"v.w.x": "deep"}, ["nested"])
        await finds(vector_lab, index, {"v.w.x.y": "deep"}, [])
        await finds(vector_lab, index, {"v.w": {"$gt": 0}}, ["object"])
        await finds(vector_lab, index, {"v.w": {"$ne": 1}}, ALL - {"object", "of-lists"})
        await finds(vector_lab, index, {"v.0": 1}, [])
        await finds(vector_lab, index, {"V": 1}, ["absent"])
