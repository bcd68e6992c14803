"""What is sent for a filter leaves out nothing that matches, and what is exact nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from backends.upstash_vector_filter import LENGTH, as_floats, compiled
from hypothesis import given, settings
from hypothesis import strategies as st

from mastra_conformance.vector_programs import filters, objects
from mastra_core.vector.filters import OPERATORS, holds, parse
from mastra_upstash.vector_filters import FILTER_LENGTH, translated


def sent(given: dict[str, Any]) -> str | None:
    found = translated(parse(given))
    return None if found is None else found.text


def check(metadata: Any, wanted: Any) -> None:
    node = parse(wanted)
    found = translated(node)
    if found is None:
        return
    passes = compiled(found.text)(as_floats(metadata))
    assert passes or not holds(node, metadata)
    if found.exact:
        assert passes is holds(node, metadata)


@settings(max_examples=150, deadline=None)
@given(objects, filters(OPERATORS))
def test_whatever_matches_passes_what_is_sent(metadata: Any, wanted: Any) -> None:
    check(metadata, wanted)


VALUES: list[Any] = [0, 1, 1.5, -2, 2**53, 2**53 + 1, True, "", "a", "AB", "1", None, [], {"j": 1}]
VALUES += [[1, "a"], ["ab", None], ["1", True]]
CONDITIONS: list[Any] = [
    *({op: v} for op in ("$gt", "$gte", "$lt", "$lte") for v in (0, 1, 1.5, 2**53, "", "a")),
    *(
        {op: v}
        for op in ("$eq", "$ne", "$contains")
        for v in (0, 1, 2**53, True, "", "a", "Ab", "1")
    ),
    *({op: v} for op in ("$in", "$nin") for v in ([], [1, "a"], [None], [None, True], [2**53, ""])),
    {"$contains": ["a", 1]},
    {"$contains": []},
    {"$exists": True},
    {"$exists": False},
]


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_every_operator_leaves_out_no_value_that_matches(condition: Any) -> None:
    for value in VALUES:
        check({"k": value}, {"k": condition})
        check({"j": value}, {"k": condition})
        check({"n": {"k": value}}, {"n.k": condition})


texts = st.text(st.sampled_from("abAB'\"\\%*?[]^- ;,()0é😀\n"), max_size=6)


@settings(max_examples=150, deadline=None)
@given(texts, texts, st.sampled_from(["$eq", "$contains", "$in"]))
def test_no_text_ends_a_literal_or_stands_for_another(stored: str, asked: str, op: str) -> None:
    """Quotes, escapes, patterns: the filter is one in the grammar, and true of what matches."""
    node = parse({"k": {op: [asked] if op == "$in" else asked}})
    found = translated(node)
    assert found is not None
    for value in (stored, asked, [stored, asked], f"x{asked.upper()}y"):
        passes = compiled(found.text)({"k": value})
        assert passes or not holds(node, {"k": value})
        assert not found.exact or passes is holds(node, {"k": value})


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"k": "v"}, "(k = 'v' OR k CONTAINS 'v')"),
        ({"k": "it's"}, '(k = "it\'s" OR k CONTAINS "it\'s")'),
        ({"k": 'it\'s "so"'}, "HAS FIELD k"),
        ({"k": "back\\slash"}, "HAS FIELD k"),
        ({"k": "x" * 201}, "HAS FIELD k"),
        ({"k": ""}, "HAS FIELD k"),
        ({"k": 1}, "(k = 1 OR k CONTAINS 1)"),
        ({"k": 1.0}, "(k = 1 OR k CONTAINS 1)"),
        ({"k": 1e-7}, "(k = 0.0000001 OR k CONTAINS 0.0000001)"),
        ({"k": 1e-300}, "HAS FIELD k"),
        ({"k": 2**53}, "HAS FIELD k"),
        ({"k": True}, "(k = true OR k CONTAINS true)"),
        ({"k": {"$gt": 5}}, "k >= 5"),
        ({"k": {"$lt": -0.5}}, "k <= -0.5"),
        ({"k": {"$gt": "a"}}, "HAS FIELD k"),
        ({"k": {"$exists": True}}, "HAS FIELD k"),
        ({"k": {"$contains": ["a", 1]}}, "(k CONTAINS 'a' AND k CONTAINS 1)"),
        (
            {"k": {"$contains": "a b%"}},
            "(k GLOB '*[aA] [bB]?*' OR k CONTAINS 'a b%' OR HAS FIELD mastra_row)",
        ),
        ({"a": {"$ne": 1}, "n.k": 2}, "(n.k = 2 OR n.k CONTAINS 2)"),
        ({"a": {"$ne": 1}}, None),
        ({"k": None}, None),
        ({"$or": [{"a": 1}, {"b": {"$ne": 1}}]}, None),
        ({"a b": 1}, None),
        ({"k]": 1}, None),
        ({"Has": 1}, None),
        ({"k": {"$in": [f"v{n}" for n in range(51)]}}, "HAS FIELD k"),
    ],
)
def test_a_filter_is_the_narrowest_that_the_language_can_say(given: Any, text: str | None) -> None:
    assert sent(given) == text
    assert text is None or compiled(text)


def test_a_filter_is_never_longer_than_the_service_may_take() -> None:
    """Of many conditions that must all hold some are sent; of alternatives all or none."""
    many = {f"key_{n}": "x" * 150 for n in range(100)}
    found = translated(parse(many))
    assert found is not None
    assert 3000 < len(found.text) <= FILTER_LENGTH < LENGTH
    assert not found.exact
    assert compiled(found.text)(many)
    assert translated(parse({"$or": [{key: value} for key, value in many.items()]})) is None


@pytest.mark.parametrize(
    ("given", "exact"),
    [
        ({"k": "thread-1"}, True),
        ({"k": {"$in": ["a", "b"]}, "j": "c"}, True),
        ({"$or": [{"k": "a"}, {"j": "c"}]}, True),
        # The service may take these for numbers, or for booleans.
        ({"k": "1e5"}, False),
        ({"k": "True"}, False),
        ({"k": 5}, False),
        # And this for a key that has a dot in it.
        ({"n.k": "a"}, False),
        ({"k": "a", "j": {"$ne": 1}}, False),
    ],
)
def test_only_what_cannot_be_taken_for_anything_else_is_exact(given: Any, exact: bool) -> None:
    found = translated(parse(given))
    assert found is not None
    assert found.exact is exact
