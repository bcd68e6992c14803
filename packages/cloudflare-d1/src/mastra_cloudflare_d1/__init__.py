"""Cloudflare D1 storage, over its REST API.

Importing this package imports no driver; the names below are loaded when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mastra_core.plugins import Adapter, hookimpl

if TYPE_CHECKING:
    from mastra_cloudflare_d1.store import (
        D1Store,
        DatasetsD1,
        ExperimentsD1,
        MemoryD1,
        ObservabilityD1,
        ScoresD1,
        WorkflowsD1,
    )

__all__ = [
    "D1Store",
    "DatasetsD1",
    "ExperimentsD1",
    "MemoryD1",
    "ObservabilityD1",
    "ScoresD1",
    "WorkflowsD1",
    "mastra_adapter",
]


def _connect(url: str, **options: Any) -> D1Store:
    from mastra_cloudflare_d1.address import parts_of  # noqa: PLC0415
    from mastra_cloudflare_d1.store import D1Store  # noqa: PLC0415 (the driver comes with it)

    given: dict[str, Any] = {"id": "d1", "api_token": "", **parts_of(url), **options}
    return D1Store(**given)


@hookimpl
def mastra_adapter() -> Adapter:
    """The adapter for Cloudflare D1."""
    return Adapter(
        name="cloudflare-d1",
        schemes=("d1",),
        connect=_connect,
        drivers=("httpx",),
        backend="mastra_cloudflare_d1.backend:D1Backend",
    )


def __getattr__(name: str) -> Any:
    if name in __all__:
        from mastra_cloudflare_d1 import store  # noqa: PLC0415

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
