"""SQL Server storage: all domains, over mssql-python or pyodbc.

Importing this package imports no driver; the names below are loaded when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mastra_core.plugins import Adapter, hookimpl

if TYPE_CHECKING:
    from mastra_mssql.store import (
        DatasetsMSSQL,
        ExperimentsMSSQL,
        MemoryMSSQL,
        MSSQLStore,
        ObservabilityMSSQL,
        ScoresMSSQL,
        WorkflowsMSSQL,
    )

__all__ = [
    "DatasetsMSSQL",
    "ExperimentsMSSQL",
    "MSSQLStore",
    "MemoryMSSQL",
    "ObservabilityMSSQL",
    "ScoresMSSQL",
    "WorkflowsMSSQL",
    "mastra_adapter",
]

SCHEMES = ("mssql", "sqlserver")


def _connect(url: str, **options: Any) -> MSSQLStore:
    from mastra_mssql.store import MSSQLStore  # noqa: PLC0415 (only who connects needs it)

    return MSSQLStore(connection_string=url, id=options.pop("id", "mssql"), **options)


@hookimpl
def mastra_adapter() -> Adapter:
    """The adapter for SQL Server and Azure SQL."""
    return Adapter(
        name="mssql",
        schemes=SCHEMES,
        connect=_connect,
        drivers=("mssql_python", "pyodbc"),
        backend="mastra_mssql.backend:MSSQLBackend",
    )


def __getattr__(name: str) -> Any:
    if name in __all__:
        from mastra_mssql import store  # noqa: PLC0415

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
