"""Cloudflare Durable Objects storage: the Worker, and the store that speaks to it.

Importing this package imports no driver; the names below are loaded when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mastra_core.plugins import Adapter, hookimpl

if TYPE_CHECKING:
    from mastra_cloudflare.store import (
        CloudflareDOStore,
        DatasetsCloudflareDO,
        ExperimentsCloudflareDO,
        MemoryCloudflareDO,
        ObservabilityCloudflareDO,
        ScoresCloudflareDO,
        WorkflowsCloudflareDO,
    )

__all__ = [
    "CloudflareDOStore",
    "DatasetsCloudflareDO",
    "ExperimentsCloudflareDO",
    "MemoryCloudflareDO",
    "ObservabilityCloudflareDO",
    "ScoresCloudflareDO",
    "WorkflowsCloudflareDO",
    "mastra_adapter",
]


def _connect(url: str, **options: Any) -> CloudflareDOStore:
    from mastra_cloudflare.address import parts_of  # noqa: PLC0415
    from mastra_cloudflare.store import CloudflareDOStore  # noqa: PLC0415 (the driver comes with it)

    given: dict[str, Any] = {"id": "cloudflare-do", "token": "", **parts_of(url), **options}
    return CloudflareDOStore(**given)


@hookimpl
def mastra_adapter() -> Adapter:
    """The adapter for Cloudflare Durable Objects."""
    return Adapter(
        name="cloudflare",
        schemes=("cloudflare-do",),
        connect=_connect,
        drivers=("httpx",),
        backend="mastra_cloudflare.backend:CloudflareDOBackend",
    )


def __getattr__(name: str) -> Any:
    if name in __all__:
        from mastra_cloudflare import store  # noqa: PLC0415

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
