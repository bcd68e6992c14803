"""What users of Cloudflare D1 import: the store, and each domain on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from mastra_cloudflare_d1.backend import D1Backend, D1Options
from mastra_core.storage.domain import StorageDomain
from mastra_core.storage.domains.datasets import DatasetsStorage
from mastra_core.storage.domains.experiments import ExperimentsStorage
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_core.storage.domains.observability import ObservabilityStorage
from mastra_core.storage.domains.scores import ScoresStorage
from mastra_core.storage.domains.workflows import WorkflowsStorage
from mastra_core.storage.store import BackendStore


class D1Store(BackendStore):
    """All domains in one D1 database; ``options`` are those of ``D1Options``.

    ``account_id`` and ``database_id`` are the ids that Cloudflare shows, ``api_token`` a token that
    may edit D1.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        account_id: str,
        database_id: str,
        api_token: str,
        disable_init: bool = False,
        retention: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Unpack[D1Options],
    ) -> None:
        backend = D1Backend(
            account_id=account_id, database_id=database_id, api_token=api_token, **options
        )
        super().__init__(backend, id=id, disable_init=disable_init, retention=retention)


class _OnD1(StorageDomain):
    """A domain on its own: the arguments are those of ``D1Store``."""

    def __init__(
        self, *, account_id: str, database_id: str, api_token: str, **options: Unpack[D1Options]
    ) -> None:
        super().__init__(
            D1Backend(
                account_id=account_id, database_id=database_id, api_token=api_token, **options
            )
        )


class MemoryD1(_OnD1, MemoryStorage):
    """Threads, messages and resources in Cloudflare D1."""


class WorkflowsD1(_OnD1, WorkflowsStorage):
    """Workflow snapshots in Cloudflare D1."""


class ScoresD1(_OnD1, ScoresStorage):
    """Scores in Cloudflare D1."""


class ObservabilityD1(_OnD1, ObservabilityStorage):
    """Spans and traces in Cloudflare D1."""


class DatasetsD1(_OnD1, DatasetsStorage):
    """Datasets in Cloudflare D1."""


class ExperimentsD1(_OnD1, ExperimentsStorage):
    """Experiments in Cloudflare D1."""
