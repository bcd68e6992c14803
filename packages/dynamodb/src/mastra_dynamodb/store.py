"""What users of DynamoDB import: the store, and each domain on its own."""

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
from mastra_dynamodb.backend import open_backend
from mastra_dynamodb.options import Connection


class DynamoDBStore(BackendStore):
    """All domains in one DynamoDB table; ``connection`` are the options of ``Connection``."""

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        table_name: str,
        disable_init: bool = False,
        retention: Mapping[str, Mapping[str, Any]] | None = None,
        **connection: Unpack[Connection],
    ) -> None:
        backend = open_backend(table_name=table_name, **connection)
        super().__init__(backend, id=id, disable_init=disable_init, retention=retention)
        self._dynamodb = backend

    async def adopt(self) -> int:
        """Take over rows that the TypeScript framework wrote: how many were given index items.

        Reads the whole table, several times; rows written by this package are left as they are.
        """
        return await self._dynamodb.adopt()


class _OnDynamoDB(StorageDomain):
    """A domain that opens its own table: the arguments are those of ``DynamoDBStore``."""

    def __init__(self, *, table_name: str, **connection: Unpack[Connection]) -> None:
        super().__init__(open_backend(table_name=table_name, **connection))


class MemoryDynamoDB(_OnDynamoDB, MemoryStorage):
    """Threads, messages and resources in DynamoDB."""


class WorkflowsDynamoDB(_OnDynamoDB, WorkflowsStorage):
    """Workflow snapshots in DynamoDB."""


class ScoresDynamoDB(_OnDynamoDB, ScoresStorage):
    """Scores in DynamoDB."""


class ObservabilityDynamoDB(_OnDynamoDB, ObservabilityStorage):
    """Spans and traces in DynamoDB."""


class DatasetsDynamoDB(_OnDynamoDB, DatasetsStorage):
    """Datasets in DynamoDB."""


class ExperimentsDynamoDB(_OnDynamoDB, ExperimentsStorage):
    """Experiments in DynamoDB."""
