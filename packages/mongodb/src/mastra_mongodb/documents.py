"""Rows as documents and back: the fields of the original, and what BSON cannot hold beside them.

Columns are fields of the same name. JSON columns are native values, as the original stores them. What
BSON cannot hold exactly (integers beyond 64 bits, more than a hundred levels, ``null`` where the
original means "absent" by it) is stored as near as possible, and beside it, in a field
``_exact_<column>``, as JSON text. That text counts only while the native value is the one that was
stored with it: what the original writes later wins.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias, cast

import msgspec

from mastra_core.clock import from_iso, iso
from mastra_core.errors import CorruptDataError
from mastra_core.storage.codec import from_json
from mastra_core.storage.schema import Column, Row, Table, Value

Document: TypeAlias = dict[str, Any]

EXACT: Final = "_exact_"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
INT32: Final = 2**31
INT64: Final = 2**63
# JavaScript stores whole numbers beyond 32 bits as doubles, up to where those are exact.
SAFE: Final = 2**53
# A document may have 100 levels; two are the document itself and the field.
LEVELS: Final = 90
# What may be in a text for the value to need a closer look: a number beyond 64 bits, a whole double
# that reads as an integer, the key that makes the driver see a reference.
_UNUSUAL: Final = re.compile(r"\d{19}|\d{10}\.0(?!\d)|\"\$ref\"")
_WHOLE: Final = re.compile(r"\d{10}\.0(?!\d)")

# Columns of which the original tells "absent" (no field) from the value null.
_NULL_IS_A_VALUE: Final[Mapping[str, frozenset[str]]] = {
    "mastra_dataset_items": frozenset({"input", "groundTruth", "expectedTrajectory"}),
}
# Columns that always hold an object or a list: older versions of the original stored them as text.
_NEVER_TEXT: Final[Mapping[str, frozenset[str]]] = {
    "mastra_threads": frozenset({"metadata"}),
    "mastra_resources": frozenset({"metadata"}),
    "mastra_workflow_snapshot": frozenset({"snapshot"}),
}


def keeps_null(table: Table, column: Column) -> bool:
    """Whether a stored null is the JSON value, so that an absent one has no field at all."""
    return column.nullable is False or column.name in _NULL_IS_A_VALUE.get(table.name, ())


def native(text: str) -> tuple[Any, bool]:
    """The value of JSON text as BSON takes it, and whether that is all of it."""
    value = from_json(text)
    if value is None:
        return None, False
    levels = text.count("{") + text.count("[") if len(text) > LEVELS else 0
    if levels < LEVELS and not _UNUSUAL.search(text):
        return value, True
    near = _near(value, LEVELS)
    return near, '"$ref"' not in text and _text(near) == _encode(value).decode()


def _near(value: Any, levels: int) -> Any:
    """The value itself where BSON holds it, else what comes nearest to it."""
    if isinstance(value, int) and not isinstance(value, bool) and not -INT64 <= value < INT64:
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        if levels == 0:
            return _text(members)
        return {key: _near(member, levels - 1) for key, member in members.items()}
    if isinstance(value, list):
        items = cast("Sequence[Any]", value)
        return [_near(item, levels - 1) for item in items] if levels else _text(items)
    return value


def _plain(value: Any) -> Any:
    """A BSON type that JSON has no word for, as JavaScript's JSON would show it."""
    if isinstance(value, int):
        return int(value)
    if hasattr(value, "as_doc"):
        return dict(value.as_doc())
    if hasattr(value, "as_datetime"):
        return iso(moment(value))
    return str(value)


_encode = msgspec.json.Encoder(enc_hook=_plain).encode


def _text(value: Any) -> str:
    """The JSON text of a stored value."""
    text = _encode(value).decode()
    if _WHOLE.search(text):
        text = _encode(_integers(value)).decode()
    return text


def _integers(value: Any) -> Any:
    """The value with the doubles that JavaScript meant as integers as integers."""
    if isinstance(value, float):
        return int(value) if INT32 <= abs(value) <= SAFE and value.is_integer() else value
    if hasattr(value, "as_doc"):
        value = value.as_doc()
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        return {key: _integers(member) for key, member in members.items()}
    if isinstance(value, list):
        items = cast("Sequence[Any]", value)
        return [_integers(item) for item in items]
    return value


