"""Numbers that pass through JavaScript on their way to SQLite, and what must become of them."""

from __future__ import annotations

from mastra_core.storage.schema import Column, Put, Query, Table, Where
from mastra_core.storage.sql import Statement
from mastra_core.storage.sqlite_http import SqliteHttpBackend

NUMBERS = Table(
    "numbers",
    (Column("id", "text", nullable=False), Column("n", "bigint"), Column("x", "float")),
    key=("id",),
)
INTEGERS = [0, 1, -1, 2**31, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]
DOUBLES = [0.0, 1.0, 0.1, 1e-310, 1.7976931348623157e308, 5e-324, 3.0987654321e-200, -1e22]


async def check_numbers(backend: SqliteHttpBackend) -> None:
    """All come back as what they were, stored singly and together; integers are stored as such."""
    await backend.setup((NUMBERS,))
    rows = [(f"{i}", n, x) for i, (n, x) in enumerate(zip(INTEGERS, DOUBLES, strict=True))]
    for row in rows:
        await backend.write(Put(NUMBERS, [(f"single{row[0]}", *row[1:])]))
    await backend.write(Put(NUMBERS, [(f"together{i}", n, x) for i, n, x in rows]))
    for kind in ("single", "together"):
        ids = tuple(f"{kind}{i}" for i in range(len(rows)))
        found = await backend.find(NUMBERS, Query(where=(Where("id", "in", ids),)))
        assert [row[1:] for row in found] == [row[1:] for row in rows]
        assert {type(n) for _, n, _ in found} == {int}
        assert {type(x) for _, _, x in found} == {float}
    stored = await backend.fetch(
        Statement(f'SELECT DISTINCT typeof("n") AS n FROM {backend.dialect.name(NUMBERS)}')
    )
    assert stored == [("integer",)]
