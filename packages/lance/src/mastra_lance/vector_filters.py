"""Filters of vectors for LanceDB: metadata as one text in which every value can be looked for.

LanceDB's filters know no JSON, and its columns have one type each. So beside the JSON a row has a
text with an *entry* for every path: the path, the kind of the value, and the value in a spelling that
sorts as it does. A comparison looks for the entry, or compares what stands in it. It is exact: what
``holds`` says of the metadata, the filter says of the text.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from mastra_core.storage.codec import json_array
from mastra_core.vector.filters import All, AnyOf, Compare, Node, Scalar, ascii_lower
from mastra_lance.literals import listed, literal, name

COLUMN: Final = "mastra_filter"
# What separates: the keys of a path, entries, and the path from a value or from an array's element.
STEP, ENTRY, VALUE, ELEMENT = "\x01", "\x02", "\x04", "\x05"
# Each of the first seven characters is spelt with three of the last two, behind one that says so:
# none of those that separate is ever part of a value, and texts still sort as they did.
ESCAPES: Final = {
    code: "\x03" + "".join(["\x07" if code - 1 >> bit & 1 else "\x06" for bit in (2, 1, 0)])
    for code in range(1, 8)
}
UPPER: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SIGNS: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
SIGN_BIT: Final = 1 << 63
ALL_BITS: Final = (1 << 64) - 1
# An integer of 64 bits is at most this far from the double nearest to it.
FAR: Final = 9999
_ARRAY, _OBJECT, _TEXT, _NUMBER = "a", "o", "s", "n"


def entries(metadata: Mapping[str, Any]) -> str:
    """The text for a row's metadata."""
    found: list[str] = []
    left: list[tuple[str, Any]] = [(escaped(key), value) for key, value in metadata.items()]
    while left:
        path, value = left.pop()
        if value is None:
            continue
        found.append(path + VALUE + _spelt(value))
        if isinstance(value, Mapping):
            inner = cast("Mapping[str, Any]", value)
            left += [(path + STEP + escaped(key), one) for key, one in inner.items()]
        elements = json_array(cast("object", value)) or ()
        found += [path + ELEMENT + _spelt(one) for one in elements if _is_scalar(one)]
    return ENTRY + "".join([entry + ENTRY for entry in found])


def translated(node: Node) -> str:
    """A filter that is true of rows that match, and false of all others."""
    if isinstance(node, Compare):
        condition = _condition(node)
        return f"NOT ({condition})" if node.negated else f"({condition})"
    if not node.nodes:
        return "true" if isinstance(node, All) else "false"
    word = " OR " if isinstance(node, AnyOf) else " AND "
    return balanced([translated(inner) for inner in node.nodes], word)


def balanced(terms: Sequence[str], word: str) -> str:
    """The terms joined as a tree, since whoever reads them goes as deep as it is."""
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return f"({balanced(terms[:half], word)}{word}{balanced(terms[half:], word)})"


def escaped(text: str) -> str:
    """A text without any character that separates."""
    return text.translate(ESCAPES)


def number(value: float) -> str:
    """A number as a text of fixed length that sorts as numbers do, integers of 64 bits exactly."""
    try:
        nearest = float(value) + 0.0
    except OverflowError:
        nearest = float("inf") if value > 0 else float("-inf")
    whole = isinstance(value, int) and abs(nearest) < float("inf")
    beside = max(-FAR, min(FAR, int(value) - int(nearest))) if whole else 0
    (bits,) = struct.unpack(">Q", struct.pack(">d", nearest))
    ordered = bits ^ ALL_BITS if bits & SIGN_BIT else bits | SIGN_BIT
    return f"{ordered:016x}{beside + FAR:05d}"


def _is_scalar(value: object) -> bool:
    return isinstance(value, (str, int, float))


def _spelt(value: Any) -> str:
    """The kind of a value, and the value where it can be compared."""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, str):
        return _TEXT + escaped(value)
    if isinstance(value, (int, float)):
        return _NUMBER + number(value)
    return _ARRAY if isinstance(value, list) else _OBJECT


def _condition(compare: Compare) -> str:
    path = STEP.join([escaped(key) for key in compare.path])
    if compare.op == "exists":
        return _has(ENTRY + path + VALUE)
    if compare.op == "contains":
        return _contains(path, compare.value)
    if compare.op in SIGNS:
        spelt = _spelt(compare.value)
        start = ENTRY + path + VALUE + spelt[0]
        return f"{_has(start)} AND {_behind(start)} {SIGNS[compare.op]} {literal(spelt[1:])}"
    values = compare.value if isinstance(compare.value, tuple) else (compare.value,)
    spellings = list(dict.fromkeys([_spelt(value) for value in values]))
    start = ENTRY + path + VALUE
    if len(spellings) == 1:
        alone = _has(start + spellings[0] + ENTRY)
    else:
        alone = f"({_has(start)} AND {_behind(start)} IN {listed(spellings)})"
    array = _has(start + _ARRAY + ENTRY)
    return f"{alone} OR ({array} AND {_elements(path, spellings, 'array_has_any')})"


def _contains(path: str, wanted: Scalar | tuple[Scalar, ...]) -> str:
    """A stored array has all the values, or a stored text the substring."""
    values = wanted if isinstance(wanted, tuple) else (wanted,)
    start = ENTRY + path + VALUE
    array = _has(start + _ARRAY + ENTRY)
    if values:
        spellings = list(dict.fromkeys([_spelt(one) for one in values]))
        array = f"({array} AND {_elements(path, spellings, 'array_has_all')})"
    if not isinstance(wanted, str):
        return array
    text = start + _TEXT
    lowered = f"translate({_behind(text)}, {literal(UPPER)}, {literal(UPPER.lower())})"
    within = f"strpos({lowered}, {literal(ascii_lower(escaped(wanted)))}) > 0"
    return f"({_has(text)} AND {within if wanted else 'true'}) OR {array}"


def _elements(path: str, spellings: Sequence[str], test: str) -> str:
    """Whether an array has one, or all, of some elements."""
    found = [path + ELEMENT + spelt for spelt in spellings]
    if len(found) == 1:
        return _has(ENTRY + found[0] + ENTRY)
    wanted = ", ".join([literal(one) for one in found])
    return f"{test}(string_to_array({name(COLUMN)}, {literal(ENTRY)}), [{wanted}])"


def _has(part: str) -> str:
    return f"strpos({name(COLUMN)}, {literal(part)}) > 0"


def _behind(start: str) -> str:
    """What stands behind the start of an entry; only where it is there."""
    column = name(COLUMN)
    rest = f"substr({column}, strpos({column}, {literal(start)}) + {len(start)})"
    return f"split_part({rest}, {literal(ENTRY)}, 1)"
