"""All tests of the suite: ``from mastra_conformance.suite import *`` in a test module runs them."""

from __future__ import annotations

from mastra_conformance.suite.arrivals import TestArrivals
from mastra_conformance.suite.budgets import TestGrowth, TestRoundTrips
from mastra_conformance.suite.concurrency import TestLostUpdates, TestRaces
from mastra_conformance.suite.conditions import TestConditions, TestPaths
from mastra_conformance.suite.datasets import TestDatasets
from mastra_conformance.suite.experiments import TestExperiments, TestResults
from mastra_conformance.suite.faults import TestCancellation, TestCuts
from mastra_conformance.suite.hostile import TestArguments, TestDiscretion, TestImports, TestValues
from mastra_conformance.suite.items import TestItems
from mastra_conformance.suite.meanwhile import TestReadingWhileWriting
from mastra_conformance.suite.message_lists import TestMessageLists
from mastra_conformance.suite.messages import TestMessages
from mastra_conformance.suite.model import TestModel
from mastra_conformance.suite.observability import TestSpans
from mastra_conformance.suite.pages import TestOrder, TestPages, TestSweep
from mastra_conformance.suite.parallel import TestProcesses
from mastra_conformance.suite.promises import TestCapabilities, TestLife, TestLoops
from mastra_conformance.suite.resources import TestClones, TestResources
from mastra_conformance.suite.runs import TestRuns
from mastra_conformance.suite.scores import TestScoreLists, TestScores
from mastra_conformance.suite.tenancy import TestOrganisationScopes, TestResourceScopes
from mastra_conformance.suite.threads import TestThreadLists, TestThreads
from mastra_conformance.suite.traces import TestTraceLists
from mastra_conformance.suite.waist import TestChanges, TestPuts, TestRows
from mastra_conformance.suite.windows import TestIncluded, TestWindows
from mastra_conformance.suite.workflows import TestSnapshots, TestSteps

__all__ = [
    "TestArguments",
    "TestArrivals",
    "TestCancellation",
    "TestCapabilities",
    "TestChanges",
    "TestClones",
    "TestConditions",
    "TestCuts",
    "TestDatasets",
    "TestDiscretion",
    "TestExperiments",
    "TestGrowth",
    "TestImports",
    "TestIncluded",
    "TestItems",
    "TestLife",
    "TestLoops",
    "TestLostUpdates",
    "TestMessageLists",
    "TestMessages",
    "TestModel",
    "TestOrder",
    "TestOrganisationScopes",
    "TestPages",
    "TestPaths",
    "TestProcesses",
    "TestPuts",
    "TestRaces",
    "TestReadingWhileWriting",
    "TestResourceScopes",
    "TestResources",
    "TestResults",
    "TestRoundTrips",
    "TestRows",
    "TestRuns",
    "TestScoreLists",
    "TestScores",
    "TestSnapshots",
    "TestSpans",
    "TestSteps",
    "TestSweep",
    "TestThreadLists",
    "TestThreads",
    "TestTraceLists",
    "TestValues",
    "TestWindows",
]
