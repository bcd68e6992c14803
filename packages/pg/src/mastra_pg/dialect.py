"""How PostgreSQL's SQL differs: numbered parameters, JSONB, arrays, and twins of every timestamp."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, cast

from mastra_core.clock import iso
from mastra_core.errors import InvalidArgumentError
from mastra_core.storage.codec import to_json
from mastra_core.storage.schema import (
    Advance,
    Column,
    ColumnType,
    Put,
    Row,
    Table,
    Update,
    Value,
    Where,
)
from mastra_core.storage.sql import Decoder, Dialect, Statement, quoted
from mastra_core.storage.tables import EXPERIMENT_RESULTS, EXPERIMENTS, RESOURCES, SCORERS
from mastra_pg.joining import combined
from mastra_pg.values import ABSENT, decoded_twice, encoded_twice, literal

INT64: Final = 2**63
# The twin of a timestamp: the same moment with a time zone. It is what the original reads.
TWIN: Final = "Z"
# Where the original fills the twin with the time of the insert, and only the column is right.
UNTWINNED: Final = frozenset(
    {
        (EXPERIMENTS.name, "startedAt"),
        (EXPERIMENTS.name, "completedAt"),
        *((EXPERIMENT_RESULTS.name, c.name) for c in EXPERIMENT_RESULTS.columns),
    }
)
# Where the original stores JSON text inside a JSON string; objects of its step results are not.
TWICE: Final = frozenset(
    {
        (RESOURCES.name, "metadata"),
        *(
            (SCORERS.name, c.name)
            for c in SCORERS.columns
            if c.type == "json" and c.name != "extractStepResult"
        ),
    }
)


def _text_of(at: datetime) -> str:
    """The time as text, exactly: what the original's own clock wrote has microseconds."""
    return at.astimezone(UTC).isoformat() if at.microsecond % 1000 else iso(at)


def _in_utc(values: Sequence[datetime | None]) -> Sequence[datetime | None]:
    return [None if value is None else value.replace(tzinfo=UTC) for value in values]


def _decode_twice(values: Sequence[Any]) -> Sequence[Any]:
    return [decoded_twice(value) for value in values]


@functools.cache
def timestamps(table: Table) -> tuple[str, ...]:
    """The columns that have a twin."""
    return tuple([column.name for column in table.columns if column.type == "timestamp"])


@functools.cache
def conversions(table: Table) -> tuple[tuple[int, Column], ...]:
    """The columns whose values are stored otherwise than they cross the waist."""
    return tuple(
        (i, column)
        for i, column in enumerate(table.columns)
        if column.type == "timestamp" or (table.name, column.name) in TWICE
    )


def storable(table: Table, column: Column, value: Any) -> Any:
    """A value of the waist as the database stores it."""
    if column.type == "timestamp":
        return _text_of(value) if isinstance(value, datetime) else value
    if (table.name, column.name) not in TWICE:
        return value
    text = encoded_twice(value)
    return ABSENT if text is None and not column.nullable else text


def moment(table: Table, column: Column, prefix: str = "") -> str:
    """The time of a column and its twin: of the twin where there is one, as UTC's wall clock."""
    own = f'{prefix}"{column.name}"'
    if (table.name, column.name) in UNTWINNED:
        return own
    holds = f"COALESCE({prefix}\"{column.name}{TWIN}\" AT TIME ZONE 'UTC', {own})"
    # The twin of an absent time may be what the database fills in.
    return f"CASE WHEN {own} IS NOT NULL THEN {holds} END" if column.nullable else holds


def _both(name: str, new: str) -> str:
    return f'"{name}" = {new}, "{name}{TWIN}" = ({new}) AT TIME ZONE \'UTC\''


