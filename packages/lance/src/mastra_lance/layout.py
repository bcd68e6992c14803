"""Tables as LanceDB holds them: Arrow columns as the original declares them, and rows both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

import msgspec

from mastra_core.errors import SchemaError
from mastra_core.storage.schema import Column, ColumnType, Row, Table, Value
from mastra_lance.driver import ArrowSchema, ArrowTable, ArrowType, pa
from mastra_lance.literals import EPOCH, epoch_milliseconds

# As the original has them, but for three which lose data there: ``integer`` (32 bits), ``float``
# (32 bits) and ``bigint`` (a double). It reads these, too, and has no such column in what it writes
# but the score, of which it takes any number.
TYPES: Final[Mapping[ColumnType, ArrowType]] = {
    "text": pa.string(),
    "json": pa.string(),
    "timestamp": pa.float64(),
    "integer": pa.int64(),
    "bigint": pa.int64(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
}


class Layout(msgspec.Struct, frozen=True, dict=True):
    """How one table is stored: its columns in our order, then those that this version does not know.

    A *full* row has a value for each of ``names``; the first ones are those of the waist.
    """

    table: Table
    schema: ArrowSchema

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All stored columns."""
        known = self.table.by_name
        return (*self.table.names, *(name for name in self.schema.names if name not in known))

    @cached_property
    def fields(self) -> ArrowSchema:
        """The stored columns' fields, in the order of ``names``."""
        return pa.schema([self.schema.field(name) for name in self.names])

    @cached_property
    def keys(self) -> tuple[int, ...]:
        """Where the columns of the key stand."""
        return tuple([self.table.positions[name] for name in self.table.key])

    def key(self, row: Row) -> Row:
        """The key of a full row."""
        return tuple([row[i] for i in self.keys])

    def encoded(self, rows: Sequence[Row]) -> ArrowTable:
        """Full rows as Arrow."""
        columns: Iterable[Sequence[Any]] = (
            zip(*rows, strict=True) if rows else [() for _ in self.names]
        )
        arrays = [
            pa.array(self._encoded(name, values), field.type)
            for name, field, values in zip(self.names, self.fields, columns, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=self.fields)

    def decoded(self, found: ArrowTable, names: Sequence[str]) -> list[Row]:
        """What was found as rows of these columns."""
        columns = [self._decoded(name, found.column(name).to_pylist()) for name in names]
        return list(zip(*columns, strict=True)) if columns else [()] * found.num_rows

    def _encoded(self, name: str, values: Iterable[Any]) -> list[Any]:
        column = self.table.by_name.get(name)
        if column is None:
            return list(values)
        if column.type == "timestamp":
            return [None if v is None else epoch_milliseconds(v) for v in values]
        if column.type == "boolean" and pa.types.is_string(self.schema.field(name).type):
            return [None if v is None else str(v).lower() for v in values]
        return list(values)

    def _decoded(self, name: str, values: list[Any]) -> list[Any]:
        column = self.table.by_name.get(name)
        decode = None if column is None else DECODERS.get(column.type)
        return values if decode is None else [None if v is None else decode(v) for v in values]


def declared(table: Table) -> ArrowSchema:
    """The columns of a table that is made."""
    return pa.schema([_field(column) for column in table.columns])


def missing(table: Table, schema: ArrowSchema) -> ArrowSchema | None:
    """The columns that an older table lacks, which can only be added as nullable ones."""
    lacking = [column for column in table.columns if column.name not in schema.names]
    return pa.schema([pa.field(c.name, TYPES[c.type]) for c in lacking]) if lacking else None


def checked(table: Table, schema: ArrowSchema) -> Layout:
    """The layout of a stored table; a column that cannot hold its values is a ``SchemaError``."""
    for column in table.columns:
        if column.name not in schema.names:
            raise SchemaError(f"{table.name} has no column {column.name}; call init()")
        stored = schema.field(column.name).type
        if not ACCEPTED[column.type](stored):
            raise SchemaError(
                f"{table.name}.{column.name} is stored as {stored}, which holds no {column.type}"
            )
    return Layout(table, schema)


def _field(column: Column) -> Any:
    return pa.field(column.name, TYPES[column.type], nullable=column.nullable is not False)


def _moment(value: Any) -> Value:
    if isinstance(value, datetime):
        return value
    return EPOCH + timedelta(milliseconds=int(value))


def _truth(value: Any) -> Value:
    return value == "true" if isinstance(value, str) else bool(value)


def _number(value: Any) -> Value:
    return int(value)


def _json(value: Any) -> Value:
    # The original writes an empty text where there is nothing.
    return value or None


DECODERS: Final[Mapping[ColumnType, Callable[[Any], Value]]] = {
    "timestamp": _moment,
    "boolean": _truth,
    "integer": _number,
    "bigint": _number,
    "json": _json,
}
_TEXTS: Final = pa.types.is_string
_NUMBERS: Final[Callable[[ArrowType], bool]] = lambda t: (  # noqa: E731 (one of a table of tests)
    pa.types.is_integer(t) or pa.types.is_floating(t)
)
ACCEPTED: Final[Mapping[ColumnType, Callable[[ArrowType], bool]]] = {
    "text": _TEXTS,
    "json": _TEXTS,
    "timestamp": pa.types.is_float64,
    "integer": _NUMBERS,
    "bigint": _NUMBERS,
    "float": pa.types.is_floating,
    "boolean": lambda t: pa.types.is_boolean(t) or pa.types.is_string(t),
}
