"""Records to rows and back: the one place that knows how a Python value is stored.

JSON takes the types of JSON and those with one obvious text form (datetime, UUID, Enum, dataclass,
``msgspec.Struct``). U+0000 is dropped and lone surrogates become U+FFFD, in JSON and in free text,
because no two databases agree on them; in ids, which must stay exact, they are refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from typing import Any, Generic, TypeAlias, TypeVar, cast, get_type_hints

import msgspec
from msgspec import UNSET

from mastra_core.clock import milliseconds
from mastra_core.errors import CorruptDataError, InvalidArgumentError
from mastra_core.storage.schema import Column, Row, Table, Value

R = TypeVar("R", bound=msgspec.Struct)
Encode = Callable[[Any], Value]
Decode = Callable[[Any], Any]

ID_LENGTH = 255
INT64 = 2**63
_encode_json = msgspec.json.Encoder().encode
_decode_json = msgspec.json.Decoder().decode


def clean_text(text: str) -> str:
    """The text without U+0000, and with U+FFFD for each surrogate that has no partner."""
    if text.isascii():
        return text.replace("\0", "") if "\0" in text else text
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\0", "")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value)
        return {_clean(k): _clean(v) for k, v in items.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(member) for member in cast("Iterable[Any]", value)]
    return value


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value, enc_hook=str)


_refuse_nan = json.JSONEncoder(
    allow_nan=False, skipkeys=True, check_circular=False, default=_plain
).encode


def to_json(value: Any, what: str = "value", *, finite: bool = True) -> str:
    """The value as JSON text; what JSON cannot hold is an ``InvalidArgumentError`` naming ``what``.

    Without ``finite``, NaN and the infinities become null as in JavaScript: looking for them costs
    as much as the rest where the text is long.
    """
    try:
        try:
            text = _encode_json(value).decode()
        except UnicodeEncodeError:
            text = _encode_json(_clean(value)).decode()
        if _escapes_nul(text):
            text = _encode_json(_clean(_decode_json(text))).decode()
        if finite and "null" in text:
            # The encoder writes NaN and the infinities as null; json refuses them.
            _refuse_nan(value)
    except (TypeError, ValueError, RecursionError, OverflowError, msgspec.MsgspecError) as error:
        raise InvalidArgumentError(f"{what} cannot be stored as JSON: {error}") from error
    return text


def from_json(text: str | bytes, decode: Callable[[str | bytes], Any] = _decode_json) -> Any:
    """The value of JSON text, also of text with lone surrogates or numbers beyond a float.

    U+0000, which others may have stored, is left out as in everything that is written here.
    """
    try:
        value = decode(text)
    except msgspec.ValidationError as error:
        raise CorruptDataError(f"stored JSON is not of the expected shape: {error}") from error
    except msgspec.DecodeError:
        try:
            return _clean(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise CorruptDataError(f"stored text is not JSON: {error}") from error
    return _clean(value) if _escapes_nul(text) else value


def _escapes_nul(text: str | bytes) -> bool:
    # From the end it is found in half the time; and most texts have no escape at all.
    if isinstance(text, str):
        return "\\" in text and text.rfind("\\u0000") >= 0
    return b"\\" in text and text.rfind(b"\\u0000") >= 0


def json_object(value: object) -> Mapping[str, Any]:
    """The value if it is a JSON object, else an empty one: for looking into foreign JSON."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def json_array(value: object) -> Sequence[Any] | None:
    """The value if it is a JSON array, else ``None``."""
    return cast("Sequence[Any]", value) if isinstance(value, list) else None


def check_id(value: object, what: str) -> str:
    """The id, if it can be one everywhere: a string of 1 to 255 characters without NUL or half pairs."""
    if not isinstance(value, str) or not value:
        found = "an empty one" if value == "" else type(value).__name__
        raise InvalidArgumentError(f"{what} must be a non-empty string, not {found}")
    if len(value) > ID_LENGTH:
        raise InvalidArgumentError(
            f"{what} has {len(value):,} characters; every database takes at most {ID_LENGTH}"
        )
    if clean_text(value) != value:
        raise InvalidArgumentError(f"{what} contains a NUL or half of a surrogate pair")
    return value


