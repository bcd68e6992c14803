"""The report of a run, as data, Markdown and a badge, and the matrix made of several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

import msgspec

from mastra_conformance.lab import Facts, Settings
from mastra_conformance.levels import (
    SUITES,
    TAMPERED,
    Kind,
    Level,
    Outcome,
    Status,
    level,
    overall,
)

RANKS: Final[Mapping[Level, int]] = {
    "INCOMPLETE": -1,
    "none": 0,
    "partial": 1,
    "core": 2,
    "full": 3,
}
COLOURS: Final[Mapping[Level, str]] = {
    "full": "#2ea44f",
    "core": "#0969da",
    "partial": "#bf8700",
    "none": "#cf222e",
    "INCOMPLETE": "#6e7781",
}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a run says of one adapter; ``unchanged`` is that the suite is as it was released.

    ``kind`` is the suite that it was graded by, and ``outcomes`` has all tests of that one.
    """

    kind: Kind = "storage"
    suite: str
    digest: str
    unchanged: bool
    core: str
    python: str
    facts: Facts
    settings: Settings
    outcomes: list[Outcome]
    gaps: dict[str, str]
    problems: list[str]

    @property
    def levels(self) -> dict[str, Level]:
        """The level of each area."""
        by_area: dict[str, list[Outcome]] = {area: [] for area in SUITES[self.kind]}
        for outcome in self.outcomes:
            by_area[outcome.area].append(outcome)
        if not self.unchanged:
            return dict.fromkeys(by_area, "INCOMPLETE")
        return {area: level(found) for area, found in by_area.items()}

    @property
    def level(self) -> Level:
        """The level of the whole."""
        return overall(self.levels)

    def reaches(self, wanted: Level) -> bool:
        """Whether the level is this one or a higher one."""
        return RANKS[self.level] >= RANKS[wanted] and not self.problems

    def of(self, *statuses: Status) -> list[Outcome]:
        """The tests of which one of these became."""
        return [outcome for outcome in self.outcomes if outcome.status in statuses]

    def summary(self) -> list[str]:
        """A few lines for the terminal."""
        counts = Counter(outcome.status for outcome in self.outcomes)
        lines = [
            (
                f"{self.facts.adapter or 'no adapter'} {self.facts.version}: {self.level}"
                f"  (seed {self.settings.seed})"
            ),
            "  ".join(f"{area} {found}" for area, found in self.levels.items()),
            ", ".join(f"{counts[s]} {s.value}" for s in Status if counts[s]),
        ]
        if not self.unchanged:
            lines.append("the suite's files are not those of its manifest")
        lines += [f"{outcome.test}: {outcome.status.value}" for outcome in self.of(*TAMPERED)[:5]]
        more = len(self.of(*TAMPERED)) - 5
        return [*lines, *([f"… and {more} more"] if more > 0 else []), *self.problems]

    def markdown(self) -> str:
        """The report for people."""
        facts = self.facts
        head = [
            f"# Conformance of {facts.adapter or 'no adapter'} {facts.version}: {self.level}",
            "",
            *self._described(),
            (
                f"- mastra-conformance {self.suite} ({self.digest}), mastra-core {self.core}, "
                f"Python {self.python}"
            ),
            (
                f"- seed {self.settings.seed}, {self.settings.rows:,} rows in the large budgets, "
                f"{self.settings.rounds} rounds of races, {self.settings.seconds:g} seconds of programs"
            ),
            "",
            *_table(
                ("area", "level", "passed", "tests", "what it tests"),
                [
                    (a, found, *self._passed(a), SUITES[self.kind][a])
                    for a, found in self.levels.items()
                ],
            ),
        ]
        return "\n".join([*head, *self._details(), ""])

    def _described(self) -> list[str]:
        facts = self.facts
        if self.kind == "vectors":
            return [
                f"- {'exact' if facts.exact else 'approximate'} search by {', '.join(facts.metrics)}",
                f"- operators of filters: {' '.join(facts.operators)}",
            ]
        return [
            f"- backend {facts.backend}{' on ' + facts.server if facts.server else ''}",
            f"- capabilities: {', '.join(facts.capabilities) or 'none'}",
        ]

    def _passed(self, area: str) -> tuple[str, str]:
        found = [outcome for outcome in self.outcomes if outcome.area == area]
        return str(sum(o.status is Status.PASSED for o in found)), str(len(found))

    def _details(self) -> list[str]:
        lines: list[str] = []
        if not self.unchanged:
            lines += ["", "The suite's files are not those of its manifest; nothing is graded."]
        if self.problems:
            lines += ["", "## Wrong declarations", "", *(f"- {p}" for p in self.problems)]
        if self.gaps:
            rows = [(name, reason) for name, reason in self.gaps.items()]
            lines += ["", "## Declared gaps", "", *_table(("gap", "reason"), rows)]
        odd = [outcome for outcome in self.outcomes if outcome.status is not Status.PASSED]
        if odd:
            failed = [(o.test, o.tier, o.status.value, o.reason) for o in odd]
            head = ("test", "tier", "what became of it", "reason")
            lines += ["", "## Tests that did not pass", "", *_table(head, failed)]
        if self.facts.measured:
            measured = [(name, f"{value:g}") for name, value in self.facts.measured.items()]
            lines += ["", "## Measured", "", *_table(("what", "value"), measured)]
        return lines

    def badge(self) -> str:
        """The level as an SVG picture."""
        left = "mastra vectors" if self.kind == "vectors" else "mastra conformance"
        right = self.level
        a, b = 6 * len(left) + 20, 7 * len(right) + 20
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{a + b}" height="20" role="img" '
            f'aria-label="{left}: {right}"><title>{left}: {right}</title>'
            f'<rect width="{a}" height="20" fill="#24292f"/>'
            f'<rect x="{a}" width="{b}" height="20" fill="{COLOURS[right]}"/>'
            '<g fill="#fff" text-anchor="middle" font-family="Verdana,sans-serif" font-size="11">'
            f'<text x="{a / 2:g}" y="14">{left}</text>'
            f'<text x="{a + b / 2:g}" y="14">{escape(right)}</text></g></svg>\n'
        )

    def json(self) -> bytes:
        """The report for programs; ``Report.read`` takes it back."""
        data = msgspec.to_builtins(self)
        data |= {"level": self.level, "levels": self.levels}
        return msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n"

    def write(self, directory: Path, suffix: str = "") -> None:
        """Write the report as ``.md``, ``.json`` and ``.svg``: ``conformance…``, or ``vectors…``."""
        directory.mkdir(parents=True, exist_ok=True)
        name = ("vectors" if self.kind == "vectors" else "conformance") + suffix
        (directory / f"{name}.md").write_text(self.markdown(), encoding="utf-8")
        (directory / f"{name}.json").write_bytes(self.json())
        (directory / f"{name}.svg").write_text(self.badge(), encoding="utf-8")

    @staticmethod
    def read(path: Path) -> Report:
        """A report that was written; levels are worked out again, not believed."""
        return msgspec.json.decode(path.read_bytes(), type=Report)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join([cell.replace('|', '&#124;') for cell in cells])} |"

    return [line(head), line(["---"] * len(head)), *(line(row) for row in rows)]


