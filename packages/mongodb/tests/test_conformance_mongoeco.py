"""What the contract says of reading and of single rows, on another server, which has other bugs.

It is not made for load: it looks at all documents for each one that is written, and answers nobody
meanwhile. Large writes and many clients at once are what the other two deployments are for.
"""

from __future__ import annotations

import pytest

from mastra_conformance.suite import (
    TestChanges,
    TestConditions,
    TestIncluded,
    TestMessageLists,
    TestOrder,
    TestOrganisationScopes,
    TestPages,
    TestPaths,
    TestPuts,
    TestResourceScopes,
    TestResources,
    TestRows,
    TestRuns,
    TestScoreLists,
    TestScores,
    TestThreadLists,
    TestTraceLists,
    TestValues,
    TestWindows,
)

__all__ = [
    "TestChanges",
    "TestConditions",
    "TestIncluded",
    "TestMessageLists",
    "TestOrder",
    "TestOrganisationScopes",
    "TestPages",
    "TestPaths",
    "TestPuts",
    "TestResourceScopes",
    "TestResources",
    "TestRows",
    "TestRuns",
    "TestScoreLists",
    "TestScores",
    "TestThreadLists",
    "TestTraceLists",
    "TestValues",
    "TestWindows",
]

# The driver leaves a socket whose connecting was cancelled to the interpreter, which closes it at once
# and says so. (A connection that was made and is left open is another warning, and an error.)
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(scope="module")
def storage_factory(mongoeco_stores):
    """Stores on mongoeco."""
    return mongoeco_stores
