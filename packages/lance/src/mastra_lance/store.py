"""What users of LanceDB import: the store, and each domain on its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from mastra_core.storage.domain import StorageDomain
from mastra_core.storage.domains.datasets import DatasetsStorage
from mastra_core.storage.domains.experiments import ExperimentsStorage
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_core.storage.domains.observability import ObservabilityStorage
from mastra_core.storage.domains.scores import ScoresStorage
from mastra_core.storage.domains.workflows import WorkflowsStorage
from mastra_core.storage.store import BackendStore
from mastra_lance.backend import LanceBackend, open_backend
from mastra_lance.options import LanceOptions


class LanceStore(BackendStore):
    """All domains in one LanceDB database; ``options`` are those of ``LanceOptions``.

    ``uri`` is a folder, or a place in an object store (``s3://bucket/path``, ``gs://``, ``az://``).
    """

    backend: LanceBackend

    def __init__(
        self,
        uri: str | Path | None = None,
        *,
        id: str = "lance",  # noqa: A002 (the original's name)
        disable_init: bool = False,
        retention: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Unpack[LanceOptions],
    ) -> None:
        backend = open_backend(uri, **options)
        super().__init__(backend, id=id, disable_init=disable_init, retention=retention)

    async def optimize(self) -> None:
        """Join small files, update indexes, and remove old versions and doubled rows, of all tables.

        It happens by itself in the background; by hand it is for after a bulk load. Writers wait.
        """
        await self.backend.optimize()


class _OnLance(StorageDomain):
    """A domain that opens its own database: the arguments are those of ``LanceStore``."""

    def __init__(self, uri: str | Path | None = None, **options: Unpack[LanceOptions]) -> None:
        super().__init__(open_backend(uri, **options))


class MemoryLance(_OnLance, MemoryStorage):
    """Threads, messages and resources in LanceDB."""


class WorkflowsLance(_OnLance, WorkflowsStorage):
    """Workflow snapshots in LanceDB."""


class ScoresLance(_OnLance, ScoresStorage):
    """Scores in LanceDB."""


class ObservabilityLance(_OnLance, ObservabilityStorage):
    """Spans and traces in LanceDB."""


class DatasetsLance(_OnLance, DatasetsStorage):
    """Datasets in LanceDB."""


class ExperimentsLance(_OnLance, ExperimentsStorage):
    """Experiments in LanceDB."""