class PostgresDialect(Dialect):
    """PostgreSQL's SQL.

    A timestamp is two columns: ``createdAt`` (wall clock of UTC) and ``createdAtZ``. Both are
    written; what is read, compared, ordered and indexed is one expression that prefers the twin,
    because writers in other time zones left their own wall clock in the column. Text is ordered by
    its bytes, whatever the database's language, so that every provider gives one order.
    """

    version: ClassVar[str] = "SELECT 'PostgreSQL ' || current_setting('server_version')"
    clock: ClassVar[str] = "SELECT (clock_timestamp() AT TIME ZONE 'UTC')::text"
    types: ClassVar[Mapping[ColumnType, str]] = {
        "text": "TEXT",
        "timestamp": "TIMESTAMP",
        "json": "JSONB",
        "integer": "INTEGER",
        "bigint": "BIGINT",
        "float": "FLOAT",
        "boolean": "BOOLEAN",
    }
    loose: ClassVar[frozenset[str]] = frozenset()
    sames: ClassVar[tuple[str, str]] = ("IS NOT DISTINCT FROM", "IS DISTINCT FROM")
    encoders: ClassVar[Mapping[ColumnType, Callable[[Any], Any]]] = {"timestamp": _text_of}
    decoders: ClassVar[Mapping[ColumnType, Decoder]] = {"timestamp": _in_utc}

    def __init__(self, schema: str = "public") -> None:
        super().__init__()
        self.schema = schema
        self._combined = functools.lru_cache(512)(combined)

    def name(self, table: Table) -> str:
        """The quoted name of a table in its schema."""
        return f'"{self.schema}"."{table.name}"'

    def bound(self, params: list[Any], value: Any) -> str:
        """Bind a value by its number."""
        params.append(value)
        return f"${len(params)}"

    def bind(self, params: list[Any], value: Value, kind: ColumnType = "text") -> str:
        """Bind a value of the waist; a time is text that fits the column and its twin."""
        if kind == "timestamp":
            text = _text_of(value) if isinstance(value, datetime) else value
            return self.bound(params, text) + "::timestamp"
        if isinstance(value, datetime):
            return self.bound(params, _text_of(value))
        if isinstance(value, int) and not -INT64 <= value < INT64:
            raise InvalidArgumentError(f"the integer {value} needs more than 64 bits")
        if value is None or isinstance(value, (str, bool)):
            return self.bound(params, value)
        return self.bound(params, float(value) if kind == "float" else value)

    def operand(self, table: Table, column: Column) -> str:
        """One column as conditions compare it: of a timestamp and its twin, what holds."""
        return moment(table, column) if column.type == "timestamp" else f'"{column.name}"'

    def sortable(self, table: Table, column: Column) -> str:
        """One column as it is ordered: text by its bytes."""
        text = self.operand(table, column)
        return f'{text} COLLATE "C"' if column.type == "text" else text

    def swept(self, table: Table, limit: int, after: Row | None) -> Statement:
        """The SELECT of rows in the order of the key's own index, which is the database's language's."""
        params: list[Any] = []
        key = quoted(table.key)
        sql = f"SELECT {self.selected(table, ())} FROM {self.name(table)}"
        if after is not None:
            marks: list[str] = []
            for value, name in zip(after, table.key, strict=True):
                kind = table.column(name).type
                marks.append(f"{self.bind(params, value, kind)}::{self.types[kind]}")
            sql += f" WHERE ({key}) > ({', '.join(marks)})"
        return Statement(f"{sql} ORDER BY {key} LIMIT {self.bound(params, limit)}", params)

    def term(self, table: Table, column: Column) -> str:
        """One column of the select list; JSON comes as text, which core decodes."""
        return f'"{column.name}"::text' if column.type == "json" else self.operand(table, column)

    def decoder(self, table: Table, column: Column) -> Decoder | None:
        """How a column's values become those of the waist."""
        if (table.name, column.name) in TWICE:
            return _decode_twice
        return super().decoder(table, column)

    def equals(self, table: Table, column: Column, bound: str) -> str:
        """Equal to a value as it was read; JSON by its meaning, since JSONB keeps no spelling."""
        name = f'"{column.name}"'
        if column.type != "json":
            return f"{self.operand(table, column)} = {bound}"
        if (table.name, column.name) not in TWICE:
            return f"{name} = {bound}::jsonb"
        # The text as it is: a parameter that is JSONB at first would be spelt anew.
        return f"({name} = {bound}::text::jsonb OR {name} = to_jsonb({bound}::text))"

    def is_member(
        self, name: str, column: Column, values: Sequence[Value], params: list[Any]
    ) -> str:
        """The column's value is one of a list, bound as one array."""
        kind = self.types[column.type]
        given = [_text_of(v) if isinstance(v, datetime) else v for v in values if v is not None]
        return f"{name} = ANY({self.bound(params, literal(given))}::{kind}[])"

    def has_members(self, name: str, where: Where, params: list[Any]) -> str:
        """A JSON array holds all, or any, of a list of strings."""
        wanted = cast("tuple[str, ...]", where.value)
        if where.op == "has_all":
            # Of arrays only: nothing else contains an array.
            return f"{name} @> {self.bound(params, to_json(wanted))}::jsonb"
        listed = self.bound(params, literal(wanted))
        return f"(jsonb_typeof({name}) = 'array' AND {name} ?| {listed}::text[])"

    def json_condition(self, table: Table, where: Where, params: list[Any]) -> str:
        """A comparison of the JSON value at a path, strict about its type as JSONB is."""
        column = table.column(where.column)
        found = f'"{column.name}"' if column.type == "json" else f'"{column.name}"::jsonb'
        for key in where.path:
            # By this operator a text never picks an element of an array.
            found = f"({found} -> {self.bound(params, key)}::text)"
        test = self.compared(found, where, params)
        if column.type == "json":
            return test
        # A text column may hold what is no JSON at all; CASE keeps the cast away from it.
        return f"CASE WHEN pg_input_is_valid(\"{column.name}\", 'jsonb') THEN {test} END"

    def compared(self, found: str, where: Where, params: list[Any]) -> str:
        """A comparison of one JSONB value."""
        value = cast("Value", where.value)
        if where.op in {"eq", "ne"}:
            text = to_json(_text_of(value) if isinstance(value, datetime) else value)
            return f"{found} {'=' if where.op == 'eq' else '<>'} {self.bound(params, text)}::jsonb"
        if value is None or isinstance(value, bool):
            return "false"
        number = isinstance(value, (int, float))
        plain = f"({found} #>> '{{}}')" + ("::numeric" if number else ' COLLATE "C"')
        given = self.bound(params, _text_of(value) if isinstance(value, datetime) else str(value))
        cast_to = "numeric" if number else "text"
        kind = "number" if number else "string"
        test = f"{plain} {self.comparisons[where.op]} {given}::{cast_to}"
        return f"CASE WHEN jsonb_typeof({found}) = '{kind}' THEN {test} END"

    def filled(self, table: Table) -> str:
        """The columns that an INSERT fills: the twins too, or they would be the current time."""
        return quoted([*table.names, *(name + TWIN for name in timestamps(table))])

    def replaced(self, table: Table, name: str, rule: str | None) -> str:
        """What sets a column of a row that is stored already, and its twin."""
        column = table.column(name)
        if column.type != "timestamp":
            return super().replaced(table, name, rule)
        new = f'excluded."{name}"'
        if rule is not None:
            stored = moment(table, column, f"{self.name(table)}.")
            new = self.advance(new, stored) if rule == "advance" else f"COALESCE({new}, {stored})"
        return _both(name, new)

    def advance(self, new: str, stored: str) -> str:
        """The later of a new time and the stored one plus a millisecond."""
        return f"GREATEST({new}, date_trunc('milliseconds', {stored}) + interval '1 millisecond')"

    def put(self, put: Put, position: int) -> list[Statement]:
        """One INSERT for all rows: bound one by one if single, else an array for each column."""
        if not put.rows:
            return []
        parts = put.rounds() if put.on_conflict == "replace" and len(put.rows) > 1 else [put]
        return [self.inserting(each, position) for each in parts]

    def inserting(self, put: Put, position: int) -> Statement:
        """The INSERT of rows whose keys differ."""
        table = put.table
        head, tail, _ = self.insertion(put)
        expect = len(put.rows) if "match" in put.merge.values() else None
        columns = self.storable(table, list(zip(*put.rows, strict=True)))
        if len(put.rows) > 1:
            sql = f"{head}{self.unnested(table)}{tail}"
            arrays = list(map(literal, columns))
            return Statement(sql, arrays, position, expect, table.name, inserts=True)
        params = [column[0] for column in columns]
        sql = f"{head}{self.single(table)}{tail}"
        return Statement(sql, params, position, expect, table.name, one=True, inserts=True)

    def single(self, table: Table) -> str:
        """The VALUES of one row, each bound by itself."""
        marks = [f"${i}::{self.types[kind]}" for i, kind in enumerate(table.types, 1)]
        at = table.positions
        twins = [f"{marks[at[name]]} AT TIME ZONE 'UTC'" for name in timestamps(table)]
        return f"VALUES ({', '.join([*marks, *twins])})"

    def unnested(self, table: Table) -> str:
        """The SELECT of the rows that are bound as an array for each column."""
        kinds = [f"${i}::{self.types[kind]}[]" for i, kind in enumerate(table.types, 1)]
        twins = [f"new.\"{name}\" AT TIME ZONE 'UTC'" for name in timestamps(table)]
        names = [f'new."{name}"' for name in table.names]
        source = f"unnest({', '.join(kinds)}) AS new({quoted(table.names)})"
        return f"SELECT {', '.join([*names, *twins])} FROM {source}"

    def storable(self, table: Table, columns: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
        """Columns of rows with the values that the database stores."""
        stored = list(columns)
        for i, column in conversions(table):
            stored[i] = [storable(table, column, value) for value in columns[i]]
        return stored

    def combined(self, statements: Sequence[Statement]) -> Statement:
        """Statements on different tables as one, which gives the number of rows of each.

        It fails where such a number is not as expected: with a text that names the change.
        """
        params: list[Any] = []
        parts: list[tuple[str, int, bool, int]] = []
        for each in statements:
            params += each.params
            guarded = each.expect is not None
            parts.append((each.sql, len(each.params), guarded, each.change))
            if guarded:
                params.append(each.expect)
        return Statement(self._combined(tuple(parts)), params)

    def spelt(self, update: Update, position: int) -> Statement:
        """One UPDATE."""
        table = update.table
        params: list[Any] = []
        sets: list[str] = []
        for name, value in update.values.items():
            column = table.column(name)
            if isinstance(value, Advance):
                new = self.bind(params, value.at, column.type)
                sets.append(_both(name, self.advance(new, moment(table, column))))
            elif column.type == "timestamp":
                sets.append(_both(name, self.bind(params, value, column.type)))
            else:
                bound = self.bind(params, storable(table, column, value), column.type)
                sets.append(f'"{name}" = {bound}::{self.types[column.type]}')
        where = self.where(table, update.where, params)
        sql = f"UPDATE {self.name(table)} SET {', '.join(sets)}"
        sql += f" WHERE {where}" if where else ""
        pinned = {w.column for w in update.where if w.op == "eq" and not w.path}
        one = update.expect == 1 and pinned.issuperset(table.key)
        return Statement(sql, params, position, update.expect, table.name, one=one)
