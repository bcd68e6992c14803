"""Filters of vectors in MongoDB's language: never narrower than what they mean, and often just that.

MongoDB's paths go into the members of arrays, and its ranges match arrays by any element. So what it finds
by the filters made here has all that match, and perhaps more, which ``holds`` of core leaves out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, cast

from mastra_core.vector.filters import All, AnyOf, Compare, Node, Scalar
from mastra_mongodb.conditions import DEEP, NOTHING, Filter
from mastra_mongodb.documents import INT64

METADATA: Final = "metadata"
# What a search index takes in its filter.
SEARCHED: Final = frozenset(
    {"$and", "$or", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin"}
)
# Longer texts are not in a search index.
TEXT: Final = 8000


def wider(node: Node | None) -> Filter | None:
    """The filter of what matches, and perhaps of more; ``None`` where it would leave nothing out."""
    if node is None:
        return None
    if isinstance(node, Compare):
        return _comparison(node)
    parts = [wider(inner) for inner in node.nodes]
    some = [part for part in parts if part is not None]
    if isinstance(node, All):
        return _joined("$and", some) if some else None
    if not parts:
        return NOTHING
    return _joined("$or", some) if len(some) == len(parts) else None


def searched(node: Node | None, declared: AbstractSet[str]) -> tuple[Filter | None, bool]:
    """What of a filter a search index takes that has these paths, and whether that is all of it."""
    if isinstance(node, All):
        parts = [searched(inner, declared) for inner in node.nodes]
        some = [part for part, _ in parts if part is not None]
        return _joined("$and", some) if some else None, all(whole for _, whole in parts)
    found = wider(node)
    if found is None or not _takes(found, declared):
        return None, node is None
    return found, True


def leads(node: Node | None, indexed: AbstractSet[str]) -> bool:
    """Whether an ordinary index of one of these paths leads to all that match."""
    if isinstance(node, Compare):
        return not node.negated and node.op in {"eq", "in"} and path_of(node.path) in indexed
    if isinstance(node, AnyOf):
        return bool(node.nodes) and all(leads(inner, indexed) for inner in node.nodes)
    return node is not None and any(leads(inner, indexed) for inner in node.nodes)


def path_of(keys: Sequence[str]) -> str | None:
    """The path of metadata keys, if MongoDB has one: no key of it may begin with a dollar."""
    if len(keys) > DEEP or any(not key or key.startswith("$") for key in keys):
        return None
    return ".".join((METADATA, *keys))


def _comparison(compare: Compare) -> Filter | None:
    path, values = path_of(compare.path), compare.value
    if path is None or not all(_plain(one) for one in _listed(values)):
        return None
    if not compare.negated:
        return _positive(path, compare)
    if len(compare.path) > 1:
        # There may be an array on the way, of which MongoDB would look at the members.
        return None
    match compare.op:
        case "eq":
            return {path: {"$ne": values}}
        case "in":
            return {path: {"$nin": _listed(values)}}
        case "exists":
            return {path: {"$eq": None}}
        case "contains":
            return None
        case op:
            # MongoDB compares values of one type only; servers like it may take null for the least.
            others: list[Filter] = [{path: {"$type": "array"}}, {path: {"$eq": None}}]
            return {"$or": [{path: {"$not": {f"${op}": values}}}, *others]}


def _positive(path: str, compare: Compare) -> Filter:
    value = compare.value
    match compare.op:
        case "exists":
            return {path: {"$exists": True}}
        case "in":
            return {path: {"$in": _listed(value)}}
        case "contains" if isinstance(value, str):
            return {path: {"$regex": _substring(value)}}
        case "contains" if isinstance(value, tuple):
            return {path: {"$all": list(value)}} if value else {path: {"$type": "array"}}
        case "contains":
            return {path: {"$eq": value}}
        case op:
            return {path: {f"${op}": value}}


def _substring(text: str) -> str:
    """The pattern of a text, whatever the case of its ASCII letters."""
    return "".join(
        f"[{one.lower()}{one.upper()}]" if one.isascii() and one.isalpha() else re.escape(one)
        for one in text
    )


def _plain(value: object) -> bool:
    """Whether a value is compared as what is stored: integers beyond 64 bits are stored as doubles."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return not number or abs(cast("float", value)) < INT64


def _listed(value: Scalar | tuple[Scalar, ...]) -> list[Scalar]:
    return list(value) if isinstance(value, tuple) else [value]


def _joined(operator: str, parts: Sequence[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else {operator: list(parts)}


def _takes(given: object, declared: AbstractSet[str]) -> bool:
    """Whether a search index with these paths takes this filter."""
    if isinstance(given, list):
        return all(_takes(one, declared) for one in cast("list[object]", given))
    if isinstance(given, Mapping):
        return all(
            (key in SEARCHED if key.startswith("$") else key in declared) and _takes(one, declared)
            for key, one in cast("Mapping[str, object]", given).items()
        )
    return given is not None and not (isinstance(given, str) and len(given) > TEXT)
