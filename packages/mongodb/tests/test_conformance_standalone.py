"""The contract, on a server without transactions."""

from __future__ import annotations

import pytest

from mastra_conformance.suite import *  # noqa: F403

# The driver leaves a socket whose connecting was cancelled to the interpreter, which closes it at once
# and says so. (A connection that was made and is left open is another warning, and an error.)
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(scope="module")
def storage_factory(standalone_stores):
    """Stores on a standalone server."""
    return standalone_stores
