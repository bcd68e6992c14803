"""DynamoDB storage: every domain in one table.

Importing this package imports no driver; the names below are loaded when asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from mastra_core.plugins import Adapter, hookimpl

if TYPE_CHECKING:
    from mastra_dynamodb.options import TimeToLive
    from mastra_dynamodb.store import (
        DatasetsDynamoDB,
        DynamoDBStore,
        ExperimentsDynamoDB,
        MemoryDynamoDB,
        ObservabilityDynamoDB,
        ScoresDynamoDB,
        WorkflowsDynamoDB,
    )
    from mastra_dynamodb.table import definition

__all__ = [
    "DatasetsDynamoDB",
    "DynamoDBStore",
    "ExperimentsDynamoDB",
    "MemoryDynamoDB",
    "ObservabilityDynamoDB",
    "ScoresDynamoDB",
    "TimeToLive",
    "WorkflowsDynamoDB",
    "definition",
    "mastra_adapter",
]
MODULES: Final = {"TimeToLive": "options", "definition": "table"}


def _connect(url: str, **options: Any) -> DynamoDBStore:
    from mastra_dynamodb.options import from_url  # noqa: PLC0415 (the driver comes with it)
    from mastra_dynamodb.store import DynamoDBStore  # noqa: PLC0415

    return DynamoDBStore(id=options.pop("id", "dynamodb"), **{**from_url(url), **options})


@hookimpl
def mastra_adapter() -> Adapter:
    """The adapter for DynamoDB tables."""
    return Adapter(
        name="dynamodb",
        schemes=("dynamodb",),
        connect=_connect,
        drivers=("boto3", "botocore"),
        backend="mastra_dynamodb.backend:DynamoDBBackend",
    )


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"mastra_dynamodb.{MODULES.get(name, 'store')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
