"""What the tests of all layers share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def conformance_share():
    """The contract in small: what is beneath has it in full."""
    return 0.05
