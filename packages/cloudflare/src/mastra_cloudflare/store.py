"""What users of Durable Objects import: the store, and each domain on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from mastra_cloudflare.backend import CloudflareDOBackend, CloudflareDOOptions
from mastra_core.storage.domain import StorageDomain
from mastra_core.storage.domains.datasets import DatasetsStorage
from mastra_core.storage.domains.experiments import ExperimentsStorage
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_core.storage.domains.observability import ObservabilityStorage
from mastra_core.storage.domains.scores import ScoresStorage
from mastra_core.storage.domains.workflows import WorkflowsStorage
from mastra_core.storage.store import BackendStore


class CloudflareDOStore(BackendStore):
    """All domains in one Durable Object; ``options`` are those of ``CloudflareDOOptions``.

    ``url`` is the Worker's, ``token`` its secret MASTRA_TOKEN. A ``namespace`` for each tenant
    spreads them over as many objects, of which each works on its own.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        url: str,
        token: str,
        disable_init: bool = False,
        retention: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Unpack[CloudflareDOOptions],
    ) -> None:
        backend = CloudflareDOBackend(url=url, token=token, **options)
        super().__init__(backend, id=id, disable_init=disable_init, retention=retention)


class _OnCloudflareDO(StorageDomain):
    """A domain on its own: the arguments are those of ``CloudflareDOStore``."""

    def __init__(self, *, url: str, token: str, **options: Unpack[CloudflareDOOptions]) -> None:
        super().__init__(CloudflareDOBackend(url=url, token=token, **options))


class MemoryCloudflareDO(_OnCloudflareDO, MemoryStorage):
    """Threads, messages and resources in a Durable Object."""


class WorkflowsCloudflareDO(_OnCloudflareDO, WorkflowsStorage):
    """Workflow snapshots in a Durable Object."""


class ScoresCloudflareDO(_OnCloudflareDO, ScoresStorage):
    """Scores in a Durable Object."""


class ObservabilityCloudflareDO(_OnCloudflareDO, ObservabilityStorage):
    """Spans and traces in a Durable Object."""


class DatasetsCloudflareDO(_OnCloudflareDO, DatasetsStorage):
    """Datasets in a Durable Object."""


class ExperimentsCloudflareDO(_OnCloudflareDO, ExperimentsStorage):
    """Experiments in a Durable Object."""
