"""How reading and appending change from a thread of 1,000 messages to one of 100,000.

    python benchmarks/growth.py

The bare driver and we, on a file of our own each that holds one thread of every size. All sizes are
visited in turns, so that a change of the machine's pace meets all of them alike.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from report import figure
from systems import load
from systems.tables import fill
from workload import LAST, Messages, System

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = {f"{size:,}": size for size in (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)}
CELLS = ("last 40", "append 1")
NAMES = {"libsql": "bare", "ours": "ours"}
TIMES = 10


async def visit(system: System, cell: str, thread: str) -> float:
    """Return the median ms of some runs, after one that warms up."""
    found: list[float] = []
    for _ in range(TIMES + 1):
        if cell == "last 40":
            start = perf_counter()
            rows: Sequence[Any] = await system.last(thread)
            found.append(perf_counter() - start)
            assert len(rows) == LAST
        else:
            batch = system.inputs(system.messages.of(thread, 1))
            start = perf_counter()
            await system.append(batch)
            found.append(perf_counter() - start)
    return statistics.median(found[1:]) * 1000


async def measure(folder: Path, rounds: int) -> dict[tuple[str, str, str], list[float]]:
    """Return the ms of every round for each cell, system and size."""
    systems: dict[str, System] = {}
    for name in NAMES:
        (folder / name).mkdir()
        await fill(folder / name / "mastra.db", Messages(), sizes=SIZES, threads=0)
        systems[name] = load(name)(folder / name)
        systems[name].messages = Messages(datetime.now(UTC))
        await systems[name].open()
    gc.collect()
    gc.freeze()
    found: dict[tuple[str, str, str], list[float]] = {}
    for _ in range(rounds):
        for cell in CELLS:
            for size in SIZES:
                for name, system in systems.items():
                    ms = await visit(system, cell, size)
                    found.setdefault((cell, name, size), []).append(ms)
    for system in systems.values():
        await system.close()
    return found


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="growth-") as temporary:
        found = asyncio.run(measure(Path(temporary), options.rounds))
    print(f"| ms | {' | '.join(SIZES)} | last / first |")
    print("|---" * (len(SIZES) + 2) + "|")
    first, *_, last = SIZES
    for cell in CELLS:
        for name, called in NAMES.items():
            row = " | ".join(figure(statistics.median(found[cell, name, size])) for size in SIZES)
            pairs = zip(found[cell, name, last], found[cell, name, first], strict=True)
            growth = statistics.median(a / b for a, b in pairs)
            print(f"| {cell}, {called} | {row} | {growth:.2f} |")


if __name__ == "__main__":
    main()
