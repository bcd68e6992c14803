"""What users of Upstash and Redis import: the store, and each domain on its own."""

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
from mastra_upstash.backend import UpstashBackend, UpstashOptions, open_backend


class UpstashStore(BackendStore):
    """All domains in one Redis database; ``options`` are those of ``UpstashOptions``.

    ``url`` is the address of Upstash's REST API (``https://…``, with ``token``), or that of a
    Redis server (``redis://``, ``rediss://``, ``unix://``), which needs ``mastra-upstash[redis]``;
    ``client`` takes its place.
    """

    backend: UpstashBackend

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        url: str | None = None,
        disable_init: bool = False,
        retention: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Unpack[UpstashOptions],
    ) -> None:
        backend = open_backend(url, **options)
        super().__init__(backend, id=id, disable_init=disable_init, retention=retention)

    async def adopt(self) -> dict[str, int]:
        """Put what the TypeScript framework wrote into our indexes; see ``UpstashBackend.adopt``."""
        return await self.backend.adopt()


class _OnUpstash(StorageDomain):
    """A domain with a connection of its own: the arguments are those of ``UpstashStore``."""

    def __init__(self, *, url: str | None = None, **options: Unpack[UpstashOptions]) -> None:
        super().__init__(open_backend(url, **options))


class MemoryUpstash(_OnUpstash, MemoryStorage):
    """Threads, messages and resources in Redis."""


class WorkflowsUpstash(_OnUpstash, WorkflowsStorage):
    """Workflow snapshots in Redis."""


class ScoresUpstash(_OnUpstash, ScoresStorage):
    """Scores in Redis."""


class ObservabilityUpstash(_OnUpstash, ObservabilityStorage):
    """Spans and traces in Redis."""


class DatasetsUpstash(_OnUpstash, DatasetsStorage):
    """Datasets in Redis."""


class ExperimentsUpstash(_OnUpstash, ExperimentsStorage):
    """Experiments in Redis."""
