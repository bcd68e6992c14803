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
    TestModel,
    TestOrder,
    TestOrganisationScopes,
    TestPages,
    TestPaths,
    TestPuts,
    TestResources,
    TestResourceScopes,
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
    "TestModel",
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


@pytest.fixture(scope="module")
def storage_factory(mongoeco_stores):
    """Stores on mongoeco."""
    return mongoeco_stores
