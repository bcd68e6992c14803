"""Memory for agents: what was said, recalled for the next turn by time and by meaning, in any storage."""

from mastra_memory.conversations import CloneMetadata
from mastra_memory.findings import Finding, RecalledPage
from mastra_memory.memory import Memory
from mastra_memory.options import MemoryOptions, MessageRange, SemanticRecall
from mastra_memory.processors import (
    MessageProcessor,
    ProcessorError,
    TokenLimiter,
    ToolCallFilter,
)
from mastra_memory.titles import TitleOptions, TitleRequest
from mastra_memory.working_memory import WorkingMemoryOptions

__all__ = [
    "CloneMetadata",
    "Finding",
    "Memory",
    "MemoryOptions",
    "MessageProcessor",
    "MessageRange",
    "ProcessorError",
    "RecalledPage",
    "SemanticRecall",
    "TitleOptions",
    "TitleRequest",
    "TokenLimiter",
    "ToolCallFilter",
    "WorkingMemoryOptions",
]
