"""Comparing two stores, row by row along their keys, in bounded memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias

import msgspec

from mastra_core.errors import StorageError
from mastra_core.storage.backend import Backend
from mastra_core.storage.matching import sort_key
from mastra_core.storage.schema import Row, Table
from mastra_core.storage.store import MastraStorage
from mastra_core.transfer.fingerprints import canonical, fingerprints, keys_of
from mastra_core.transfer.routes import routes
from mastra_core.transfer.streams import ahead, pages

_Sort: TypeAlias = tuple[Any, ...]


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


class _Entry(msgspec.Struct, frozen=True):
    """One row as the comparison takes it."""

    sort: _Sort
    key: Row
    digest: int
    row: Row


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
    """Compare the rows of a table in two stores; with at most so many examples."""
    found = TableDifference(domain=domain, table=table.name, examples=[])
    async with aclosing(_entries(first, table)) as ones, aclosing(_entries(second, table)) as twos:
        one, two = await anext(ones, None), await anext(twos, None)
        while one is not None or two is not None:
            if two is None or (one is not None and one.sort < two.sort):
                found.only_first += 1
                _show(found, one, None, table, examples)
                one = await anext(ones, None)
            elif one is None or two.sort < one.sort:
                found.only_second += 1
                _show(found, None, two, table, examples)
                two = await anext(twos, None)
            else:
                if one.digest == two.digest:
                    found.same += 1
                else:
                    found.different += 1
                    _show(found, one, two, table, examples)
                one, two = await anext(ones, None), await anext(twos, None)
    return found


def _show(
    found: TableDifference, one: _Entry | None, two: _Entry | None, table: Table, most: int
) -> None:
    if len(found.examples) >= most:
        return
    if one is None or two is None:
        entry = one or two
        if entry is not None:
            found.examples.append(Difference(entry.key, "first" if two is None else "second"))
        return
    pairs = zip(table.names, *canonical(table, [one.row, two.row]), strict=True)
    columns = tuple([name for name, a, b in pairs if a != b])
    found.examples.append(Difference(one.key, "both", columns))


async def _entries(backend: Backend, table: Table) -> AsyncGenerator[_Entry, None]:
    """The rows of a table with what they are compared by; the order is made sure of."""
    last: _Sort = ()
    async with aclosing(ahead(pages(backend, table))) as stream:
        async for rows in stream:
            for entry in _entries_of(table, rows):
                if entry.sort <= last:
                    raise StorageError(
                        f"{backend!r} gives {table.name} in another order than by its key, so that "
                        "it cannot be compared"
                    )
                last = entry.sort
                yield entry


def _entries_of(table: Table, rows: Sequence[Row]) -> list[_Entry]:
    found = zip(keys_of(table, rows), fingerprints(table, rows), rows, strict=True)
    return [
        _Entry(tuple([sort_key(value) for value in key]), key, digest, row)
        for key, digest, row in found
    ]
