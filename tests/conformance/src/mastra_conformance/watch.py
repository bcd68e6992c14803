"""The watch over one run: what was collected and what became of it, compared with the manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pytest

from mastra_conformance.lab import Settings
from mastra_conformance.levels import Kind, Status, kind_of
from mastra_conformance.manifest import Manifest
from mastra_conformance.report import Report
from mastra_conformance.subject import Subject

PROPERTY: Final = "mastra_conformance"
MOST: Final = 300
# The fixtures that tests of the suite rest on: one that is overridden makes another test of it.
FIXTURES: Final = (
    "lab",
    "conformance_site",
    "vector_lab",
    "conformance_vector_site",
    "conformance_gap",
)
# What adapters override, each to be tested as what it makes.
FACTORIES: Final[Mapping[Kind, str]] = {"storage": "storage_factory", "vectors": "vector_factory"}


def key_of(item: pytest.Item) -> str | None:
    """``Class::test`` of a test that is the suite's, or that takes the place of one; else ``None``."""
    name = getattr(item, "originalname", None)
    for kind in getattr(getattr(item, "cls", None), "__mro__", ()):
        if "conformance_area" in vars(kind) and name in vars(kind):
            return f"{kind.__name__}::{name}"
    return None


def subject_of(item: pytest.Item) -> tuple[Kind, str]:
    """What a test grades: the kind of its suite, and where the factory is that it is given.

    A run may hold the tests of several adapters; each brings a factory of its own.
    """
    kind = kind_of(item.cls.conformance_area)  # type: ignore[attr-defined]
    known = item.session._fixturemanager.getfixturedefs(FACTORIES[kind], item)  # pyright: ignore[reportPrivateUsage]
    return kind, known[-1].baseid if known else ""


class Watch:
    """Notes of one run; registered as a plugin of its session."""

    def __init__(self, manifest: Manifest, settings: Settings, *, asked: bool) -> None:
        self.manifest = manifest
        self.settings = settings
        self._asked = asked
        self._subjects: dict[tuple[Kind, str], Subject] = {}

    @property
    def active(self) -> bool:
        """Whether this run has anything to do with the suite."""
        return self._asked or bool(self._subjects)

    def _subject(self, kind: Kind, home: str) -> Subject:
        found = self._subjects.get((kind, home))
        if found is None:
            found = self._subjects[kind, home] = Subject(kind, self.manifest)
        return found

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note what was collected, before and behind what others left out."""
        self._note(items)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Note what somebody left out."""
        self._note(items)
        for item in items:
            key = key_of(item)
            if key is not None:
                subject = self._subject(*subject_of(item))
                subject.statuses.setdefault(key, {})[item.nodeid] = (Status.DESELECTED, "")

    def _note(self, items: Iterable[pytest.Item]) -> None:
        for item in items:
            key = key_of(item)
            if key is not None:
                subject = self._subject(*subject_of(item))
                subject.collected.setdefault(key, set()).add(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what became of a test, wherever it ran."""
        for name, found in report.user_properties:
            if name == PROPERTY:
                info: Mapping[str, Any] = found  # type: ignore[assignment]
                subject = self._subject(*info["subject"])
                subject.learned(info, report.duration)
                status, reason = _status(report, info)
                if status is not None:
                    subject.became(info["key"], report.nodeid, status, reason)

    def reports(self) -> list[Report]:
        """Everything that is known of this run, for each adapter; of storage if there was none."""
        subjects = list(self._subjects.values()) or [Subject("storage", self.manifest)]
        return [subject.report(self.settings) for subject in subjects]


def _status(report: pytest.TestReport, info: Mapping[str, Any]) -> tuple[Status | None, str]:
    """What one phase of a test says; ``None`` where it says nothing (a set-up that worked)."""
    text = _said(report)
    marked = hasattr(report, "wasxfail")
    if not info["genuine"]:
        return Status.OVERRIDDEN, "the function or a fixture under it is not the suite's own"
    if info["closed"]:
        return (Status.CLOSED, info["gap"]) if info["gap"] else (Status.XPASSED, text)
    if report.failed:
        return Status.FAILED, text
    if report.skipped and info["not_run"]:
        return Status.NOT_RUN, info["not_run"]
    if report.skipped and marked:
        return (Status.GAP, info["gap"]) if info["gap"] else (Status.XFAILED, str(report.wasxfail))
    if report.skipped:
        return Status.SKIPPED, text
    if marked:
        return Status.XPASSED, str(report.wasxfail)
    return (Status.PASSED, "") if report.when == "call" else (None, "")


def _said(report: pytest.TestReport) -> str:
    """What went wrong, in a line: the beginning of the error, not where it was raised."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = report.longreprtext.strip().rpartition("\n")[2] if crash is None else crash.message
    line = text.strip().partition("\n")[0]
    return line if len(line) <= MOST else f"{line[:MOST]}…"
