"""MongoDB storage and vectors: replica sets, Atlas and standalone servers.

Importing this package imports no driver; the names below are loaded when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mastra_core.plugins import Adapter, VectorAdapter, hookimpl

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
    from mastra_mongodb.vector import MongoDBVector

__all__ = [
    "DatasetsMongoDB",
    "ExperimentsMongoDB",
    "MemoryMongoDB",
    "MongoDBStore",
    "MongoDBVector",
    "ObservabilityMongoDB",
    "ScoresMongoDB",
    "WorkflowsMongoDB",
    "mastra_adapter",
    "mastra_vector_adapter",
]

SCHEMES = ("mongodb", "mongodb+srv")
DRIVERS = ("pymongo", "bson")


def _connect(url: str, **options: Any) -> MongoDBStore:
    from mastra_mongodb.store import MongoDBStore  # noqa: PLC0415 (the driver comes with it)

    return MongoDBStore(url=url, id=options.pop("id", "mongodb"), **options)


def _connect_vector(url: str, **options: Any) -> MongoDBVector:
    from mastra_mongodb.vector import MongoDBVector  # noqa: PLC0415 (the driver comes with it)

    return MongoDBVector(url=url, id=options.pop("id", "mongodb"), **options)


@hookimpl
def mastra_adapter() -> Adapter:
    """The adapter for MongoDB servers."""
    return Adapter(
        name="mongodb",
        schemes=SCHEMES,
        connect=_connect,
        drivers=DRIVERS,
        backend="mastra_mongodb.backend:MongoDBBackend",
    )


@hookimpl
def mastra_vector_adapter() -> VectorAdapter:
    """The vector store of MongoDB servers."""
    return VectorAdapter(
        name="mongodb",
        schemes=SCHEMES,
        connect=_connect_vector,
        drivers=DRIVERS,
        store="mastra_mongodb.vector:MongoDBVector",
    )


def __getattr__(name: str) -> Any:
    if name == "MongoDBVector":
        from mastra_mongodb.vector import MongoDBVector  # noqa: PLC0415

        return MongoDBVector
    if name in __all__:
        from mastra_mongodb import store  # noqa: PLC0415

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
