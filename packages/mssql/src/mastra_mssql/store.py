"""What users of SQL Server import: the store, and each domain on its own."""

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
from mastra_mssql.backend import open_backend
from mastra_mssql.settings import MSSQLOptions


class MSSQLStore(BackendStore):
    """All domains in one schema of a SQL Server database; ``options`` are those of ``MSSQLOptions``.

    Stores and domains of the same settings share their connections. A ``connection`` of the
    caller's is used instead if it is given, and never closed.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        disable_init: bool = False,
        retention: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Unpack[MSSQLOptions],
    ) -> None:
        backend = open_backend(options)
        super().__init__(backend, id=id, disable_init=disable_init, retention=retention)


class _OnMSSQL(StorageDomain):
    """A domain that opens its own backend: the arguments are those of ``MSSQLStore``."""

    def __init__(self, **options: Unpack[MSSQLOptions]) -> None:
        super().__init__(open_backend(options))


class MemoryMSSQL(_OnMSSQL, MemoryStorage):
    """Threads, messages and resources in SQL Server."""


class WorkflowsMSSQL(_OnMSSQL, WorkflowsStorage):
    """Workflow snapshots in SQL Server."""


class ScoresMSSQL(_OnMSSQL, ScoresStorage):
    """Scores in SQL Server."""


class ObservabilityMSSQL(_OnMSSQL, ObservabilityStorage):
    """Spans and traces in SQL Server."""


class DatasetsMSSQL(_OnMSSQL, DatasetsStorage):
    """Datasets in SQL Server."""


class ExperimentsMSSQL(_OnMSSQL, ExperimentsStorage):
    """Experiments in SQL Server."""
