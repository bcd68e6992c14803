"""Memory for agents: what was said in a thread, recalled for the next turn, in any storage."""

from mastra_memory.memory import CloneMetadata, Memory
from mastra_memory.options import MemoryOptions

__all__ = ["CloneMetadata", "Memory", "MemoryOptions"]
