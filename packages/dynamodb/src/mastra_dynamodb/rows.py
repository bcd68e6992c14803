"""Reading rows: by their keys, from index items, or from the whole table where nothing else is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from mastra_core.storage.matching import after, matches, sort_key
from mastra_core.storage.schema import Query, Row, Table, Where
from mastra_dynamodb.access import Access, choose, keys_of
from mastra_dynamodb.blobs import whole
from mastra_dynamodb.entities import VERSION, Item
from mastra_dynamodb.layout import TO_PARTITION, TO_SORT, TableLayout
from mastra_dynamodb.sources import Span
from mastra_dynamodb.spread import Spread
from mastra_dynamodb.transactions import Transactions
from mastra_dynamodb.wire import GET_KEYS, Key, Page, Wire, item_key, key_of

PAGE_ITEMS: Final = 1000
# How many items to look through at least where most may not meet the conditions.
SIFTED_ITEMS: Final = 200
REREADS: Final = 5
# How many items of the whole table are read first for each row that is wanted, which most rows take.
ITEMS_PER_ROW: Final = 4
MOST_ITEMS: Final = 10_000


class Stored(msgspec.Struct, frozen=True):
    """A row as it is stored: its item as it is, the item with all its values, and the row.

    A row that is not ``live`` has expired, and only still takes its place.
    """

    item: Item
    full: Item
    row: Row
    live: bool = True

    @property
    def place(self) -> Key:
        """The keys of the item."""
        return key_of(self.item)


class Rows:
    """Reads the rows of all tables; requests that do not need each other are sent at once."""

    def __init__(
        self,
        wire: Wire,
        transactions: Transactions,
        layouts: Callable[[Table], TableLayout],
        spread: Spread,
        expiry: tuple[str, ...],
    ) -> None:
        self._wire = wire
        self._transactions = transactions
        self._layouts = layouts
        self._spread = spread
        self._expiry = expiry

    def find(self, table: Table, query: Query) -> list[Row]:
        """The rows of a query whose order is complete and whose limit is bounded."""
        layout = self._layouts(table)
        keys = keys_of(table, query.where)
        if keys is not None:
            return self._sifted(table, query, self.load(layout, keys))
        access = choose(layout, query.where, query.order, query.after)
        if access is None:
            return self._sifted(table, query, self._scanned(layout))
        need = None
        if access.ordered and query.limit is not None:
            need = query.offset + query.limit
        streams = self._spread(
            lambda span: self._first(layout, access, span, query, need), access.spans
        )
        return arranged(table, query, [row for rows in streams for row in rows])

    def _sifted(self, table: Table, query: Query, stored: Iterable[Stored]) -> list[Row]:
        return arranged(table, query, sifted_rows(table, query, [s.row for s in stored]))

    def sweep(self, table: Table, limit: int, after: Row | None) -> list[Row]:
        """Rows as the whole table has them, read on behind the item of the row with a key."""
        layout = self._layouts(table)
        place = None if after is None else self._place(layout, after)
        size = min(limit * ITEMS_PER_ROW, MOST_ITEMS)
        scanned = self._scanned(layout, behind=place, size=size)
        return [stored.row for stored in islice(scanned, limit)]

    def count(self, table: Table, where: Sequence[Where]) -> int:
        """How many rows match: from index items alone where these decide it."""
        layout = self._layouts(table)
        access = None if keys_of(table, where) is not None else choose(layout, where, (), None)
        if access is None or not access.exact:
            return sum(matches(table, where, (), s.row) for s in self.candidates(layout, where))
        return sum(self._spread(lambda span: self._counted(access, span), access.spans))

    def candidates(
        self, layout: TableLayout, where: Sequence[Where], *, strict: bool = False
    ) -> list[Stored]:
        """All rows that may match; ``strict`` is for those who are going to change them."""
        keys = keys_of(layout.table, where)
        if keys is not None:
            return self.load(layout, keys, strict=strict)
        access = choose(layout, where, (), None)
        if access is None:
            return list(self._scanned(layout, strict=strict))

        def read(span: Span) -> list[Stored]:
            pages = self._rows(layout, access, span, PAGE_ITEMS, strict=strict)
            return [stored for page in pages for stored in page]

        return [stored for found in self._spread(read, access.spans) for stored in found]

    def load(
        self, layout: TableLayout, keys: Sequence[Row], *, strict: bool = False
    ) -> list[Stored]:
        """The rows with these keys that are there."""
        places = [place for key in keys for place in layout.places(key)]
        return [stored for stored in self._at(places, layout, strict=strict) if stored.live]

    def items_at(self, layout: TableLayout, keys: Sequence[Row]) -> dict[Key, Stored]:
        """What is where rows with these keys can be: expired rows too, and rows with other keys."""
        places = [place for key in keys for place in layout.places(key)]
        return {stored.place: stored for stored in self._at(places, layout, strict=True)}

    def foreign(self, layout: TableLayout) -> Iterator[Stored]:
        """The rows that the original wrote, or wrote last, found by reading the whole table."""
        return (s for s in self._scanned(layout, strict=True) if VERSION not in s.item)

    def _first(
        self, layout: TableLayout, access: Access, span: Span, query: Query, need: int | None
    ) -> list[Row]:
        """The first rows of one part that match: as many as are needed, and those tied with them."""
        source, table = access.source, layout.table
        tied = [table.positions[c.name] for c in source.columns[source.hashed :]]
        size = PAGE_ITEMS
        if need is not None:
            sifted = source.complete and not access.exact
            size = max(need, SIFTED_ITEMS) if sifted else need + (not source.complete)
        found: list[Row] = []
        pages = self._rows(layout, access, span, max(1, min(size, PAGE_ITEMS)))
        for page in pages:
            found += sifted_rows(table, query, [stored.row for stored in page])
            if need is None or len(found) < need or not need:
                continue
            # An order that is not complete may go on with rows that belong before the last one.
            last, kth = found[-1], found[need - 1]
            if source.complete or any(last[i] != kth[i] for i in tied):
                break
        return found

    def _rows(
        self,
        layout: TableLayout,
        access: Access,
        span: Span,
        size: int,
        *,
        strict: bool = False,
    ) -> Iterator[list[Stored]]:
        """The rows of one part, a page at a time."""
        start: Item | None = None
        # Marks in the original's indexes may be out of date; the rows themselves are read anyway.
        firmly = strict and not access.source.foreign
        while True:
            page = self._transactions.seen(
                lambda start=start, size=size: self._wire.query(  # type: ignore[misc]
                    access.source, span, limit=size, down=access.down, start=start
                ),
                strict=firmly,
            )
            live = [item for item in page.items if not self.expired(item)]
            if access.source.kind == "pointers":
                yield self._pointed(layout, access, live, strict=strict)
            elif strict and access.source.kind != "rows":
                # Who is going to change rows needs them as they are, not copies.
                stored = self._at([_row_place(item) for item in live], layout, strict=True)
                yield [one for one in stored if one.live]
            else:
                yield self._decoded(layout, live, strict=strict)
            if page.last is None:
                return
            start, size = page.last, PAGE_ITEMS

    def _pointed(
        self, layout: TableLayout, access: Access, items: Sequence[Item], *, strict: bool
    ) -> list[Stored]:
        """The rows that pointers lead to, in their order; not those that have moved meanwhile."""
        places = {key_of(item): (item[TO_PARTITION]["S"], item[TO_SORT]["S"]) for item in items}
        stored = {s.place: s for s in self._at(list(places.values()), layout, strict=strict)}
        found: list[Stored] = []
        for key, place in places.items():
            row = stored.get(place)
            if row is not None and row.live and layout.entry_key(access.source, row.row) == key:
                found.append(row)
        return found

    def _at(
        self, places: Sequence[Key], layout: TableLayout, *, strict: bool = False
    ) -> list[Stored]:
        """The rows whose items are at these places."""
        return self._decoded(layout, self._fetched(places, strict=strict), strict=strict)

    def _fetched(self, places: Sequence[Key], *, strict: bool) -> list[Item]:
        unique = list(dict.fromkeys(places))
        batches = [unique[i : i + GET_KEYS] for i in range(0, len(unique), GET_KEYS)]

        def read(batch: list[Key]) -> list[Item]:
            page = self._transactions.seen(lambda: Page(self._wire.get(batch)), strict=strict)
            return page.items

        return [item for found in self._spread(read, batches) for item in found]

    def _decoded(self, layout: TableLayout, items: Sequence[Item], *, strict: bool) -> list[Stored]:
        """Items as rows, with their large values; what was replaced meanwhile is read again."""
        found: list[Stored] = []
        left = list(items)
        for _ in range(REREADS):
            full = whole(self._wire, left, self._spread)
            pairs = list(zip(left, full, strict=True))
            for item, complete in pairs:
                if complete is not None:
                    row = layout.codec.row(complete)
                    found.append(Stored(item, complete, row, not self.expired(item)))
            lost = [item for item, f in pairs if f is None]
            if not lost:
                break
            left = self._fetched([_row_place(item) for item in lost], strict=strict)
        return found

    def _counted(self, access: Access, span: Span) -> int:
        """How many items there are in one part, without what is in them."""
        only = ("pk", "sk", "_tx", "_new", "_gone", *self._expiry)
        count, start = 0, None
        while True:
            page = self._transactions.seen(
                lambda start=start: self._wire.query(  # type: ignore[misc]
                    access.source, span, limit=100_000, down=False, start=start, only=only
                )
            )
            count += sum(not self.expired(item) for item in page.items)
            if page.last is None:
                return count
            start = page.last

    def _place(self, layout: TableLayout, key: Row) -> Key | None:
        """Where the row with a key is, or was; ``None`` if it is gone, and it could be in two places."""
        places = layout.places(key)
        if len(places) == 1:
            return places[0]
        found = [s for s in self._at(places, layout) if layout.key(s.row) == key]
        return found[0].place if found else None

    def _scanned(
        self,
        layout: TableLayout,
        *,
        behind: Key | None = None,
        size: int | None = None,
        strict: bool = False,
    ) -> Iterator[Stored]:
        """The rows of a table behind a place, read a number of items at a time, and more each time."""
        start = None if behind is None else item_key(behind)
        while True:
            page = self._transactions.seen(
                lambda start=start, size=size: self._wire.scan(layout.entity, start, size),  # type: ignore[misc]
                strict=strict,
            )
            size = None if size is None else min(size * 2, MOST_ITEMS)
            live = [item for item in page.items if not self.expired(item)]
            yield from self._in_turn(layout, live, strict=strict)
            if page.last is None:
                return
            start = page.last

    def _in_turn(self, layout: TableLayout, items: Sequence[Item], *, strict: bool) -> list[Stored]:
        """Items as rows in their own order, also those that had to be read again."""
        turn = {key_of(item): i for i, item in enumerate(items)}
        found = [s for s in self._decoded(layout, items, strict=strict) if s.live]
        return sorted(found, key=lambda stored: turn[stored.place])

    def expired(self, item: Mapping[str, Any]) -> bool:
        """Whether an item's time has come; the service removes it within days only."""
        for name in self._expiry:
            at = item.get(name, {}).get("N")
            if at is not None and float(at) <= time.time():
                return True
        return False


