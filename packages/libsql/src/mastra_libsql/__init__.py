"""libSQL and SQLite storage: files, private memory, and libSQL servers.

Importing this package imports no driver; the names below are loaded when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mastra_core.plugins import Adapter, hookimpl

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

__all__ = [
    "DatasetsLibSQL",
    "ExperimentsLibSQL",
    "LibSQLStore",
    "MemoryLibSQL",
    "ObservabilityLibSQL",
    "ScoresLibSQL",
    "WorkflowsLibSQL",
    "mastra_adapter",
]


def _connect(url: str, **options: Any) -> LibSQLStore:
    from mastra_libsql.store import LibSQLStore  # noqa: PLC0415 (the driver comes with it)

    return LibSQLStore(url=url, id=options.pop("id", "libsql"), **options)


@hookimpl
def mastra_adapter() -> Adapter:
    """The adapter for files and libSQL servers."""
    return Adapter(
        name="libsql",
        schemes=("file", ":memory:", "libsql", "http", "https", "ws", "wss"),
        connect=_connect,
        drivers=("libsql", "libsql_client"),
    )


def __getattr__(name: str) -> Any:
    if name in __all__:
        from mastra_libsql import store  # noqa: PLC0415

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
