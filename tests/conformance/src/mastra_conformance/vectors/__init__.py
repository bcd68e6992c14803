"""All tests of vector stores: ``from mastra_conformance.vectors import *`` in a test module."""

from __future__ import annotations

from mastra_conformance.vectors.changing import TestChangedVectors, TestDeletedVectors
from mastra_conformance.vectors.comparisons import TestComparisons
from mastra_conformance.vectors.filtered import TestFilteredSearch
from mastra_conformance.vectors.hostile import (
    TestVectorArguments,
    TestVectorDiscretion,
    TestVectorImports,
)
from mastra_conformance.vectors.indexes import TestVectorIndexes
from mastra_conformance.vectors.logic import TestLogic
from mastra_conformance.vectors.model import TestRecall, TestVectorPrograms
from mastra_conformance.vectors.payload import TestVectorValues
from mastra_conformance.vectors.scores import TestVectorScores
from mastra_conformance.vectors.searching import TestNearest
from mastra_conformance.vectors.sharing import TestSharedVectors, TestVectorLoops
from mastra_conformance.vectors.storing import TestStoredVectors

__all__ = [
    "TestChangedVectors",
    "TestComparisons",
    "TestDeletedVectors",
    "TestFilteredSearch",
    "TestLogic",
    "TestNearest",
    "TestRecall",
    "TestSharedVectors",
    "TestStoredVectors",
    "TestVectorArguments",
    "TestVectorDiscretion",
    "TestVectorImports",
    "TestVectorIndexes",
    "TestVectorLoops",
    "TestVectorPrograms",
    "TestVectorScores",
    "TestVectorValues",
]
