"""Makes tables, ratios and verdicts of what was measured."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from systems import entry

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CELLS = {
    "append_one": "a append 1",
    "append_many": "b append 100",
    "last_1k": "c last 40 of 1k",
    "last_10k": "c of 10k",
    "last_100k": "c of 100k",
    "newest_threads": "d newest 20 of 10,000",
    "save_snapshot": "e save 50 KB",
    "load_snapshot": "e load 50 KB",
}
MOST = 1.5
FLAT = 1.2
BEGIN, END = "<!-- results of run.py on {} -->", "<!-- end of results on {} -->"


class Report:
    """The figures of one run: for every system and cell one list of ms for each round."""

    def __init__(self, database: str, machine: dict[str, str], options: dict[str, Any]) -> None:
        self.database = database
        self.machine = machine
        self.options = options
        self.systems: dict[str, dict[str, Any]] = {}
        self.failed: dict[str, str] = {}
        self.visits: dict[tuple[str, str], list[list[float]]] = {}

    def declare(self, name: str) -> None:
        """Note a system that is to be measured, whether or not it will run."""
        self.systems[name] = {**asdict(entry(name)), "version": "", "absent": []}

    def opened(self, name: str, answer: dict[str, Any]) -> None:
        """Note what the system says of itself."""
        self.systems[name].update(answer)
        if "runtime" in answer:
            self.machine["Node"] = answer["runtime"].removeprefix("Node ")

    def add(self, name: str, cell: str, ms: list[float]) -> None:
        """Note the times of one visit."""
        self.visits.setdefault((name, cell), []).append(ms)

    def median(self, name: str, cell: str) -> float | None:
        """Return the median of the medians of the rounds."""
        rounds = self._rounds(name, cell)
        return statistics.median(rounds) if rounds else None

    def ratio(self, name: str, cell: str, to: str, to_cell: str | None = None) -> float | None:
        """Return the median of the rounds' ratios: both sides were measured moments apart."""
        ours, theirs = self._rounds(name, cell), self._rounds(to, to_cell or cell)
        if not ours or not theirs:
            return None
        return statistics.median(a / b for a, b in zip(ours, theirs, strict=False))

    def markdown(self) -> str:
        """Return the tables and the verdicts."""
        facts = ", ".join(f"{key} {value}" for key, value in self.machine.items())
        rounds, times = self.options["rounds"], self.options["times"]
        return "\n".join(
            [
                f"{facts}; {rounds} rounds of up to {times} runs.",
                "",
                "Milliseconds: median of the rounds (quartiles).",
                "",
                *self._table(self._milliseconds),
                "",
                "Times the bare driver of the same durability: median of the rounds' ratios.",
                "",
                *self._table(self._times_bare),
                "",
                *self._verdicts(),
                *self._not_run(),
            ]
        )

    def json(self) -> str:
        """Return all figures, medians and quartiles of the rounds in ms."""
        cells = {
            name: {
                cell: {
                    "ms": self.median(name, cell),
                    "quartiles": quartiles(self._rounds(name, cell)),
                    "min": min(min(visit) for visit in self.visits[name, cell]),
                    "times_bare": self.ratio(name, cell, self._bare(name)),
                }
                for cell in CELLS
                if (name, cell) in self.visits
            }
            for name in self.systems
        }
        options = {key: self.options[key] for key in ("rounds", "times", "budget")}
        whole = {
            "machine": self.machine,
            "options": options,
            "systems": self.systems,
            "not_run": self.failed,
            "cells": cells,
        }
        return json.dumps(whole, indent=1) + "\n"

    def write(self, folder: Path, text: str) -> None:
        """Put the tables between the marks in README.md, and the figures into results/."""
        readme = folder / "README.md"
        begin, end = BEGIN.format(self.database), END.format(self.database)
        before, _, rest = readme.read_text().partition(begin)
        readme.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}")
        (folder / "results").mkdir(exist_ok=True)
        (folder / "results" / f"{self.database}.json").write_text(self.json())

    def _rounds(self, name: str, cell: str) -> list[float]:
        return [statistics.median(visit) for visit in self.visits.get((name, cell), [])]

    def _bare(self, name: str) -> str:
        """Return the bare driver of the same durability."""
        wanted = self.systems[name]["durability"]
        bare = [n for n, s in self.systems.items() if s["role"] == "bare"]
        return next((n for n in bare if self.systems[n]["durability"] == wanted), "")

    def _title(self, name: str) -> str:
        return str(self.systems[name]["title"]).replace("{version}", self.systems[name]["version"])

    def _table(self, cell_text: Any) -> list[str]:
        rows = [f"| | {' | '.join(CELLS.values())} |", "|---" * (len(CELLS) + 1) + "|"]
        for name in self.systems:
            cells = (cell_text(name, cell) for cell in CELLS)
            rows.append(f"| {self._title(name)} | {' | '.join(cells)} |")
        return rows

    def _milliseconds(self, name: str, cell: str) -> str:
        rounds = self._rounds(name, cell)
        if not rounds:
            return "not run" if name in self.failed else "-"
        low, high = quartiles(rounds)
        return f"{figure(statistics.median(rounds))} ({figure(low)} to {figure(high)})"

    def _times_bare(self, name: str, cell: str) -> str:
        found = self.ratio(name, cell, self._bare(name))
        return "-" if found is None else f"{found:.2f}" if found < 10 else f"{found:.0f}"

    def _verdicts(self) -> list[str]:
        lines: list[str] = []
        for name in self._with("ours"):
            title = self._title(name).strip("*")
            lines.append(f"Verdicts for {title}:")
            lines.append("")
            ratios = {cell: self.ratio(name, cell, self._bare(name)) for cell in CELLS}
            over = [f"{CELLS[c]} {r:.2f}" for c, r in ratios.items() if r and r > MOST]
            lines.append(verdict(f"at most {MOST}x bare", over, any(ratios.values())))
            slower, compared = self._slower(name)
            lines.append(verdict("faster than every peer of its durability", slower, compared))
            flat = self.ratio(name, "last_100k", name, "last_1k")
            text = [f"{flat:.2f}"] if flat and flat > FLAT else []
            lines.append(verdict(f"flat 1k->100k at most {FLAT}x", text, flat is not None))
            lines.append("")
        return lines

    def _slower(self, name: str) -> tuple[list[str], bool]:
        """Return the cells where a peer whose commits wait for the same is faster."""
        durability = self.systems[name]["durability"]
        found: list[str] = []
        compared = False
        for peer in self._with("peer"):
            if self.systems[peer]["durability"] != durability:
                continue
            for cell, called in CELLS.items():
                times = self.ratio(name, cell, peer)
                compared = compared or times is not None
                if times is not None and times >= 1:
                    found.append(f"{called}: {times:.2f} times {self._title(peer)}")
        return found, compared

    def _with(self, role: str) -> list[str]:
        return [name for name, system in self.systems.items() if system["role"] == role]

    def _not_run(self) -> list[str]:
        return [f"- {self._title(n)}: not run: {reason}" for n, reason in self.failed.items()]


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the first and the third quartile."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def figure(ms: float) -> str:
    """Return a number with three digits that count, and no more than three decimals."""
    for bound, digits in ((0.1, 3), (1, 2), (10, 1)):
        if ms < bound:
            return f"{ms:.{digits}f}"
    return f"{ms:,.0f}"


def verdict(claim: str, against: list[str], known: bool) -> str:
    """Return one line: yes, or no and by what."""
    if not known:
        return f"- {claim}: not measured"
    return f"- {claim}: " + ("**yes**" if not against else f"**no** ({'; '.join(against)})")
