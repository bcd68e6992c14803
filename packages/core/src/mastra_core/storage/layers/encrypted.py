"""The backend whose content is encrypted: sealed on the way in, opened on the way out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from mastra_core.storage.backend import Backend, Limits
from mastra_core.storage.domain import until_changed
from mastra_core.storage.layers.base import LayerBackend
from mastra_core.storage.layers.cipher import NONCE_BYTES, PREFIX, TAG_BYTES, Cipher
from mastra_core.storage.layers.repetition import pinned
from mastra_core.storage.layers.sealing import Sealing
from mastra_core.storage.layers.trial import Place, Trial, guarded, looked_at
from mastra_core.storage.rows import Key, SortedRows
from mastra_core.storage.schema import (
    Advance,
    Change,
    Delete,
    Put,
    Query,
    Row,
    Table,
    Update,
    Value,
    Where,
)

# Rows by table and key, as they are stored and as they are opened.
Rows: TypeAlias = dict[str, tuple[Table, dict[Key, Row], dict[Key, Row]]]
AT_ONCE: Final = 500


class EncryptedBackend(LayerBackend):
    """A backend with some columns sealed.

    Conditions on sealed columns are applied here, to bounded pages, as others are that a database
    does not know; that a value is absent can be seen without a key. A write that sets columns of
    rows named by their keys, or compares them with what was read, is one write beneath, sealed.
    Any other one that is about sealed columns is tried here on the rows that it is about, and what
    it did is written on condition that they are still as they were; again if they are not.
    """

    def __init__(
        self,
        inner: Backend,
        cipher: Cipher,
        columns: Mapping[str, Sequence[str]],
        *,
        read_plain: bool,
    ) -> None:
        super().__init__(inner)
        self._sealing = Sealing(cipher, columns, read_plain=read_plain)
        self.limits = _room(inner.limits, len(cipher.current))  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r}, {self._sealing.cipher!r})"

    def encrypts(self, table: Table) -> bool:
        """Whether a table has encrypted columns."""
        return bool(self._sealing.hidden(table))

    def renewed(self, table: Table, stored: Row) -> Change | None:
        """What seals a stored row with the new key, if it is still so; ``None`` where it is."""
        hidden, sealing = self._sealing.hidden(table), self._sealing
        old = [n for n in hidden if not sealing.is_current(stored[table.positions[n]])]
        if not old:
            return None
        (row,) = sealing.open_rows(table, table.names, [stored], len(table.names))
        key = [row[table.positions[name]] for name in table.key]
        values = {n: sealing.seal(table, n, row[table.positions[n]], key) for n in old}
        return guarded(table, stored, values, sorted(old))

    def _split(
        self, table: Table, where: tuple[Where, ...]
    ) -> tuple[tuple[Where, ...], tuple[Where, ...]]:
        hidden = tuple([w for w in where if self._sealing.hides(table, w)])
        if not hidden:
            return super()._split(table, where)
        pushed, residual = super()._split(table, tuple([w for w in where if w not in hidden]))
        return pushed, (*residual, *hidden)

    async def _find(self, table: Table, query: Query) -> list[Row]:
        hidden = self._sealing.hidden(table)
        if not hidden.isdisjoint([name for name, _ in query.order]):
            return await self._sorted(table, query)
        asked, width = self._asked(table, query)
        return self._opened(table, asked, await self.inner.find(table, asked), width)

    async def _find_many(self, table: Table, queries: Sequence[Query]) -> list[list[Row]]:
        hidden = self._sealing.hidden(table)
        if any(name in hidden for query in queries for name, _ in query.order):
            return [await self._find(table, query) for query in queries]
        asked = [self._asked(table, query) for query in queries]
        answers = await self.inner.find_many(table, [query for query, _ in asked])
        return [
            self._opened(table, query, rows, width)
            for (query, width), rows in zip(asked, answers, strict=True)
        ]

    def _asked(self, table: Table, query: Query) -> tuple[Query, int]:
        """The query that reads what opens its columns, too, and how many columns it asks for."""
        names = query.columns
        if not names or self._sealing.hidden(table).isdisjoint(names):
            return query, len(names or table.names)
        lacking = tuple([name for name in table.key if name not in names])
        wider = msgspec.structs.replace(query, columns=(*names, *lacking)) if lacking else query
        return wider, len(names)

    def _opened(self, table: Table, query: Query, rows: list[Row], width: int) -> list[Row]:
        names = query.columns or table.names
        if self._sealing.hidden(table).isdisjoint(names):
            return rows
        return self._sealing.open_rows(table, names, rows, width)

    async def _sorted(self, table: Table, query: Query) -> list[Row]:
        """The rows in an order that the database does not know: all of them are read."""
        rows = SortedRows(table)
        found = await self.find(table, Query(where=query.where))
        rows.store({rows.key(row): row for row in found})
        wanted = [table.positions[name] for name in query.columns or table.names]
        return [tuple([row[i] for i in wanted]) for row in rows.find(query)]

    async def _write(self, changes: Sequence[Change]) -> list[int]:
        if all(map(self._direct, changes)):
            return await self.inner.write(*map(self._sealed, changes))
        counts, known = await self._transact(changes, set())
        broad = [i for i, change in enumerate(changes) if _broad(change)]
        while broad:
            # Rows that came while the others were changed match as well, and are to be changed.
            more, seen = await self._transact([changes[i] for i in broad], known)
            if not any(more):
                break
            for i, count in zip(broad, more, strict=True):
                counts[i] += count
            known |= seen
        return counts

    def _direct(self, change: Change) -> bool:
        """Whether sealing the values of a change is all that it needs."""
        table, sealing = change.table, self._sealing
        hidden = sealing.hidden(table)
        if not hidden:
            return True
        if isinstance(change, Put):
            matched = {name for name, rule in change.merge.items() if rule == "match"}
            return sealing.single or hidden.isdisjoint(matched)
        compared = [w for w in change.where if sealing.hides(table, w)]
        given: Mapping[str, object] = change.values if isinstance(change, Update) else {}
        if not given.keys().isdisjoint(table.key):
            return False
        if not compared and all(given[name] is None for name in hidden & given.keys()):
            return True
        if pinned(table, change.where) is None:
            return False
        return not compared or (sealing.single and all(map(_exact, compared)))

    def _sealed(self, change: Change) -> Change:
        """The change as it is sent."""
        table, sealing = change.table, self._sealing
        hidden = sealing.hidden(table)
        if isinstance(change, Put):
            return sealing.seal_rows(change)
        named = pinned(table, change.where)
        if not hidden or named is None:
            return change
        key: list[Value] = [named[name] for name in table.key]  # type: ignore[misc]
        where = tuple(
            [
                Where(w.column, w.op, sealing.seal(table, w.column, w.value, key))  # type: ignore[arg-type]
                if sealing.hides(table, w)
                else w
                for w in change.where
            ]
        )
        if isinstance(change, Delete):
            return Delete(table, where, change.expect)
        values = {
            name: value
            if name not in hidden or isinstance(value, Advance)
            else sealing.seal(table, name, value, key)
            for name, value in change.values.items()
        }
        return Update(table, where, values, change.expect)

    async def _transact(
        self, changes: Sequence[Change], without: set[Place]
    ) -> tuple[list[int], set[Place]]:
        """Try a write on the rows that it is about, and write what it did; again if they changed."""
        answer: tuple[list[int], set[Place]] = ([], set())

        async def read() -> tuple[
            Sequence[Change], Callable[[Sequence[Change]], Awaitable[list[int]]]
        ]:
            nonlocal answer
            rows = await self._rows(changes, without)
            trial = Trial()
            for table, _, opened in rows.values():
                trial.load(table, opened)
            counts, touched = trial.play(changes)
            places = touched | {(name, key) for name, (_, _, some) in rows.items() for key in some}
            answer = (counts, places)
            return self._outcome(changes, rows, trial, places), write

        async def write(outcome: Sequence[Change]) -> list[int]:
            return await self.inner.write(*outcome) if outcome else []

        await until_changed(read, lambda outcome: outcome)
        return answer

    async def _rows(self, changes: Sequence[Change], without: set[Place]) -> Rows:
        """The rows that a write may look at or change, as they stand."""
        rows: Rows = {}
        for table in {change.table.name: change.table for change in changes}.values():
            stored = {
                place: row
                for row in await self._about(
                    table, [c for c in changes if c.table.name == table.name]
                )
                if (table.name, place := _key(table, row)) not in without
            }
            plain = self._sealing.open_rows(table, table.names, stored.values(), len(table.names))
            rows[table.name] = (table, stored, dict(zip(stored, plain, strict=True)))
        return rows

    async def _about(self, table: Table, changes: Sequence[Change]) -> list[Row]:
        """The stored rows that changes may be about, whatever their sealed columns say."""
        keys: dict[Key, None] = {}
        found: list[Row] = []
        for change in changes:
            if isinstance(change, Put):
                keys.update(dict.fromkeys([_key(table, row) for row in change.rows]))
                continue
            named = pinned(table, change.where)
            if named is not None:
                keys[tuple([named[name] for name in table.key])] = None  # type: ignore[misc]
                continue
            seen = tuple([w for w in change.where if not self._sealing.hides(table, w)])
            found += await self.inner.find(table, Query(where=seen))
        *head, last = table.key
        ends: dict[Key, list[Value]] = {}
        for key in keys:
            ends.setdefault(key[:-1], []).append(key[-1])
        for first, values in ends.items():
            where = tuple([Where(n, "eq", v) for n, v in zip(head, first, strict=True)])
            for start in range(0, len(values), AT_ONCE):
                some = Where(last, "in", tuple(values[start : start + AT_ONCE]))
                found += await self.inner.find(table, Query(where=(*where, some)))
        return found

    def _outcome(
        self, changes: Sequence[Change], rows: Rows, trial: Trial, places: set[Place]
    ) -> list[Change]:
        """What a trial did, as changes that hold only while the rows are as they were read."""
        # What must not be there cannot be seen among the rows that are: it is asked again.
        outcome = [
            self._sealed(change)
            for i, change in enumerate(changes)
            if not isinstance(change, Put) and change.expect == 0 and self._direct(change)
            if all(other.table.name != change.table.name for other in changes[:i])
        ]
        for name, (table, stored, opened) in rows.items():
            columns = looked_at(table, changes)
            for place in sorted([key for at, key in places if at == name], key=repr):
                before, after = opened.get(place), trial.row(table, place)
                if before is None and after is not None:
                    outcome.append(self._sealing.seal_rows(Put(table, (after,), "fail")))
                elif before is not None:
                    values = None if after is None else self._changed(table, before, after)
                    outcome.append(guarded(table, stored[place], values, columns))
        return outcome

    def _changed(self, table: Table, before: Row, after: Row) -> dict[str, Value]:
        """The columns in which two rows differ, sealed; all sealed ones where the key differs."""
        at, hidden = [table.positions[name] for name in table.key], self._sealing.hidden(table)
        key = [after[i] for i in at]
        moved = key != [before[i] for i in at]
        return {
            name: self._sealing.seal(table, name, new, key) if name in hidden else new
            for name, old, new in zip(table.names, before, after, strict=True)
            if old != new or type(old) is not type(new) or (moved and name in hidden)
        }


def _key(table: Table, row: Row) -> Key:
    return tuple([row[table.positions[name]] for name in table.key])


def _exact(where: Where) -> bool:
    """Whether a condition is of the whole value: the same text is sealed to the same there."""
    return where.op == "eq" and not where.path and isinstance(where.value, str)


def _broad(change: Change) -> bool:
    """Whether a change is of all rows that match, however many and whenever they came."""
    return (
        not isinstance(change, Put)
        and change.expect is None
        and pinned(change.table, change.where) is None
    )


def _room(limits: Limits, id_length: int) -> Limits:
    """What fits: a sealed value takes four bytes for three, and says how it was sealed."""

    def of(bound: int | None, values: int = 1) -> int | None:
        if bound is None:
            return None
        around = len(PREFIX) + id_length + 8
        return (bound - values * around) // 4 * 3 - values * (NONCE_BYTES + TAG_BYTES)

    return msgspec.structs.replace(
        limits, value_bytes=of(limits.value_bytes), row_bytes=of(limits.row_bytes, 20)
    )
