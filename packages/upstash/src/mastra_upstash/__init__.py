"""Upstash and Redis storage, and Upstash Vector: over the REST APIs, or Redis's own protocol.

Importing this package imports no driver; the names below are loaded when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mastra_core.plugins import Adapter, VectorAdapter, hookimpl

if TYPE_CHECKING:
    from mastra_upstash.store import (
        DatasetsUpstash,
        ExperimentsUpstash,
        MemoryUpstash,
        ObservabilityUpstash,
        ScoresUpstash,
        UpstashStore,
        WorkflowsUpstash,
    )
    from mastra_upstash.vector import UpstashVector

__all__ = [
    "DatasetsUpstash",
    "ExperimentsUpstash",
    "MemoryUpstash",
    "ObservabilityUpstash",
    "ScoresUpstash",
    "UpstashStore",
    "UpstashVector",
    "WorkflowsUpstash",
    "mastra_adapter",
    "mastra_vector_adapter",
]


def _connect(url: str, **options: Any) -> UpstashStore:
    from mastra_upstash.store import UpstashStore  # noqa: PLC0415 (the driver comes with it)

    return UpstashStore(url=url, id=options.pop("id", "upstash"), **options)


def _connect_vector(url: str, **options: Any) -> UpstashVector:
    from mastra_upstash.vector import UpstashVector  # noqa: PLC0415 (the driver comes with it)

    return UpstashVector(url=url, id=options.pop("id", "upstash"), **options)


@hookimpl
def mastra_adapter() -> Adapter:
    """The adapter for Upstash databases and Redis servers."""
    return Adapter(
        name="upstash",
        schemes=("upstash", "redis", "rediss", "unix"),
        connect=_connect,
        drivers=("upstash_redis", "redis", "httpx"),
        backend="mastra_upstash.backend:UpstashBackend",
    )


@hookimpl
def mastra_vector_adapter() -> VectorAdapter:
    """The vector store of Upstash Vector."""
    return VectorAdapter(
        name="upstash",
        schemes=("upstash",),
        connect=_connect_vector,
        drivers=("httpx",),
        store="mastra_upstash.vector:UpstashVector",
    )


def __getattr__(name: str) -> Any:
    if name == "UpstashVector":
        from mastra_upstash.vector import UpstashVector  # noqa: PLC0415

        return UpstashVector
    if name in __all__:
        from mastra_upstash import store  # noqa: PLC0415

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
