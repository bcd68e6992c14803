"""The watch over one run: what was collected and what became of it, compared with the manifest."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, Final

import msgspec
import pytest

from mastra_conformance.lab import Facts, Settings
from mastra_conformance.levels import DOMAINS, Outcome, Status, worst
from mastra_conformance.manifest import Manifest, digest
from mastra_conformance.report import Report
from mastra_core.storage.backend import Capability

PROPERTY: Final = "mastra_conformance"
MOST: Final = 300
# The fixtures that tests of the suite rest on: one that is overridden makes another test of it.
FIXTURES: Final = ("lab", "conformance_site", "conformance_gap")


def key_of(item: pytest.Item) -> str | None:
    """``Class::test`` of a test that is the suite's, or that takes the place of one; else ``None``."""
    name = getattr(item, "originalname", None)
    for kind in getattr(getattr(item, "cls", None), "__mro__", ()):
        if "conformance_area" in vars(kind) and name in vars(kind):
            return f"{kind.__name__}::{name}"
    return None


class Watch:
    """Notes of one run; registered as a plugin of its session."""

    def __init__(self, manifest: Manifest, settings: Settings, *, asked: bool) -> None:
        self.manifest = manifest
        self.settings = settings
        self._asked = asked
        self._statuses: dict[str, dict[str, tuple[Status, str]]] = {}
        self._seconds: dict[str, float] = {}
        self._collected: dict[str, set[str]] = {}
        self._facts = Facts()
        self._gaps: dict[str, str] = {}

    @property
    def active(self) -> bool:
        """Whether this run has anything to do with the suite."""
        return self._asked or bool(self._collected or self._statuses)

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
                self._statuses.setdefault(key, {})[item.nodeid] = (Status.DESELECTED, "")

    def _note(self, items: Iterable[pytest.Item]) -> None:
        for item in items:
            key = key_of(item)
            if key is not None:
                self._collected.setdefault(key, set()).add(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what became of a test, wherever it ran."""
        for name, info in report.user_properties:
            if name == PROPERTY:
                self._reported(report, info)  # type: ignore[arg-type]

    def _reported(self, report: pytest.TestReport, info: Mapping[str, Any]) -> None:
        key = info["key"]
        if info["facts"]:
            facts = msgspec.convert(info["facts"], Facts)
            facts.measured = {**self._facts.measured, **facts.measured}
            self._facts = facts
        self._gaps.update(info["gaps"])
        self._seconds[key] = self._seconds.get(key, 0.0) + report.duration
        status, reason = _status(report, info)
        if status is not None:
            runs = self._statuses.setdefault(key, {})
            before = runs.get(report.nodeid, (Status.PASSED, ""))
            worse = worst([before[0], status]) is not before[0]
            runs[report.nodeid] = (status, reason) if worse else before

    def problems(self) -> list[str]:
        """What is wrong with the declarations themselves, whatever the tests say."""
        tests = {name for key in self.manifest.tests for name in (key, key.partition("::")[2])}
        capabilities = {c.name for c in Capability}
        found: list[str] = []
        for name, reason in self._gaps.items():
            if name not in tests | capabilities | set(DOMAINS):
                found.append(f"the declared gap {name!r} is no test, capability or domain")
            elif not reason:
                found.append(f"the declared gap {name!r} has no reason")
            elif name in self._facts.capabilities:
                found.append(f"{name} is declared as a gap, and as a capability by the backend")
            elif name in self._facts.domains:
                found.append(f"{name} is declared as a gap, but the store has that domain")
        return found

    def outcomes(self) -> list[Outcome]:
        """What became of every test of the manifest."""
        found: list[Outcome] = []
        for key, entry in self.manifest.tests.items():
            runs = list(self._statuses.get(key, {}).values())
            unreached = self._collected.get(key, set()) - set(self._statuses.get(key, {}))
            if unreached:
                runs.append((Status.UNREACHED, ""))
            status = worst([status for status, _ in runs] or [Status.MISSING])
            reason = next((why for seen, why in runs if seen is status and why), "")
            found.append(
                Outcome(
                    test=key,
                    area=entry.area,
                    tier=entry.tier,
                    status=status,
                    reason=reason,
                    seconds=round(self._seconds.get(key, 0.0), 4),
                )
            )
        return found

    def report(self) -> Report:
        """Everything that is known of this run."""
        unchanged = digest() == self.manifest.digest
        return Report(
            suite=version("mastra-conformance"),
            digest=self.manifest.digest,
            unchanged=unchanged,
            core=version("mastra-core"),
            python=platform.python_version(),
            facts=self._facts,
            settings=self.settings,
            outcomes=self.outcomes(),
            gaps=dict(self._gaps),
            problems=self.problems(),
        )


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
