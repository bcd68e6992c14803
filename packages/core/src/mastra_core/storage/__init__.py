"""Storage: domains over a narrow waist that any database can implement."""

from mastra_core.storage.store import BackendStore, InMemoryStore, MastraStorage

__all__ = ["BackendStore", "InMemoryStore", "MastraStorage"]
