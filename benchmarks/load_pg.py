"""Turns of 64 agents at once on PostgreSQL: read the last 40 messages, write 2; throughput and latency.

    hatch -e bench run load-pg
    hatch -e bench run load-pg --seconds 10 --only pg-ours,pg-agno

Each system has a process and a database of its own and runs alone, in several rounds by turns. An agent
goes on with its next turn as soon as the last one is done.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from report import figure
from run import NotRunError, Worker, database, say, server, tidied
from systems import entry

AGENTS = 64
OLDER = 100
NAMES = ("pg-bare", "pg-ours", "pg-mastra-ts", "pg-mastra-ts-bare", "pg-agno")


def round_of(name: str, folder: Path, seconds: float, *, seeded: bool) -> dict[str, Any]:
    """Return the answers of one system that had its database and the machine for itself."""
    threads = {f"agent-{number:02}": OLDER for number in range(AGENTS)}
    worker = Worker(name, folder)
    try:
        if not seeded:
            worker.ask(do="seed", sizes=threads)
            tidied(folder)
        return worker.ask(do="load", threads=list(threads), seconds=seconds)
    finally:
        worker.stop()


def line(name: str, rounds: list[dict[str, Any]]) -> str:
    """Return the row of a system: medians of the rounds, and the errors of all."""
    rates = [len(found["ms"]) / found["seconds"] for found in rounds]
    cuts = [statistics.quantiles(found["ms"], n=100) for found in rounds]
    errors = sum(sum(found["errors"].values()) for found in rounds)
    middle, late = (statistics.median(cut[at] for cut in cuts) for at in (49, 98))
    title = entry(name).title.replace(" {version}", "")
    rate = f"{statistics.median(rates):,.0f}"
    return f"| {title} | {rate} | {figure(middle)} | {figure(late)} | {errors} |"


def main() -> None:
    """Seed, run every system in turn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="for each system, in all rounds"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="systems, by name and comma: " + ", ".join(NAMES))
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(NAMES)
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary, ExitStack() as databases:
        url = databases.enter_context(server("postgres", Path(temporary) / "server"))
        for name in names:
            databases.enter_context(database(url, name, Path(temporary) / name))
        for number in range(options.rounds):
            for name in names:
                say(f"\rround {number + 1} of {options.rounds}, {name}            ", end="")
                try:
                    seconds = options.seconds / options.rounds
                    found = round_of(name, Path(temporary) / name, seconds, seeded=number > 0)
                except NotRunError as error:
                    say(f"\n{name}: not run: {error}")
                    continue
                answers[name].append(found)
                for text, times in found["errors"].items():
                    say(f"\n{name}: {times} times {text}")
    say("")
    print("| | turns a second | p50, ms | p99, ms | errors |\n|---|---|---|---|---|")
    for name, rounds in answers.items():
        print(line(name, rounds) if rounds else f"| {entry(name).title} | not run |")


if __name__ == "__main__":
    main()
