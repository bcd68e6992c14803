"""What a place of Chroma does, be it a server or a folder: collections, and requests to their records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from mastra_core.storage.loops import Turns

# What Chroma's API takes and gives: the same names by HTTP and in its client.
Body: TypeAlias = dict[str, Any]
Metadata: TypeAlias = dict[str, Any] | None

MISSING: Final = 404
# Who writes to a collection, by its id: Chroma that is written to by several at once puts some vectors
# where no search comes to, until something else changes near them.
WRITERS: Final = Turns()


class RefusedError(Exception):
    """What Chroma answers in place of a result: the status of it by HTTP, and what it says."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """A collection: what requests to its records go to, and how it was made."""

    handle: Any
    metadata: Mapping[str, Any]
    configuration: Mapping[str, Any]
    dimension: int | None

    @property
    def space(self) -> str:
        """How distances are measured."""
        for kind in ("hnsw", "spann"):
            graph: Mapping[str, Any] = self.configuration.get(kind) or {}
            found = graph.get("space")
            if isinstance(found, str):
                return found
        return str(self.metadata.get("hnsw:space", "l2"))


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Records that were asked for, column by column; a column that was not is ``None``."""

    ids: list[str]
    metadatas: list[Metadata] | None = None
    documents: list[str | None] | None = None
    embeddings: list[Any] | None = None
    distances: list[float | None] | None = None


class Service(Protocol):
    """A place of Chroma. What it refuses is a ``RefusedError``."""

    # How many records one request may store or ask for, and how many a search finds.
    batch: int
    results: int
    # Whether vectors of unit length come back as they were given.
    faithful: bool
    # Whether deleting a collection leaves lists of its records behind.
    leaks: bool

    async def find(self, name: str) -> Collection | None:
        """The collection of this name."""
        ...

    async def create(self, name: str, body: Body) -> None:
        """Make a collection."""
        ...

    async def names(self) -> list[str]:
        """The names of all collections."""
        ...

    async def drop(self, name: str) -> None:
        """Delete a collection; one that is not there is no error."""
        ...

    async def count(self, handle: Any) -> int:
        """How many records there are."""
        ...

    async def get(self, handle: Any, body: Body) -> Rows:
        """Records by their ids, or by a filter."""
        ...

    async def query(self, handle: Any, body: Body) -> list[Rows]:
        """For each vector the nearest records."""
        ...

    async def change(self, handle: Any, verb: str, body: Body) -> None:
        """``upsert``, ``update`` or ``delete`` records; vectors are arrays of 32-bit floats."""
        ...

    async def close(self) -> None:
        """Release what was opened; use opens it again."""
        ...
