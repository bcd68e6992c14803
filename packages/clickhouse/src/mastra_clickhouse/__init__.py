"""ClickHouse storage: traces first, and every other domain.

Importing this package imports no driver; the names below are loaded when asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from mastra_core.plugins import Adapter, hookimpl

if TYPE_CHECKING:
    from mastra_clickhouse.options import Replication
    from mastra_clickhouse.store import (
        ClickhouseStore,
        DatasetsStorageClickhouse,
        ExperimentsStorageClickhouse,
        MemoryStorageClickhouse,
        ObservabilityStorageClickhouse,
        ScoresStorageClickhouse,
        WorkflowsStorageClickhouse,
    )

__all__ = [
    "ClickhouseStore",
    "DatasetsStorageClickhouse",
    "ExperimentsStorageClickhouse",
    "MemoryStorageClickhouse",
    "ObservabilityStorageClickhouse",
    "Replication",
    "ScoresStorageClickhouse",
    "WorkflowsStorageClickhouse",
    "mastra_adapter",
]
MODULES: Final = {"Replication": "options"}


def _connect(url: str, **options: Any) -> ClickhouseStore:
    from mastra_clickhouse.store import (  # noqa: PLC0415 (the driver comes with it)
        ClickhouseStore,
    )

    return ClickhouseStore(id=options.pop("id", "clickhouse"), url=url, **options)


@hookimpl
def mastra_adapter() -> Adapter:
    """The adapter for ClickHouse."""
    return Adapter(
        name="clickhouse",
        schemes=("clickhouse", "clickhouses"),
        connect=_connect,
        drivers=("aiohttp", "clickhouse_connect"),
        backend="mastra_clickhouse.backend:ClickhouseBackend",
    )


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"mastra_clickhouse.{MODULES.get(name, 'store')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
