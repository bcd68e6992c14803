"""How rows stand in Redis: their keys, their JSON, and the sort keys of the sorted sets.

A row is one JSON text under the key that the original gives it, so that both read the same data.
An index is a sorted set for each value of its first column, whose members are the other columns
and the key, coded so that their bytes are ordered as the values are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Final, Literal, TypeAlias, cast

import msgspec

from mastra_core.clock import from_iso, iso, milliseconds
from mastra_core.errors import CorruptDataError, InvalidArgumentError, UnsupportedError
from mastra_core.storage.schema import Column, ColumnType, Index, Row, Table, Value, complete
from mastra_core.storage.tables import MESSAGES, RESOURCES, WORKFLOW_SNAPSHOT

# How a column's values are compared: as text, as whole numbers, as floats, as JSON.
Kind: TypeAlias = Literal["s", "n", "f", "j"]
KINDS: Final[Mapping[ColumnType, Kind]] = {
    "integer": "n",
    "bigint": "n",
    "float": "f",
    "json": "j",
}
END: Final = "\x01"
# Sorts behind everything that begins with a coded prefix, in place of its last character.
BEHIND: Final = "\x02"
ABSENT: Final = f"~{END}"
SPECIAL: Final = re.compile("[\x01\x02]")
INT64: Final = 2**63
DIGITS: Final = 20
NINES: Final = str.maketrans("0123456789", "9876543210")

# What the original calls otherwise, or spells otherwise.
NAMES: Final[Mapping[tuple[str, str], str]] = {(MESSAGES.name, "thread_id"): "threadId"}
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    MESSAGES.name: ("mastra_messages:threadId:", ":id:"),
    RESOURCES.name: ("mastra_resources:",),
    WORKFLOW_SNAPSHOT.name: (
        "mastra_workflow_snapshot:namespace:workflows:workflow_name:",
        ":run_id:",
    ),
}
# Text that the original keeps as an object; JSON that it keeps as text.
OBJECTS: Final = frozenset({(MESSAGES.name, "content")})
QUOTED: Final = frozenset({(RESOURCES.name, "metadata")})
# JSON that some versions of the original keep as text in it.
NESTED: Final = frozenset({("mastra_threads", "metadata"), (WORKFLOW_SNAPSHOT.name, "snapshot")})
CONSTANT: Final[Mapping[str, Mapping[str, str]]] = {
    WORKFLOW_SNAPSHOT.name: {"namespace": "workflows"}
}
POINTER: Final = "msg-idx:"
LISTS: Final = ("thread:", ":messages")

_encode = msgspec.json.Encoder().encode
_any = msgspec.json.Decoder().decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode
_nullable_text = msgspec.json.Decoder(str | None).decode


def coded(kind: Kind, value: Value) -> str:
    """The sort key of one value: ordered as values are, absent ones last."""
    if value is None:
        return ABSENT
    text = plain(value)
    if kind != "n":
        return f"={SPECIAL.sub(lambda found: BEHIND + found[0], text)}{END}"
    if text.startswith("-"):
        return f"=0{text[1:].rjust(DIGITS, '0').translate(NINES)}{END}"
    return f"=1{text.rjust(DIGITS, '0')}{END}"


def plain(value: Value) -> str:
    """A value as the scripts compare it: text as it is, other values as JSON has them."""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and not -INT64 <= value < INT64:
        raise InvalidArgumentError(f"the integer {value} needs more than 64 bits")
    return str(value)


class Ordered(msgspec.Struct, frozen=True):
    """One index: the column whose values have a set each (none: one for all), and the others."""

    id: str
    at: str
    columns: tuple[str, ...]


class Layout:
    """How the rows of one table stand in Redis."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.fields = {name: NAMES.get((table.name, name), name) for name in table.names}
        self.kinds: dict[str, Kind] = {c.name: KINDS.get(c.type, "s") for c in table.columns}
        declared = [*table.indexes, Index(f"{table.name}_by_key", table.key)]
        self.indexes = tuple([self._ordered(index) for index in declared])
        self._long = {c.name for c in table.columns if self._is_raw(c)}
        self._indexed = {n for index in self.indexes for n in (index.at, *index.columns)}
        # What the scripts look for stands in front.
        front = sorted(table.columns, key=lambda column: column.name not in self._indexed)
        self._order = [(table.positions[c.name], self.fields[c.name], c) for c in front]
        self._decoder = self._make_decoder()
        self._values = attrgetter(*(f"c{i}" for i in range(len(table.columns))))
        self._raw = [i for i, c in enumerate(table.columns) if self._is_raw(c)]
        self._times = [i for i, c in enumerate(table.columns) if c.type == "timestamp"]

    def _ordered(self, index: Index) -> Ordered:
        order = complete(self.table, tuple([(name, "asc") for name in index.columns]))
        columns = tuple([name for name, _ in order])
        for name in columns:
            if self.kinds[name] in {"f", "j"}:
                raise UnsupportedError(
                    f"the index {index.name} has the column {name}: Redis sorts by text, whole "
                    "numbers, times and booleans only (ORDERED_FIND)"
                )
        own = index.name == f"{self.table.name}_by_key"
        at = columns[0] if not own and self.table.by_name[columns[0]].type == "text" else ""
        return Ordered(index.name, at, columns[1:] if at else columns)

    def description(self) -> dict[str, Any]:
        """What the scripts must know of the table; it is kept in the database."""
        table, name = self.table, self.table.name
        messages = table.name == MESSAGES.name
        delimiters = (f"{name}:{table.key[0]}:", *(f":{key}:" for key in table.key[1:]))
        return {
            "key": [[self.fields[key], self.kinds[key]] for key in table.key],
            "by": ["threadId", "id"] if messages else [self.fields[key] for key in table.key],
            "parts": KEYS.get(name, delimiters),
            "pointer": POINTER if messages else "",
            "list": LISTS if messages else [],
            "columns": list(self.fields.values()),
            "indexes": [self._described(index) for index in self.indexes],
        }

    def _described(self, index: Ordered) -> dict[str, Any]:
        places = {name: i for i, name in enumerate(index.columns, 1)}
        return {
            "id": index.id,
            "at": self.fields[index.at] if index.at else "",
            "rest": [[self.fields[name], self.kinds[name]] for name in index.columns],
            "keys": [places.get(key, 0) for key in self.table.key],
        }

    def _is_raw(self, column: Column) -> bool:
        return column.type == "json" or (self.table.name, column.name) in OBJECTS

    def encoded(self, row: Row) -> str:
        """The JSON text of a full row; absent values are left out, unless an index has them.

        A line break begins the text and each part that may be long, and is nowhere else: the
        scripts find the parts by it. It means nothing to whoever reads JSON.
        """
        short: dict[str, Any] = dict(CONSTANT.get(self.table.name, {}))
        long: list[str] = []
        for i, name, column in self._order:
            value = row[i]
            if value is None:
                if column.name in self._indexed:
                    short[name] = None
            elif column.name in self._long:
                long.append(f'"{name}":{self.token(column.name, value)}')
            else:
                short[name] = self._json(column, value)
        parts = [_encode(short).decode()[1:-1], *long]
        if any("\n" in part for part in long):
            return f"{{{','.join(parts)}}}"
        return "{\n" + ",\n".join(parts) + "}"

    def token(self, name: str, value: Value) -> str:
        """One value as JSON; empty where it is absent."""
        column = self.table.column(name)
        return "" if value is None else _encode(self._json(column, value)).decode()

    def _json(self, column: Column, value: Value) -> Any:
        place = (self.table.name, column.name)
        if place in QUOTED:
            return value
        if place in OBJECTS:
            text = str(value)
            return msgspec.Raw(text.encode()) if _is_object(text) else text
        if column.type == "json":
            return msgspec.Raw(str(value).encode())
        if isinstance(value, str):
            return value
        return iso(value) if isinstance(value, datetime) else _number(value)

    def _make_decoder(self) -> msgspec.json.Decoder[Any]:
        kinds: dict[ColumnType, Any] = {
            "text": str | None,
            "timestamp": datetime | None,
            "integer": int | None,
            "bigint": int | None,
            "float": float | None,
            "boolean": bool | None,
        }
        fields: list[Any] = []
        for i, column in enumerate(self.table.columns):
            if self._is_raw(column):
                fields.append((f"c{i}", msgspec.Raw, msgspec.field(default=msgspec.Raw())))
            else:
                fields.append((f"c{i}", kinds[column.type], None))
        names = {f"c{i}": self.fields[name] for i, name in enumerate(self.table.names)}
        return msgspec.json.Decoder(msgspec.defstruct(self.table.name, fields, rename=names))

    def decoded(self, texts: Sequence[str]) -> list[Row]:
        """Full rows of their JSON texts, also of those that the original wrote."""
        return [self._row(text) for text in texts]

    def _row(self, text: str) -> Row:
        try:
            row = list(self._values(self._decoder.decode(text)))
        except msgspec.ValidationError:
            return self._foreign(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise CorruptDataError(f"a row of {self.table.name} cannot be read: {error}") from error
        for i in self._times:
            at = row[i]
            if at is not None and (at.microsecond % 1000 or at.tzinfo is not UTC):
                row[i] = milliseconds(at if at.tzinfo is not None else at.replace(tzinfo=UTC))
        for i in self._raw:
            row[i] = self._raw_value(self.table.columns[i], bytes(row[i]).decode())
        return tuple(row)

    def _raw_value(self, column: Column, token: str) -> Value:
        """A column that is kept as it is: JSON as its text, an object for a text column too."""
        if not token:
            return None
        place = (self.table.name, column.name)
        if place in OBJECTS | QUOTED and token[0] in '"n':
            text: str | None = _nullable_text(token)
            return text
        if place in NESTED and token.startswith('"{'):
            inner = _text(token)
            return inner if _is_object(inner) else token
        return token

    def _foreign(self, text: str) -> Row:
        """A row with values of other types than ours: each is taken for what its column is."""
        found = _fields(text)
        row: list[Value] = []
        for column in self.table.columns:
            raw = found.get(self.fields[column.name])
            token = "" if raw is None else bytes(raw).decode()
            if self._is_raw(column):
                row.append(self._raw_value(column, token))
            else:
                row.append(_taken(column, _any(token) if token else None))
        return tuple(row)

    def projected(self, rows: Iterable[Row], columns: tuple[str, ...]) -> list[Row]:
        """The rows with only these columns, in this order."""
        if not columns:
            return list(rows)
        at = [self.table.positions[name] for name in columns]
        return [tuple([row[i] for i in at]) for row in rows]


def _is_object(text: str) -> bool:
    """Whether a text is a JSON object, and nothing around it."""
    if not (text.startswith("{") and text.endswith("}")):
        return False
    try:
        return isinstance(_any(text), dict)
    except (msgspec.MsgspecError, RecursionError):
        return False


def _number(value: bool | float | None) -> bool | float | None:  # noqa: FBT001 (a value)
    if isinstance(value, int) and not isinstance(value, bool):
        plain(value)
    return value


def _taken(column: Column, value: Any) -> Value:
    """A foreign value as one of the column's type."""
    if value is None:
        return None
    try:
        match column.type:
            case "timestamp":
                return from_iso(value)
            case "integer" | "bigint":
                return int(value)
            case "float":
                return float(value)
            case "boolean":
                return bool(value)
            case _:
                return value if isinstance(value, str) else _encode(value).decode()
    except (TypeError, ValueError) as error:
        raise CorruptDataError(f"{column.name} is {type(cast('Any', value))}") from error
