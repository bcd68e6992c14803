"""Copying messages from libSQL to PostgreSQL beside COPY fed by the bare drivers, in one run.

    hatch run bench:copy
    hatch run bench:copy --rows 200000

Both read the same file and fill a table with the same columns and indexes, each in a database and a
process of its own, by turns; memory is the most that the process had.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from report import figure
from run import database, server
from workload import START, TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = 4000
PER_THREAD = 200
COLUMNS = ("id", "thread_id", "content", "role", "type", "createdAt", "resourceId")
CONTENT = json.dumps({"format": 2, "parts": [{"type": "text", "text": TEXT}]})


def rows(count: int, *, mixed: bool = False) -> Iterator[tuple[Any, ...]]:
    """Messages of many threads, with ids in order of time as ours are, or mixed as the original's."""
    for number in range(count):
        at = START + timedelta(milliseconds=number)
        thread = f"thread-{number % max(1, count // PER_THREAD):08}"
        first = number * 2_654_435_761 % 2**32 if mixed else number
        yield f"{first:010}-{number:025}", thread, CONTENT, "user", "v2", at, "owner"


async def fill(path: Path, count: int, *, mixed: bool = False) -> None:
    """Make the file that all copy from."""
    from mastra_core import open_storage
    from mastra_core.storage.schema import Put
    from mastra_core.storage.tables import MESSAGES

    async with open_storage(f"file:{path}") as storage:
        batch: list[tuple[Any, ...]] = []
        for row in rows(count, mixed=mixed):
            batch.append(row)
            if len(batch) == PAGE:
                await storage.memory.backend.write(Put(MESSAGES, batch))
                batch = []
        if batch:
            await storage.memory.backend.write(Put(MESSAGES, batch))


async def make_tables(url: str) -> None:
    """Make the tables and indexes, which are the same for all."""
    from mastra_core import open_storage

    async with open_storage(url):
        pass


def bare(path: Path, url: str) -> None:
    """Read with libsql and feed COPY with psycopg, in one transaction."""
    import libsql
    import psycopg

    names = ", ".join(f'"{name}"' for name in COLUMNS)
    source = libsql.connect(str(path), isolation_level=None)
    cursor = source.execute(f"SELECT {names} FROM mastra_messages")
    with psycopg.connect(url) as connection, connection.cursor() as target:
        command = f'COPY mastra_messages ({names}, "createdAtZ") FROM STDIN'
        with target.copy(command.encode()) as copying:
            while found := cursor.fetchmany(PAGE):
                for row in found:
                    copying.write_row((*row[:5], row[5][:-1], row[6], row[5]))


async def ours(path: Path, url: str, *, verify: bool) -> None:
    """Copy as ``mastra copy`` does, with its journal in a file."""
    from mastra_core import open_storage
    from mastra_core.transfer import Journal, copy

    journal = Journal(path.with_name("journal.json"))
    async with open_storage(f"file:{path}") as source, open_storage(url) as target:
        found = await copy(source, target, verify=verify, journal=journal, domains=["memory"])
    assert all(table.verified is (True if verify else None) for table in found)


def work(name: str, path: Path, url: str) -> None:
    """Do one copy in this process, and print what it took."""
    asyncio.run(make_tables(url))
    start = perf_counter()
    if name == "bare":
        bare(path, url)
    else:
        asyncio.run(ours(path, url, verify=name == "verified"))
    seconds = perf_counter() - start
    import psycopg

    with psycopg.connect(url) as connection:
        count = connection.execute("SELECT count(*) FROM mastra_messages").fetchone()
    megabytes = peak()
    print(json.dumps({"rows": count and count[0], "seconds": seconds, "megabytes": megabytes}))


def peak() -> float:
    """The most memory that this process had, in MB; what started it is not counted."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(name: str, path: Path, url: str) -> dict[str, float]:
    """One copy in a process of its own, into a database of its own."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / name
        with database(url, f"copy-{name}", place):
            there = (place / "url").read_text()
            command = [sys.executable, __file__, "--work", name, str(path), there]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
            return answer


TITLES = {
    "bare": "bare drivers: libsql, psycopg's COPY",
    "copied": "`copy`, not verified",
    "verified": "`copy`, verified",
}


def main() -> None:
    """Fill a file, copy it by turns, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--mixed", action="store_true", help="ids that know no time, as UUID 4")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        name, path, url = options.work
        work(name, Path(path), url)
        return
    answers: dict[str, list[dict[str, float]]] = {name: [] for name in TITLES}
    with tempfile.TemporaryDirectory(prefix="bench-copy-") as temporary, ExitStack() as servers:
        path = Path(temporary) / "source.db"
        asyncio.run(fill(path, options.rows, mixed=options.mixed))
        url = servers.enter_context(server("postgres", Path(temporary) / "server"))
        for _ in range(options.rounds):
            for name, found in answers.items():
                found.append(measured(name, path, url))
                assert found[-1]["rows"] == options.rows, found[-1]
    print(f"{options.rows:,} messages, {datetime.now(UTC):%Y-%m-%d}")
    print("| | rows a second | to the bare drivers | most memory, MB |\n|---|---|---|---|")
    pace = {
        n: statistics.median(options.rows / a["seconds"] for a in f) for n, f in answers.items()
    }
    for name, title in TITLES.items():
        most = max(answer["megabytes"] for answer in answers[name])
        print(f"| {title} | {pace[name]:,.0f} | {figure(pace[name] / pace['bare'])} | {most:.0f} |")


if __name__ == "__main__":
    main()
