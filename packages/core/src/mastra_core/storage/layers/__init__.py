"""Layers: what goes around any backend, so that the domains above it work unchanged.

They are given to a store or a domain, ``store.with_layers(Retry(), Encryption(key=…))``; the first
is nearest to the caller, the last nearest to the database.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mastra_core.storage.layers.base import Layer, LayerBackend
    from mastra_core.storage.layers.encryption import Encryption
    from mastra_core.storage.layers.reencryption import reencrypt
    from mastra_core.storage.layers.retry import Retry
    from mastra_core.storage.layers.telemetry import Telemetry
    from mastra_core.storage.layers.timeout import Timeout

__all__ = ["Encryption", "Layer", "LayerBackend", "Retry", "Telemetry", "Timeout", "reencrypt"]

# Stores know the base of all layers; the layers themselves are loaded when they are used.
_MODULES = {
    "Encryption": "encryption",
    "Layer": "base",
    "LayerBackend": "base",
    "Retry": "retry",
    "Telemetry": "telemetry",
    "Timeout": "timeout",
    "reencrypt": "reencryption",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
