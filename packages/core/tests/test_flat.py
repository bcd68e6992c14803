"""Metadata in parts: nothing is lost, and what filters may ask is there, or known not to be."""

from __future__ import annotations

import pytest

from mastra_core.vector.flat import Flat

TEXTS = Flat(
    takes=lambda key: not key.startswith("$"),
    holds=lambda value: isinstance(value, str),
    near=lambda value: str(value) if isinstance(value, (str, int)) else None,
    same=lambda found, held: found == held,
    most=4,
)


def test_what_is_held_is_where_others_look_for_it():
    apart = TEXTS.apart({"a": "x", "deep": {"b": "y", "c": {"d": "z"}}})
    assert apart.held == {"a": "x", "deep.b": "y", "deep.c.d": "z"}
    assert apart.beside == {"deep": {"b": "y", "c": {"d": "z"}}}
    assert apart.loose == frozenset()
    assert apart.objects == {"deep", "deep.c"}


def test_what_compares_as_the_value_does_is_held_in_its_place():
    apart = TEXTS.apart({"n": 5})
    assert (apart.held, apart.beside) == ({"n": "5"}, {"n": 5})


@pytest.mark.parametrize(
    ("metadata", "loose"),
    [
        ({"list": [1]}, {"list"}),
        ({"deep": {"list": [1]}}, {"deep"}),
        ({"a.b": "literal"}, {"a"}),
        ({"a.b": "literal", "a": {"b": "nested"}}, {"a"}),
        ({"many": {str(n): "x" for n in range(5)}}, {"many"}),
        ({"none": None, "": "x"}, set()),
    ],
)
def test_keys_of_which_not_all_is_held_are_loose(metadata, loose):
    assert TEXTS.apart(metadata).loose == loose


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"a": "x", "n": 5, "none": None, "list": [1, {"b": 2}]},
        {"$x": "y", "": {"a": 1}, "a.b": 3, "a": {"b": 4, "c": "d", "": 5, "e.f": 6}},
        {"deep": {"list": [], "none": None, "$x": 1}, "deep.er": "literal"},
        {"many": {str(n): "x" for n in range(9)}},
    ],
)
def test_the_parts_are_the_whole_again(metadata):
    apart = TEXTS.apart(metadata)
    assert TEXTS.together(apart.held, apart.beside, apart.loose) == metadata


def test_what_others_wrote_wins_key_by_key():
    apart = TEXTS.apart({"deep": {"a": "x"}, "n": 5, "none": None, "kept": {"b": "y"}})
    stored = {**apart.held, "deep.a": "other", "n": "6", "none": "some", "new": "z"}
    assert TEXTS.together(stored, apart.beside, apart.loose) == {
        "deep.a": "other",
        "n": "6",
        "none": "some",
        "new": "z",
        "kept": {"b": "y"},
    }
