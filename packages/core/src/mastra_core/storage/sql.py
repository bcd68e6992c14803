"""SQL from the words of the waist: a dialect of differences.

SQLite's SQL is the base (libSQL, D1 and Durable Objects speak it); other databases override its
tables first and its methods second. Statements are text and bound values; identifiers come from
the schema and are quoted. Lists are bound as one array parameter, so that a statement's text does
not depend on how long they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias, cast

import msgspec

from mastra_core.clock import from_isos
from mastra_core.storage.conditions import ISO, Conditions
from mastra_core.storage.schema import (
    Advance,
    Change,
    Column,
    ColumnType,
    Delete,
    Merge,
    Order,
    Put,
    Query,
    Row,
    Table,
    Update,
    Value,
    Where,
)
from mastra_core.storage.unkeyed import arriving

Decoder: TypeAlias = Callable[[Sequence[Any]], Sequence[Any]]


class Statement(msgspec.Struct, frozen=True):
    """One statement of a write: its change's position, and how many rows it must affect, if any.

    ``quick`` is a shorter text with the same parameters that does the same in the usual case, and
    otherwise fails or affects no row: for engines in this process, where parsing is what costs.
    ``one`` says that it affects one row at most, so that what it expects holds or nothing happened;
    ``inserts`` that it looks at no rows but those with the keys that it brings.
    """

    sql: str
    params: Sequence[Any] = ()
    change: int = 0
    expect: int | None = None
    table: str = ""
    quick: str = ""
    one: bool = False
    inserts: bool = False


def quoted(names: Sequence[str]) -> str:
    """The names as a list of identifiers; they come from the schema, never from callers."""
    return ", ".join([f'"{name}"' for name in names])


class Dialect(Conditions):
    """How one family of databases writes SQL; the base is SQLite's."""

    version: ClassVar[str] = "SELECT 'SQLite ' || sqlite_version()"
    clock: ClassVar[str] = f"SELECT strftime('{ISO}', 'now')"
    # What the driver gives, a whole column at a time, as values of the waist.
    decoders: ClassVar[Mapping[ColumnType, Decoder]] = {
        "timestamp": from_isos,
        "boolean": lambda values: [None if value is None else bool(value) for value in values],
        "float": lambda values: [None if value is None else float(value) for value in values],
    }

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self._selected: dict[tuple[Table, tuple[str, ...]], str] = {}
        self._shapes: dict[tuple[object, ...], str] = {}
        self._touches: dict[tuple[object, ...], tuple[str, str]] = {}
        self._orders: dict[tuple[Table, Order], str] = {}
        self._decoded: dict[tuple[Table, tuple[str, ...]], list[tuple[int, Decoder]]] = {}
        self._insertions: dict[tuple[object, ...], tuple[str, str, str | None]] = {}

    def name(self, table: Table) -> str:
        """The quoted name of a table."""
        return f'"{self.prefix}{table.name}"'

    def select(self, table: Table, query: Query) -> Statement:
        """The statement of a query whose order is complete."""
        where = query.where
        if query.after is not None or not all(self.as_it_is(table, w) for w in where):
            return self.written(table, query)
        # Most reads ask for rows by texts: all that have the same shape have the same statement.
        bounds = self.bounds(table, query)
        shape = (table, query.order, query.columns, bounds, *[w.column for w in where])
        sql = self._shapes.get(shape)
        if sql is None:
            sql = self._shapes[shape] = self.written(table, query).sql
        params: list[Any] = [w.value for w in where]
        self.limited(table, query, params)
        return Statement(sql, params)

    def as_it_is(self, table: Table, where: Where) -> bool:
        """Whether a condition compares a column with a text that is bound once and unchanged."""
        return where.op == "eq" and isinstance(where.value, str) and not where.path

    def written(self, table: Table, query: Query) -> Statement:
        """The statement of a query, word by word."""
        params: list[Any] = []
        where = self.where(table, query.where, params)
        if query.after is not None:
            beyond = self.beyond(table, query, params)
            where = f"{where} AND {beyond}" if where else beyond
        sql = f"SELECT {self.selected(table, query.columns)} FROM {self.name(table)}"
        if where:
            sql += f" WHERE {where}"
        if query.order:
            sql += self.ordered(table, query.order)
        return Statement(sql + self.limited(table, query, params), params)

    def bounds(self, table: Table, query: Query) -> tuple[object, ...]:
        """What the text of ``limited`` depends on."""
        return (query.limit is None, not query.offset)

    def limited(self, table: Table, query: Query, params: list[Any]) -> str:
        """The end of a SELECT: how many rows, from which on."""
        if query.limit is None:
            return ""
        text = f" LIMIT {self.bound(params, query.limit)}"
        return f"{text} OFFSET {self.bound(params, query.offset)}" if query.offset else text

    def selected(self, table: Table, columns: tuple[str, ...]) -> str:
        """The select list."""
        text = self._selected.get((table, columns))
        if text is None:
            terms = [self.term(table, table.column(name)) for name in columns or table.names]
            text = self._selected[table, columns] = ", ".join(terms)
        return text

    def ordered(self, table: Table, order: Order) -> str:
        """The ORDER BY of an order."""
        text = self._orders.get((table, order))
        if text is None:
            terms = [self.ordering(table, name, direction) for name, direction in order]
            text = self._orders[table, order] = f" ORDER BY {', '.join(terms)}"
        return text

    def ordering(self, table: Table, name: str, direction: str) -> str:
        """One term of ORDER BY; absent values count as the greatest."""
        column = table.column(name)
        term = f"{self.sortable(table, column)} {'DESC' if direction == 'desc' else 'ASC'}"
        if not column.nullable:
            return term
        return f"{term} NULLS {'FIRST' if direction == 'desc' else 'LAST'}"

    def beyond(self, table: Table, query: Query, params: list[Any]) -> str:
        """The condition that a row comes behind the last one seen."""
        columns = [table.column(name) for name, _ in query.order]
        last = cast("Row", query.after)
        downs = [direction == "desc" for _, direction in query.order]
        if len(set(downs)) == 1 and not any(column.nullable for column in columns):
            names = ", ".join([self.sortable(table, column) for column in columns])
            values = [self.bind(params, v, c.type) for c, v in zip(columns, last, strict=True)]
            return f"({names}) {'<' if downs[0] else '>'} ({', '.join(values)})"
        return self.alternatives(table, query.order, last, params)

    def alternatives(
        self, table: Table, order: Order, last: Sequence[Value], params: list[Any]
    ) -> str:
        """The same where rows cannot be compared as a whole: equal so far, and then behind."""
        alternatives: list[str] = []
        for i, ((name, direction), value) in enumerate(zip(order, last, strict=True)):
            down = direction == "desc"
            if value is None and not down:
                continue
            terms = [
                self.condition(table, Where(equal, "eq", v), params)
                for (equal, _), v in zip(order[:i], last[:i], strict=True)
            ]
            terms.append(self.further(table, table.column(name), value, params, down=down))
            alternatives.append(" AND ".join(terms))
        return f"({' OR '.join(alternatives)})"

    def further(
        self, table: Table, column: Column, value: Value, params: list[Any], *, down: bool
    ) -> str:
        """The condition that one column's value comes behind another, absent ones last."""
        name = self.sortable(table, column)
        if value is None:
            return f"{name} IS NOT NULL"
        bound = self.bind(params, value, column.type)
        return f"{name} < {bound}" if down else f"({name} > {bound} OR {name} IS NULL)"

    def rows(self, table: Table, columns: tuple[str, ...], rows: Sequence[Any]) -> list[Row]:
        """The driver's rows with the values of the waist."""
        decoded = self._decoded.get((table, columns))
        if decoded is None:
            shape = [table.column(name) for name in columns or table.names]
            found = enumerate([self.decoder(table, column) for column in shape])
            decoded = [(i, decode) for i, decode in found if decode is not None]
            self._decoded[table, columns] = decoded
        if not rows or not decoded:
            return list(rows)
        transposed: list[Any] = list(zip(*rows, strict=True))
        for i, decode in decoded:
            transposed[i] = decode(transposed[i])
        return list(zip(*transposed, strict=True))

    def decoder(self, table: Table, column: Column) -> Decoder | None:
        """How a column's values become those of the waist, if they are not."""
        return self.decoders.get(column.type)

    def statements(self, changes: Sequence[Change]) -> list[Statement]:
        """The statements of one write, in order."""
        statements: list[Statement] = []
        for i, change in enumerate(changes):
            if isinstance(change, Put):
                statements.extend(self.put(change, i))
            elif isinstance(change, Update):
                statements.append(self.update(change, i))
            else:
                statements.append(self.delete(change, i))
        return statements

    def put(self, put: Put, position: int) -> list[Statement]:
        """One INSERT for all rows: bound one by one if single, else from one JSON array."""
        if not put.rows:
            return []
        table = put.table
        if put.on_conflict != "fail" and table.name in self.loose:
            texts = arriving(self, put)
            return [Statement(sql, given, position, None, table.name) for sql, given in texts]
        head, tail, quick = self.insertion(put)
        expect = len(put.rows) if "match" in put.merge.values() else None
        params: list[Any] = []
        if len(put.rows) == 1:
            row = zip(put.rows[0], table.types, strict=True)
            values = [self.bind(params, value, kind) for value, kind in row]
            short = f"{head}VALUES ({', '.join(values)})"
            shorter = "" if quick is None else short + quick
            return [Statement(short + tail, params, position, expect, table.name, shorter)]
        picked = ", ".join([self.picked(i, kind) for i, kind in enumerate(table.types)])
        text = msgspec.json.encode(self.encoded(table.types, put.rows))
        if self.bound_bytes is not None and len(text) > self.bound_bytes:
            return [s for half in put.halves() for s in self.put(half, position)]
        sql = f"{head}SELECT {picked} FROM json_each(?) WHERE true{tail}"
        return [Statement(sql, [text.decode()], position, expect, table.name)]

    def picked(self, position: int, kind: ColumnType) -> str:
        """One column of a row that is in a JSON array: its text, which the column's type converts."""
        return f"value->>{position}"

    def insertion(self, put: Put) -> tuple[str, str, str | None]:
        """What comes before and after the values of an INSERT, and the quick form of the latter.

        It is the same text for every like Put.
        """
        if len(put.rows) == 1 and "coalesce" in put.merge.values():
            put = put.settled()
        key = (put.table, put.on_conflict, put.fresh, *put.merge.items())
        text = self._insertions.get(key)
        if text is None:
            head = f"INSERT INTO {self.name(put.table)} ({self.filled(put.table)}) "
            quick = "" if put.fresh else None
            if not put.fresh and "advance" in put.merge.values():
                quick = self.on_conflict(put, quick=True)
            text = self._insertions[key] = (head, self.on_conflict(put), quick)
        return text

    def filled(self, table: Table) -> str:
        """The columns that an INSERT fills."""
        return quoted(table.names)

    def encoded(self, types: Sequence[ColumnType], rows: Sequence[Row]) -> list[list[Any]]:
        """Rows with the values that the database stores."""
        columns: list[Any] = list(zip(*rows, strict=True))
        for i, kind in enumerate(types):
            encode = self.encoders.get(kind)
            if encode is not None:
                columns[i] = [None if value is None else encode(value) for value in columns[i]]
        return [list(row) for row in zip(*columns, strict=True)]

    def on_conflict(self, put: Put, *, quick: bool = False) -> str:
        """What follows the rows of an INSERT; quickly, where time has moved on by itself."""
        table = put.table
        if put.on_conflict == "fail":
            return ""
        key = quoted(table.key)
        if put.on_conflict == "skip":
            return f" ON CONFLICT ({key}) DO NOTHING"
        stored = self.name(table)
        rules = dict(put.merge)
        tests = [
            self.same(f'{stored}."{n}"', f'excluded."{n}"') for n in rules if rules[n] == "match"
        ]
        if quick:
            advancing = [name for name, rule in rules.items() if rule == "advance"]
            tests += [f'{stored}."{name}" < excluded."{name}"' for name in advancing]
            for name in advancing:
                del rules[name]
        condition = f" WHERE {' AND '.join(tests)}" if tests else ""
        return f" ON CONFLICT ({key}) DO UPDATE SET {self.changes(put, rules)}{condition}"

    def changes(self, put: Put, rules: Mapping[str, Merge]) -> str:
        """What a Put sets of a row that is stored already, by the rules."""
        table = put.table
        kept = {*table.key, *(n for n, rule in put.merge.items() if rule in {"keep", "match"})}
        changed = [name for name in table.names if name not in kept]
        return ", ".join([self.replaced(table, name, rules.get(name)) for name in changed])

    def same(self, a: str, b: str) -> str:
        """Equal, where absent equals absent."""
        return f"{a} {self.sames[0]} {b}"

    def replaced(self, table: Table, name: str, rule: str | None) -> str:
        """What sets a column of a row that is stored already."""
        return f'"{name}" = {self.merged(table, name, rule)}'

    def merged(self, table: Table, name: str, rule: str | None) -> str:
        """What a replaced row's column becomes."""
        if rule == "coalesce":
            return f'COALESCE(excluded."{name}", {self.name(table)}."{name}")'
        if rule == "advance":
            return self.advance(f'excluded."{name}"', f'{self.name(table)}."{name}"')
        return f'excluded."{name}"'

    def advance(self, new: str, stored: str) -> str:
        """The later of a new time and the stored one plus a millisecond."""
        later = f"strftime('{ISO}', {stored}, '+0.001 seconds')"
        return f"max({new}, COALESCE({later}, ''))"

    def update(self, update: Update, position: int) -> Statement:
        """One UPDATE."""
        values = update.values
        # What every append does: to move a row's time on, found by texts.
        plain = all(self.as_it_is(update.table, w) for w in update.where)
        if len(values) != 1 or not plain:
            return self.spelt(update, position)
        ((name, value),) = values.items()
        if not isinstance(value, Advance):
            return self.spelt(update, position)
        shape = (update.table, name, update.expect, *[w.column for w in update.where])
        texts = self._touches.get(shape)
        if texts is None:
            written = self.spelt(update, position)
            texts = self._touches[shape] = (written.sql, written.quick)
        params: list[Any] = []
        self.bind(params, value.at, update.table.column(name).type)
        params += [w.value for w in update.where]
        return Statement(texts[0], params, position, update.expect, update.table.name, texts[1])

    def spelt(self, update: Update, position: int) -> Statement:
        """One UPDATE, word by word."""
        table = update.table
        params: list[Any] = []
        sets: list[str] = []
        quick_sets: list[str] = []
        later: list[str] = []
        for name, value in update.values.items():
            column, kind = f'"{name}"', table.column(name).type
            if isinstance(value, Advance):
                bound = self.bind(params, value.at, kind)
                later.append(f" AND {column} < ?{len(params)}")
                sets.append(f"{column} = {self.advance(bound, column)}")
            else:
                bound = self.bind(params, value, kind)
                sets.append(f"{column} = {bound}")
            quick_sets.append(f"{column} = {bound}")
        where = self.where(table, update.where, params)
        head, tail = f"UPDATE {self.name(table)} SET ", f" WHERE {where}" if where else ""
        sql = f"{head}{', '.join(sets)}{tail}"
        # Of one row only, it is all or nothing whether time has moved on by itself.
        pinned = {w.column for w in update.where if w.op == "eq" and not w.path}
        one = update.expect == 1 and pinned.issuperset(table.key)
        quick = f"{head}{', '.join(quick_sets)}{tail}{''.join(later)}" if later and one else ""
        return Statement(sql, params, position, update.expect, table.name, quick)

    def delete(self, delete: Delete, position: int) -> Statement:
        """One DELETE."""
        params: list[Any] = []
        where = self.where(delete.table, delete.where, params)
        sql = f"DELETE FROM {self.name(delete.table)}" + (f" WHERE {where}" if where else "")
        return Statement(sql, params, position, delete.expect, delete.table.name)

    def guard(self, statement: Statement) -> Statement:
        """A statement that fails unless the one before it affected ``expect`` rows.

        For protocols that take a whole transaction at once. The path is not one, so that SQLite
        quotes it in its error: that is how the change is known.
        """
        return Statement(
            f"SELECT CASE WHEN changes() = {statement.expect} THEN 1 "
            f"ELSE json_extract('{{}}', 'guard {statement.change}') END",
            (),
            statement.change,
        )
