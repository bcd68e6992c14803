"""Rewriting what is stored with the new key: the end of a rotation, or the beginning of encryption."""

from __future__ import annotations

from functools import partial

from mastra_core.errors import ConfigurationError
from mastra_core.storage.backend import Backend
from mastra_core.storage.domain import until_applied
from mastra_core.storage.layers.base import LayerBackend
from mastra_core.storage.layers.encrypted import EncryptedBackend
from mastra_core.storage.scan import scan
from mastra_core.storage.schema import Query, Row, Table, Where
from mastra_core.storage.store import DOMAINS, MastraStorage


async def reencrypt(storage: MastraStorage) -> int:
    """Encrypt with the new key what is not; the number of rows that were rewritten.

    The storage has an ``Encryption`` layer with the keys of what is stored (``read_plain=True``
    where it is not encrypted yet). Rows are rewritten one by one, on condition that they are as
    they were read; others may write meanwhile, and what they write has the new key. Behind it the
    old keys are needed no more. Cut short, it is called again.
    """
    found: dict[tuple[int, str], tuple[EncryptedBackend, Table]] = {}
    for name in DOMAINS:
        domain = storage.get_store(name)
        backend = None if domain is None else _encrypted(domain.backend)
        if domain is not None and backend is not None:
            for table in domain.tables:
                found[id(backend), table.name] = (backend, table)
    if not found:
        raise ConfigurationError(f"storage {storage.id!r} has no Encryption layer")
    return sum([await _rewritten(backend, table) for backend, table in found.values()])


def _encrypted(backend: Backend) -> EncryptedBackend | None:
    while isinstance(backend, LayerBackend):
        if isinstance(backend, EncryptedBackend):
            return backend
        backend = backend.inner
    return None


async def _rewritten(backend: EncryptedBackend, table: Table) -> int:
    count = 0
    if not backend.encrypts(table):
        return 0
    async for rows in scan(backend.inner, table, (), (), size=100):
        for row in rows:
            count += await until_applied(partial(_renew, backend, table, row))
    return count


async def _renew(backend: EncryptedBackend, table: Table, seen: Row) -> int:
    """Rewrite one row if it needs that; it is read again, for it may have changed since."""
    if backend.renewed(table, seen) is None:
        return 0
    where = tuple([Where(name, "eq", seen[table.positions[name]]) for name in table.key])
    rows = await backend.inner.find(table, Query(where=where, limit=1))
    change = backend.renewed(table, rows[0]) if rows else None
    return 0 if change is None else sum(await backend.inner.write(change))
