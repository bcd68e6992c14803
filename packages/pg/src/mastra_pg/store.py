"""What users of PostgreSQL import: the store, and each domain on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from mastra_core.storage.domain import StorageDomain
from mastra_core.storage.domains.datasets import DatasetsStorage
from mastra_core.storage.domains.experiments import ExperimentsStorage
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_core.storage.domains.observability import ObservabilityStorage
from mastra_core.storage.domains.scores import ScoresStorage
from mastra_core.storage.domains.workflows import WorkflowsStorage
from mastra_core.storage.store import BackendStore
from mastra_pg.backend import open_backend
from mastra_pg.settings import PostgresOptions


class PostgresStore(BackendStore):
    """All domains in one schema of a PostgreSQL database; ``options`` are those of ``PostgresOptions``.

    Stores and domains of the same settings share one pool of connections on each event loop. A
    ``pool`` of the caller's is used instead if it is given, and never closed.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        disable_init: bool = False,
        retention: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Unpack[PostgresOptions],
    ) -> None:
        backend = open_backend(options)
        super().__init__(backend, id=id, disable_init=disable_init, retention=retention)


class _OnPostgres(StorageDomain):
    """A domain that opens its own backend: the arguments are those of ``PostgresStore``."""

    def __init__(self, **options: Unpack[PostgresOptions]) -> None:
        super().__init__(open_backend(options))


class MemoryPG(_OnPostgres, MemoryStorage):
    """Threads, messages and resources in PostgreSQL."""


class WorkflowsPG(_OnPostgres, WorkflowsStorage):
    """Workflow snapshots in PostgreSQL."""


class ScoresPG(_OnPostgres, ScoresStorage):
    """Scores in PostgreSQL."""


class ObservabilityPG(_OnPostgres, ObservabilityStorage):
    """Spans and traces in PostgreSQL."""


class DatasetsPG(_OnPostgres, DatasetsStorage):
    """Datasets in PostgreSQL."""


class ExperimentsPG(_OnPostgres, ExperimentsStorage):
    """Experiments in PostgreSQL."""
