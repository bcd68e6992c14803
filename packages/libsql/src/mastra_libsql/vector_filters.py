"""Filters of vectors as SQLite's SQL: conditions on a metadata column of text or binary JSON.

Every comparison is two-valued (``IS TRUE``, and ``IS NOT TRUE`` where it is negated), so that an absent
key, JSON's ``null`` and SQL's NULL never leak into what stands around it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, cast

import msgspec

from mastra_core.storage.codec import to_json
from mastra_core.vector.filters import All, AnyOf, Compare, Node, Scalar, ascii_lower, holds

INT32: Final = 2**31
SIGNS: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
NUMBERS: Final = "('integer', 'real')"


class Params:
    """Bound values, named by their number: one may stand in several places of a statement."""

    def __init__(self, *values: Any) -> None:
        self.values: list[Any] = list(values)

    def add(self, value: Any) -> str:
        """Bind a value; what stands for it."""
        self.values.append(value)
        return f"?{len(self.values)}"

    def number(self, value: float) -> str:
        """Bind a number so that it is what the same JSON number is, whatever the driver does."""
        if isinstance(value, float):
            return f"CAST({self.add(repr(value))} AS REAL)"
        if -INT32 <= value < INT32:
            return self.add(int(value))
        return f"CAST({self.add(str(value))} AS INTEGER)"


class _Place(msgspec.Struct, frozen=True):
    """Where a path leads: the JSON type and value there, its elements, and what gives it a scope."""

    kind: str
    value: str
    elements: str
    scope: Callable[[str], str]


def translated(node: Node, params: Params) -> str:
    """A condition that holds for the same rows as the tree; metadata that are no JSON have no keys."""
    otherwise = int(holds(node, {}))
    return f"CASE WHEN json_valid(metadata, 5) THEN {_node(node, params)} ELSE {otherwise} END"


def narrowed(node: Node, indexed: Collection[tuple[str, ...]], params: Params) -> Sequence[str]:
    """Conditions that together hold for the same rows as the tree, and exclude each other.

    Each begins with one that an index of one of the paths answers; none if there is none. Stored
    arrays match by their elements; as text they lie between two brackets. What is equal to a text
    that is not like that is that text: of such rows this need not be asked again.
    """
    nodes = node.nodes if isinstance(node, All) else (node,)
    for compare in nodes:
        if not isinstance(compare, Compare) or compare.negated or compare.path not in indexed:
            continue
        if compare.op not in {"eq", "in"}:
            continue
        stored, whole = extracted(compare.path), translated(node, params)
        values = compare.value if isinstance(compare.value, tuple) else (compare.value,)
        between = f"{stored} >= '[' AND {stored} < '\\'"
        arrays = f"{between} AND {whole}"
        if len(values) == 1 and isinstance(values[0], str) and values[0][:1] not in {"[", "{"}:
            rest = tuple([one for one in nodes if one is not compare])
            equal = f"{stored} = {params.add(values[0])}"
            return (f"{equal} AND {translated(All(rest), params)}" if rest else equal, arrays)
        listed = params.add(to_json([int(v) if isinstance(v, bool) else v for v in values]))
        member = f"{stored} IN (SELECT value FROM json_each({listed}))"
        return (f"{member} AND NOT ({between}) AND {whole}", arrays)
    return ()


def extracted(path: Sequence[str]) -> str:
    """The value at a path, as our indexes of metadata have it: NULL, and no error, where there is no JSON.

    The original's filters are spelt so that no index serves them.
    """
    text = json_path(path).replace("'", "''")
    return f"CASE WHEN json_valid(metadata, 5) THEN json_extract(metadata, '{text}') END"


def json_path(path: Sequence[str]) -> str:
    """The path in SQLite's notation, which has no word for quotes and backslashes."""
    return "$" + "".join([f'."{key}"' for key in path])


def plain(path: Sequence[str]) -> bool:
    """Whether SQLite's notation can say the path."""
    return not any('"' in key or "\\" in key for key in path)


def _node(node: Node, params: Params) -> str:
    if isinstance(node, Compare):
        return _compare(node, params)
    if not node.nodes:
        return "1" if isinstance(node, All) else "0"
    terms = [_node(inner, params) for inner in node.nodes]
    return _balanced(terms, " OR " if isinstance(node, AnyOf) else " AND ")


def _balanced(terms: Sequence[str], word: str) -> str:
    """The terms joined as a tree, since SQLite bounds the depth of an expression."""
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return f"({_balanced(terms[:half], word)}{word}{_balanced(terms[half:], word)})"