def column_name(table: Table, name: str) -> str:
    """The column for a field: ``thread_id`` is ``thread_id`` in one table, ``threadId`` elsewhere."""
    if name in table.by_name:
        return name
    head, *rest = name.split("_")
    return table.column(head + "".join(part.title() for part in rest)).name


def _json_encoder(what: str, *, exact: bool) -> Encode:
    def json_value(value: Any) -> Value:
        if value is UNSET or (value is None and not exact):
            return None
        return to_json(value, what)

    return json_value


def _text_encoder(name: str, *, indexed: bool, key: bool) -> Encode:
    def text(value: Any) -> Value:
        if value is None:
            return None
        if not isinstance(value, str):
            raise InvalidArgumentError(f"{name} must be text, not {type(value).__name__}")
        return clean_text(value)

    def identity(value: Any) -> Value:
        return value if (value is None or value == "") and not key else check_id(value, name)

    return identity if indexed else text


def _timestamp_encoder(name: str) -> Encode:
    def timestamp(value: Any) -> Value:
        if value is None:
            return None
        if not isinstance(value, datetime):
            raise InvalidArgumentError(f"{name} must be a datetime, not {type(value).__name__}")
        return milliseconds(value)

    return timestamp


def _plain_texts(values: Sequence[Any]) -> bool:
    """Whether all are texts that any database takes as they are, also as ids."""
    if set(map(type, values)) != {str}:
        return False
    joined = "".join(values)
    lengths = set(map(len, values))
    return joined.isascii() and "\0" not in joined and 0 < min(lengths) <= max(lengths) <= ID_LENGTH


def _number_encoder(name: str) -> Encode:
    def number(value: Any) -> Value:
        if value is not None and (not isinstance(value, (int, float)) or not math.isfinite(value)):
            raise InvalidArgumentError(f"{name} must be a finite number, not {value!r}")
        if isinstance(value, int) and not -INT64 <= value < INT64:
            raise InvalidArgumentError(f"{name} must fit in 64 bits, {value} does not")
        return value

    return number


def _encoder(column: Column, name: str, *, exact: bool, indexed: bool, key: bool) -> Encode | None:
    match column.type:
        case "json":
            return _json_encoder(name, exact=exact)
        case "text":
            return _text_encoder(name, indexed=indexed, key=key)
        case "timestamp":
            return _timestamp_encoder(name)
        case "float" | "integer" | "bigint":
            return _number_encoder(name)
        case _:
            return None


def _decoder(hint: Any, *, exact: bool) -> tuple[Decode, Decode]:
    """How JSON text is decoded, with and without regard to absent values and foreign oddities."""
    decode = msgspec.json.Decoder(hint).decode if hint is not Any else _decode_json

    def json_value(text: Any) -> Any:
        if text is None:
            return UNSET if exact else None
        return from_json(text, decode)

    return json_value, decode


def _decoded(values: Sequence[Any], decode: Decode, quick: Decode | None) -> list[Any]:
    """A column decoded: by the quick way where all its values are usual, else one by one."""
    if quick is not None and None not in values:
        try:
            if not _escapes_nul("".join(values)):
                return list(map(quick, values))
        except (msgspec.MsgspecError, TypeError):
            pass
    return [decode(value) for value in values]


Special: TypeAlias = Mapping[str, tuple[Encode, Decode] | tuple[Encode, Decode, Decode]]


