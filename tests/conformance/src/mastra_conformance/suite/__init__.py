"""All tests of the suite: ``from mastra_conformance.suite import *`` in a test module runs them."""

from __future__ import annotations

from mastra_conformance.suite.conditions import TestConditions, TestPaths
from mastra_conformance.suite.pages import TestOrder, TestPages
from mastra_conformance.suite.promises import TestCapabilities, TestLife, TestLoops
from mastra_conformance.suite.waist import TestChanges, TestPuts, TestRows

__all__ = [
    "TestCapabilities",
    "TestChanges",
    "TestConditions",
    "TestLife",
    "TestLoops",
    "TestOrder",
    "TestPages",
    "TestPaths",
    "TestPuts",
    "TestRows",
]