def moment(value: Any) -> datetime:
    """A stored date (milliseconds since 1970), or a foreign text or number that means one."""
    if isinstance(value, str):
        found = from_iso(value)
        if found is not None:
            return found
    try:
        return EPOCH + timedelta(milliseconds=int(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise CorruptDataError(f"a stored time is {value!r}, which is no date") from error


def encoded(table: Table, values: Mapping[str, Value]) -> tuple[Document, list[str]]:
    """The fields of some columns, and those that must not be there."""
    fields: Document = dict(values)
    absent: list[str] = []
    for column in json_columns(table):
        name, exact = column.name, EXACT + column.name
        if name not in values:
            continue
        text, whole = values[name], True
        if text is not None:
            fields[name], whole = stored_json(table, column, cast("str", text))
        elif keeps_null(table, column):
            del fields[name]
            absent.append(name)
        if whole:
            absent.append(exact)
        else:
            fields[exact] = text
    return fields, absent


@functools.lru_cache(maxsize=1024)
def json_columns(table: Table) -> tuple[Column, ...]:
    """The JSON columns of a table."""
    return tuple([column for column in table.columns if column.type == "json"])


def stored_json(table: Table, column: Column, text: str) -> tuple[Any, bool]:
    """The native value of a JSON column, and whether reading gives all of it back."""
    value, whole = native(text)
    if value is None:
        return None, keeps_null(table, column)
    if isinstance(value, str) and column.name in _NEVER_TEXT.get(table.name, ()):
        return value, False
    return value, whole


def projection(columns: Sequence[Column]) -> Document:
    """Which fields of a document these columns need."""
    fields: Document = {"_id": 0}
    for column in columns:
        fields[column.name] = 1
        if column.type == "json":
            fields[EXACT + column.name] = 1
    return fields


Decode: TypeAlias = Callable[[Mapping[str, Any]], Value]


def decoders(table: Table, columns: Sequence[Column]) -> list[Decode]:
    """How each column is read from a document."""
    return [_decoder(table, column) for column in columns]


def row(document: Mapping[str, Any], decode: Sequence[Decode]) -> Row:
    """The row of a document."""
    return tuple([one(document) for one in decode])


def _decoder(table: Table, column: Column) -> Decode:
    if column.type == "json":
        return _json_decoder(table, column)
    name, convert = column.name, _SCALARS[column.type]

    def scalar(document: Mapping[str, Any]) -> Value:
        value = document.get(name)
        return None if value is None else convert(value)

    return scalar


def _json_decoder(table: Table, column: Column) -> Decode:
    name, exact, null = column.name, EXACT + column.name, keeps_null(table, column)
    may_be_text = name in _NEVER_TEXT.get(table.name, ())

    def json(document: Mapping[str, Any]) -> Value:
        value = document.get(name)
        if exact in document and (given := _if_valid(document[exact], value)) is not None:
            return given
        if value is None:
            return "null" if null and name in document else None
        if may_be_text and isinstance(value, str) and _is_json(value):
            return value
        return _text(value)

    return json


def _if_valid(exact: Any, value: Any) -> str | None:
    """The exact text, if the native value is still the one that was stored with it."""
    if not isinstance(exact, str) or not _is_json(exact):
        return None
    stored, found = _text(_near(from_json(exact), LEVELS)), _text(value)
    if '"$ref"' in exact:
        # The driver makes an object of its own of a reference, which has its keys in another order.
        return exact if from_json(stored) == from_json(found) else None
    return exact if stored == found else None


def _is_json(text: str) -> bool:
    try:
        from_json(text)
    except CorruptDataError:
        return False
    return True


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else _text(value)


def _as_integer(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise CorruptDataError(f"a stored integer is {value!r}") from error


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise CorruptDataError(f"a stored number is {value!r}") from error


_SCALARS: Final[Mapping[str, Callable[[Any], Value]]] = {
    "text": _as_text,
    "timestamp": moment,
    "integer": _as_integer,
    "bigint": _as_integer,
    "float": _as_float,
    "boolean": bool,
}
