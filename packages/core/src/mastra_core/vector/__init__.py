"""Vector stores: indexes of vectors with metadata, searched by nearness and by filters."""

from mastra_core.vector.base import MastraVector
from mastra_core.vector.inmemory import InMemoryVector
from mastra_core.vector.schema import IndexStats, Match

__all__ = ["InMemoryVector", "IndexStats", "MastraVector", "Match"]
