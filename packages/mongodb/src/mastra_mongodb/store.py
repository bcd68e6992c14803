"""What users of MongoDB import: the store, and each domain on its own."""

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
from mastra_core.storage.settings import only_known
from mastra_core.storage.store import BackendStore
from mastra_mongodb.backend import MongoDBBackend
from mastra_mongodb.client import connection
from mastra_mongodb.options import MongoDBOptions


def open_backend(**options: Unpack[MongoDBOptions]) -> MongoDBBackend:
    """The backend for a URL or a client; nothing is opened before the first operation."""
    only_known("MongoDB", options, MongoDBOptions.__optional_keys__)
    return MongoDBBackend(
        connection(options),
        retry_seconds=options.get("retry_seconds", 10.0),
        skip_default_indexes=options.get("skip_default_indexes", False),
    )


class MongoDBStore(BackendStore):
    """All domains in one MongoDB database; ``options`` are those of ``MongoDBOptions``."""

    backend: MongoDBBackend

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        disable_init: bool = False,
        retention: Mapping[str, Mapping[str, Any]] | None = None,
        **options: Unpack[MongoDBOptions],
    ) -> None:
        backend = open_backend(**options)
        super().__init__(backend, id=id, disable_init=disable_init, retention=retention)


class _OnMongoDB(StorageDomain):
    """A domain that opens its own client: the arguments are those of ``MongoDBStore``."""

    def __init__(self, **options: Unpack[MongoDBOptions]) -> None:
        super().__init__(open_backend(**options))


class MemoryMongoDB(_OnMongoDB, MemoryStorage):
    """Threads, messages and resources in MongoDB."""


class WorkflowsMongoDB(_OnMongoDB, WorkflowsStorage):
    """Workflow snapshots in MongoDB."""


class ScoresMongoDB(_OnMongoDB, ScoresStorage):
    """Scores in MongoDB."""


class ObservabilityMongoDB(_OnMongoDB, ObservabilityStorage):
    """Spans and traces in MongoDB."""


class DatasetsMongoDB(_OnMongoDB, DatasetsStorage):
    """Datasets in MongoDB."""


class ExperimentsMongoDB(_OnMongoDB, ExperimentsStorage):
    """Experiments in MongoDB."""
