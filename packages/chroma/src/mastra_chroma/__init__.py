"""Vectors in Chroma: on a server, in Chroma Cloud, or in a folder.

Importing this package imports no driver; the names below are loaded when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mastra_core.plugins import VectorAdapter, hookimpl

if TYPE_CHECKING:
    from mastra_chroma.vector import ChromaVector

__all__ = ["ChromaVector", "mastra_vector_adapter"]


def _connect(url: str, **options: Any) -> ChromaVector:
    from mastra_chroma.vector import ChromaVector  # noqa: PLC0415 (the driver comes with it)

    return ChromaVector(url=url, id=options.pop("id", "chroma"), **options)


@hookimpl
def mastra_vector_adapter() -> VectorAdapter:
    """The vector store of Chroma."""
    return VectorAdapter(
        name="chroma",
        schemes=("chroma",),
        connect=_connect,
        drivers=("chromadb", "httpx"),
        store="mastra_chroma.vector:ChromaVector",
    )


def __getattr__(name: str) -> Any:
    if name == "ChromaVector":
        from mastra_chroma.vector import ChromaVector  # noqa: PLC0415

        return ChromaVector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
