"""Writes of any number of items, applied whole or not at all, and what readers see of unfinished ones.

What fits into one transaction of the service is one. A larger write is *staged*: its items are
written beside what they replace, marked with the write's token; then one small transaction makes
them valid, and last the marks are taken off. Whoever meets a mark looks up what became of the write.
"""

from __future__ import annotations

import contextlib
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

import msgspec

from mastra_core.errors import LimitExceededError
from mastra_core.storage.portions import portions
from mastra_dynamodb.entities import VERSION, Item
from mastra_dynamodb.errors import Refused
from mastra_dynamodb.spread import Spread
from mastra_dynamodb.wire import (
    GET_KEYS,
    KEY_BYTES,
    TRANSACTION_BYTES,
    TRANSACTION_ITEMS,
    Key,
    Operation,
    Page,
    Wire,
    key_of,
    size_of,
)

# The marks of a staged item: whose it is, what comes in its place, that nothing does, that it is new.
MARK: Final = "_tx"
NEXT: Final = "_next"
GONE: Final = "_gone"
NEW: Final = "_new"
MARKS: Final = frozenset({MARK, NEXT, GONE, NEW})

RECORD: Final = "mastra_transaction#"
STATE: Final = "state"
PENDING: Final = "pending"
COMMITTED: Final = "committed"
ABORTED: Final = "aborted"
# A write that made no progress for so many seconds is taken for dead, and undone by whoever meets it.
DEAD_AFTER: Final = 15.0
JOURNAL_KEYS: Final = 2000
JOURNAL_BYTES: Final = 1_000_000
ITEM_BYTES: Final = 400_000
CHECKS: Final = 90


class Unsettled(Exception):  # noqa: N818 (an event, not an error)
    """An item belongs to a write of somebody else that is not finished; try again."""


class Step(msgspec.Struct, frozen=True):
    """What becomes of one item: ``new`` (``None``: it goes), where ``old`` is what was read.

    ``guarded`` items are rows: they are written only if they are as they were read. Index items are
    not: they change with their row only.
    """

    key: Key
    old: Item | None
    new: Item | None
    guarded: bool


def unchanged(old: Item | None) -> Operation:
    """The condition that an item is as it was read, or still is not there."""
    if old is None:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    terms: list[str] = []
    names, values = {"#v": VERSION}, {}
    if VERSION in old:
        terms, values = ["#v = :v"], {":v": old[VERSION]}
    else:
        terms = ["attribute_exists(pk)", "attribute_not_exists(#v)"]
    if "updatedAt" in old:
        # The original leaves our version as it is, but always writes the time.
        terms.append("#u = :u")
        names, values = {**names, "#u": "updatedAt"}, {**values, ":u": old["updatedAt"]}
    condition: Operation = {
        "ConditionExpression": " AND ".join(terms),
        "ExpressionAttributeNames": names,
    }
    return {**condition, "ExpressionAttributeValues": values} if values else condition


