"""What is sent for a filter leaves out nothing that matches, and what is stored is all that was given."""

from __future__ import annotations

from typing import Any

import pytest
from backends.pinecone_front_filter import matches
from hypothesis import given, settings

from mastra_conformance.suite.hostile import same
from mastra_conformance.vector_programs import filters, objects
from mastra_core.vector.checks import metadata_json
from mastra_core.vector.filters import OPERATORS, holds, parse
from mastra_pinecone.filters import translated
from mastra_pinecone.records import Read, metadata_of


def stored(metadata: Any) -> dict[str, Any]:
    """Metadata as Pinecone gives them back: all numbers are doubles."""
    held = metadata_of("a", metadata_json(metadata), None, nought=False)
    return {key: float(one) if type(one) is int else one for key, one in held.items()}


def check(metadata: Any, wanted: Any) -> None:
    node = parse(wanted)
    held = stored(metadata)
    read = Read("a", held).metadata
    assert same(read, Read("a", stored(read)).metadata)
    sent = translated(node)
    if sent is not None:
        assert matches(held, sent) or not holds(node, read)


@settings(max_examples=150, deadline=None)
@given(objects, filters(OPERATORS))
def test_whatever_matches_passes_what_is_sent(metadata: Any, wanted: Any) -> None:
    check(metadata, wanted)


VALUES: list[Any] = [0, 1, 1.0, 1.5, -2, 2**53, 2**70, 1e300, True, "", "a", "AB", "1", None]
VALUES += [[], {"j": 1}, {}, [1, "a"], ["ab", None], ["1", True], ["a", "b"], [1, 2]]
CONDITIONS: list[Any] = [
    *({op: v} for op in ("$gt", "$gte", "$lt", "$lte") for v in (0, 1, 1.5, 2**53, "", "a")),
    *({op: v} for op in ("$eq", "$ne", "$contains") for v in (0, 1, 2**53, True, "", "a", "1")),
    *({op: v} for op in ("$in", "$nin") for v in ([], [1, "a"], [None], [None, True], [2**53, ""])),
    {"$contains": ["a", 1]},
    {"$contains": []},
    {"$exists": True},
    {"$exists": False},
    {"$not": {"$gt": 1}},
]


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_every_operator_leaves_out_no_value_that_matches(condition: Any) -> None:
    for value in VALUES:
        for metadata in ({"k": value}, {"j": value}, {"k": {"j": value}}, {"k.j": value}):
            check(metadata, {"k": condition})
            check(metadata, {"k.j": condition})


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_every_value_comes_back_as_it_was(value: Any) -> None:
    for metadata in ({"k": value}, {"k": {"j": value}}, {"k.j": value, "k": {"j": 1}}):
        assert same(Read("a", stored(metadata)).metadata, metadata)
