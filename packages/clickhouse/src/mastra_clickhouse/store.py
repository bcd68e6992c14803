"""What users of ClickHouse import: the store, and each domain on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from mastra_clickhouse.backend import ClickhouseBackend, open_backend
from mastra_clickhouse.layout import DESIGNS, Lifetime
from mastra_clickhouse.options import Connection
from mastra_core.errors import InvalidArgumentError
from mastra_core.storage.domain import StorageDomain
from mastra_core.storage.domains.datasets import DatasetsStorage
from mastra_core.storage.domains.experiments import ExperimentsStorage
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_core.storage.domains.observability import ObservabilityStorage
from mastra_core.storage.domains.scores import ScoresStorage
from mastra_core.storage.domains.workflows import WorkflowsStorage
from mastra_core.storage.retention import policies
from mastra_core.storage.store import BackendStore
from mastra_core.storage.tables import TABLES


class ClickhouseStore(BackendStore):
    """All domains in one database of ClickHouse; ``connection`` are the options of ``Connection``.

    ``retention`` is applied by ``prune()``, and where the age of a row never changes (messages,
    scores, spans) by the server itself, as the table's TTL.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        disable_init: bool = False,
        retention: Mapping[str, Mapping[str, Any]] | None = None,
        **connection: Unpack[Connection],
    ) -> None:
        backend = open_backend(connection)
        super().__init__(backend, id=id, disable_init=disable_init, retention=retention)
        self._clickhouse = backend
        for name, given in (retention or {}).items():
            _expire(backend, self._domains[name], given)

    async def adopt(self) -> list[str]:
        """Take over the tables that the TypeScript framework made: the names of those rewritten.

        They are copied into tables that this package can rely on, and that the framework can go on
        using; the old ones stay beside (``…_before_adoption``). Nobody may write meanwhile.
        """
        return await self._clickhouse.adopt()

    async def optimize_table(self, table: str) -> None:
        """Have a table merged now (``"mastra_messages"``); the server does so by itself in time."""
        known = {one.name: one for one in TABLES}
        if table not in known:
            raise InvalidArgumentError(f"there is no table {table!r}; known: {', '.join(known)}")
        await self._clickhouse.optimize(known[table])


class _OnClickhouse(StorageDomain):
    """A domain that opens its own connection: the arguments are those of ``ClickhouseStore``."""

    def __init__(
        self,
        *,
        retention: Mapping[str, Any] | None = None,
        **connection: Unpack[Connection],
    ) -> None:
        backend = open_backend(connection)
        super().__init__(backend)
        _expire(backend, self, retention or {})


def _expire(
    backend: ClickhouseBackend, domain: StorageDomain, retention: Mapping[str, Any]
) -> None:
    """Have the server remove what is too old, where that needs nothing but the row itself."""
    for key, policy in policies(domain, retention).items():
        table, column = domain.retention[key]
        design = DESIGNS.get(table.name)
        if design is not None and column in design.place:
            backend.expire(table, Lifetime(column, policy.age))


class MemoryStorageClickhouse(_OnClickhouse, MemoryStorage):
    """Threads, messages and resources in ClickHouse."""


class WorkflowsStorageClickhouse(_OnClickhouse, WorkflowsStorage):
    """Workflow snapshots in ClickHouse."""


class ScoresStorageClickhouse(_OnClickhouse, ScoresStorage):
    """Scores in ClickHouse."""


class ObservabilityStorageClickhouse(_OnClickhouse, ObservabilityStorage):
    """Spans and traces in ClickHouse."""


class DatasetsStorageClickhouse(_OnClickhouse, DatasetsStorage):
    """Datasets in ClickHouse."""


class ExperimentsStorageClickhouse(_OnClickhouse, ExperimentsStorage):
    """Experiments in ClickHouse."""
