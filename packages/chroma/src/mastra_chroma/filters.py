"""The tree of a filter as Chroma's: it matches at least what the tree does.

What Chroma cannot say (absence, the order of strings, parts of strings, the negation of an order) is
left out; what it finds is looked at again here. A record of which it does not have all that a
filter asks (``flat.LOOSE``) is found by every condition on that key.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from mastra_chroma.records import EXACT, can_be_key
from mastra_core.vector.filters import Compare, Node, Scalar, united, widened
from mastra_core.vector.flat import LOOSE

Where: TypeAlias = dict[str, Any]

# More values are not sent: each is a condition or two.
VALUES: Final = 100


def translated(node: Node | None) -> Where | None:
    """A filter that matches at least what the tree does; ``None`` matches everything."""
    return widened(node, _compared)


def _compared(node: Compare) -> Where | None:
    key = ".".join(node.path)
    if not can_be_key(key):
        return None
    sent = _negated(key, node) if node.negated else _said(key, node)
    if sent is None:
        return None
    return united("$or", [sent, {LOOSE: {"$contains": node.path[0]}}])


def _said(key: str, node: Compare) -> Where | None:
    values = _values(node.value)
    if len(values) > VALUES:
        return None
    match node.op:
        case "eq" | "in":
            return united("$or", [one for value in values for one in _equal(key, value)])
        case "contains" if not isinstance(node.value, str):
            return united("$and", [_has(key, value) for value in values])
        case "gt" | "gte" | "lt" | "lte" if not isinstance(node.value, (str, tuple)):
            return _ordered(key, node.op, node.value)
        case _:
            return None


def _negated(key: str, node: Compare) -> Where | None:
    """What is found by a dotted key may be another's, and is not to be left out."""
    values = _values(node.value)
    if len(node.path) > 1 or len(values) > VALUES or any(not _exact(value) for value in values):
        return None
    match node.op:
        case "eq" | "in":
            parts = [one for value in values for one in _unequal(key, value)]
            return united("$and", parts)
        case "contains" if not isinstance(node.value, str):
            lacking = [united("$and", _lacks(key, value)) for value in values]
            return united("$or", [one for one in lacking if one is not None])
        case _:
            return None


def _ordered(key: str, op: str, value: float) -> Where | None:
    """A little more than is asked: Chroma cuts a limit to a whole number to compare whole ones with it."""
    if abs(value) >= EXACT:
        return None
    word, limit = ("$gte", -math.inf) if op.startswith("g") else ("$lte", math.inf)
    return {key: {word: _beyond(value, limit)}}


def _beyond(value: float, limit: float) -> float:
    """A little beyond a number: of others than short ones the last bit is lost where they are stored."""
    return math.nextafter(math.nextafter(float(value), limit), limit)


def _equal(key: str, value: Scalar) -> list[Where]:
    if isinstance(value, float) and not value.is_integer():
        low, high = _beyond(value, -math.inf), _beyond(value, math.inf)
        alone: Where = {"$and": [{key: {"$gte": low}}, {key: {"$lte": high}}]}
    else:
        alone = {key: {"$eq": value}}
    return [alone, *({key: {"$contains": one}} for one in _kinds(value))]


def _unequal(key: str, value: Scalar) -> list[Where]:
    return [{key: {"$ne": value}}, *_lacks(key, value)]


def _has(key: str, value: Scalar) -> Where:
    parts = [{key: {"$contains": one}} for one in _kinds(value)]
    return parts[0] if len(parts) == 1 else {"$or": parts}


def _lacks(key: str, value: Scalar) -> list[Where]:
    return [{key: {"$not_contains": one}} for one in _kinds(value)]


def _kinds(value: Scalar) -> list[Scalar]:
    """The value as a list may have it: Chroma's lists of integers have no floats."""
    if isinstance(value, (str, bool)):
        return [value]
    whole = isinstance(value, int) or value.is_integer()
    return [int(value), float(value)] if whole and -(2**63) <= value < 2**63 else [float(value)]


def _exact(value: Scalar) -> bool:
    """Whether what Chroma finds equal to a value is equal to it."""
    if isinstance(value, (str, bool)):
        return True
    return abs(value) < EXACT and (isinstance(value, int) or value.is_integer())


def _values(value: Scalar | tuple[Scalar, ...]) -> Sequence[Scalar]:
    return value if isinstance(value, tuple) else (value,)
