"""The journal: one order of all writes, in which each is whole or not there.

ClickHouse has no transactions, no unique keys and no compare-and-set. What it has is that an insert
is one part of a table or none, and that an insert whose token it knows is not done a second time.
So a write is one insert into the journal, with a token that says behind which entry it comes: of
several that come behind the same entry the server takes one. The entry holds all rows that the write
changes. Then they are inserted into their tables, as versions with the entry's position; and last
the entry is marked as applied. Whoever comes upon an entry without a mark applies it again, which
changes nothing where it was applied already.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import uuid4

import msgspec

from mastra_clickhouse.schema import HOUR, JOURNAL, Schema
from mastra_clickhouse.wire import Wire, is_certain
from mastra_core.errors import SchemaError, UnavailableError

NAMES: Final = ("previous", "position", "kind", "token", "name", "data")
ENTRY, APPLIED, PROBE = 0, 1, 2
# How long a writer relies on what it knows of the newest entry. The server knows tokens for longer:
# by number for thousands of inserts, and parts of the journal stay for an hour.
RELIES: Final = 10.0
# For so many seconds a writer tries to put its entry into the tables, where the server does not answer.
INSISTS: Final = 5.0
# An entry that is not marked after so many seconds is applied by whoever waits for it.
PATIENCE: Final = 1.0
PAUSE: Final = 0.005
# A mark waits for so long where no other process writes, and for none in the seconds after one did.
ALONE, CROWDED = 0.3, 10.0
# So often old parts of the journal are looked for (seconds).
CLEANING: Final = 600.0
KEPT: Final = HOUR


_encode = msgspec.json.Encoder().encode


class Block(msgspec.Struct, frozen=True):
    """Rows of one table: the columns that they fill, and an array of JSON for each row.

    What the journal keeps is what is inserted, so that whoever applies an entry needs to know nothing
    of the table.
    """

    name: str
    names: Sequence[str]
    body: bytes

    def text(self) -> str:
        """The block as the journal keeps it."""
        return f"{' '.join(self.names)}\n{self.body.decode()}"

    @classmethod
    def read(cls, name: str, text: str) -> Block:
        """The block of a text."""
        names, _, body = text.partition("\n")
        return cls(name, names.split(" "), body.encode())


class Head(msgspec.Struct, frozen=True):
    """The newest entry as this process knows it: its place in the order, and until when to rely on it."""

    position: int
    until: float


class Progress:
    """What this process knows of one journal, whichever of its stores and event loops found it out.

    ``crowded`` is until when writers of other processes are to be reckoned with.
    """

    def __init__(self) -> None:
        self.applied = 0
        self.head: Head | None = None
        self.crowded = 0.0
        self.cleaned = 0.0

    def forget(self) -> None:
        """Rely on nothing that was known of the newest entry."""
        self.head = None


class Journal:
    """The journal of one database, as one event loop's writers use it, one after the other."""

    def __init__(
        self,
        wire: Wire,
        schema: Schema,
        progress: Progress,
    ) -> None:
        self._wire = wire
        self._table = schema.name(JOURNAL)
        self._schema = schema
        self._progress = progress
        # How far the server's clock is ahead of ours, in microseconds.
        self._ahead = 0
        self._unmarked: tuple[int, int] | None = None
        self._marking: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    async def head(self) -> int:
        """The position of the newest entry, which is applied to the tables."""
        known = self._progress.head
        if known is not None and time.monotonic() < known.until:
            return known.position
        deadline = time.monotonic() + PATIENCE
        while True:
            begun = time.monotonic()
            position, previous, applied = await self._newest()
            if position != self._progress.applied:
                self._progress.crowded = begun + CROWDED
            if applied or position == self._progress.applied:
                self._progress.head = Head(position, begun + RELIES)
                return position
            if time.monotonic() > deadline:
                await self.repair(previous, position)
            else:
                await asyncio.sleep(PAUSE)

    async def recover(self) -> None:
        """Finish what a writer left that died; whoever cannot leaves it to the next writer."""
        with contextlib.suppress(Exception):
            await self.head()

    async def is_newest(self, head: int) -> bool:
        """Whether nothing came behind an entry."""
        if (await self._newest())[0] == head:
            return True
        self._progress.forget()
        return False

    def position(self, head: int) -> int:
        """The position of a new entry behind ``head``: the time in microseconds, where it fits."""
        return max(head + 1, time.time_ns() // 1000 + self._ahead)

    async def commit(self, head: int, position: int, blocks: Sequence[Block]) -> bool:
        """Have a new entry behind ``head``; false if another one is there.

        An error may leave it open whether the entry is there: whoever writes next applies it then.
        """
        token = uuid4().hex
        rows = [(head, position, ENTRY, token, block.name, block.text()) for block in blocks]
        deadline = time.monotonic() + RELIES
        open_since: Exception | None = None
        while True:
            try:
                await self._insert(rows, f"after {head}")
            except Exception as error:
                if open_since is None and is_certain(error):
                    raise
                open_since = error
            # To send it again cannot do it twice, so what is not known is tried until it is.
            try:
                winner = await self._behind(head)
            except Exception as error:  # noqa: BLE001 (raised below, if it stays so)
                open_since, winner = error, ""
            if winner:
                if winner != token:
                    self._progress.forget()
                    self._progress.crowded = time.monotonic() + CROWDED
                return winner == token
            if time.monotonic() > deadline:
                self._progress.forget()
                raise UnavailableError(
                    "ClickHouse did not say whether a write was done; read before you repeat it"
                ) from open_since
            await asyncio.sleep(PAUSE)

    async def finish(self, head: int, position: int, blocks: Sequence[Block]) -> None:
        """Apply an entry that is this writer's, and have it marked soon."""
        deadline = time.monotonic() + INSISTS
        while True:
            try:
                await self._apply(position, blocks)
                break
            except Exception as error:
                if is_certain(error) or time.monotonic() > deadline:
                    self._progress.forget()
                    raise UnavailableError(
                        "ClickHouse has a write in its journal and could not put it into its tables "
                        "yet: the next write does. Read before you repeat it"
                    ) from error
                await asyncio.sleep(PAUSE)
            except BaseException:
                self._progress.forget()
                raise
        self._progress.applied = position
        self._progress.head = Head(position, time.monotonic() + RELIES)
        self._unmarked = (head, position)
        if self._marking is None or self._marking.done():
            self._marking = asyncio.create_task(self._mark())

    async def repair(self, previous: int, position: int) -> None:
        """Apply an entry that somebody left, and mark it."""
        found = await self._wire.fetch(
            f"SELECT name, data FROM {self._table} WHERE previous = {{a:UInt64}} "
            "AND position = {b:UInt64} AND kind = {c:UInt8}",
            {"a": previous, "b": position, "c": ENTRY},
        )
        await self._apply(position, [Block.read(*pair) for pair in zip(*found, strict=True)])
        await self._insert([(previous, position, APPLIED, "", "", "")], f"applied {position}")

    async def probe(self) -> None:
        """Make sure that the server knows tokens again: everything rests on it."""
        token = uuid4().hex
        for _ in range(2):
            await self._insert([(0, 0, PROBE, token, "", "")], token)
        found = await self._wire.fetch(
            f"SELECT count() FROM {self._table} WHERE previous = 0 AND token = {{t:String}}",
            {"t": token},
        )
        if found[0][0] != 1:
            raise SchemaError(
                f"the server stores an insert into {self._table} twice that has the same token; "
                "writes need insert_deduplicate (and deduplicate_insert, where it is known) allowed, "
                "and a MergeTree table with non_replicated_deduplication_window"
            )

    async def settle(self) -> None:
        """Wait until this process's entries are marked."""
        marking = self._marking
        if marking is not None and not marking.done():
            self._hurry.set()
            await asyncio.wait([marking])

    async def _newest(self) -> tuple[int, int, bool]:
        """The newest entry: its position, that of its predecessor, and if it is applied."""
        sent = time.time_ns()
        found = await self._wire.fetch(
            "SELECT previous, position, max(kind), toUnixTimestamp64Micro(now64(6)) "
            f"FROM {self._table} WHERE kind < {PROBE} AND previous = (SELECT max(previous) "
            f"FROM {self._table}) GROUP BY previous, position ORDER BY position DESC LIMIT 1",
            {},
        )
        if not found or not found[0]:
            return 0, 0, True
        (previous,), (position,), (kind,), (now,) = found
        self._ahead = int(now) - (sent + time.time_ns()) // 2000
        return int(position), int(previous), int(kind) == APPLIED

    async def _behind(self, head: int) -> str:
        """The token of the entry behind one; empty where there is none."""
        found = await self._wire.fetch(
            f"SELECT token FROM {self._table} WHERE previous = {{a:UInt64}} AND kind = {ENTRY} "
            "LIMIT 1",
            {"a": head},
        )
        return str(found[0][0]) if found and found[0] else ""

    async def _apply(self, position: int, blocks: Sequence[Block]) -> None:
        """Insert the rows of an entry into their tables."""
        await asyncio.gather(
            *(
                self._wire.insert(
                    self._schema.name(block.name),
                    block.names,
                    block.body,
                    f"{block.name} {position}",
                )
                for block in blocks
            )
        )

    async def _insert(self, rows: Sequence[tuple[Any, ...]], token: str) -> None:
        await self._wire.insert(self._table, NAMES, lines(rows), token)

    async def _mark(self) -> None:
        """Mark the newest of this process's entries; those before it need none any more."""
        while self._unmarked is not None:
            if time.monotonic() > self._progress.crowded:
                # Most likely this process's next entry makes it needless.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), ALONE)
            (previous, position), self._unmarked = self._unmarked, None
            try:
                row = (previous, position, APPLIED, "", "", "")
                await self._insert([row], f"applied {position}")
                await self._clean()
            except Exception:  # noqa: BLE001 (whoever comes next applies it again)
                return

    async def _clean(self) -> None:
        """Drop parts of the journal whose entries are old, but for the newest one."""
        if time.monotonic() < self._progress.cleaned + CLEANING:
            return
        self._progress.cleaned = time.monotonic()
        found = await self._wire.fetch(
            f"SELECT intDiv(previous, {HOUR}) AS hour FROM {self._table} GROUP BY hour "
            f"HAVING max(position) < toUnixTimestamp64Micro(now64(6)) - {KEPT} AND hour < "
            f"(SELECT intDiv(max(previous), {HOUR}) FROM {self._table})",
            {},
        )
        for hour in found[0] if found else ():
            await self._wire.command(
                f"ALTER TABLE {self._table}{self._schema.cluster} DROP PARTITION {int(hour)}"
            )


def lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows as they are inserted: an array of JSON each."""
    return b"\n".join(map(_encode, rows))
