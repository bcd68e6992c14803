"""Values and names as text of LanceDB's SQL: the only place where either gets into a statement.

LanceDB binds no parameters, so that a filter is text. Nothing else in this package may write a
quote around a value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from mastra_core.errors import InvalidArgumentError
from mastra_core.storage.schema import Value

INT64: Final = 2**63
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def name(text: str) -> str:
    """A column's name: it is ours or the table's, and a backtick has no escape."""
    if "`" in text or "\0" in text or not text:
        raise InvalidArgumentError(f"{text!r} cannot be the name of a column of LanceDB")
    return f"`{text}`"


def literal(value: Value) -> str:
    """One value, as an expression that stands for it whatever it holds."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, datetime):
        return repr(epoch_milliseconds(value))
    return _float(value)


def listed(values: Iterable[Value]) -> str:
    """Several values, for ``IN``; there must be one at least."""
    return f"({', '.join([literal(value) for value in values])})"


def epoch_milliseconds(at: datetime) -> float:
    """A moment as the original stores it: milliseconds since 1970 as a double."""
    return float((at - EPOCH) // _MILLISECOND)


def _text(value: str) -> str:
    # A quote is doubled, and nothing else means anything inside quotes; what cannot be UTF-8 or
    # would end the text for a reader written in C never gets there.
    if "\0" in value:
        raise InvalidArgumentError("a text with U+0000 cannot be compared by LanceDB")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError("a text with half a surrogate pair is no UTF-8") from error
    return "'" + value.replace("'", "''") + "'"


def _integer(value: int) -> str:
    if not -INT64 <= value < INT64:
        raise InvalidArgumentError(f"the integer {value} needs more than 64 bits")
    # The least integer is read as a double, since its sign is an operator.
    return str(value) if value > -INT64 else f"({value + 1} - 1)"


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise InvalidArgumentError(f"{value} is no number that can be compared")
    return repr(float(value))
