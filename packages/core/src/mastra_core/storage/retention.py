"""How long rows are kept, and the pruning of older ones in bounded batches."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

import msgspec

from mastra_core.clock import now
from mastra_core.errors import ConflictError, InvalidArgumentError
from mastra_core.storage.domain import StorageDomain
from mastra_core.storage.paging import options
from mastra_core.storage.schema import Change, Delete, Index, Query, Row, Table, Value, Where
from mastra_core.storage.tables import MESSAGES, THREADS

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Policy(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Rows older than ``max_age`` (``"30d"``, ``"12h"``, or milliseconds) go, a batch at a time."""

    max_age: str | int
    batch_size: int = 1000

    @property
    def age(self) -> timedelta:
        """The age as a span of time."""
        if isinstance(self.max_age, int):
            return timedelta(milliseconds=self.max_age)
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)", self.max_age)
        if found is None:
            raise InvalidArgumentError(
                f"{self.max_age!r} is no age; write a number and ms, s, m, h, d or w, as in '30d'"
            )
        return timedelta(seconds=float(found[1]) * UNITS[found[2]])


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """What pruning did to one table; ``done`` is false where a bound stopped it."""

    domain: str
    table: str
    deleted: int
    done: bool


Policies: TypeAlias = Mapping[str, Policy]


def policies(domain: StorageDomain, given: Mapping[str, Any]) -> Policies:
    """The checked policies of a domain by the names of its ``retention``.

    Its tables get the index that finds old rows.
    """
    known = {_plain(key): key for key in domain.retention}
    found: dict[str, Policy] = {}
    for name, value in given.items():
        key = known.get(_plain(name))
        if key is None:
            raise InvalidArgumentError(
                f"retention of {domain.name}: there is no {name!r}; known: "
                f"{', '.join(domain.retention)}"
            )
        policy = {"max_age": value} if isinstance(value, (str, int)) else value
        found[key] = options(Policy, policy, f"retention of {domain.name}.{name}")
        if found[key].age <= timedelta(0) or found[key].batch_size < 1:
            raise InvalidArgumentError(
                f"retention of {domain.name}.{name}: age and batch size must be positive"
            )
        table, column = domain.retention[key]
        aged = with_age(table, column)
        if aged is not table:
            domain.backend.declare(aged)
    return found


def with_age(table: Table, column: str) -> Table:
    """The table with the index that finds old rows; itself if it has one."""
    index = Index(f"{table.name}_by_age", (column, *table.key))
    if any(other.columns == index.columns for other in table.indexes):
        return table
    return msgspec.structs.replace(table, indexes=(*table.indexes, index))


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


class Bounds:
    """How much one call of ``prune`` may do, over all tables."""

    def __init__(self, max_batches: int | None, max_rows: int | None, pause: float) -> None:
        self.batches = max_batches
        self.rows = max_rows
        self.pause = pause

    @property
    def reached(self) -> bool:
        """Whether no further batch is allowed."""
        return self.batches == 0 or (self.rows is not None and self.rows <= 0)

    def spend(self, rows: int) -> None:
        """Count one batch of so many rows."""
        if self.batches is not None:
            self.batches -= 1
        if self.rows is not None:
            self.rows -= rows


async def prune(domain: StorageDomain, key: str, policy: Policy, bounds: Bounds) -> Pruned:
    """Delete rows of one table that are too old, oldest first.

    Every batch is one write, so a cancelled or killed prune leaves no half batch, and the next one
    goes on where it stopped. A row that was renewed meanwhile stays.
    """
    table, column = domain.retention[key]
    before = now() - policy.age
    deleted, last = 0, None
    while not bounds.reached:
        size = min(policy.batch_size, bounds.rows or policy.batch_size)
        old = Where(column, "lt", before)
        names = (column, *(name for name in table.key if name != column))
        query = Query(where=(old,), order=((column, "asc"),), limit=size, after=last, columns=names)
        rows = await domain.backend.find(table, query)
        count = await _delete(domain, table, old, names, rows)
        deleted += count
        bounds.spend(count)
        if len(rows) < size:
            return Pruned(domain=domain.name, table=key, deleted=deleted, done=True)
        last = rows[-1]
        await asyncio.sleep(bounds.pause)
    return Pruned(domain=domain.name, table=key, deleted=deleted, done=False)


async def _delete(
    domain: StorageDomain, table: Table, old: Where, names: Sequence[str], rows: Sequence[Row]
) -> int:
    if not rows:
        return 0
    if table is THREADS:
        return sum([await _delete_thread(domain, old, str(row[1])) for row in rows])
    keys = [tuple([row[names.index(name)] for name in table.key]) for row in rows]
    return sum(await domain.backend.write(*_deletes(table, old, keys)))


def _deletes(table: Table, old: Where, keys: Sequence[Row]) -> list[Change]:
    """One change for all rows that share what comes before the last part of the key."""
    groups: dict[Row, list[Value]] = {}
    for key in keys:
        groups.setdefault(key[:-1], []).append(key[-1])
    return [
        Delete(
            table,
            (
                *(Where(n, "eq", v) for n, v in zip(table.key, head, strict=False)),
                Where(table.key[-1], "in", tuple(tails)),
                old,
            ),
        )
        for head, tails in groups.items()
    ]


async def _delete_thread(domain: StorageDomain, old: Where, thread_id: str) -> int:
    """A thread goes with its messages, unless it was used since it was found old."""
    try:
        await domain.backend.write(
            Delete(THREADS, (Where("id", "eq", thread_id), old), expect=1),
            Delete(MESSAGES, (Where("thread_id", "eq", thread_id),)),
        )
    except ConflictError:
        return 0
    return 1
