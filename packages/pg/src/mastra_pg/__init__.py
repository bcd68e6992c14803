"""PostgreSQL storage: all domains over pooled connections.

Importing this package imports no driver; the names below are loaded when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mastra_core.plugins import Adapter, hookimpl

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

__all__ = [
    "DatasetsPG",
    "ExperimentsPG",
    "MemoryPG",
    "ObservabilityPG",
    "PostgresStore",
    "ScoresPG",
    "WorkflowsPG",
    "mastra_adapter",
]


def _connect(url: str, **options: Any) -> PostgresStore:
    from mastra_pg.store import PostgresStore  # noqa: PLC0415 (the driver comes with it)

    return PostgresStore(connection_string=url, id=options.pop("id", "pg"), **options)


@hookimpl
def mastra_adapter() -> Adapter:
    """The adapter for PostgreSQL servers."""
    return Adapter(
        name="pg",
        schemes=("postgresql", "postgres"),
        connect=_connect,
        drivers=("psycopg", "psycopg_pool"),
    )


def __getattr__(name: str) -> Any:
    if name in __all__:
        from mastra_pg import store  # noqa: PLC0415

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
