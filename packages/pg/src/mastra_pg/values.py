"""Values as the original stores them: JSON inside of JSON; and arrays as one text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mastra_core.errors import CorruptDataError
from mastra_core.storage.codec import from_json, to_json

# An absent value where the original forbids it: what it reads there is no value either.
ABSENT: Final = '"null"'


def _is_json(text: str) -> bool:
    try:
        from_json(text)
    except CorruptDataError:
        return False
    return True


def encoded_twice(text: str | None) -> str | None:
    """JSON as it is stored where the original encodes twice.

    All but strings that look like JSON stand as they are; those are encoded twice, or reading
    would take them for what they look like.
    """
    if text is None or not text.startswith('"'):
        return text
    return to_json(text) if _is_json(from_json(text)) else text


def decoded_twice(text: str | None) -> str | None:
    """The JSON inside a JSON string, if there is any; else the JSON as it is."""
    if text is None or not text.startswith('"'):
        return text
    if text == ABSENT:
        return None
    inner = from_json(text)
    return inner if _is_json(inner) else text


def literal(values: Sequence[Any]) -> str:
    """An array as text, which costs a tenth of what the driver's own lists do.

    Texts are quoted all at once: U+0000 occurs in none of them, so that it can stand between.
    """
    if None not in values:
        try:
            joined = "\0".join(values)
        except TypeError:
            return "{" + ",".join(map(str, values)) + "}"
        if not values:
            return "{}"
        quoted_text = joined.replace("\\", "\\\\").replace('"', '\\"').replace("\0", '","')
        return f'{{"{quoted_text}"}}'
    given = [value for value in values if value is not None]
    if all(isinstance(value, str) for value in given):
        pieces = iter(literal([value])[1:-1] for value in given)
        return "{" + ",".join(["NULL" if v is None else next(pieces) for v in values]) + "}"
    return "{" + ",".join(["NULL" if v is None else str(v) for v in values]) + "}"
