"""PostgreSQL storage and vectors: all domains, and pgvector, over pooled connections.

Importing this package imports no driver; the names below are loaded when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mastra_core.plugins import Adapter, VectorAdapter, hookimpl

if TYPE_CHECKING:
    from mastra_pg.store import (
        DatasetsPG,
        ExperimentsPG,
        MemoryPG,
        ObservabilityPG,
        PostgresStore,
        ScoresPG,
        WorkflowsPG,
    )
    from mastra_pg.vector import PgVector

__all__ = [
    "DatasetsPG",
    "ExperimentsPG",
    "MemoryPG",
    "ObservabilityPG",
    "PgVector",
    "PostgresStore",
    "ScoresPG",
    "WorkflowsPG",
    "mastra_adapter",
    "mastra_vector_adapter",
]

SCHEMES = ("postgresql", "postgres")
DRIVERS = ("psycopg", "psycopg_pool")


def _connect(url: str, **options: Any) -> PostgresStore:
    from mastra_pg.store import PostgresStore  # noqa: PLC0415 (the driver comes with it)

    return PostgresStore(connection_string=url, id=options.pop("id", "pg"), **options)


def _connect_vector(url: str, **options: Any) -> PgVector:
    from mastra_pg.vector import PgVector  # noqa: PLC0415 (the driver comes with it)

    return PgVector(connection_string=url, id=options.pop("id", "pg"), **options)


@hookimpl
def mastra_adapter() -> Adapter:
    """The adapter for PostgreSQL servers."""
    return Adapter(
        name="pg",
        schemes=SCHEMES,
        connect=_connect,
        drivers=DRIVERS,
        backend="mastra_pg.backend:PostgresBackend",
    )


@hookimpl
def mastra_vector_adapter() -> VectorAdapter:
    """The vector store of PostgreSQL servers."""
    return VectorAdapter(
        name="pg",
        schemes=SCHEMES,
        connect=_connect_vector,
        drivers=DRIVERS,
        store="mastra_pg.vector:PgVector",
    )


def __getattr__(name: str) -> Any:
    if name == "PgVector":
        from mastra_pg.vector import PgVector  # noqa: PLC0415

        return PgVector
    if name in __all__:
        from mastra_pg import store  # noqa: PLC0415

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
