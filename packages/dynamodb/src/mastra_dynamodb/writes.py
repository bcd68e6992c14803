"""Writes: from changes to the items that they change, each on condition of what was read."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast
from uuid import uuid4

import msgspec

from mastra_core.errors import ConflictError, LimitExceededError, UnavailableError
from mastra_core.storage.changes import merged, miscounted, taken, updated
from mastra_core.storage.matching import matches
from mastra_core.storage.schema import Change, Delete, Put, Row, Table, Update
from mastra_dynamodb.access import keys_of
from mastra_dynamodb.blobs import BLOB, keys_of_blob, split
from mastra_dynamodb.entities import VERSION, Item
from mastra_dynamodb.errors import Refused
from mastra_dynamodb.layout import TableLayout
from mastra_dynamodb.rows import Rows, Stored
from mastra_dynamodb.transactions import Step, Transactions, Unsettled
from mastra_dynamodb.wire import Key, Wire, key_of, pauses

# For so many seconds a write begins again that others always came before.
PERSISTENCE: Final = 60.0


class Lifetime(msgspec.Struct, frozen=True):
    """How long the rows of an entity live, and the attribute that says until when."""

    attribute: str
    seconds: int


class Draft:
    """One row in a write: what was read of it, and what is to become of it.

    ``found`` is the item at its place: usually its own, or ``occupant``'s, which is another row;
    ``aside`` are other places where the row could be, as they were found.
    """

    def __init__(self, layout: TableLayout, place: Key, stored: Stored | None) -> None:
        self.layout = layout
        self.place = place
        self.stored = stored
        self.row: Row | None = stored.row if stored is not None and stored.live else None
        self.found = stored.item if stored is not None and stored.place == place else None
        self.occupant: Stored | None = None
        self.aside: dict[Key, Item | None] = {}
        self.changed = False
        self.checked = False
        self.renewed = False
        self.evicted = False

    @property
    def exact(self) -> Key:
        """The place that no other row can have."""
        row = self.row or (self.stored.row if self.stored is not None else None)
        assert row is not None
        return self.layout.place(self.layout.key(row))

    def set(self, row: Row | None, *, renewed: bool = False) -> None:
        """Have the row replaced, or removed."""
        self.row, self.changed = row, True
        self.renewed = self.renewed or renewed


class Attempt:
    """One try of a write: every change applied to what is read, in order, in memory.

    Not ``careful``, rows that are usually new are not read first: if one is there after all, the
    conditions of the write refuse it.
    """

    def __init__(
        self, rows: Rows, layouts: Callable[[Table], TableLayout], *, careful: bool
    ) -> None:
        self._rows = rows
        self._layouts = layouts
        self._careful = careful
        self.drafts: dict[str, dict[Row, Draft]] = {}

    def apply(self, change: Change, position: int) -> int:
        """Apply one change; how many rows it is about."""
        layout = self._layouts(change.table)
        if isinstance(change, Put):
            return self._put(layout, change, position)
        if isinstance(change, Update):
            for name in change.values:
                change.table.column(name)
        found = self._matching(layout, change)
        if change.expect is not None and len(found) != change.expect:
            raise miscounted(change.table, len(found), change.expect, position)
        for draft in found:
            if isinstance(change, Delete):
                draft.set(None)
            elif draft.row is not None:
                draft.set(updated(change.table, draft.row, change.values))
        return len(found)

    def _put(self, layout: TableLayout, put: Put, position: int) -> int:
        new = {layout.key(row): row for row in put.rows}
        known = self.drafts.setdefault(put.table.name, {})
        usually = put.fresh or put.on_conflict != "replace"
        for key in new if usually and not self._careful else ():
            places = layout.places(key)
            if key not in known and len(places) == 1:
                known[key] = Draft(layout, places[0], None)
        self._load(layout, list(new))
        count = 0
        for key, row in new.items():
            draft = known[key]
            if draft.row is not None and put.on_conflict == "fail":
                raise taken(put, key, position)
            if draft.row is None:
                draft.set(row, renewed=True)
            elif put.on_conflict == "replace":
                draft.set(merged(put, row, draft.row, position), renewed=True)
            else:
                continue
            count += 1
        return count

    def _matching(self, layout: TableLayout, change: Update | Delete) -> list[Draft]:
        """The rows that a change is about, as they are within this write."""
        table = change.table
        known = self.drafts.setdefault(table.name, {})
        keys = keys_of(table, change.where)
        if keys is not None:
            self._load(layout, keys)
            examined = {key: known[key] for key in keys}
        else:
            found = self._rows.candidates(layout, change.where, strict=True)
            for stored in found:
                key = layout.key(stored.row)
                known.setdefault(key, Draft(layout, stored.place, stored))
            examined = {key: known[key] for s in found if (key := layout.key(s.row)) in known}
            examined |= {key: draft for key, draft in known.items() if draft.changed}
        if change.expect is not None:
            # The count holds only as long as none of these rows changes.
            for draft in examined.values():
                draft.checked = True
        drafts = examined.values()
        return [d for d in drafts if d.row is not None and matches(table, change.where, (), d.row)]

    def _load(self, layout: TableLayout, keys: Sequence[Row]) -> None:
        known = self.drafts.setdefault(layout.table.name, {})
        wanted = [key for key in keys if key not in known]
        if not wanted:
            return
        at = self._rows.items_at(layout, wanted)
        for key in wanted:
            places = layout.places(key)
            mine = [p for p in places if p in at and layout.key(at[p].row) == key]
            free = [p for p in places if p not in at]
            place = (mine or free or [places[0]])[0]
            draft = known[key] = Draft(layout, place, at[place] if mine else None)
            if not mine and place in at:
                draft.occupant, draft.found = at[place], at[place].item
            if not mine:
                draft.aside = {p: at[p].item if p in at else None for p in places if p != place}

    def finished(self) -> list[Draft]:
        """All rows of the write, each at a place of its own."""
        found = [draft for known in self.drafts.values() for draft in known.values()]
        places: dict[Key, Draft] = {}
        for draft in [d for d in found if d.changed and d.row is not None]:
            other = places.setdefault(draft.place, draft)
            if other is not draft:
                # Two new ids that differ by case: one of them has capitals, and a place for that.
                moving = draft if draft.exact != draft.place else other
                places[draft.place] = other if moving is draft else draft
                moving.place, moving.occupant = moving.exact, None
                moving.found = moving.aside.pop(moving.exact, None)
        for draft in [d for d in places.values() if d.occupant is not None]:
            found += self._evict(draft.layout, cast("Stored", draft.occupant))
        return found

    def _evict(self, layout: TableLayout, occupant: Stored) -> list[Draft]:
        """Have a row leave its place to another one; what this adds to the write."""
        known, key = self.drafts[layout.table.name], layout.key(occupant.row)
        new = [] if key in known else [Draft(layout, occupant.place, occupant)]
        moved = known.setdefault(key, *new) if new else known[key]
        moved.place, moved.found, moved.evicted = moved.exact, None, True
        moved.set(moved.row)
        return new


class Writes:
    """Applies changes to the table, all or none."""

    def __init__(
        self,
        wire: Wire,
        transactions: Transactions,
        rows: Rows,
        layouts: Callable[[Table], TableLayout],
        lifetimes: Mapping[str, Lifetime],
    ) -> None:
        self._wire = wire
        self._transactions = transactions
        self._rows = rows
        self._layouts = layouts
        self._lifetimes = lifetimes

    def write(self, changes: Sequence[Change]) -> list[int]:
        """Apply all changes or none; again from the beginning where others came before."""
        careful = False
        waits = pauses(PERSISTENCE)
        while True:
            try:
                return self._try(changes, careful=careful)
            except ConflictError:
                if careful:
                    raise
                careful = True
                continue
            except (Refused, Unsettled):
                careful = True
            if next(waits, None) is None:
                raise UnavailableError(
                    "DynamoDB: others changed the same rows all the time; nothing was written"
                )

    def adopt(self, table: Table) -> int:
        """Write rows of the original again, as they are but with their index items."""
        count, layout = 0, self._layouts(table)
        for stored in self._rows.foreign(layout):
            key = layout.key(stored.row)
            place = stored.place if stored.place in layout.places(key) else layout.place(key)
            draft = Draft(layout, place, stored)
            draft.set(stored.row)
            with contextlib.suppress(Refused):
                # Whoever changed it meanwhile is one of us, or will be found by the next call.
                self._apply([draft])
                count += 1
        return count

    def _try(self, changes: Sequence[Change], *, careful: bool) -> list[int]:
        attempt = Attempt(self._rows, self._layouts, careful=careful)
        counts = [attempt.apply(change, i) for i, change in enumerate(changes)]
        self._apply(attempt.finished())
        return counts

    def _apply(self, drafts: Sequence[Draft]) -> None:
        token = uuid4().hex
        steps: list[Step] = []
        checks: dict[Key, Item | None] = {}
        blobs: list[Item] = []
        left: list[Key] = []
        for draft in drafts:
            if draft.changed:
                steps += self._steps(draft, token, blobs)
                left += keys_of_blob(draft.stored.item) if draft.stored is not None else []
                checks |= draft.aside
            elif draft.checked:
                checks[draft.place] = draft.found
        for step in steps:
            checks.pop(step.key, None)
        self._commit(steps, checks, token, blobs)
        if left:
            self._wire.batch([], left)

    def _commit(
        self,
        steps: Sequence[Step],
        checks: Mapping[Key, Item | None],
        token: str,
        blobs: Sequence[Item],
    ) -> None:
        """Chunks first, which nothing refers to before the rows do."""
        if blobs:
            self._wire.batch(blobs)
        try:
            self._transactions.run(steps, checks, token)
        except (Refused, LimitExceededError):
            if blobs:
                self._wire.batch([], [key_of(blob) for blob in blobs])
            raise

    def _steps(self, draft: Draft, token: str, blobs: list[Item]) -> list[Step]:
        """What becomes of a row's item and of its index items."""
        layout, stored = draft.layout, draft.stored
        before: dict[Key, Item] = {}
        if stored is not None and VERSION in stored.item:
            before = layout.entries(stored.row, stored.item)
        item: Item | None = None
        entries: dict[Key, Item] = {}
        if draft.row is not None:
            item = self._item(draft, draft.row, token, blobs)
            entries = layout.entries(draft.row, item)
        steps: list[Step] = []
        if stored is not None and stored.place != draft.place and not draft.evicted:
            # The original's place of a row is not ours where the table is not shared.
            steps.append(Step(stored.place, stored.item, None, guarded=True))
        old = None if item is None and draft.occupant is not None else draft.found
        if item is not None or old is not None:
            steps.append(Step(draft.place, old, item, guarded=True))
        changed = [k for k in before.keys() | entries.keys() if before.get(k) != entries.get(k)]
        steps += [Step(k, before.get(k), entries.get(k), guarded=False) for k in changed]
        return steps

    def _item(self, draft: Draft, row: Row, token: str, blobs: list[Item]) -> Item:
        stored = draft.stored
        base = stored.full if stored is not None and stored.live else {}
        base = {name: value for name, value in base.items() if name != BLOB}
        item = draft.layout.item(row, draft.place, token, base)
        lifetime = self._lifetimes.get(draft.layout.entity)
        keep: Item = {}
        if lifetime is not None:
            if draft.renewed:
                item[lifetime.attribute] = {"N": str(int(time.time()) + lifetime.seconds)}
            if lifetime.attribute in item:
                keep = {lifetime.attribute: item[lifetime.attribute]}
        whole = split(item, keep)
        blobs.extend(whole.chunks)
        return whole.item
