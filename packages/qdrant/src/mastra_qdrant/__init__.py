"""Vectors in Qdrant: on a server, in Qdrant Cloud, or in a folder.

Importing this package imports no driver; the names below are loaded when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mastra_core.plugins import VectorAdapter, hookimpl

if TYPE_CHECKING:
    from mastra_qdrant.vector import QdrantVector

__all__ = ["QdrantVector", "mastra_vector_adapter"]


def _connect(url: str, **options: Any) -> QdrantVector:
    from mastra_qdrant.vector import QdrantVector  # noqa: PLC0415 (the driver comes with it)

    return QdrantVector(url=url, id=options.pop("id", "qdrant"), **options)


@hookimpl
def mastra_vector_adapter() -> VectorAdapter:
    """The vector store of Qdrant."""
    return VectorAdapter(
        name="qdrant",
        schemes=("qdrant",),
        connect=_connect,
        drivers=("qdrant_client", "grpc"),
        store="mastra_qdrant.vector:QdrantVector",
    )


def __getattr__(name: str) -> Any:
    if name == "QdrantVector":
        from mastra_qdrant.vector import QdrantVector  # noqa: PLC0415

        return QdrantVector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
