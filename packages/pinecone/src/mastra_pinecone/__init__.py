"""Vectors in Pinecone.

Importing this package imports no driver; the names below are loaded when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mastra_core.plugins import VectorAdapter, hookimpl

if TYPE_CHECKING:
    from mastra_pinecone.vector import PineconeVector

__all__ = ["PineconeVector", "mastra_vector_adapter"]


def _connect(url: str, **options: Any) -> PineconeVector:
    # (The driver comes with them.)
    from mastra_pinecone.settings import options_of  # noqa: PLC0415
    from mastra_pinecone.vector import PineconeVector  # noqa: PLC0415

    given: dict[str, Any] = {"id": "pinecone", **options_of(url), **options}
    return PineconeVector(**given)


@hookimpl
def mastra_vector_adapter() -> VectorAdapter:
    """The vector store of Pinecone."""
    return VectorAdapter(
        name="pinecone",
        schemes=("pinecone",),
        connect=_connect,
        drivers=("pinecone", "httpx"),
        store="mastra_pinecone.vector:PineconeVector",
    )


def __getattr__(name: str) -> Any:
    if name == "PineconeVector":
        from mastra_pinecone.vector import PineconeVector  # noqa: PLC0415

        return PineconeVector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
