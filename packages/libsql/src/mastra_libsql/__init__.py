"""libSQL and SQLite storage and vectors: files, private memory, and libSQL servers.

Importing this package imports no driver; the names below are loaded when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mastra_core.plugins import Adapter, VectorAdapter, hookimpl

if TYPE_CHECKING:
    from mastra_libsql.store import (
        DatasetsLibSQL,
        ExperimentsLibSQL,
        LibSQLStore,
        MemoryLibSQL,
        ObservabilityLibSQL,
        ScoresLibSQL,
        WorkflowsLibSQL,
    )
    from mastra_libsql.vector import LibSQLVector

__all__ = [
    "DatasetsLibSQL",
    "ExperimentsLibSQL",
    "LibSQLStore",
    "LibSQLVector",
    "MemoryLibSQL",
    "ObservabilityLibSQL",
    "ScoresLibSQL",
    "WorkflowsLibSQL",
    "mastra_adapter",
    "mastra_vector_adapter",
]


SCHEMES = ("file", ":memory:", "libsql", "http", "https", "ws", "wss")
DRIVERS = ("libsql", "libsql_client")


def _connect(url: str, **options: Any) -> LibSQLStore:
    from mastra_libsql.store import LibSQLStore  # noqa: PLC0415 (the driver comes with it)

    return LibSQLStore(url=url, id=options.pop("id", "libsql"), **options)


def _connect_vector(url: str, **options: Any) -> LibSQLVector:
    from mastra_libsql.vector import LibSQLVector  # noqa: PLC0415 (the driver comes with it)

    return LibSQLVector(url=url, id=options.pop("id", "libsql"), **options)


@hookimpl
def mastra_adapter() -> Adapter:
    """The adapter for files and libSQL servers."""
    return Adapter(
        name="libsql",
        schemes=SCHEMES,
        connect=_connect,
        drivers=DRIVERS,
        backend="mastra_libsql.backend:LibSQLBackend",
    )


@hookimpl
def mastra_vector_adapter() -> VectorAdapter:
    """The vector store of files and libSQL servers."""
    return VectorAdapter(
        name="libsql",
        schemes=SCHEMES,
        connect=_connect_vector,
        drivers=DRIVERS,
        store="mastra_libsql.vector:LibSQLVector",
    )


def __getattr__(name: str) -> Any:
    if name == "LibSQLVector":
        from mastra_libsql.vector import LibSQLVector  # noqa: PLC0415

        return LibSQLVector
    if name in __all__:
        from mastra_libsql import store  # noqa: PLC0415

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
