"""Where the rows of a table are: the keys of their items, and the index items that lists are read from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from mastra_core.clock import iso, now
from mastra_core.storage.schema import Index, Row, Table, complete
from mastra_dynamodb.entities import ORIGINAL, SERVICE, VERSION, Item, RowCodec
from mastra_dynamodb.foreign import FOREIGN, Foreign, foreign_keys
from mastra_dynamodb.keys import PARTITION_BYTES, bounded, joined
from mastra_dynamodb.sources import Kind, Source, named

# The keys of an item: of its partition, and in it.
Key: TypeAlias = tuple[str, str]

# Lists that one request must answer: their index items are copies of the rows.
COPIED: Final = frozenset({"mastra_messages_by_thread_created"})
# Lists of a whole table in an order for which no index has them in one partition.
WHOLE: Final[Mapping[str, tuple[str, ...]]] = {
    "mastra_experiment_results": ("experimentId", "createdAt", "id"),
}
TO_PARTITION: Final = "p"
TO_SORT: Final = "s"
NOT_COPIED: Final = frozenset({"entity", "__edb_e__", "__edb_v__"})


class TableLayout:
    """The items of one table's rows.

    ``shared``: the original's indexes stand in for those of ours that they can. ``expiry`` names
    the attributes that say when an item expires.
    """

    def __init__(self, table: Table, *, shared: bool, expiry: tuple[str, ...] = ()) -> None:
        self.table = table
        self.codec = RowCodec(table)
        self.entity = self.codec.entity.name
        self._expiry = expiry
        self._lead = f"{SERVICE}#entity_{self.entity}#{table.key[0].lower()}_"
        self._key_at = tuple(table.positions[name] for name in table.key)
        self._foreign = FOREIGN.get(self.entity, ()) if shared else ()
        self._lower = shared and table.name in ORIGINAL
        replaced = {name for foreign in self._foreign for name in foreign.instead_of}
        own = [self._index(index) for index in table.indexes if index.name not in replaced]
        if table.name in WHOLE:
            own.append(self._index(Index(f"{table.name}_whole", WHOLE[table.name]), hashed=0))
        self._own = tuple(own)
        theirs = [self._of_original(f) for f in self._foreign if f.instead_of]
        self.sources: tuple[Source, ...] = (*theirs, *own, *self._of_rows())
        self._positions = {
            source.name: tuple([table.positions[c.name] for c in source.columns]) for source in own
        }

    def key(self, row: Row) -> Row:
        """The values of a row's key."""
        return tuple([row[i] for i in self._key_at])

    def place(self, key: Row) -> Key:
        """The keys of a row's item."""
        name, columns = self.entity, [self.table.column(n) for n in self.table.key]
        partition = self._lead + named(columns[0], key[0])
        if name == "thread":
            sort = f"id_{key[0]}"
        elif name == "workflow_snapshot":
            sort = f"run_id_{key[1]}"
        elif len(key) == 1:
            sort = f"entity_{name}"
        else:
            sort = joined(columns[1:], key[1:])
        return bounded(partition, PARTITION_BYTES), bounded(f"${name}_1#{sort}")

    def places(self, key: Row) -> tuple[Key, ...]:
        """Where the row with this key can be, the best place first.

        The original writes keys in lower case, and looks only there, so that in a shared table this
        is the best place. An id that has capitals must share it with others: whoever comes first
        has it, and the id that is written like the key has it in any case.
        """
        exact = self.place(key)
        if not self._lower:
            return (exact,)
        lower = (exact[0].lower(), exact[1].lower())
        return (exact,) if lower == exact else (lower, exact)

    def item(self, row: Row, place: Key, version: str, base: Item) -> Item:
        """The item of a row; what ``base`` has beside the columns that are known here stays."""
        known = set(self.codec.names)
        kept = {n: v for n, v in base.items() if n not in known and not n.startswith("gsi")}
        item = {
            **kept,
            **self.codec.attributes(row),
            "pk": {"S": place[0]},
            "sk": {"S": place[1]},
            "entity": {"S": self.entity},
            "__edb_e__": {"S": self.entity},
            "__edb_v__": {"S": "1"},
            VERSION: {"S": version},
        }
        if self.entity == "message":
            # The original has the time of the last change of messages too.
            item["updatedAt"] = {"S": iso(now())}
        attributes = self.codec.entity.attributes
        for foreign in self._foreign:
            item |= foreign_keys(foreign, self.entity, attributes, item)
        return item

    def entries(self, row: Row, item: Item) -> dict[Key, Item]:
        """The index items of a row by their keys; they expire with it."""
        found: dict[Key, Item] = {}
        pointer = {TO_PARTITION: item["pk"], TO_SORT: item["sk"]}
        pointer |= {name: item[name] for name in self._expiry if name in item}
        copy: Item = {}
        for source in self._own:
            key = self.entry_key(source, row)
            keys = {"pk": {"S": key[0]}, "sk": {"S": key[1]}}
            if source.kind == "copies" and not copy:
                copy = {name: value for name, value in item.items() if name not in NOT_COPIED}
            found[key] = {**(copy if source.kind == "copies" else {}), **pointer, **keys}
        return found

    def entry_key(self, source: Source, row: Row) -> Key:
        """The keys of a row's item in one index."""
        values = [row[i] for i in self._positions[source.name]]
        sort = source.sort(values[source.hashed :])
        return source.partition(values[: source.hashed]), bounded(sort)

    def _index(self, index: Index, hashed: int | None = None) -> Source:
        """An index of ours; one that begins with a time has one partition for the whole table."""
        order = complete(self.table, tuple([(name, "asc") for name in index.columns]))
        columns = tuple([self.table.column(name) for name, _ in order])
        if hashed is None:
            hashed = 0 if columns[0].type == "timestamp" else 1
        kind: Kind = "copies" if index.name in COPIED else "pointers"
        return Source(name=index.name, columns=columns, hashed=hashed, kind=kind)

    def _of_rows(self) -> tuple[Source, ...]:
        """The rows whose keys begin alike, where keys have several columns: one partition."""
        columns = tuple([self.table.column(name) for name in self.table.key])
        if len(columns) == 1:
            return ()
        if self.entity == "workflow_snapshot":
            # The original's sort keys are not made for order.
            return (
                Source(name=self._lead, columns=columns[:1], hashed=1, kind="rows", complete=False),
            )
        lead = f"${self.entity}_1#"
        return (Source(name=self._lead, columns=columns, hashed=1, kind="rows", lead=lead),)

    def _of_original(self, foreign: Foreign) -> Source:
        names = foreign.columns
        if foreign.sort == "createdAt":
            names = (*names, foreign.sort)
        attributes = self.codec.entity.attributes
        return Source(
            name=self.entity,
            columns=tuple([self.table.column(name) for name in names]),
            hashed=len(foreign.columns),
            kind="foreign",
            index=foreign.index,
            complete=False,
            labels=tuple([attributes.get(name, name) for name in names]),
        )
