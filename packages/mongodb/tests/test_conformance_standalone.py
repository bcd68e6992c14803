"""The contract, on a server without transactions."""

from __future__ import annotations

import pytest

from mastra_conformance.suite import *  # noqa: F403


@pytest.fixture(scope="module")
def storage_factory(standalone_stores):
    """Stores on a standalone server."""
    return standalone_stores
