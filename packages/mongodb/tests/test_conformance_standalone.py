"""What the contract says of writing, on a server without transactions.

Reading is the same as on the replica set: the same server, and the same requests. So is what several
processes do, to which the stores of ``TestLostUpdates`` and ``TestRaces`` are as foreign as processes are.
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
    TestLife,
    TestLoops,
    TestLostUpdates,
    TestMessages,
    TestModel,
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
    "TestLife",
    "TestLoops",
    "TestLostUpdates",
    "TestMessages",
    "TestModel",
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
