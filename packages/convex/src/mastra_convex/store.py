"""What users of Convex import: the store, and each domain on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from mastra_convex.backend import ConvexBackend, open_backend
from mastra_convex.options import ConvexOptions
from mastra_core.storage.domain import StorageDomain
from mastra_core.storage.domains.datasets import DatasetsStorage
from mastra_core.storage.domains.experiments import ExperimentsStorage
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_core.storage.domains.observability import ObservabilityStorage
from mastra_core.storage.domains.scores import ScoresStorage
from mastra_core.storage.domains.workflows import WorkflowsStorage
from mastra_core.storage.store import BackendStore


class ConvexStore(BackendStore):
    """All domains in one deployment; ``options`` are those of ``ConvexOptions``.

    ``deployment_url`` is that of the deployment (``https://happy-animal-123.convex.cloud``), and
    ``admin_auth_token`` its admin key, the deploy key. The functions must be deployed: see
    ``mastra-convex init``.
    """

    backend: ConvexBackend

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        deployment_url: str,
        admin_auth_token: str | None = None,
        disable_init: bool = False,
        retention: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Unpack[ConvexOptions],
    ) -> None:
        backend = open_backend(deployment_url, admin_auth_token, **options)
        super().__init__(backend, id=id, disable_init=disable_init, retention=retention)


class _OnConvex(StorageDomain):
    """A domain with a connection of its own: the arguments are those of ``ConvexStore``."""

    def __init__(
        self,
        *,
        deployment_url: str,
        admin_auth_token: str | None = None,
        **options: Unpack[ConvexOptions],
    ) -> None:
        super().__init__(open_backend(deployment_url, admin_auth_token, **options))


class MemoryConvex(_OnConvex, MemoryStorage):
    """Threads, messages and resources in Convex."""


class WorkflowsConvex(_OnConvex, WorkflowsStorage):
    """Workflow snapshots in Convex."""


class ScoresConvex(_OnConvex, ScoresStorage):
    """Scores in Convex."""


class ObservabilityConvex(_OnConvex, ObservabilityStorage):
    """Spans and traces in Convex."""


class DatasetsConvex(_OnConvex, DatasetsStorage):
    """Datasets in Convex."""


class ExperimentsConvex(_OnConvex, ExperimentsStorage):
    """Experiments in Convex."""
