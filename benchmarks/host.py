"""One system in a process of its own: answers JSON lines on standard input with JSON lines.

A system per process keeps what one library allocates, imports or starts from slowing another down.
Requests: `{"do": "seed"}`, `{"do": "open"}`, `{"do": "measure", "cell": …, "times": …, "budget": …}`,
`{"do": "close"}`. Every answer has either `error` or what was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.metadata
import json
import logging
import os
import platform
import sys
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, TextIO

from systems import load
from workload import APPENDED, BATCH, LAST, NEWEST, SIZES, Messages, System, snapshot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Bench:
    """Runs the cells of one system and times them."""

    def __init__(self, system: System) -> None:
        self.system = system
        self._snapshots = 0

    async def seed(self, sizes: dict[str, int] | None = None) -> dict[str, Any]:
        """Write the data, and let go of it; with ``sizes`` threads of these alone."""
        if sizes is not None:
            self.system.sizes, self.system.threads = sizes, 0
        await self.system.seed()
        await self.system.close()
        return {}

    async def open(self) -> dict[str, Any]:
        """Connect, check that the answers have the right size, and say who is measured."""
        self.system.messages = Messages(datetime.now(UTC))
        await self.system.open()
        await self._check()
        # What was imported lives for ever: a collection need not look at it again.
        gc.collect()
        gc.freeze()
        package = self.system.package
        return {
            "package": package,
            "version": importlib.metadata.version(package)
            if package
            else platform.python_version(),
            "settings": self.system.settings,
            "absent": sorted(self.system.absent),
        }

    async def measure(self, cell: str, times: int, budget: float) -> dict[str, Any]:
        """Repeat one cell up to `times` times or until `budget` seconds are over; return the ms.

        The first run of a visit warms the caches that the other systems have emptied. It counts
        only where it alone uses up the budget.
        """
        found: list[float] = []
        spent = 0.0
        for _ in range(times + 1):
            work, argument = self._prepared(cell)
            start = perf_counter()
            await work(argument)
            found.append(perf_counter() - start)
            spent += found[-1]
            if spent > budget:
                break
        return {"ms": [seconds * 1000 for seconds in (found[1:] or found)]}

    async def load(self, threads: list[str], seconds: float) -> dict[str, Any]:
        """Have an agent at each thread take turns at once; return the ms of all, and the errors."""
        self.system.messages = Messages(datetime.now(UTC))
        self.system.sizes = dict.fromkeys(threads, 0)
        await self.system.open()
        gc.freeze()
        found: list[float] = []
        errors: Counter[str] = Counter()
        if self.system.blocking:
            executor = ThreadPoolExecutor(len(threads))
            asyncio.get_running_loop().set_default_executor(executor)
        end = perf_counter() + seconds

        async def agent(thread: str) -> None:
            while (start := perf_counter()) < end:
                try:
                    await self._turn(thread)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
                    errors[f"{type(error).__name__}: {error}"[:200]] += 1
                else:
                    found.append((perf_counter() - start) * 1000)

        start = perf_counter()
        await asyncio.gather(*map(agent, threads))
        spent = perf_counter() - start
        await self.system.close()
        return {"ms": found, "errors": errors, "seconds": spent}

    async def _turn(self, thread: str) -> None:
        """What an agent asks of its memory for one turn: the last 40 messages, and 2 new ones."""
        await self._called(self.system.last, thread)
        batch = self.system.inputs(self.system.messages.of(thread, 2))
        await self._called(self.system.append, batch)

    async def _called(self, work: Callable[[Any], Awaitable[Any]], argument: Any) -> None:
        if self.system.blocking:
            await asyncio.to_thread(_without_a_loop, work, argument)
        else:
            await work(argument)

    async def close(self) -> dict[str, Any]:
        """Let go of the database."""
        await self.system.close()
        return {}

    def _prepared(self, cell: str) -> tuple[Callable[[Any], Awaitable[Any]], Any]:
        if cell == "append_one":
            return self.system.append, self._batch(1)
        if cell == "append_many":
            return self.system.append, self._batch(BATCH)
        if cell.startswith("last_"):
            return self.system.last, cell.removeprefix("last_")
        if cell == "newest_threads":
            return (lambda _: self.system.newest_threads()), None
        if cell == "save_snapshot":
            self._snapshots += 1
            return self.system.save_snapshot, snapshot(self._snapshots)
        return (lambda _: self.system.load_snapshot()), None

    def _batch(self, count: int) -> Any:
        return self.system.inputs(self.system.messages.of(APPENDED[0], count))

    async def _check(self) -> None:
        """Run every cell once, and refuse a system that answers with something else."""
        absent = self.system.absent
        if "append_many" not in absent:
            await self.system.append(self._batch(1))
            await self.system.append(self._batch(BATCH))
        for size in SIZES:
            expect(len(await self.system.last(size)), LAST, f"messages of {size}")
        if "newest_threads" not in absent:
            expect(len(await self.system.newest_threads()), NEWEST, "threads")
        if "save_snapshot" not in absent:
            await self.system.save_snapshot(snapshot())
            expect(await self.system.load_snapshot(), snapshot(), "snapshot")


def _without_a_loop(work: Callable[[Any], Any], argument: Any) -> None:
    """Run a method that is async by its interface only: it never waits."""
    with contextlib.suppress(StopIteration):
        work(argument).send(None)


def expect(found: object, wanted: object, what: str) -> None:
    """Raise unless the answer is what it must be."""
    if found != wanted:
        raise AssertionError(f"{what}: {str(found)[:200]} is not {str(wanted)[:200]}")


async def serve(bench: Bench, answers: TextIO) -> None:
    """Answer requests until standard input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = await getattr(bench, request.pop("do"))(**request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the runner reports it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def main() -> None:
    """Serve the system that the first argument names, with files in the second."""
    # Standard output belongs to the answers, whatever a library prints.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    try:
        system = load(sys.argv[1])(Path(sys.argv[2]))
    except Exception as error:  # noqa: BLE001 - a system that cannot be imported is a row
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers, flush=True)
        return
    print(json.dumps({}), file=answers, flush=True)
    asyncio.run(serve(Bench(system), answers))


if __name__ == "__main__":
    main()
