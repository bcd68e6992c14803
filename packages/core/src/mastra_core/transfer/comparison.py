"""Comparing two stores, row by row by their keys, in bounded memory and whatever their order."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

import msgspec

from mastra_core.storage.backend import Backend
from mastra_core.storage.schema import Row, Table
from mastra_core.storage.store import MastraStorage
from mastra_core.transfer.fingerprints import canonical, fingerprints_by_key, keys_of
from mastra_core.transfer.routes import routes
from mastra_core.transfer.streams import ahead, pages, patiently, with_keys


class Difference(msgspec.Struct, frozen=True):
    """One row that differs: where it is (``first``, ``second`` or ``both``), and which columns."""

    key: Row
    where: str
    columns: tuple[str, ...] = ()


class TableDifference(msgspec.Struct, kw_only=True):
    """How many rows of a table are the same, in one store only, or different; some as examples."""

    domain: str
    table: str
    same: int = 0
    only_first: int = 0
    only_second: int = 0
    different: int = 0
    examples: list[Difference] = []

    @property
    def equal(self) -> bool:
        """Whether both have the same rows."""
        return not (self.only_first or self.only_second or self.different)


async def compare(
    first: MastraStorage,
    second: MastraStorage,
    *,
    domains: Sequence[str] = (),
    examples: int = 0,
) -> list[TableDifference]:
    """What differs between two stores, table by table, with at most so many examples of each."""
    return [
        await compare_table(r.domain, r.table, r.source, r.target, examples=examples)
        for r in routes(first, second, domains)
    ]


async def compare_table(
    domain: str, table: Table, first: Backend, second: Backend, *, examples: int = 0
) -> TableDifference:
    """Compare the rows of a table in two stores; with at most so many examples.

    Each page of the first is looked up in the second by its keys, for two databases need not sort
    texts alike. Only if the second has more rows than were found it is gone through as well.
    """
    found = TableDifference(domain=domain, table=table.name, examples=[])
    async with aclosing(ahead(pages(first, table))) as stream:
        async for rows in stream:
            others = await with_keys(second, table, keys_of(table, rows))
            _count(found, table, rows, others, examples)
    there = await patiently(lambda: second.count(table))
    found.only_second = max(0, there - found.same - found.different)
    if found.only_second and len(found.examples) < examples:
        await _examples_of_second(found, table, first, second, examples)
    return found


def _count(
    found: TableDifference, table: Table, rows: Sequence[Row], others: Sequence[Row], most: int
) -> None:
    """Count one page, and show some of what differs."""
    digests, theirs = fingerprints_by_key(table, rows), fingerprints_by_key(table, others)
    ours_by_key = dict(zip(keys_of(table, rows), rows, strict=True))
    theirs_by_key = dict(zip(keys_of(table, others), others, strict=True))
    for key, digest in digests.items():
        if theirs.get(key) == digest:
            found.same += 1
            continue
        there = key in theirs
        found.different += there
        found.only_first += not there
        if len(found.examples) < most:
            columns: tuple[str, ...] = ()
            if there:
                pair = canonical(table, [ours_by_key[key], theirs_by_key[key]])
                columns = tuple(
                    [name for name, a, b in zip(table.names, *pair, strict=True) if a != b]
                )
            found.examples.append(Difference(key, "both" if there else "first", columns))


async def _examples_of_second(
    found: TableDifference, table: Table, first: Backend, second: Backend, most: int
) -> None:
    """Show some of the rows that only the second has."""
    async with aclosing(pages(second, table)) as stream:
        async for rows in stream:
            keys = keys_of(table, rows)
            known = set(keys_of(table, await with_keys(first, table, keys)))
            missing = [Difference(key, "second") for key in keys if key not in known]
            found.examples += missing[: most - len(found.examples)]
            if len(found.examples) >= most:
                return
