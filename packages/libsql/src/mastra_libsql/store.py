"""What users of libSQL import: the store, and each domain on its own."""

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
from mastra_libsql.backend import LibSQLOptions, open_backend


class LibSQLStore(BackendStore):
    """All domains in one libSQL database; ``options`` are those of ``LibSQLOptions``.

    ``url`` is ``file:path`` (or ``file:./path``), ``:memory:``, or the address of a server
    (``libsql://``, ``http(s)://``, ``ws(s)://``), which needs ``mastra-libsql[remote]``.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        url: str,
        disable_init: bool = False,
        retention: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Unpack[LibSQLOptions],
    ) -> None:
        backend = open_backend(url, **options)
        super().__init__(backend, id=id, disable_init=disable_init, retention=retention)


class _OnLibSQL(StorageDomain):
    """A domain that opens its own database: the arguments are those of ``LibSQLStore``."""

    def __init__(self, *, url: str, **options: Unpack[LibSQLOptions]) -> None:
        super().__init__(open_backend(url, **options))


class MemoryLibSQL(_OnLibSQL, MemoryStorage):
    """Threads, messages and resources in libSQL."""


class WorkflowsLibSQL(_OnLibSQL, WorkflowsStorage):
    """Workflow snapshots in libSQL."""


class ScoresLibSQL(_OnLibSQL, ScoresStorage):
    """Scores in libSQL."""


class ObservabilityLibSQL(_OnLibSQL, ObservabilityStorage):
    """Spans and traces in libSQL."""


class DatasetsLibSQL(_OnLibSQL, DatasetsStorage):
    """Datasets in libSQL."""


class ExperimentsLibSQL(_OnLibSQL, ExperimentsStorage):
    """Experiments in libSQL."""
