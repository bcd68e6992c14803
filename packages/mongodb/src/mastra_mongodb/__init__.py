"""MongoDB storage: replica sets, Atlas and standalone servers.

Importing this package imports no driver; the names below are loaded when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mastra_core.plugins import Adapter, hookimpl

if TYPE_CHECKING:
    from mastra_mongodb.store import (
        DatasetsMongoDB,
        ExperimentsMongoDB,
        MemoryMongoDB,
        MongoDBStore,
        ObservabilityMongoDB,
        ScoresMongoDB,
        WorkflowsMongoDB,
    )

__all__ = [
    "DatasetsMongoDB",
    "ExperimentsMongoDB",
    "MemoryMongoDB",
    "MongoDBStore",
    "ObservabilityMongoDB",
    "ScoresMongoDB",
    "WorkflowsMongoDB",
    "mastra_adapter",
]


def _connect(url: str, **options: Any) -> MongoDBStore:
    from mastra_mongodb.store import MongoDBStore  # noqa: PLC0415 (the driver comes with it)

    return MongoDBStore(url=url, id=options.pop("id", "mongodb"), **options)


@hookimpl
def mastra_adapter() -> Adapter:
    """The adapter for MongoDB servers."""
    return Adapter(
        name="mongodb",
        schemes=("mongodb", "mongodb+srv"),
        connect=_connect,
        drivers=("pymongo", "bson"),
    )


def __getattr__(name: str) -> Any:
    if name in __all__:
        from mastra_mongodb import store  # noqa: PLC0415

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
