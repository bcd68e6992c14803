"""Filters of vectors as PostgreSQL's SQL: conditions on a metadata column of JSONB, all values bound.

A comparison is NULL or false where it does not hold: nothing stands around it but AND and OR, to
which both are the same. One that is negated is ``IS NOT TRUE``, so that it matches all the others.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, cast

from mastra_core.storage.codec import to_json
from mastra_core.vector.filters import All, Compare, Node, Scalar, ascii_lower
from mastra_pg.values import literal

SIGNS: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class Params:
    """Bound values, by their number: one may stand in several places of a statement."""

    def __init__(self, *values: Any) -> None:
        self.values: list[Any] = list(values)

    def add(self, value: Any, kind: str = "text") -> str:
        """Bind a value; what stands for it, as a value of this type."""
        self.values.append(value)
        return f"${len(self.values)}::{kind}"

    def json(self, value: Any) -> str:
        """Bind a JSON value."""
        return self.add(to_json(value), "jsonb")


def translated(node: Node, params: Params, indexed: Collection[tuple[str, ...]] = ()) -> str:
    """A condition that holds for the same rows as the tree.

    Keys of the paths that are indexed stand in the text, where the server recognises the index.
    """
    if isinstance(node, Compare):
        keys = [quoted(k) if node.path in indexed else params.add(k) for k in node.path]
        return _compare(node, _reached(keys), params)
    if not node.nodes:
        return "true" if isinstance(node, All) else "false"
    terms = [translated(inner, params, indexed) for inner in node.nodes]
    return f"({(' AND ' if isinstance(node, All) else ' OR ').join(terms)})"


def narrows(node: Node | None, indexed: Collection[tuple[str, ...]]) -> bool:
    """Whether an index of one of the paths leads to all rows that match."""
    if isinstance(node, Compare):
        return node.path in indexed and not node.negated and node.op in {"eq", "in"}
    if node is None or not node.nodes:
        return False
    those = [narrows(inner, indexed) for inner in node.nodes]
    return any(those) if isinstance(node, All) else all(those)


def value_at(path: Sequence[str]) -> str:
    """The JSON value at a path, with its keys in the text; by a text no element of an array is meant."""
    return _reached([quoted(key) for key in path])


def text_at(path: Sequence[str]) -> str:
    """The text at a path as the original's filters spell it."""
    if len(path) == 1:
        return f"(metadata->>{quoted(path[0])})"
    return f"(metadata#>>{quoted(literal(path))})"


def quoted(text: str) -> str:
    """The text as a constant, whatever the server takes backslashes for."""
    doubled = text.replace("'", "''")
    if "\\" not in text:
        return f"'{doubled}'"
    escaped = doubled.replace("\\", "\\\\")
    return f"E'{escaped}'"


def _reached(keys: Sequence[str]) -> str:
    return f"({' -> '.join(['metadata', *keys])})"


def _compare(compare: Compare, at: str, params: Params) -> str:
    condition = _condition(compare, at, params)
    return f"({condition}) IS NOT TRUE" if compare.negated else condition


def _condition(compare: Compare, at: str, params: Params) -> str:
    wanted: Any = compare.value
    match compare.op:
        case "exists":
            return f"jsonb_typeof{at} <> 'null'"
        case "eq":
            # A stored array contains its elements; otherwise a value contains what it is.
            return f"{at} @> {params.json(wanted)}"
        case "in":
            listed = literal([to_json(one) for one in wanted])
            return f"{at} @> ANY({params.add(listed, 'jsonb[]')})"
        case "contains":
            return _contains(wanted, at, params)
        case op:
            return _ordered(SIGNS[op], cast("Scalar", wanted), at, params)


def _contains(wanted: Scalar | tuple[Scalar, ...], at: str, params: Params) -> str:
    """A stored text has the substring, or a stored array all the values: nothing else has an array."""
    values = wanted if isinstance(wanted, tuple) else (wanted,)
    holding = f"{at} @> {params.json(values)}"
    if not isinstance(wanted, str):
        return holding
    folded = params.add(ascii_lower(wanted))
    # By this collation the letters of ASCII only have another case.
    within = f"strpos(lower(({at} #>> '{{}}') COLLATE \"C\"), {folded}) > 0"
    return f"CASE jsonb_typeof{at} WHEN 'string' THEN {within} ELSE {holding} END"


def _ordered(sign: str, wanted: Scalar, at: str, params: Params) -> str:
    if isinstance(wanted, str):
        plain = f"({at} #>> '{{}}') COLLATE \"C\""
        return f"(jsonb_typeof{at} = 'string' AND {plain} {sign} {params.add(wanted)})"
    return f"(jsonb_typeof{at} = 'number' AND {at} {sign} {params.json(wanted)})"
