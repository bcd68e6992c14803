"""Convex storage: typed functions in a deployment, called over HTTP.

Importing this package imports no driver; the names below are loaded when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mastra_core.plugins import Adapter, VectorAdapter, hookimpl

if TYPE_CHECKING:
    from mastra_convex.store import (
        ConvexStore,
        DatasetsConvex,
        ExperimentsConvex,
        MemoryConvex,
        ObservabilityConvex,
        ScoresConvex,
        WorkflowsConvex,
    )
    from mastra_convex.vector import ConvexVector

__all__ = [
    "ConvexStore",
    "ConvexVector",
    "DatasetsConvex",
    "ExperimentsConvex",
    "MemoryConvex",
    "ObservabilityConvex",
    "ScoresConvex",
    "WorkflowsConvex",
    "mastra_adapter",
    "mastra_vector_adapter",
]


def _connect(url: str, **options: Any) -> ConvexStore:
    from mastra_convex.store import ConvexStore  # noqa: PLC0415 (the driver comes with it)

    return ConvexStore(id=options.pop("id", "convex"), deployment_url=url, **options)


def _connect_vector(url: str, **options: Any) -> ConvexVector:
    from mastra_convex.vector import ConvexVector  # noqa: PLC0415 (the driver comes with it)

    return ConvexVector(id=options.pop("id", "convex"), deployment_url=url, **options)


@hookimpl
def mastra_adapter() -> Adapter:
    """The adapter for deployments of Convex."""
    return Adapter(
        name="convex",
        schemes=("convex",),
        connect=_connect,
        drivers=("convex", "httpx"),
        backend="mastra_convex.backend:ConvexBackend",
    )


@hookimpl
def mastra_vector_adapter() -> VectorAdapter:
    """The vector store for deployments of Convex."""
    return VectorAdapter(
        name="convex",
        schemes=("convex",),
        connect=_connect_vector,
        drivers=("convex", "httpx"),
        store="mastra_convex.vector:ConvexVector",
    )


def __getattr__(name: str) -> Any:
    if name == "ConvexVector":
        from mastra_convex.vector import ConvexVector  # noqa: PLC0415

        return ConvexVector
    if name in __all__:
        from mastra_convex import store  # noqa: PLC0415

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
