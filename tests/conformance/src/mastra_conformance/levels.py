"""What became of each test, and what level that makes: data that the report is made of."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeAlias

import msgspec

Tier: TypeAlias = Literal["base", "core", "full"]
Level: TypeAlias = Literal["none", "partial", "core", "full", "INCOMPLETE"]

# What is graded as one: an adapter of storage, or a vector store. Which of them a run grades is
# decided by what was collected.
Kind: TypeAlias = Literal["storage", "vectors"]
# The domains first, then what is tested across them. A new part of a suite is a new line here.
SUITES: Final[Mapping[Kind, Mapping[str, str]]] = {
    "storage": {
        "waist": "the four operations on rows, and the declared capabilities",
        "memory": "threads, messages, resources, clones",
        "workflows": "snapshots of workflow runs",
        "scores": "what scorers judged",
        "observability": "spans and traces",
        "datasets": "versioned items",
        "experiments": "runs over datasets and their results",
        "model": "random programs, side by side with the reference",
        "concurrency": "several instances and processes at once",
        "faults": "cut connections, cancelled tasks, retries",
        "tenancy": "nothing of one resource or organisation reaches another",
        "hostile": "values and arguments that break what is careless",
        "budgets": "cost per call, at any size",
    },
    "vectors": {
        "vectors": "indexes; storing, finding, changing and deleting vectors; what scores mean",
        "filters": "the filter language, and as many results as match",
        "vector model": "random programs, side by side with the reference; recall",
        "vector sharing": "several instances, tasks and loops at once",
        "vector hostile": "values and arguments that break what is careless",
    },
}
AREAS: Final[Mapping[str, str]] = {**SUITES["storage"], **SUITES["vectors"]}
DOMAINS: Final = ("memory", "workflows", "scores", "observability", "datasets", "experiments")


def kind_of(area: str) -> Kind:
    """The suite that an area belongs to."""
    return "vectors" if area in SUITES["vectors"] else "storage"


class Status(enum.Enum):
    """What became of one test of the suite."""

    PASSED = "passed"
    FAILED = "failed"
    GAP = "declared gap"
    CLOSED = "declared gap that has closed"
    NOT_RUN = "not run: the adapter gives no way to"
    SKIPPED = "skipped by somebody else"
    XFAILED = "expected to fail by a mark that is no declared gap"
    XPASSED = "passed although a mark, that is no declared gap, expects it to fail"
    OVERRIDDEN = "overridden: what ran is not the suite's own"
    DESELECTED = "deselected"
    MISSING = "never collected"
    UNREACHED = "collected, but the run ended before it"


# The run says nothing about the adapter where one of these occurred: its level is INCOMPLETE.
TAMPERED: Final = frozenset(
    {
        Status.SKIPPED,
        Status.XFAILED,
        Status.XPASSED,
        Status.OVERRIDDEN,
        Status.DESELECTED,
        Status.MISSING,
        Status.UNREACHED,
    }
)
# From bad to good: of several runs of one test (parametrised factories) the first counts.
SEVERITY: Final = (
    Status.OVERRIDDEN,
    Status.FAILED,
    Status.CLOSED,
    Status.SKIPPED,
    Status.XFAILED,
    Status.XPASSED,
    Status.UNREACHED,
    Status.DESELECTED,
    Status.MISSING,
    Status.GAP,
    Status.NOT_RUN,
    Status.PASSED,
)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One test: where it belongs, what became of it, why, and how long it took."""

    test: str
    area: str
    tier: Tier
    status: Status
    reason: str = ""
    seconds: float = 0.0


def worst(statuses: Iterable[Status]) -> Status:
    """The status that counts of several runs of the same test."""
    return min(statuses, key=SEVERITY.index)


def level(outcomes: Iterable[Outcome]) -> Level:
    """The level of one area.

    ``full`` is that every test passed, ``core`` that all but those of the full tier did,
    ``partial`` that at least what everything else rests on works, and ``none`` is the rest.
    """
    given = list(outcomes)
    if not given or any(outcome.status in TAMPERED for outcome in given):
        return "INCOMPLETE"
    lost = {outcome.tier for outcome in given if outcome.status is not Status.PASSED}
    if not lost:
        return "full"
    if "base" in lost or not any(outcome.tier == "base" for outcome in given):
        return "none"
    return "partial" if "core" in lost else "core"


def overall(levels: Mapping[str, Level]) -> Level:
    """One level for all areas: the lowest, but ``partial`` as soon as some area has any."""
    found = list(levels.values())
    if "INCOMPLETE" in found:
        return "INCOMPLETE"
    for name in ("full", "core"):
        passing = {"full"} if name == "full" else {"full", "core"}
        if passing.issuperset(found):
            return name
    return "partial" if set(found) - {"none"} else "none"