class Transactions:
    """The writes of one table."""

    def __init__(self, wire: Wire, spread: Spread) -> None:
        self._wire = wire
        self._spread = spread

    def run(self, steps: Sequence[Step], checks: Mapping[Key, Item | None], token: str) -> None:
        """Take all steps, if the rows and what is only looked at are as they were read.

        Otherwise it is ``Refused``, and nothing is written.
        """
        if len(steps) + len(checks) > TRANSACTION_ITEMS:
            self._staged([*steps, *_locks(checks)], dict(list(checks.items())[:CHECKS]), token)
            return
        size = sum([_weight(step) for step in steps])
        size += sum([size_of(old or {}) for old in checks.values()])
        if size > TRANSACTION_BYTES:
            self._staged(steps, checks, token)
            return
        operations = [self._direct(step) for step in steps]
        operations += [self._wire.check(key, unchanged(old)) for key, old in checks.items()]
        if operations:
            self._wire.transact(operations, token)

    def _direct(self, step: Step) -> Operation:
        condition = unchanged(step.old) if step.guarded else {}
        if step.new is None:
            return self._wire.delete(step.key, condition)
        return self._wire.put(step.new, condition)

    def _staged(self, steps: Sequence[Step], checks: Mapping[Key, Item | None], token: str) -> None:
        """A write that is too large for one transaction.

        Rows are staged first: a staged row is locked, and with it its index items.
        """
        ordered = sorted(steps, key=lambda step: not step.guarded)
        staged = [self._stage(step, token) for step in ordered]
        pieces = self._begin([step.key for step in ordered], token)
        sizes = [size_of(step.old or {}) + size_of(step.new or {}) for step in ordered]
        try:
            for piece in portions(staged, sizes, TRANSACTION_ITEMS - 1, TRANSACTION_BYTES):
                # Fails once somebody took this write for dead.
                self._wire.transact([self._progress(token, PENDING), *piece], uuid4().hex)
            looks = [self._wire.check(key, unchanged(old)) for key, old in checks.items()]
            self._wire.transact([self._progress(token, COMMITTED), *looks], uuid4().hex)
        except Exception:
            # The answer may have been lost, not the write: the record tells.
            self._end(token, ABORTED)
            valid = self._states([token])[token] == COMMITTED
            self.settle(token)
            if not valid:
                raise
        else:
            finals = [self._apply(step, token) for step in ordered]
            self._finish(token, finals, sizes, pieces)

    def _begin(self, keys: Sequence[Key], token: str) -> int:
        """The record of a write, and its journal: which items may have its mark, in some pieces."""
        sizes = [3 * (len(key[0]) + len(key[1])) for key in keys]
        pieces = list(portions(keys, sizes, JOURNAL_KEYS, JOURNAL_BYTES))
        record = {
            **_record_key(token),
            STATE: {"S": PENDING},
            "at": {"N": f"{time.time():.3f}"},
            "pieces": {"N": str(len(pieces))},
        }
        journal = [
            {**_journal_key(token, i), "keys": {"B": zlib.compress(msgspec.json.encode(piece))}}
            for i, piece in enumerate(pieces)
        ]
        self._wire.batch([record, *journal])
        return len(pieces)

    def _progress(self, token: str, state: str) -> Operation:
        """The record's own part of a transaction: the write goes on, or becomes valid."""
        condition = {
            "ConditionExpression": "#s = :p",
            "ExpressionAttributeNames": {"#s": STATE, "#a": "at"},
            "ExpressionAttributeValues": {
                ":p": {"S": PENDING},
                ":s": {"S": state},
                ":a": {"N": f"{time.time():.3f}"},
            },
        }
        return self._wire.update(key_of(_record_key(token)), "SET #s = :s, #a = :a", condition)

    def _end(self, token: str, state: str) -> None:
        try:
            self._wire.transact([self._progress(token, state)], uuid4().hex)
        except Refused:
            return  # Somebody else ended it, which ``settle`` sees.

    def _stage(self, step: Step, token: str) -> Operation:
        """What locks a row and has its next form beside the present one."""
        item: Item = {**(step.old or step.new or _keys(step.key)), MARK: {"S": token}}
        if step.guarded:
            # Others who read the row before must not find it unchanged.
            item[VERSION] = {"S": token}
        if step.old is None:
            item[NEW] = {"BOOL": True}
        elif step.new is not None:
            item[NEXT] = {"M": step.new}
        if step.new is None:
            item[GONE] = {"BOOL": True}
        if step.guarded and size_of(item) > ITEM_BYTES:
            raise LimitExceededError(
                "a row that the original wrote is too large to be replaced in a write of more than "
                f"{TRANSACTION_ITEMS} items; change it by itself"
            )
        return self._wire.put(item, unchanged(step.old) if step.guarded else {})

    def _apply(self, step: Step, token: str) -> Operation:
        """What makes a staged item of a valid write an item like any other."""
        if step.new is None:
            return self._wire.delete(step.key, _marked(token))
        if step.old is None:
            return self._wire.update(step.key, "REMOVE #t, #n", _marked(token, NEW))
        return self._wire.put(step.new, _marked(token))

    def settle(self, token: str) -> bool:
        """Finish a write of somebody else, or undo it; false if it still goes on."""
        found = self._wire.get([key_of(_record_key(token))])
        if not found:
            return True
        (record,) = found
        if record[STATE]["S"] == PENDING:
            if time.time() - float(record["at"]["N"]) < DEAD_AFTER:
                return False
            self._end(token, ABORTED)
            return self.settle(token)
        valid = record[STATE]["S"] == COMMITTED
        pieces = int(record["pieces"]["N"])
        keys = [key for i in range(pieces) for key in self._journaled(token, i)]
        batches = [keys[i : i + GET_KEYS] for i in range(0, len(keys), GET_KEYS)]
        items = [item for found in self._spread(self._wire.get, batches) for item in found]
        mine = [item for item in items if _token(item) == token]
        finals = [self._resolution(item, token, valid=valid) for item in mine]
        self._finish(token, finals, [size_of(item) for item in mine], pieces)
        return True

    def _journaled(self, token: str, piece: int) -> list[Key]:
        found = self._wire.get([key_of(_journal_key(token, piece))])
        if not found:
            return []
        packed = found[0]["keys"]["B"]
        data = zlib.decompress(bytes(getattr(packed, "value", packed)))
        return msgspec.json.decode(data, type=list[Key])

    def _resolution(self, item: Item, token: str, *, valid: bool) -> Operation:
        final = resolved(item, valid=valid)
        if final is None:
            return self._wire.delete(key_of(item), _marked(token))
        return self._wire.put(final, _marked(token))

    def _finish(
        self, token: str, operations: Sequence[Operation], sizes: Sequence[int], journal: int
    ) -> None:
        """Take the marks off, then forget the write; several may do so at the same time."""
        pieces = portions(
            operations, [size + KEY_BYTES for size in sizes], TRANSACTION_ITEMS, TRANSACTION_BYTES
        )
        self._spread(self._unmark, list(pieces))
        gone = [key_of(_journal_key(token, i)) for i in range(journal)]
        gone.append(key_of(_record_key(token)))
        self._wire.batch([], gone)

    def _unmark(self, operations: list[Operation]) -> None:
        left = operations
        while left:
            try:
                self._wire.transact(left, uuid4().hex)
            except Refused as refused:
                # Somebody else was there first.
                left = [o for i, o in enumerate(left) if i not in refused.at]
            else:
                return

    def seen(self, fetch: Callable[[], Page], *, strict: bool = False) -> Page:
        """The items of a page as they are valid, none from the middle of a write.

        ``fetch`` is called again where a write became valid meanwhile: the page may have had only
        a part of it. Where ``strict``, unfinished writes are ``Unsettled`` instead of not seen.
        """
        valid: set[str] = set()
        over: set[str] = set()
        unknown: set[str] = set()
        while True:
            page = fetch()
            tokens = {_token(item) for item in page.items} - {""}
            if not tokens:
                return page
            states = self._states(tokens - valid - over)
            valid |= (ended := {token for token, state in states.items() if state == COMMITTED})
            over |= {token for token, state in states.items() if state == ABORTED}
            over |= unknown & states.keys()
            unknown |= (gone := {token for token, state in states.items() if not state})
            if strict:
                self._resolve(page.items, tokens, over)
            elif not ended and not gone - over:
                found = [_viewed(item, valid) for item in page.items]
                return Page([item for item in found if item is not None], page.last)

    def _resolve(self, items: Sequence[Item], tokens: set[str], over: set[str]) -> None:
        """See to it that items have no marks, or raise ``Unsettled``."""
        for token in tokens:
            if not self.settle(token):
                raise Unsettled
        # Only where somebody removed the record of a write that was not finished.
        for item in [item for item in items if _token(item) in over]:
            undo = self._resolution(item, _token(item), valid=False)
            with contextlib.suppress(Refused):
                self._wire.transact([undo], uuid4().hex)

    def _states(self, tokens: Iterable[str]) -> dict[str, str]:
        """What became of writes; of one without a record nothing is known, but it is over."""
        wanted = sorted(tokens)
        found = dict.fromkeys(wanted, "")
        for start in range(0, len(wanted), GET_KEYS):
            keys = [key_of(_record_key(token)) for token in wanted[start : start + GET_KEYS]]
            for item in self._wire.get(keys):
                token = item["pk"]["S"].removeprefix(RECORD)
                found[token] = item[STATE]["S"]
                if found[token] == PENDING and time.time() - float(item["at"]["N"]) > DEAD_AFTER:
                    self.settle(token)
                    found[token] = ABORTED
        return found


