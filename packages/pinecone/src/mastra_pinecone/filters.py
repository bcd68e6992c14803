"""The tree of a filter as Pinecone's: it matches at least what the tree does.

What Pinecone cannot say (the order of strings, parts of strings, the negation of an order) is widened
or left out; what it finds is looked at again here. A record of which it does not have all that a
filter asks (``flat.LOOSE``) is found by every condition on that key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from mastra_core.vector.filters import Compare, Node, Scalar, united, widened
from mastra_core.vector.flat import LOOSE
from mastra_pinecone.records import EXACT, can_be_key

Where: TypeAlias = dict[str, Any]

# More values are not sent: Pinecone takes 10,000, and 2 MB.
VALUES: Final = 1000


def translated(node: Node | None) -> Where | None:
    """A filter that matches at least what the tree does; ``None`` matches everything."""
    return widened(node, _compared)


def _compared(node: Compare) -> Where | None:
    key = ".".join(node.path)
    values = node.value if isinstance(node.value, tuple) else (node.value,)
    if not can_be_key(key) or len(values) > VALUES:
        return None
    first = node.path[0]
    loose: Where = {LOOSE: {"$in": [first, f"{key}/"] if node.op == "exists" else [first]}}
    if node.negated:
        # What is found by a dotted key may be another's, and is not to be left out.
        sent = None if len(node.path) > 1 else _negated(key, node.op, values)
    else:
        sent = _said(key, node.op, node.value, values)
    return None if sent is None else {"$or": [sent, loose]}


def _said(key: str, op: str, value: Any, values: Sequence[Scalar]) -> Where | None:
    there: Where = {key: {"$exists": True}}
    if op in ("eq", "in"):
        # What is beyond doubles is loose wherever it is stored.
        return {key: {"$in": [_plain(one) for one in values]}}
    if op == "contains" and isinstance(value, tuple):
        # (Lists of anything but texts are loose.)
        texts = [one for one in values if isinstance(one, str)]
        return united("$and", [{key: {"$in": [one]}} for one in texts]) or there
    if op in ("gt", "gte", "lt", "lte") and not isinstance(value, str) and abs(value) < EXACT:
        return {key: {f"${op}": value}}
    return there


def _negated(key: str, op: str, values: Sequence[Scalar]) -> Where | None:
    absent: Where = {key: {"$exists": False}}
    if op == "exists":
        return absent
    if op in ("eq", "in") and all(_exact(one) for one in values):
        # Whether absence is unequal is said, too, since services have not always agreed.
        return {"$or": [{key: {"$nin": [_plain(one) for one in values]}}, absent]}
    return None


def _exact(value: Scalar) -> bool:
    return isinstance(value, (str, bool)) or abs(value) < EXACT


def _plain(value: Scalar) -> Scalar:
    return value if isinstance(value, (str, bool)) else float(value)