def support_matrix(reports: Iterable[Report]) -> str:
    """Markdown tables of several adapters, one of storage and one of vector stores.

    They have the levels of the areas, what each declares that it can do, and the number of gaps.
    """
    found = sorted(reports, key=lambda report: report.facts.adapter)
    tables: list[str] = []
    for kind in SUITES:
        column = [report for report in found if report.kind == kind]
        if column:
            tables.append("\n".join(_matrix(kind, column)) + "\n")
    return "\n".join(tables)


def _matrix(kind: Kind, found: Sequence[Report]) -> list[str]:
    head = ["", *(report.facts.adapter for report in found)]
    rows = [["**overall**", *(f"**{report.level}**" for report in found)]]
    rows += [[area, *(report.levels[area] for report in found)] for area in SUITES[kind]]
    for name in sorted({name for report in found for name in _abilities(report)}):
        rows.append([f"`{name}`", *("yes" if name in _abilities(r) else "no" for r in found)])
    if kind == "vectors":
        rows.append(["search", *("exact" if r.facts.exact else "approximate" for r in found)])
    gaps = [str(len(report.of(Status.GAP))) for report in found]
    rows.append(["declared gaps", *gaps])
    return _table(head, rows)


def _abilities(report: Report) -> list[str]:
    facts = report.facts
    return [*facts.capabilities, *facts.metrics, *facts.operators]