def _row_place(item: Item) -> Key:
    """Where the row of an item is: the item itself, or what a copy was made of."""
    if TO_PARTITION in item:
        return item[TO_PARTITION]["S"], item[TO_SORT]["S"]
    return key_of(item)


def sifted_rows(table: Table, query: Query, rows: Sequence[Row]) -> list[Row]:
    """Those of the rows that meet the conditions, and come behind the row to continue behind."""
    found = [row for row in rows if matches(table, query.where, (), row)]
    if query.after is None:
        return found
    last, downs = query.after, [way == "desc" for _, way in query.order]
    positions = [table.positions[name] for name, _ in query.order]
    return [row for row in found if after([row[i] for i in positions], last, downs)]


def arranged(table: Table, query: Query, rows: Iterable[Row]) -> list[Row]:
    """Rows in the order of a query, cut to its page and its columns."""
    found = list(rows)
    for name, way in reversed(query.order):
        i = table.positions[name]
        found.sort(key=lambda row, i=i: sort_key(row[i]), reverse=way == "desc")  # type: ignore[misc]
    end = None if query.limit is None else query.offset + query.limit
    found = found[query.offset : end]
    if not query.columns:
        return found
    wanted = [table.positions[name] for name in query.columns]
    return [tuple([row[i] for i in wanted]) for row in found]
