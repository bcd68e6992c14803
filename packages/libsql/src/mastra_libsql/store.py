"""What users of libSQL import: the store, and each domain on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mastra_core.storage.domain import StorageDomain
from mastra_core.storage.domains.datasets import DatasetsStorage
from mastra_core.storage.domains.experiments import ExperimentsStorage
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_core.storage.domains.observability import ObservabilityStorage
from mastra_core.storage.domains.scores import ScoresStorage
from mastra_core.storage.domains.workflows import WorkflowsStorage
from mastra_core.storage.store import BackendStore
from mastra_libsql.backend import open_backend


class LibSQLStore(BackendStore):
    """All domains in one libSQL database.

    ``url`` is ``file:path`` (or ``file:./path``), ``:memory:``, or the address of a server
    (``libsql://``, ``http(s)://``, ``ws(s)://``), which needs ``mastra-libsql[remote]`` and, where
    the server asks for one, ``auth_token``. ``encryption_key`` encrypts a file. ``busy_timeout``
    is how many seconds an operation waits for other writers (or for the server);
    ``synchronous="FULL"`` makes each write survive a loss of power, ``"NORMAL"`` a crash of the
    process.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        url: str,
        auth_token: str | None = None,
        encryption_key: str | None = None,
        busy_timeout: float = 5.0,
        synchronous: str = "NORMAL",
        disable_init: bool = False,
        retention: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        backend = open_backend(
            url,
            auth_token=auth_token,
            encryption_key=encryption_key,
            busy_timeout=busy_timeout,
            synchronous=synchronous,
        )
        super().__init__(backend, id=id, disable_init=disable_init, retention=retention)


class _OnLibSQL(StorageDomain):
    """A domain that opens its own database; the options are those of ``LibSQLStore``."""

    def __init__(
        self,
        *,
        url: str,
        auth_token: str | None = None,
        encryption_key: str | None = None,
        busy_timeout: float = 5.0,
        synchronous: str = "NORMAL",
    ) -> None:
        super().__init__(
            open_backend(
                url,
                auth_token=auth_token,
                encryption_key=encryption_key,
                busy_timeout=busy_timeout,
                synchronous=synchronous,
            )
        )


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