def resolved(item: Item, *, valid: bool) -> Item | None:
    """A staged item as it is once its write is valid, or was undone; ``None`` where there is none."""
    if valid and NEXT in item:
        return dict[str, Any](item[NEXT]["M"])
    if (valid and GONE in item) or (not valid and NEW in item):
        return None
    return {name: value for name, value in item.items() if name not in MARKS}


def _weight(step: Step) -> int:
    """The bytes of a step, as far as the service may count them: of the item before or after it."""
    return max(size_of(step.old or {}), size_of(step.new or {}))


def _viewed(item: Item, valid: set[str]) -> Item | None:
    return resolved(item, valid=_token(item) in valid) if MARK in item else item


def _token(item: Item) -> str:
    return str(item[MARK]["S"]) if MARK in item else ""


def _marked(token: str, other: str = "") -> Operation:
    """The condition that an item has the mark of a write; ``#n`` names another attribute."""
    return {
        "ConditionExpression": "#t = :t",
        "ExpressionAttributeNames": {"#t": MARK, **({"#n": other} if other else {})},
        "ExpressionAttributeValues": {":t": {"S": token}},
    }


def _locks(checks: Mapping[Key, Item | None]) -> list[Step]:
    """Rows that are only looked at, as rows that are replaced by themselves: there are too many."""
    beyond = list(checks.items())[CHECKS:]
    return [Step(key, old, old, guarded=True) for key, old in beyond]


def _keys(key: Key) -> Item:
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


def _record_key(token: str) -> Item:
    return _keys((RECORD + token, "record"))


def _journal_key(token: str, piece: int) -> Item:
    return _keys((RECORD + token, f"journal {piece:06d}"))
