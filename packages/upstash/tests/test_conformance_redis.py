"""The contract, over Redis's own protocol."""

from __future__ import annotations

from typing import Any

import pytest

from mastra_conformance.suite import *  # noqa: F403


@pytest.fixture(scope="session")
def storage_factory(redis_factory: Any) -> Any:
    """Stores over the protocol of Redis."""
    return redis_factory
