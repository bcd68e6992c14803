"""The filter language: what is refused and how, the tree that comes of it, and what it means."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mastra_conformance.vector_programs import filters, objects
from mastra_core.errors import InvalidArgumentError, UnsupportedError
from mastra_core.vector.filters import (
    NOTHING,
    OPERATORS,
    All,
    AnyOf,
    Compare,
    comparisons,
    holds,
    parse,
)


def eq(key, value, *, negated=False):
    return Compare((key,), "eq", value, negated)


A, B, C = eq("a", 1), eq("b", 2), eq("c", 3)
NOT_A, NOT_B, NOT_C = (eq(*pair, negated=True) for pair in (("a", 1), ("b", 2), ("c", 3)))


@pytest.mark.parametrize("everything", [None, {}, {"$and": []}, {"$nor": []}, {"$or": [{}]}])
def test_what_leaves_nothing_out_is_no_tree(everything):
    assert parse(everything) is None


@pytest.mark.parametrize(
    ("given", "tree"),
    [
        ({"a": 1}, A),
        ({"a": 1, "b": 2}, All((A, B))),
        ({"$and": [{"a": 1}, {"b": 2}]}, All((A, B))),
        ({"$or": [{"a": 1, "b": 2}, {"c": 3}]}, AnyOf((All((A, B)), C))),
        ({"$or": [{"a": 1}]}, A),
        ({"$or": []}, NOTHING),
        ({"$in": None, "a": 1}, None),
        ({"a": 1, "$and": [{}, {"b": 2}]}, All((A, B))),
        ({"a": 1, "$or": []}, NOTHING),
        ({"a": {"$in": []}}, NOTHING),
        ({"a": {"$nin": []}, "b": 2}, B),
        ({"a": {"$in": [None]}}, Compare(("a",), "exists", True, negated=True)),
        (
            {"a": {"$nin": [1, None]}},
            All((Compare(("a",), "in", (1,), negated=True), Compare(("a",), "exists", True))),
        ),
        ({"a.b": {"$gte": 1}}, Compare(("a", "b"), "gte", 1)),
        ({"a": {"$contains": ["x", "y"]}}, Compare(("a",), "contains", ("x", "y"))),
    ],
)
def test_a_filter_is_a_small_tree(given, tree):
    if tree is None:
        with pytest.raises(InvalidArgumentError, match=r"\$in stands behind a metadata key"):
            parse(given)
    else:
        assert parse(given) == tree


@pytest.mark.parametrize(
    ("given", "tree"),
    [
        ({"$not": {"a": 1}}, NOT_A),
        ({"$not": {"a": 1, "b": 2}}, AnyOf((NOT_A, NOT_B))),
        ({"$not": {"$and": [{"a": 1}, {"b": 2}]}}, AnyOf((NOT_A, NOT_B))),
        ({"$not": {"$or": [{"a": 1}, {"b": 2}]}}, All((NOT_A, NOT_B))),
        ({"$nor": [{"a": 1}, {"b": 2, "c": 3}]}, All((NOT_A, AnyOf((NOT_B, NOT_C))))),
        ({"$not": {"$nor": [{"a": 1}, {"b": 2}]}}, AnyOf((A, B))),
        ({"$not": {"$not": {"a": 1}}}, A),
        ({"$not": {"a": {"$ne": 1}}}, A),
        ({"$not": {"$and": []}}, NOTHING),
        ({"a": {"$not": {"$eq": 1}}}, NOT_A),
        (
            {"a": {"$not": {"$gt": 1, "$lt": 5}}},
            AnyOf((Compare(("a",), "gt", 1, negated=True), Compare(("a",), "lt", 5, negated=True))),
        ),
        ({"a": {"$not": {"$exists": True}}}, Compare(("a",), "exists", True, negated=True)),
        ({"a": {"$exists": False}}, Compare(("a",), "exists", True, negated=True)),
    ],
)
def test_negations_move_inwards(given, tree):
    assert parse(given) == tree


class Topic(enum.StrEnum):
    TEA = "tea"


class Level(enum.IntEnum):
    HIGH = 3


def test_values_become_plain_ones():
    noon = datetime(2024, 3, 1, 12, 0, 0, 123_999, tzinfo=UTC)
    for value, plain in (
        (Topic.TEA, "tea"),
        (Level.HIGH, 3),
        (noon, "2024-03-01T12:00:00.123Z"),
        (noon.astimezone(timezone(timedelta(hours=-3))), "2024-03-01T12:00:00.123Z"),
        ("a\0b\ud800", "ab\ufffd"),
        (2**63 - 1, 2**63 - 1),
    ):
        node = parse({"k": value})
        assert isinstance(node, Compare)
        assert (node.value, type(node.value)) == (plain, type(plain))


def test_an_operator_is_unknown_or_the_store_has_it_not():
    few = frozenset({"$eq", "$and"})
    with pytest.raises(
        InvalidArgumentError, match=r"Unsupported operator: \$regex; there are \$and"
    ):
        parse({"a": {"$regex": "x"}}, operators=few)
    for asked in ({"a": {"$in": [1]}}, {"$and": [{"a": {"$in": [1]}}]}):
        with pytest.raises(
            UnsupportedError, match=r"duck has no \$in in filters; it has \$and \$eq"
        ):
            parse(asked, operators=few, store="duck")
    with pytest.raises(UnsupportedError, match=r"\$eq"):
        parse({"a": 1}, operators=frozenset({"$gt"}))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"a": {"$gt": True}}, "$gt of 'a' takes a number or a string"),
        ({"a": {"$lt": [1]}}, "it can with strings, booleans, finite numbers"),
        ({"a": {"$contains": {"b": 1}}}, "it can with strings, booleans, finite numbers"),
        ({"a": {"$eq": {"b": 1}}}, "it can with strings, booleans, finite numbers"),
        ({"a": {"$in": "abc"}}, "$in and $nin of 'a' take a list, not str"),
        ({"a": {"$nin": {1}}}, "$in and $nin of 'a' take a list, not set"),
        ({"a": {"$exists": 0}}, "$exists of 'a' takes True or False"),
        ({"a": {"$not": {}}}, "$not of 'a' takes operators, as {'$gt': 5}"),
        ({"a": {"$or": []}}, "$or stands before metadata keys, not behind 'a'"),
        ({"a": {"b": 1}}, "the condition on 'a' is an object; write a.b for a nested key"),
        ({"a": {}}, "the condition on 'a' is empty"),
        ({"$gt": 1}, "$gt stands behind a metadata key, as {'year': {'$gt': …}}"),
        ({"$not": []}, "$not takes a filter that is not empty"),
        ({"$and": {"a": 1}}, "$and takes a list of filters, not dict"),
        ({"$or": [1]}, "a filter is a mapping of metadata keys to conditions, not int"),
        ({"a.": 1}, "'a.' is no metadata key (dots go into nested objects)"),
        ({5: 1}, "a key of a filter is a non-empty string, not 5"),
    ],
)
def test_each_mistake_has_its_sentence(given, sentence):
    with pytest.raises(InvalidArgumentError, match=re.escape(sentence)):
        parse(given)


def test_a_naive_time_is_refused():
    with pytest.raises(InvalidArgumentError, match="has no time zone"):
        parse({"at": datetime(2024, 1, 1)})  # noqa: DTZ001


def test_all_comparisons_of_a_tree_are_told():
    tree = parse({"$or": [{"a": 1, "b": {"$gt": 2}}, {"$nor": [{"c.d": None}]}]})
    assert [(one.path, one.op) for one in comparisons(tree)] == [
        (("a",), "eq"),
        (("b",), "gt"),
        (("c", "d"), "exists"),
    ]
    assert list(comparisons(None)) == []


def naive(given, metadata) -> bool:
    """The documentation of the language, word by word: no tree, no negation moved anywhere."""
    return all(condition(key, value, metadata) for key, value in given.items())


def condition(key, value, metadata) -> bool:
    if key == "$and":
        return all(naive(one, metadata) for one in value)
    if key == "$or":
        return any(naive(one, metadata) for one in value)
    if key == "$nor":
        return not any(naive(one, metadata) for one in value)
    if key == "$not":
        return not naive(value, metadata)
    found = metadata
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    operators = value if isinstance(value, Mapping) else {"$eq": value}
    return all(compared(name, operand, found) for name, operand in operators.items())


def compared(name, operand, found) -> bool:
    match name:
        case "$not":
            return not all(compared(inner, one, found) for inner, one in operand.items())
        case "$ne":
            return not compared("$eq", operand, found)
        case "$nin":
            return not compared("$in", operand, found)
        case "$in":
            return any(compared("$eq", one, found) for one in operand)
        case "$exists":
            return (found is not None) is operand
        case "$eq":
            return equals(operand, found)
        case "$contains":
            return contains(operand, found)
    texts = isinstance(found, str) and isinstance(operand, str)
    if not texts and not (is_number(found) and is_number(operand)):
        return False
    orders = {"$gt": found > operand, "$lt": found < operand}
    orders |= {"$gte": found >= operand, "$lte": found <= operand}
    return orders[name]


def equals(operand, found) -> bool:
    if operand is None:
        return found is None
    return any(alike(one, operand) for one in (found if is_list(found) else [found]))


def contains(operand, found) -> bool:
    if isinstance(found, str) and isinstance(operand, str):
        return lower(operand) in lower(found)
    wanted = operand if is_list(operand) else [operand]
    return is_list(found) and all(any(alike(e, w) for e in found) for w in wanted)


def is_list(value) -> bool:
    return isinstance(value, list)


def is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def alike(a, b) -> bool:
    if is_number(a) and is_number(b):
        return a == b
    return type(a) is type(b) and a == b


def lower(text) -> str:
    return "".join(c.lower() if c.isascii() else c for c in text)


@settings(max_examples=400, deadline=None)
@given(filters(OPERATORS), st.lists(objects, min_size=1, max_size=4))
def test_the_tree_means_what_the_documentation_says(asked, many):
    tree = parse(asked)
    for metadata in many:
        assert holds(tree, metadata) is naive(asked, metadata), (asked, metadata, tree)


@settings(max_examples=200, deadline=None)
@given(filters(OPERATORS), objects)
def test_a_negation_is_exactly_the_opposite(asked, metadata):
    opposite = parse({"$nor": [asked]})
    assert holds(opposite, metadata) is not holds(parse(asked), metadata)
