"""Rows as the original's items: its entities, its names of attributes, its forms of values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec

from mastra_core.clock import from_iso, iso
from mastra_core.errors import CorruptDataError
from mastra_core.storage.codec import from_json, to_json
from mastra_core.storage.schema import Column, ColumnType, Table, Value

# An item as the service sends it: attributes by name, each a value by the letter of its type.
Item: TypeAlias = dict[str, Any]

SERVICE: Final = "$mastra"
# The largest and the smallest number that the service takes; others are stored as text.
LARGEST: Final = 9.9e125
SMALLEST: Final = 1e-130
# Which version of a row an item is: written by us alone, so that it also tells who wrote a row.
VERSION: Final = "_v"
# The columns of a row of ours whose text stands for itself, where the original's could mean more.
LITERAL: Final = "_raw"


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """How the original calls a table's rows and their columns.

    ``blank`` names columns whose absent value is empty text; where ``plain``, JSON that is a string
    is stored without quotes.
    """

    name: str
    attributes: Mapping[str, str] = {}
    blank: frozenset[str] = frozenset()
    plain: bool = False


ORIGINAL: Final[Mapping[str, Entity]] = {
    "mastra_threads": Entity(name="thread"),
    "mastra_messages": Entity(name="message", attributes={"thread_id": "threadId"}),
    "mastra_resources": Entity(name="resource"),
    "mastra_workflow_snapshot": Entity(name="workflow_snapshot"),
    "mastra_scorers": Entity(
        name="score",
        attributes={"entity": "entityData"},
        blank=frozenset({"traceId", "spanId", "resourceId", "threadId"}),
        plain=True,
    ),
}


def entity_of(table: Table) -> Entity:
    """The original's entity of a table; a table that it has none for goes by its own name."""
    return ORIGINAL.get(table.name) or Entity(name=table.name.removeprefix("mastra_"))


def _number(value: Any) -> Item:
    size = abs(value)
    if isinstance(value, float) and size and not SMALLEST <= size <= LARGEST:
        return {"S": repr(value)}
    return {"N": repr(value)}


_ENCODERS: Final[Mapping[ColumnType, Callable[[Any], Item]]] = {
    "text": lambda value: {"S": value},
    "json": lambda value: {"S": value},
    "timestamp": lambda value: {"S": iso(value)},
    "boolean": lambda value: {"BOOL": bool(value)},
    "integer": lambda value: {"N": str(int(value))},
    "bigint": lambda value: {"N": str(int(value))},
    "float": lambda value: _number(float(value)),
}


def _text(value: Any) -> Value:
    return value if isinstance(value, str) else str(value)


def _moment(value: Any) -> datetime | None:
    return from_iso(str(value))


_DECODERS: Final[Mapping[ColumnType, Callable[[Any], Value]]] = {
    "text": _text,
    "json": _text,
    "timestamp": _moment,
    "boolean": lambda value: value in {True, "1", "true"},
    "integer": lambda value: int(float(value)) if "." in str(value) else int(value),
    "bigint": lambda value: int(float(value)) if "." in str(value) else int(value),
    "float": float,
}


class RowCodec:
    """The attributes of one table's rows, both ways."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.entity = entity_of(table)
        self.names = tuple(self.entity.attributes.get(n, n) for n in table.names)
        self._encoders = tuple(_ENCODERS[kind] for kind in table.types)
        self._decoders = tuple(_DECODERS[kind] for kind in table.types)
        self._plain = self.entity.plain or self.entity.blank

    def attributes(self, row: tuple[Value, ...]) -> Item:
        """The attributes of a row; absent values have none."""
        if self._plain:
            return self._attributes(row)
        return {
            name: encode(value)
            for name, encode, value in zip(self.names, self._encoders, row, strict=True)
            if value is not None
        }

    def row(self, item: Item) -> tuple[Value, ...]:
        """The row of an item, whoever wrote it."""
        if self._plain:
            return self._row(item)
        found: list[Value] = []
        for name, decode in zip(self.names, self._decoders, strict=True):
            stored = item.get(name)
            if stored is None or "NULL" in stored:
                found.append(None)
            else:
                (value,) = stored.values()
                found.append(decode(value))
        return tuple(found)

    def _attributes(self, row: tuple[Value, ...]) -> Item:
        """As ``attributes``, where strings are plain and some absent values empty."""
        found: Item = {}
        literal: list[str] = []
        columns = zip(self.table.columns, self.names, self._encoders, row, strict=True)
        for column, name, encode, value in columns:
            if value is None:
                if column.name in self.entity.blank:
                    found[name] = {"S": ""}
                continue
            text = _plain_text(column, value)
            if text is not None or (value == "" and column.name in self.entity.blank):
                literal.append(column.name)
            found[name] = encode(value) if text is None else {"S": text}
        return {**found, LITERAL: {"L": [{"S": name} for name in literal]}} if literal else found

    def _row(self, item: Item) -> tuple[Value, ...]:
        literal = {name["S"] for name in item.get(LITERAL, {}).get("L", ())}
        ours = VERSION in item
        found: list[Value] = []
        for column, name, decode in zip(
            self.table.columns, self.names, self._decoders, strict=True
        ):
            stored = item.get(name)
            if stored is None or "NULL" in stored:
                found.append(None)
                continue
            (value,) = stored.values()
            if column.name in self.entity.blank and value == "" and column.name not in literal:
                found.append(None)
            elif column.type == "json" and (column.name in literal or not ours):
                found.append(to_json(value) if column.name in literal else _foreign(str(value)))
            else:
                found.append(decode(value))
        return tuple(found)


def _plain_text(column: Column, value: Value) -> str | None:
    """The text of JSON that is a string, if the original would read it as this string."""
    if column.type != "json" or not isinstance(value, str) or not value.startswith('"'):
        return None
    text = from_json(value)
    return text if isinstance(text, str) and _foreign(text) == value else None


def _foreign(text: str) -> str:
    """The JSON of what the original wrote: objects and lists as JSON, strings as they are."""
    if text.startswith(("{", "[")):
        try:
            from_json(text)
        except CorruptDataError:
            return to_json(text)
        return text
    return to_json(text)
