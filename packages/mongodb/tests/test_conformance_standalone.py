"""What the contract says of writing, on a server without transactions.

Reading is the same as on the replica set: the same server, and the same requests.
"""

from __future__ import annotations

import pytest

from mastra_conformance.suite import (
    TestCancellation,
    TestCapabilities,
    TestChanges,
    TestClones,
    TestCuts,
    TestDatasets,
    TestExperiments,
    TestItems,
    TestLife,
    TestLoops,
    TestLostUpdates,
    TestMessages,
    TestModel,
    TestProcesses,
    TestPuts,
    TestRaces,
    TestReadingWhileWriting,
    TestResults,
    TestSnapshots,
    TestSteps,
    TestThreads,
)

__all__ = [
    "TestCancellation",
    "TestCapabilities",
    "TestChanges",
    "TestClones",
    "TestCuts",
    "TestDatasets",
    "TestExperiments",
    "TestItems",
    "TestLife",
    "TestLoops",
    "TestLostUpdates",
    "TestMessages",
    "TestModel",
    "TestProcesses",
    "TestPuts",
    "TestRaces",
    "TestReadingWhileWriting",
    "TestResults",
    "TestSnapshots",
    "TestSteps",
    "TestThreads",
]


@pytest.fixture(scope="module")
def storage_factory(standalone_stores):
    """Stores on a standalone server."""
    return standalone_stores
