"""Rows that come into a table from elsewhere: written once, and never over others unasked."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mastra_core.errors import ConflictError, InvalidArgumentError, LimitExceededError
from mastra_core.storage.backend import Backend
from mastra_core.storage.schema import Put, Row, Table
from mastra_core.transfer.fingerprints import fingerprints, fingerprints_by_key, keys_of
from mastra_core.transfer.streams import patiently, with_keys

SHOWN = 3


class Arrived(msgspec.Struct, frozen=True):
    """Of some rows: how many are new, were there already just so, and replaced others."""

    new: int = 0
    same: int = 0
    replaced: int = 0

    def __add__(self, other: Arrived) -> Arrived:
        return Arrived(self.new + other.new, self.same + other.same, self.replaced + other.replaced)


async def arrive(
    backend: Backend, table: Table, rows: Sequence[Row], *, overwrite: bool = False
) -> Arrived:
    """Write rows, whose keys differ, where none with their key is stored.

    They are as ``cleaned`` leaves them. The same rows may arrive any number of times. One that is stored with other values is a
    ``ConflictError``, before which the others have arrived, or with ``overwrite`` is replaced.
    """
    new = await _put(backend, Put(table, rows, on_conflict="skip", fresh=True))
    if new == len(rows):
        return Arrived(new=new)
    # (After a repeated write all rows are there, and it is looked whether they are as they should.)
    stored = fingerprints_by_key(table, await with_keys(backend, table, keys_of(table, rows)))
    wanted = zip(rows, keys_of(table, rows), fingerprints(table, rows), strict=True)
    differing = [row for row, key, digest in wanted if stored.get(key, digest) != digest]
    same = len(rows) - new - len(differing)
    if not differing:
        return Arrived(new=new, same=same)
    if not overwrite:
        raise _conflict(table, differing)
    await _put(backend, Put(table, differing))
    return Arrived(new=new, same=same, replaced=len(differing))


def _conflict(table: Table, rows: Sequence[Row]) -> ConflictError:
    shown = ", ".join(["/".join(map(str, key)) for key in keys_of(table, rows[:SHOWN])])
    more = " and others" if len(rows) > SHOWN else ""
    return ConflictError(
        f"{table.name} of the target has rows with the same key and other values: {shown}{more} "
        f"({len(rows)} in this batch); look at them with diff, and overwrite them if they may go"
    )


async def _put(backend: Backend, put: Put) -> int:
    """How many rows were written; a batch that is too much, or has a bad row, is taken in halves."""
    try:
        return (await patiently(lambda: backend.write(put)))[0]
    except (InvalidArgumentError, LimitExceededError) as error:
        if len(put.rows) == 1:
            key = "/".join(map(str, keys_of(put.table, put.rows)[0]))
            raise type(error)(f"{put.table.name} {key} does not fit the target: {error}") from error
        first, second = put.halves()
    return await _put(backend, first) + await _put(backend, second)
