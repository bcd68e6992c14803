"""Storage for AI agents: threads, messages, workflows, traces, scores and datasets, on your database.

``Mastra`` and ``Agent`` are what applications build of it; ``open_storage`` opens a store by URL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mastra_core.errors import (
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    CorruptDataError,
    DomainNotConfigured,
    InvalidArgumentError,
    LimitExceededError,
    MastraError,
    NotFoundError,
    SchemaError,
    StorageError,
    StreamAbandoned,
    UnavailableError,
    UnsupportedError,
)
from mastra_core.mastra import Mastra
from mastra_core.records import Message, Resource, Thread
from mastra_core.storage.store import InMemoryStore, MastraStorage

if TYPE_CHECKING:
    from mastra_core.agent import Agent
    from mastra_core.plugins import open_storage

__all__ = [
    "Agent",
    "AuthenticationError",
    "ConfigurationError",
    "ConflictError",
    "CorruptDataError",
    "DomainNotConfigured",
    "InMemoryStore",
    "InvalidArgumentError",
    "LimitExceededError",
    "Mastra",
    "MastraError",
    "MastraStorage",
    "Message",
    "NotFoundError",
    "Resource",
    "SchemaError",
    "StorageError",
    "StreamAbandoned",
    "Thread",
    "UnavailableError",
    "UnsupportedError",
    "open_storage",
]


def __getattr__(name: str) -> Any:
    """What not every program needs is loaded when asked for."""
    if name == "open_storage":
        from mastra_core.plugins import open_storage  # noqa: PLC0415

        return open_storage
    if name == "Agent":
        from mastra_core.agent import Agent  # noqa: PLC0415

        return Agent
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
