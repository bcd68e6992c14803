"""What the contract says of statements, values and errors, over the other driver.

What several stores and processes do to each other is the database's, and is tested over the first one.
"""

from __future__ import annotations

import pytest

from mastra_conformance.suite import (
    TestCancellation,
    TestCapabilities,
    TestChanges,
    TestConditions,
    TestIncluded,
    TestLife,
    TestLoops,
    TestMessages,
    TestModel,
    TestOrder,
    TestPages,
    TestPaths,
    TestPuts,
    TestRows,
    TestSnapshots,
    TestValues,
)

__all__ = [
    "TestCancellation",
    "TestCapabilities",
    "TestChanges",
    "TestConditions",
    "TestIncluded",
    "TestLife",
    "TestLoops",
    "TestMessages",
    "TestModel",
    "TestOrder",
    "TestPages",
    "TestPaths",
    "TestPuts",
    "TestRows",
    "TestSnapshots",
    "TestValues",
]


@pytest.fixture(scope="module")
def storage_factory(pyodbc_stores):
    """Stores over pyodbc."""
    return pyodbc_stores
