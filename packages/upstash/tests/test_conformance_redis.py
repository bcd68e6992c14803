"""The contract, over Redis's own protocol."""

from __future__ import annotations

from typing import Any

import pytest

from mastra_conformance.suite import *  # noqa: F403


@pytest.fixture(scope="session")
def storage_factory(redis_factory: Any) -> Any:
    """Stores over the protocol of Redis."""
    return redis_factory


@pytest.fixture(scope="session")
def conformance_share() -> float:
    """Little: what differs from the REST API is how the same scripts are sent."""
    return 0.03