def _compare(compare: Compare, params: Params) -> str:
    place = _place(compare.path, params)
    condition = place.scope(_condition(compare, place, params))
    return f"({condition}) IS {'NOT ' if compare.negated else ''}TRUE"


def _place(path: tuple[str, ...], params: Params) -> _Place:
    if plain(path):
        at = params.add(json_path(path))
        return _Place(
            kind=f"json_type(metadata, {at})",
            value=f"json_extract(metadata, {at})",
            elements=f"json_each(metadata, {at})",
            scope=lambda condition: condition,
        )
    tables = ["json_each(metadata) j0"]
    for i in range(len(path) - 1):
        inner = f"CASE j{i}.type WHEN 'object' THEN j{i}.value ELSE '{{}}' END"
        tables.append(f"json_each({inner}) j{i + 1}")
    keys = " AND ".join([f"j{i}.key = {params.add(key)}" for i, key in enumerate(path)])
    last = f"j{len(path) - 1}"
    head = f"EXISTS (SELECT 1 FROM {', '.join(tables)} WHERE {keys} AND "
    return _Place(
        kind=f"{last}.type",
        value=f"{last}.value",
        elements=f"json_each(CASE {last}.type WHEN 'array' THEN {last}.value ELSE '[]' END)",
        scope=lambda condition: f"{head}({condition}))",
    )


def _condition(compare: Compare, place: _Place, params: Params) -> str:
    if compare.op == "exists":
        return f"{place.kind} <> 'null'"
    if compare.op == "contains":
        return _contains(compare.value, place, params)
    if compare.op in SIGNS:
        wanted = cast("Scalar", compare.value)
        return _scalar(place.kind, place.value, wanted, params, SIGNS[compare.op])
    values = compare.value if isinstance(compare.value, tuple) else (compare.value,)
    alone = _among(place.kind, place.value, values, params)
    inside = _among("e.type", "e.value", values, params)
    member = f"EXISTS (SELECT 1 FROM {place.elements} e WHERE {inside})"
    return f"CASE {place.kind} WHEN 'array' THEN {member} ELSE {alone} END"


def _scalar(kind: str, value: str, wanted: Scalar, params: Params, sign: str = "=") -> str:
    """A comparison with one value of its own type."""
    if isinstance(wanted, bool):
        return f"{kind} = '{str(wanted).lower()}'"
    if isinstance(wanted, str):
        return f"({kind} = 'text' AND {value} {sign} {params.add(wanted)})"
    return f"({kind} IN {NUMBERS} AND {value} {sign} {params.number(wanted)})"


def _among(kind: str, value: str, wanted: Sequence[Scalar], params: Params) -> str:
    """Whether a value is one of a list, each with its own type; a list is one parameter."""
    if len(wanted) == 1:
        return _scalar(kind, value, wanted[0], params)
    truths = sorted({one for one in wanted if isinstance(one, bool)})
    terms = [_scalar(kind, value, one, params) for one in truths]
    for types, listed in _lists(wanted):
        inside = f"{value} IN (SELECT value FROM json_each({params.add(listed)}))"
        terms.append(f"({kind} IN {types} AND {inside})")
    return f"({' OR '.join(terms)})" if terms else "0"


def _lists(wanted: Sequence[Scalar]) -> list[tuple[str, str]]:
    """The texts and the numbers among the values as JSON, with the types that they compare to."""
    texts = [one for one in wanted if isinstance(one, str)]
    numbers = [one for one in wanted if not isinstance(one, (str, bool))]
    found = (("('text')", texts), (NUMBERS, numbers))
    return [(types, to_json(values)) for types, values in found if values]


def _contains(wanted: Scalar | tuple[Scalar, ...], place: _Place, params: Params) -> str:
    """A stored text has the substring, or a stored array all the values."""
    values = wanted if isinstance(wanted, tuple) else (wanted,)
    truths = sorted({one for one in values if isinstance(one, bool)})
    terms = [
        f"EXISTS (SELECT 1 FROM {place.elements} e WHERE {_scalar('e.type', '', one, params)})"
        for one in truths
    ]
    for types, listed in _lists(values):
        inside = f"SELECT e.value FROM {place.elements} e WHERE e.type IN {types}"
        wanting = f"SELECT 1 FROM json_each({params.add(listed)}) w WHERE w.value NOT IN ({inside})"
        terms.append(f"NOT EXISTS ({wanting})")
    holding = f"({place.kind} = 'array' AND {' AND '.join(terms) or '1'})"
    if not isinstance(wanted, str):
        return holding
    within = f"instr(lower({place.value}), {params.add(ascii_lower(wanted))}) > 0"
    return f"CASE {place.kind} WHEN 'text' THEN {within} ELSE {holding} END"