class _Plan(Generic[R]):
    """What a codec works with, found out from the types of the record's fields."""

    def __init__(self, table: Table, record: type[R], special: Special | None) -> None:
        hints = get_type_hints(record)
        fields = {column_name(table, f.name): f for f in msgspec.structs.fields(record)}
        indexed = {name for index in table.indexes for name in index.columns} | set(table.key)
        self.names = tuple(fields[name].name for name in table.names)
        self.encoders: list[tuple[str, Encode | None]] = []
        self.columns: list[tuple[int, Encode, Callable[[Sequence[Any]], bool] | None]] = []
        self.decoders: list[tuple[int, Decode, Decode | None]] = []
        for i, column in enumerate(table.columns):
            field = fields[column.name]
            exact = field.default is UNSET or (field.required and hints[field.name] is Any)
            encode = _encoder(
                column,
                field.name,
                exact=exact,
                indexed=column.name in indexed,
                key=column.name in table.key,
            )
            if special and field.name in special:
                encode, decode, *quick = special[field.name]
                self.decoders.append((i, decode, quick[0] if quick else None))
            elif column.type == "json":
                exactly = field.default is UNSET
                self.decoders.append((i, *_decoder(hints[field.name], exact=exactly)))
            self.encoders.append((field.name, encode))
            if encode is not None:
                own = special is not None and field.name in special
                plain = _plain_texts if column.type == "text" and not own else None
                self.columns.append((i, encode, plain))
        self.fields: Callable[[R], tuple[Any, ...]] = attrgetter(*self.names)
        # The constructor call is text evaluated once, as dataclasses do: five times faster a row
        # than building a dictionary of arguments.
        arguments = ", ".join(self.names)
        call = ", ".join(f"{name}={name}" for name in self.names)
        text = f"lambda columns: [record({call}) for {arguments} in zip(*columns)]"
        self.build: Callable[[Sequence[Sequence[Any]]], list[R]]
        self.build = eval(text, {"record": record})  # noqa: S307


class Codec(Generic[R]):
    """How the records of one type stand in the rows of one table.

    ``special`` gives the encoder and decoder of fields that need their own, and if there is one a
    quick decoder that raises (``TypeError`` or msgspec's errors) for what it cannot do.
    """

    def __init__(self, table: Table, record: type[R], special: Special | None = None) -> None:
        self.table = table
        self._record = record
        self._special = special

    @cached_property
    def _plan(self) -> _Plan[R]:
        """Made by the first use: looking at types would be a third of the time of an import."""
        return _Plan(self.table, self._record, self._special)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the fields, in the order of the table's columns."""
        return self._plan.names

    def row(self, record: R) -> Row:
        """The full row of a record; what cannot be stored is an ``InvalidArgumentError``."""
        row = list(self._plan.fields(record))
        for i, encode, _ in self._plan.columns:
            row[i] = encode(row[i])
        return tuple(row)

    def rows(self, records: Sequence[R]) -> list[Row]:
        """The full rows of many records, a column at a time."""
        if not records:
            return []
        columns: list[Sequence[Any]] = list(zip(*map(self._plan.fields, records), strict=True))
        for i, encode, plain in self._plan.columns:
            if plain is None or not plain(columns[i]):
                columns[i] = [encode(value) for value in columns[i]]
        return list(zip(*columns, strict=True))

    def values(self, changes: Mapping[str, Any]) -> dict[str, Value]:
        """Column values of some fields, for an update; the keys are the record's field names."""
        encoders = dict(self._plan.encoders)
        values: dict[str, Value] = {}
        for name, value in changes.items():
            encode = encoders[name]
            values[column_name(self.table, name)] = value if encode is None else encode(value)
        return values

    def records(self, rows: Sequence[Row]) -> list[R]:
        """The records of full rows; a value of the wrong shape is a ``CorruptDataError``."""
        if not rows:
            return []
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        for i, decode, quick in self._plan.decoders:
            columns[i] = _decoded(columns[i], decode, quick)
        return self._plan.build(columns)

    def record(self, rows: Sequence[Row]) -> R | None:
        """The record of the first row, or ``None`` where there is no row."""
        return self.records(rows[:1])[0] if rows else None
