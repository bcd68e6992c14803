"""Filters in Upstash Vector's language: what is sent leaves nothing out that matches.

The language is not the whole of ours (texts have no order, negations say nothing of what is absent,
literals no escapes), so a filter becomes the narrowest one in it that is certainly met by every
match; what comes back is held against the filter itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from mastra_core.vector.filters import AnyOf, Compare, Node, Scalar

# The grammar's identifiers without its accessors of arrays; words of the language are none.
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
WORDS: Final = frozenset(
    {"and", "or", "not", "in", "glob", "contains", "has", "field", "true", "false"}
)
PATH_LENGTH: Final = 200
# Longer texts are stored shortened where metadata are too large (see ``vector_rows``).
TEXT_LENGTH: Final = 200
FILTER_LENGTH: Final = 4000
MOST_VALUES: Final = 50
# Up to here 64 bits of a float hold every integer.
EXACT: Final = 2**53
NUMBER_LENGTH: Final = 40
SIGNS: Final = {"gt": ">=", "gte": ">=", "lt": "<=", "lte": "<="}
# The key that metadata have beside others if some of them are stored shortened.
SHORTENED: Final = "mastra_row"


class Sent(msgspec.Struct, frozen=True):
    """A filter in the service's words; ``exact`` if it says neither more nor less than ours."""

    text: str
    exact: bool = False


def translated(node: Node | None) -> Sent | None:
    """What is sent for a filter; nothing, where no part of it can be said."""
    if node is None:
        return None
    if isinstance(node, Compare):
        return _compared(node)
    parts = [translated(inner) for inner in node.nodes]
    if isinstance(node, AnyOf):
        return _any(parts)
    return _all(parts)


def _all(parts: Sequence[Sent | None]) -> Sent | None:
    """As many of the parts as a filter may hold."""
    kept: list[Sent] = []
    left = FILTER_LENGTH
    for part in parts:
        if part is not None and len(part.text) + 10 <= left:
            kept.append(part)
            left -= len(part.text) + 5
    if not kept:
        return None
    return _joined(kept, " AND ", exact=len(kept) == len(parts))


def _any(parts: Sequence[Sent | None]) -> Sent | None:
    kept = [part for part in parts if part is not None]
    if not kept or len(kept) < len(parts):
        return None
    found = _joined(kept, " OR ", exact=True)
    return found if len(found.text) <= FILTER_LENGTH else None


def _joined(parts: Sequence[Sent], word: str, *, exact: bool) -> Sent:
    if len(parts) == 1:
        return Sent(parts[0].text, exact and parts[0].exact)
    text = word.join([part.text for part in parts])
    return Sent(f"({text})", exact and all(part.exact for part in parts))


def _compared(node: Compare) -> Sent | None:
    path = ".".join(node.path)
    if node.negated or not _sayable(node.path, path):
        return None
    # (A stored null is a field to the service, perhaps, and to us it is absent.)
    there = Sent(f"HAS FIELD {path}")
    value = node.value
    if node.op in {"eq", "in"}:
        return _equals(path, value if isinstance(value, tuple) else (value,)) or there
    if node.op == "contains":
        return _contains(path, value) or there
    if node.op in SIGNS and isinstance(value, (int, float)):
        literal = _number(value)
        return there if literal is None else Sent(f"{path} {SIGNS[node.op]} {literal}")
    return there


def _sayable(parts: Sequence[str], path: str) -> bool:
    return len(path) <= PATH_LENGTH and all(
        NAME.fullmatch(part) and part.lower() not in WORDS for part in parts
    )


def _equals(path: str, values: Sequence[Scalar]) -> Sent | None:
    """One of the values, or an array with one of them."""
    literals = [_literal(value) for value in values[: MOST_VALUES + 1]]
    if None in literals or len(literals) > MOST_VALUES:
        return None
    tests = [f"{path} = {literal} OR {path} CONTAINS {literal}" for literal in literals]
    exact = "." not in path and all(map(_unmistakable, values))
    return Sent(f"({' OR '.join(tests)})", exact)


def _unmistakable(value: Scalar) -> bool:
    """Whether nothing but this text equals it, however loosely the service compares types."""
    return (
        isinstance(value, str)
        and bool(re.search(r"[^\W\deE]", value))
        and (value.lower() not in {"true", "false"})
    )


def _contains(path: str, value: Scalar | tuple[Scalar, ...]) -> Sent | None:
    if isinstance(value, tuple):
        found = [_literal(one) for one in value[:MOST_VALUES]]
        tests = [f"{path} CONTAINS {literal}" for literal in found if literal is not None]
        return Sent(f"({' AND '.join(tests)})") if tests else None
    literal = _literal(value)
    if literal is None:
        return None
    if not isinstance(value, str):
        return Sent(f"{path} CONTAINS {literal}")
    pattern = "".join(map(_either_case, value))
    return Sent(
        f"({path} GLOB '*{pattern}*' OR {path} CONTAINS {literal} OR HAS FIELD {SHORTENED})"
    )


def _either_case(sign: str) -> str:
    """A part of a pattern that stands at least for this character."""
    if not sign.isascii():
        return "*"
    if sign.isalpha():
        return f"[{sign.lower()}{sign.upper()}]"
    return sign if sign.isdigit() or sign == " " else "?"


def _literal(value: Scalar) -> str | None:
    """A literal, if the grammar has certainly one for the value: it says nothing of escapes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return _number(value)
    if not value or len(value) > TEXT_LENGTH or not value.isprintable() or "\\" in value:
        return None
    if "'" not in value:
        return f"'{value}'"
    return None if '"' in value else f'"{value}"'


def _number(value: float) -> str | None:
    if isinstance(value, int) or value.is_integer():
        return str(int(value)) if abs(value) < EXACT else None
    text = format(Decimal(repr(value)), "f")
    return text if len(text) <= NUMBER_LENGTH else None
