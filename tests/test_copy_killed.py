"""A copy that is killed at any moment: it goes on, and nothing is lost, doubled or done again in vain."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from mastra_core import open_storage
from mastra_core.storage.schema import Put, Query
from mastra_core.storage.tables import MESSAGES

ROWS = 12_000
COPY = ["copy", "file:./a.db", "file:./b.db", "--json", "--state", "state.json"]
PROGRAM = f"""
import os, signal, sys
from mastra_core.cli import main
from mastra_core.transfer.journal import Journal
reach = Journal.reach
def killed(journal, name, after, tally, **more):
    if WHEN == "before" and tally.rows > 5000:
        os.kill(os.getpid(), signal.SIGKILL)
    reach(journal, name, after, tally, **more)
    if WHEN == "behind" and tally.rows > 5000:
        os.kill(os.getpid(), signal.SIGKILL)
Journal.reach = killed
sys.argv = ["mastra", *{COPY!r}]
sys.exit(main())
"""


def message(number: int) -> tuple:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=number)
    key = f"{number * 2_654_435_761 % 2**32:08x}-{number}"
    return (key, f"t{number % 7}", f'{{"n":{number}}}', "user", "v2", at, "ada")


async def fill(url: str) -> None:
    async with open_storage(url) as storage:
        rows = [message(number) for number in range(ROWS)]
        await storage.memory.backend.write(Put(MESSAGES, rows))


async def rows_of(url: str) -> list[tuple]:
    async with open_storage(url) as storage:
        return await storage.memory.backend.find(MESSAGES, Query())


@pytest.mark.parametrize("when", ["before", "behind", "any time"])
def test_a_killed_copy_goes_on_and_loses_and_doubles_nothing(when, tmp_path):
    """Before its last page is noted, behind that, or from outside in the middle of anything."""
    source, target = (f"file:{tmp_path}/{name}.db" for name in "ab")
    asyncio.run(fill(source))
    program = f"WHEN = {when!r}\n{PROGRAM}"
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    journal = tmp_path / "state.json"
    if when == "any time":
        # The file is there as soon as the first page is, long before the last one.
        while not journal.exists():
            assert process.poll() is None
            os.sched_yield()
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    noted = json.loads(journal.read_bytes())["mastra_messages"]["rows"]
    there = len(asyncio.run(rows_of(target)))
    assert 0 < noted <= there < ROWS
    assert (there > noted) is (when == "before") or when == "any time"

    done = subprocess.run(
        [sys.executable, "-m", "mastra_core.cli", *COPY],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "going on with a copy that was broken off" in done.stderr
    copied = {table["table"]: table for table in json.loads(done.stdout)["tables"]}[
        "mastra_messages"
    ]
    assert copied["resumed"] == noted
    assert (copied["new"], copied["same"]) == (ROWS - there, there - noted)
    assert copied["verified"] is True
    assert not journal.exists()
    assert asyncio.run(rows_of(target)) == asyncio.run(rows_of(source))
