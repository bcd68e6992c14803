"""Memory for agents: what was said, recalled for the next turn by time and by meaning, in any storage."""

from mastra_memory.conversations import CloneMetadata
from mastra_memory.findings import Finding, RecalledPage
from mastra_memory.memory import Memory
from mastra_memory.options import MemoryOptions

__all__ = ["CloneMetadata", "Finding", "Memory", "MemoryOptions", "RecalledPage"]
