"""The contract, on another server without transactions, which has other bugs."""

from __future__ import annotations

import pytest

from mastra_conformance.suite import *  # noqa: F403


@pytest.fixture(scope="module")
def storage_factory(mongoeco_stores):
    """Stores on mongoeco."""
    return mongoeco_stores
