"""What a run learns of one adapter: its facts, its declared gaps, and what became of each test."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

import msgspec

from mastra_conformance.lab import Facts, Settings
from mastra_conformance.levels import DOMAINS, Kind, Outcome, Status, kind_of, worst
from mastra_conformance.manifest import Entry, Manifest, digest
from mastra_conformance.report import Report
from mastra_core.storage.backend import Capability

CAPABILITIES: Final = frozenset(capability.name for capability in Capability)


class Subject:
    """Notes of one adapter, graded by the tests of one kind."""

    def __init__(self, kind: Kind, manifest: Manifest) -> None:
        self.kind: Kind = kind
        self.manifest = manifest
        self.statuses: dict[str, dict[str, tuple[Status, str]]] = {}
        self.collected: dict[str, set[str]] = {}
        self._seconds: dict[str, float] = {}
        self._facts = Facts()
        self._gaps: dict[str, str] = {}

    def learned(self, info: Mapping[str, Any], seconds: float) -> None:
        """Note what the report of a test says of the adapter."""
        if info["facts"]:
            facts = msgspec.convert(info["facts"], Facts)
            facts.measured = {**self._facts.measured, **facts.measured}
            self._facts = facts
        self._gaps.update(info["gaps"])
        self._seconds[info["key"]] = self._seconds.get(info["key"], 0.0) + seconds

    def became(self, key: str, nodeid: str, status: Status, reason: str) -> None:
        """Note what became of a test; of several phases the worst counts."""
        runs = self.statuses.setdefault(key, {})
        before = runs.get(nodeid, (Status.PASSED, ""))
        worse = worst([before[0], status]) is not before[0]
        runs[nodeid] = (status, reason) if worse else before

    def _tests(self) -> dict[str, Entry]:
        """The tests that it is graded by."""
        tests = self.manifest.tests.items()
        return {key: entry for key, entry in tests if kind_of(entry.area) == self.kind}

    def gaps(self) -> dict[str, str]:
        """The declared gaps, without those of the package's other adapters."""
        others = _names(key for key in self.manifest.tests if key not in self._tests())
        if self.kind == "vectors":
            others |= CAPABILITIES | set(DOMAINS)
        others -= _names(self._tests())
        return {name: reason for name, reason in self._gaps.items() if name not in others}

    def problems(self) -> list[str]:
        """What is wrong with the declarations themselves, whatever the tests say."""
        known = _names(self.manifest.tests) | CAPABILITIES | set(DOMAINS)
        found: list[str] = []
        for name, reason in self.gaps().items():
            if name not in known:
                found.append(f"the declared gap {name!r} is no test, capability or domain")
            elif not reason:
                found.append(f"the declared gap {name!r} has no reason")
            elif name in self._facts.capabilities:
                found.append(f"{name} is declared as a gap, and as a capability by the backend")
            elif name in self._facts.domains:
                found.append(f"{name} is declared as a gap, but the store has that domain")
        return found

    def outcomes(self) -> list[Outcome]:
        """What became of every test."""
        found: list[Outcome] = []
        for key, entry in self._tests().items():
            runs = list(self.statuses.get(key, {}).values())
            unreached = self.collected.get(key, set()) - set(self.statuses.get(key, {}))
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

    def report(self, settings: Settings) -> Report:
        """Everything that is known of the adapter."""
        return Report(
            kind=self.kind,
            suite=version("mastra-conformance"),
            digest=self.manifest.digest,
            unchanged=digest() == self.manifest.digest,
            core=version("mastra-core"),
            python=platform.python_version(),
            facts=self._facts,
            settings=settings,
            outcomes=self.outcomes(),
            gaps=self.gaps(),
            problems=self.problems(),
        )


def _names(keys: Any) -> set[str]:
    """The names by which tests are known: ``Class::test_…`` and ``test_…``."""
    return {name for key in keys for name in (key, key.partition("::")[2])}
