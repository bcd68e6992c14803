"""Storage for AI agents: threads, messages, workflows, traces, scores and datasets, on your database.

``Mastra`` and ``Agent`` are what applications build of it; ``open_storage`` opens a store by URL.
"""

from __future__ import annotations

import importlib
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
    from mastra_core.plugins import open_storage, open_vector
    from mastra_core.vector import InMemoryVector, MastraVector

__all__ = [
    "Agent",
    "AuthenticationError",
    "ConfigurationError",
    "ConflictError",
    "CorruptDataError",
    "DomainNotConfigured",
    "InMemoryStore",
    "InMemoryVector",
    "InvalidArgumentError",
    "LimitExceededError",
    "Mastra",
    "MastraError",
    "MastraStorage",
    "MastraVector",
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
    "open_vector",
]


# What not every program needs is loaded when asked for.
_LATER = {
    "Agent": "mastra_core.agent",
    "InMemoryVector": "mastra_core.vector",
    "MastraVector": "mastra_core.vector",
    "open_storage": "mastra_core.plugins",
    "open_vector": "mastra_core.plugins",
}


def __getattr__(name: str) -> Any:
    """Load a name of ``_LATER``."""
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
