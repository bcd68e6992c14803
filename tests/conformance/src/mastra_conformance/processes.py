"""Several worker processes behind one barrier."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from mastra_conformance.lab import Lab

PATIENCE = 120.0


class Worker:
    """One process that is ready and waits."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(
        cls, storage: Mapping[str, str], task: str, *, warm: bool, **spec: Any
    ) -> Worker:
        """Start the process, and wait until it has opened its store."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mastra_conformance.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        worker = cls(process)
        assert process.stdin is not None
        given = {"storage": storage, "task": task, "warm": warm, **spec}
        process.stdin.write(json.dumps(given).encode() + b"\n")
        await process.stdin.drain()
        assert await worker.line() == "ready"
        return worker

    async def line(self) -> str:
        """The next line that it says; if it says none, what it complained of."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            line = await self.process.stdout.readline()
            if not line:
                complaint = (await self.process.stderr.read()).decode()
                raise AssertionError(f"a worker process failed:\n{complaint[-2000:]}")
            return line.decode().strip()

    def go(self) -> None:
        """Let it begin."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")

    async def end(self) -> None:
        """Stop it if it still runs, and wait for its end."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()


async def together(
    lab: Lab,
    task: str,
    specs: Sequence[Mapping[str, Any]],
    *,
    warm: bool = True,
    storage: Mapping[str, str] | None = None,
) -> list[Any]:
    """The answers of one process for each spec, all let go at the same moment."""
    where = storage or elsewhere(lab)
    started = [Worker.start(where, task, warm=warm, **spec) for spec in specs]
    workers = await asyncio.gather(*started)
    try:
        for worker in workers:
            worker.go()
        return [json.loads(await worker.line()) for worker in workers]
    finally:
        for worker in workers:
            await worker.end()


def elsewhere(lab: Lab) -> dict[str, str]:
    """How other processes make instances; without a way the test is not run."""
    found = lab.site.elsewhere()
    if found is None:
        lab.not_run(
            "other processes cannot make instances: use --storage URL, give the factory an "
            "attribute url, or make it picklable"
        )
    return found
