"""How ClickHouse's SQL differs, and how a row is read that is stored as several versions.

Nothing here relies on merges having happened: of the versions at a place the highest counts
(``LIMIT 1 BY``), and it is the whole row. Conditions on the columns of the place hold for all
versions alike and are applied first; others are applied to the version that counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, cast

import msgspec

from mastra_clickhouse.layout import ABSENT, DELETED, VERSION, Layout, Listing
from mastra_clickhouse.times import Times
from mastra_core.clock import from_isos
from mastra_core.errors import InvalidArgumentError
from mastra_core.storage.codec import to_json
from mastra_core.storage.conditions import INT64
from mastra_core.storage.schema import Column, ColumnType, Query, Row, Table, Value, Where
from mastra_core.storage.sql import Decoder, Dialect, Statement
from mastra_core.storage.tables import SCORERS


def listed(names: Iterable[str]) -> str:
    """Names as a list of identifiers; they come from the schema."""
    return ", ".join([f"`{name}`" for name in names])


def _scored(values: Sequence[Any]) -> Sequence[Any]:
    """Texts of scores: the original writes a word of its own for absent ones."""
    return [None if value == ABSENT else value for value in values]


def _scored_json(values: Sequence[Any]) -> Sequence[Any]:
    """JSON of scores: of what is a string the original leaves out the quotes."""
    return [_json_text(value) for value in _scored(values)]


def _json_text(text: Any) -> Any:
    if not isinstance(text, str) or text[:1] in {"{", "["}:
        return text
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return to_json(text)
    return text


SCORED: Final[Mapping[ColumnType, Decoder]] = {"text": _scored, "json": _scored_json}


class ClickhouseDialect(Dialect):
    """ClickHouse's SQL: named parameters with types, JSON functions, versions of rows."""

    version: ClassVar[str] = "SELECT 'ClickHouse ' || version()"
    encoders: ClassVar[Mapping[ColumnType, Callable[[Any], Any]]] = {}
    decoders: ClassVar[Mapping[ColumnType, Decoder]] = {
        "timestamp": from_isos,
        "float": lambda values: [None if value is None else float(value) for value in values],
        "boolean": lambda values: [None if value is None else bool(value) for value in values],
    }

    def __init__(
        self, layout: Callable[[Table], Layout], name: Callable[[str], str], times: Times
    ) -> None:
        super().__init__()
        self._times = times
        self._layout = layout
        self._name = name

    def name(self, table: Table) -> str:
        """The full name of a table."""
        return self._name(table.name)

    def decoder(self, table: Table, column: Column) -> Decoder | None:
        """How a column's values become those of the waist."""
        if table.name == SCORERS.name and column.type in SCORED:
            return SCORED[column.type]
        return super().decoder(table, column)

    def select(self, table: Table, query: Query) -> Statement:
        """The statement of a query whose order is complete."""
        return self.written(table, query)

    def bound(self, params: list[Any], value: Any) -> str:
        """Bind a value under the number that it has, with its type."""
        kind = "String"
        if isinstance(value, bool):
            kind = "Bool"
        elif isinstance(value, int):
            kind = "Int64"
        elif isinstance(value, float):
            kind = "Float64"
        elif isinstance(value, list):
            kind = "Array(String)"
        params.append(value)
        return f"{{p{len(params) - 1}:{kind}}}"

    def bind(self, params: list[Any], value: Value, kind: ColumnType = "text") -> str:
        """Bind a value of the waist; times go as milliseconds."""
        if value is None:
            return "NULL"
        if isinstance(value, datetime):
            bound = self.bound(params, self._times.milliseconds(value))
            return f"fromUnixTimestamp64Milli({bound}, 'UTC')"
        if isinstance(value, int) and not -INT64 <= value < INT64:
            raise InvalidArgumentError(f"the integer {value} needs more than 64 bits")
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidArgumentError(f"{value} is no number that can be compared")
        return self.bound(params, value)

    def equals(self, table: Table, column: Column, bound: str) -> str:
        """Equal to a value."""
        return f"{self.operand(table, column)} = {bound}"

    def differs(self, name: str, bound: str) -> str:
        """Not equal, where absent differs from everything."""
        return f"({name} IS NULL OR {name} <> {bound})"

    def is_member(
        self, name: str, column: Column, values: Sequence[Value], params: list[Any]
    ) -> str:
        """The column's value is one of a list."""
        given = [value for value in values if value is not None]
        if all(isinstance(value, str) for value in given):
            found = f"{name} IN {self.bound(params, list(given))}" if given else "0"
        else:
            bound = ", ".join([self.bind(params, value, column.type) for value in given])
            found = f"{name} IN ({bound})"
        return f"({found} OR {name} IS NULL)" if len(given) < len(values) else found

    def has_members(self, name: str, where: Where, params: list[Any]) -> str:
        """A JSON array holds all, or any, of a list of strings."""
        wanted = self.bound(params, list(cast("tuple[str, ...]", where.value)))
        texts = (
            f"arrayMap(x -> JSONExtractString(x), arrayFilter(x -> JSONType(x) = 'String', "
            f"JSONExtractArrayRaw(ifNull({name}, ''))))"
        )
        kind = "hasAll" if where.op == "has_all" else "hasAny"
        return f"(JSONType(ifNull({name}, '')) = 'Array' AND {kind}({texts}, {wanted}))"

    def json_condition(self, table: Table, where: Where, params: list[Any]) -> str:
        """Equality with the JSON value at a path, strict about its type; others are residual."""
        name = f"ifNull({self.operand(table, table.column(where.column))}, '')"
        keys = ", ".join([name, *(self.bound(params, key) for key in where.path)])
        value = cast("Value", where.value)
        if value is None:
            return f"(JSONHas({keys}) AND JSONType({keys}) = 'Null')"
        if isinstance(value, bool):
            return f"(JSONType({keys}) = 'Bool' AND JSONExtractBool({keys}) = {int(value)})"
        bound = self.bind(params, value)
        if isinstance(value, str):
            return f"(JSONType({keys}) = 'String' AND JSONExtractString({keys}) = {bound})"
        return (
            f"multiIf(JSONType({keys}) = 'Int64', JSONExtractInt({keys}) = {bound}, "
            f"JSONType({keys}) = 'UInt64', JSONExtractUInt({keys}) = {bound}, "
            f"JSONType({keys}) = 'Double', JSONExtractFloat({keys}) = {bound}, 0)"
        )

    def pushes(self, table: Table, where: Where) -> bool:
        """Whether this condition can be said exactly."""
        if where.path:
            value = where.value
            return where.op == "eq" and (value is None or isinstance(value, (str, int, float)))
        return where.op != "icontains"

    def beyond(self, table: Table, query: Query, params: list[Any]) -> str:
        """Also the first column by itself, where it can: a tuple lets no part of a table be left out."""
        text = super().beyond(table, query, params)
        (name, direction), last = query.order[0], cast("Row", query.after)[0]
        column = table.column(name)
        if column.nullable or last is None:
            return text
        bound = self.bind(params, last, column.type)
        sign = "<=" if direction == "desc" else ">="
        return f"({self.operand(table, column)} {sign} {bound} AND {text})"

    def written(self, table: Table, query: Query) -> Statement:
        """The statement of a query: versions at their places, then conditions, order and limit."""
        layout = self._layout(table)
        columns = query.columns or table.names
        params: list[Any] = []
        direction = self.streamed(layout, query)
        source, after = self.versions(layout, query, columns, params, direction=direction)
        sql = f"SELECT {listed(columns)} FROM ({source}) WHERE {after}"
        if query.order and not direction:
            sql += self.ordered(layout.table, query.order)
        return Statement(sql + self.limited(table, query, params), params)

    def counted(self, table: Table, where: Sequence[Where]) -> Statement:
        """The statement that counts rows."""
        params: list[Any] = []
        query = Query(where=tuple(where))
        source, after = self.versions(self._layout(table), query, (), params)
        return Statement(f"SELECT count() FROM ({source}) WHERE {after}", params)

    def places(self, table: Table, query: Query) -> Statement:
        """The places of a query's rows, in its order."""
        layout = self._layout(table)
        params: list[Any] = []
        source, after = self.versions(layout, query, layout.place, params)
        sql = f"SELECT {listed(layout.place)} FROM ({source}) WHERE {after}"
        sql += self.ordered(layout.table, query.order) if query.order else ""
        return Statement(sql + self.limited(table, query, params), params)

    def is_listed(self, layout: Layout, query: Query, columns: Container[str]) -> bool:
        """Whether the table's listing, with these columns, has the places of a query in its order."""
        listing = layout.listing
        if listing is None or not query.limit or listing.condition not in query.where:
            return False
        rest = [where.column for where in query.where if where != listing.condition]
        return (
            [name for name, _ in query.order] == list(listing.order)
            and len({way for _, way in query.order}) == 1
            and all(name in columns for name in (*listing.order, *rest))
        )

    def listed_places(self, table: Table, query: Query, most: int) -> Statement:
        """The places that may have a query's rows, in its order; one may come several times."""
        layout = self._layout(table)
        listing = cast("Listing", layout.listing)
        params: list[Any] = []
        known = [where for where in query.where if where != listing.condition]
        met = [f"{DELETED} = 0", *self.met(table, query, known, params)]
        way = "DESC" if query.order[0][1] == "desc" else "ASC"
        order = ", ".join([f"`{column}` {way}" for column in listing.order])
        return Statement(
            f"SELECT {listed(layout.place)} FROM {self._name(listing.name)} "
            f"WHERE {' AND '.join(met)} ORDER BY {order} LIMIT {self.bound(params, most)}",
            params,
        )

    def met(
        self, table: Table, query: Query, where: Sequence[Where], params: list[Any]
    ) -> list[str]:
        """What versions meet of a query that are told by these conditions: also its end, and their age."""
        layout = self._layout(table)
        found = [self.condition(layout.table, one, params) for one in where]
        if layout.lifetime is not None:
            found.append(layout.lifetime.alive)
        if query.after is not None:
            found.append(self.beyond(table, query, params))
        return found

    def at_places(self, table: Table, query: Query, found: Sequence[Row]) -> Statement:
        """The rows at some places, so far as they match a query still; their places come first."""
        layout = self._layout(table)
        params: list[Any] = []
        arrays: list[str] = []
        for name, values in zip(layout.place, zip(*found, strict=True), strict=True):
            kind = layout.table.column(name).type
            arrays.append(self.array_of(kind, values, params))
        picked = ", ".join([f"x.{i + 1}" for i in range(len(arrays))])
        zipped = f"SELECT {picked} FROM (SELECT arrayJoin(arrayZip({', '.join(arrays)})) AS x)"
        at = f"({listed(layout.place)}) IN ({zipped})"
        columns = tuple(dict.fromkeys((*layout.place, *(query.columns or table.names))))
        plain = Query(where=query.where)
        source, after = self.versions(layout, plain, columns, params, at=at)
        shown = [*layout.place, *(query.columns or table.names)]
        sql = f"SELECT {listed(shown)} FROM ({source}) WHERE {after}"
        return Statement(sql, params)

    def array_of(self, kind: ColumnType, values: Sequence[Any], params: list[Any]) -> str:
        """A list of values of one column as one parameter."""
        if kind == "timestamp":
            params.append([self._times.milliseconds(value) for value in values])
            bound = f"{{p{len(params) - 1}:Array(Int64)}}"
            return f"arrayMap(t -> fromUnixTimestamp64Milli(t, 'UTC'), {bound})"
        params.append(list(values))
        return f"{{p{len(params) - 1}:Array({'String' if kind in {'text', 'json'} else 'Int64'})}}"

    def streamed(self, layout: Layout, query: Query) -> str:
        """The direction in which the table has the rows of a query in order; empty if it has not."""
        pinned = {w.column for w in query.where if w.op == "eq" and not w.path}
        wanted = [(name, way) for name, way in query.order if name not in pinned]
        ways = {way for _, way in wanted}
        names = [name for name, _ in wanted]
        rest = [name for name in layout.place if name not in pinned]
        begin = layout.place[: len(layout.place) - len(rest)]
        if query.limit is None or len(ways) != 1 or not pinned.issuperset(begin):
            return ""
        if layout.place[len(begin) :] != tuple(rest) or names[: len(rest)] != rest:
            return ""
        return ways.pop()

    def first_versions(self, table: Table, query: Query, most: int) -> Statement | None:
        """The first versions that are in a query's order, each followed by its place and whether it is deleted.

        ``None`` where the table is not in that order, or conditions are about more than places.
        """
        layout, place = self._layout(table), self._layout(table).place
        direction = self.streamed(layout, query)
        about = [where.column for where in query.where]
        about += [name for name, _ in query.order] if query.after is not None else []
        if not direction or any(w.path for w in query.where) or not set(about).issubset(place):
            return None
        params: list[Any] = []
        met = self.met(table, query, query.where, params)
        # (A column is named twice where it is asked for and of the place.)
        sql = f"SELECT {listed((*(query.columns or table.names), *place))}, {DELETED} "
        sql += f"FROM {self.name(table)}{' WHERE ' if met else ''}{' AND '.join(met)} ORDER BY "
        sql += ", ".join([f"`{name}` {direction.upper()}" for name in place])
        sql += f", {VERSION} DESC LIMIT {self.bound(params, most)}"
        return Statement(sql, params)

    def versions(
        self,
        layout: Layout,
        query: Query,
        columns: Sequence[str],
        params: list[Any],
        *,
        direction: str = "",
        at: str = "",
    ) -> tuple[str, str]:
        """The versions that count, with some columns, and the conditions for what is left of them."""
        table, place = layout.table, set(layout.place)
        before = [at] if at else []
        if layout.lifetime is not None:
            before.append(layout.lifetime.alive)
        behind = [f"{DELETED} = 0"]
        needed = [*columns, *(name for name, _ in query.order)]
        for where in query.where:
            text = self.condition(table, where, params)
            if where.column in place and not where.path:
                before.append(text)
            else:
                needed.append(where.column)
                behind.append(text)
        before += self.candidates(layout, query, params) if not at else []
        if query.after is not None:
            inside = place.issuperset(name for name, _ in query.order)
            (before if inside else behind).append(self.beyond(table, query, params))
        ways = "DESC" if direction == "desc" else "ASC"
        order = [f"`{name}` {ways}" for name in layout.place]
        names = dict.fromkeys([*needed, *layout.place])
        source = f"SELECT {listed(names)}, {DELETED} FROM {self.name(table)}"
        if before:
            source += f" WHERE {' AND '.join(before)}"
        source += f" ORDER BY {', '.join(order)}, {VERSION} DESC LIMIT 1 BY {listed(layout.place)}"
        return source, " AND ".join(behind)

    def candidates(self, layout: Layout, query: Query, params: list[Any]) -> list[str]:
        """Conditions that leave out most places by an index that the table has beside its order.

        Any version may match here, so that no row is lost whose latest version does.
        """
        first = layout.place[0]
        known = [w for w in query.where if not w.path and w.op in {"eq", "in"}]
        if any(w.column == first for w in known):
            return []
        chosen = [
            w
            for w in known
            if w.column in layout.indexed and w.column not in layout.place and w.value is not None
        ]
        if not chosen:
            return []
        places = listed(layout.place)
        text = " AND ".join([self.condition(layout.table, w, params) for w in chosen[:1]])
        name = self.name(layout.table)
        return [f"({places}) IN (SELECT {places} FROM {name} WHERE {text})"]
