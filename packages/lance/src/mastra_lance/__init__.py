"""LanceDB storage and vectors: a folder, or a place in an object store; no server.

Importing this package imports no driver; the names below are loaded when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mastra_core.plugins import Adapter, VectorAdapter, hookimpl

if TYPE_CHECKING:
    from mastra_lance.store import (
        DatasetsLance,
        ExperimentsLance,
        LanceStore,
        MemoryLance,
        ObservabilityLance,
        ScoresLance,
        WorkflowsLance,
    )
    from mastra_lance.vector import LanceVector

__all__ = [
    "DatasetsLance",
    "ExperimentsLance",
    "LanceStore",
    "LanceVector",
    "MemoryLance",
    "ObservabilityLance",
    "ScoresLance",
    "WorkflowsLance",
    "mastra_adapter",
    "mastra_vector_adapter",
]

SCHEMES = ("lance",)
DRIVERS = ("lancedb", "pyarrow")


def _connect(url: str, **options: Any) -> LanceStore:
    from mastra_lance.store import LanceStore  # noqa: PLC0415 (the driver comes with it)

    return LanceStore(url, id=options.pop("id", "lance"), **options)


def _connect_vector(url: str, **options: Any) -> LanceVector:
    from mastra_lance.vector import LanceVector  # noqa: PLC0415 (the driver comes with it)

    return LanceVector(url, id=options.pop("id", "lance"), **options)


@hookimpl
def mastra_adapter() -> Adapter:
    """The adapter for LanceDB."""
    return Adapter(
        name="lance",
        schemes=SCHEMES,
        connect=_connect,
        drivers=DRIVERS,
        backend="mastra_lance.backend:LanceBackend",
    )


@hookimpl
def mastra_vector_adapter() -> VectorAdapter:
    """The vector store of LanceDB."""
    return VectorAdapter(
        name="lance",
        schemes=SCHEMES,
        connect=_connect_vector,
        drivers=DRIVERS,
        store="mastra_lance.vector:LanceVector",
    )


def __getattr__(name: str) -> Any:
    if name == "LanceVector":
        from mastra_lance.vector import LanceVector  # noqa: PLC0415

        return LanceVector
    if name in __all__:
        from mastra_lance import store  # noqa: PLC0415

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
