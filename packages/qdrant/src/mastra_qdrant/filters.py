"""The tree of a filter as Qdrant's conditions, and whether they say all that it says.

What Qdrant cannot say as it is meant (order of strings, parts of strings, numbers that a double does not
hold, anything of a whole array) is left out or widened: what it finds is then at least what matches,
and is looked at again here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from qdrant_client import models

from mastra_core.vector.filters import All, Compare, Node, Scalar
from mastra_qdrant.points import LEVELS, OURS

Condition: TypeAlias = (
    models.FieldCondition | models.IsEmptyCondition | models.Filter | models.HasIdCondition
)

# Integers that doubles hold, which is how Qdrant compares numbers in ranges.
EXACT: Final = 2**53
PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class Sent(NamedTuple):
    """A condition (``None``: no condition), and whether it matches exactly what the filter does."""

    condition: Condition | None
    exact: bool


def translated(node: Node | None) -> tuple[models.Filter | None, bool]:
    """A filter that matches at least what the tree does, and whether it matches exactly that."""
    if node is None:
        return None, True
    sent = _sent(node)
    if sent.condition is None or isinstance(sent.condition, models.Filter):
        return sent.condition, sent.exact
    return models.Filter(must=[sent.condition]), sent.exact


def _sent(node: Node) -> Sent:
    if isinstance(node, Compare):
        return _negated(node) if node.negated else _compared(node)
    parts = [_sent(inner) for inner in node.nodes]
    conditions = [part.condition for part in parts if part.condition is not None]
    exact = all(part.exact for part in parts)
    if isinstance(node, All):
        return Sent(models.Filter(must=list(conditions)) if conditions else None, exact)
    if len(conditions) < len(parts):
        # One branch may match anything, and so may all of it.
        return Sent(None, exact=False)
    return Sent(models.Filter(should=list(conditions)), exact)


def _negated(node: Compare) -> Sent:
    """A negation can be said of what can be said exactly: else too much would be left out."""
    if node.op == "exists":
        key = _key(node.path)
        if key is None:
            return Sent(None, exact=False)
        # An empty array is empty to Qdrant, and a value here.
        return Sent(models.IsEmptyCondition(is_empty=models.PayloadField(key=key)), exact=False)
    condition, exact = _compared(node)
    if not exact or condition is None:
        return Sent(None, exact=False)
    return Sent(models.Filter(must_not=[condition]), exact=True)


def _compared(node: Compare) -> Sent:
    key = _key(node.path)
    if key is None:
        return Sent(None, exact=False)
    match node.op:
        case "eq" | "in":
            return _any_of(key, _values(node.value))
        case "contains" if isinstance(node.value, tuple) and node.value:
            parts = [_any_of(key, [value]).condition for value in node.value]
            return Sent(models.Filter(must=[p for p in parts if p is not None]), exact=False)
        case "gt" | "gte" | "lt" | "lte" if isinstance(node.value, (int, float)):
            return _ordered(key, node.op, node.value)
        case _:
            return Sent(None, exact=False)


def _any_of(key: str, values: Sequence[Scalar]) -> Sent:
    texts = [value for value in values if isinstance(value, str)]
    conditions: list[models.FieldCondition] = []
    if len(texts) > 1:
        conditions.append(models.FieldCondition(key=key, match=models.MatchAny(any=texts)))
    elif texts:
        conditions.append(_equal(key, texts[0]))
    conditions += [_equal(key, value) for value in values if not isinstance(value, str)]
    exact = all(isinstance(v, (str, bool)) or abs(v) < EXACT for v in values)
    if len(conditions) == 1:
        return Sent(conditions[0], exact)
    return Sent(models.Filter(should=list(conditions)), exact)


def _equal(key: str, value: Scalar) -> models.FieldCondition:
    if isinstance(value, (str, bool)):
        return models.FieldCondition(key=key, match=models.MatchValue(value=value))
    low = high = float(value)
    if abs(value) >= EXACT:
        # Whether a server rounds what is stored or compares it as it is.
        low, high = math.nextafter(low, -math.inf), math.nextafter(high, math.inf)
    return models.FieldCondition(key=key, range=models.Range(gte=low, lte=high))


def _ordered(key: str, op: str, value: float) -> Sent:
    number = float(value)
    if abs(value) >= EXACT:
        # As above: what is a little less or more is looked at again.
        upwards = op.startswith("g")
        number = math.nextafter(number, -math.inf if upwards else math.inf)
    # (An array matches where one of its numbers does, to Qdrant alone.)
    return Sent(models.FieldCondition(key=key, range=models.Range(**{op: number})), exact=False)


def _values(value: Scalar | tuple[Scalar, ...]) -> Sequence[Scalar]:
    return value if isinstance(value, tuple) else (value,)


def _key(path: Sequence[str]) -> str | None:
    """A path as Qdrant writes it, or ``None`` where it cannot be written or is not stored there."""
    if path[0] == OURS or len(path) > LEVELS or any(set(key) & set('"\\') for key in path):
        return None
    return ".".join(key if PLAIN.fullmatch(key) else f'"{key}"' for key in path)
