"""Runs all systems side by side on the same work and prints tables, ratios and verdicts.

python benchmarks/run.py            everything on SQLite
python benchmarks/run.py pg         everything on PostgreSQL
python benchmarks/run.py --only libsql,ours --rounds 60
python benchmarks/run.py --write    also into README.md and results/
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import select
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from report import CELLS, Report
from systems import SERVERS, SYSTEMS, entry
from workload import (
    APPENDED,
    BATCH,
    LAST,
    NEWEST,
    OWNER,
    SIZES,
    START,
    TEXT,
    THREADS,
    USER,
    snapshot,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).parent
INTEROP = HERE.parent / "tests" / "interop"
PATIENCE = 600.0


class NotRunError(Exception):
    """A system could not be installed, started or measured; the text is the reason."""


class Worker:
    """A system's own process: a request is one line of JSON, so is the answer."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            command(name, folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=HERE,
            env={**os.environ, "OPENAI_AGENTS_DISABLE_TRACING": "1"},
        )
        self._receive()

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer; what fails is `NotRunError`."""
        self._stream("stdin").write(json.dumps(request).encode() + b"\n")
        self._stream("stdin").flush()
        return self._receive()

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _receive(self) -> dict[str, Any]:
        answers = self._stream("stdout")
        if not select.select([answers], [], [], PATIENCE)[0]:
            self.stop()
            raise NotRunError(f"no answer within {PATIENCE:.0f} s")
        line = answers.readline()
        if not line:
            raise NotRunError(f"the process ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise NotRunError(answer["error"])
        return answer

    def _stream(self, name: str) -> IO[bytes]:
        stream: IO[bytes] | None = getattr(self._process, name)
        assert stream is not None
        return stream


def command(name: str, folder: Path) -> list[str]:
    """Return how the process of a system is started."""
    module = entry(name).source
    if not module.endswith(".mjs"):
        return [sys.executable, str(HERE / "host.py"), name, str(folder)]
    workload = {
        "sizes": SIZES,
        "appended": APPENDED[0],
        "appended_size": APPENDED[1],
        "threads": THREADS,
        "last": LAST,
        "newest": NEWEST,
        "batch": BATCH,
        "owner": OWNER,
        "user": USER,
        "text": TEXT,
        "start": START.timestamp() * 1000,
        "snapshot": snapshot(),
    }
    script = str(HERE / "systems" / module)
    return [node(), script, str(folder), str(INTEROP), json.dumps(workload), entry(name).options]


def node() -> str:
    """Return a Node that the original runs on, installed with the packages of tests/interop."""
    spec = importlib.util.spec_from_file_location("original", INTEROP / "original.py")
    if spec is None or spec.loader is None or not (INTEROP / "original.py").exists():
        raise NotRunError("tests/interop is not there")
    original = importlib.util.module_from_spec(spec)
    sys.modules["original"] = original
    spec.loader.exec_module(original)
    try:
        return str(original.install())
    except original.UnavailableOriginalError as error:
        raise NotRunError(str(error)) from error


@contextmanager
def server(name: str, folder: Path) -> Iterator[str]:
    """Start the server of a database; its address, which a variable of tests/backends may name."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from backends import start

    folder.mkdir()
    with start(name, folder) as address:
        yield address.url


@contextmanager
def database(url: str, name: str, folder: Path) -> Iterator[None]:
    """Make a database for one system, and tell it in its folder where that is; dropped at the end."""
    import psycopg

    made = f"bench_{os.getpid()}_{name.replace('-', '_')}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {made}")
    folder.mkdir(parents=True)
    (folder / "url").write_text(urlsplit(url)._replace(path=f"/{made}").geturl())
    try:
        yield
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {made} WITH (FORCE)")


def tidied(folder: Path) -> None:
    """Have a server do at once what it would do later, while others are measured."""
    if (folder / "url").exists():
        import psycopg

        with psycopg.connect((folder / "url").read_text(), autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")


def seed(name: str, folder: Path) -> str | None:
    """Write the data of one system; return why it could not be done, if it could not."""
    if (folder / "seeded").exists():
        return None
    if not (folder / "url").exists():
        shutil.rmtree(folder, ignore_errors=True)
    try:
        worker = Worker(name, folder)
        worker.ask(do="seed")
        worker.stop()
        tidied(folder)
    except (NotRunError, OSError) as error:
        return str(error)
    (folder / "seeded").touch()
    return None


def opened(name: str, kept: Path, temporary: Path, reason: str | None, report: Report) -> Worker:
    """Start a system on a copy of its data, and let it check its answers."""
    if reason is not None:
        raise NotRunError(reason)
    folder = temporary / "used" / name
    shutil.copytree(kept / name, folder)
    worker = Worker(name, folder)
    try:
        report.opened(name, worker.ask(do="open"))
    except NotRunError:
        worker.stop()
        raise
    return worker


def rotated(items: Sequence[str], by: int) -> Iterator[str]:
    """Return the items from another one on in every round, so that none is always first."""
    return iter([*items[by % len(items) :], *items[: by % len(items)]])


def measure(workers: dict[str, Worker], report: Report, options: argparse.Namespace) -> None:
    """Visit every system for every cell in every round; those that sync the disk among themselves.

    What the others leave to write would be paid for by whoever syncs next.
    """
    for durability in ("full", "normal"):
        names = [name for name in workers if report.systems[name]["durability"] == durability]
        for number in range(options.rounds if names else 0):
            say(f"\rround {number + 1} of {options.rounds}, {durability} ", end="")
            for cell in CELLS:
                for name in rotated(names, number):
                    if name in workers and cell not in report.systems[name]["absent"]:
                        visit(workers, name, cell, report, options)
    say("")


def visit(
    workers: dict[str, Worker],
    name: str,
    cell: str,
    report: Report,
    options: argparse.Namespace,
) -> None:
    """Measure a cell of a system some times; a system that fails is measured no more."""
    os.sync()
    try:
        answer = workers[name].ask(
            do="measure", cell=cell, times=options.times, budget=options.budget
        )
    except (NotRunError, OSError) as error:
        report.failed[name] = str(error)
        workers.pop(name).stop()
    else:
        report.add(name, cell, answer["ms"])


def say(text: str, end: str = "\n") -> None:
    """Report progress beside the tables, which go to standard output."""
    print(text, end=end, file=sys.stderr, flush=True)


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    found = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "SQLite of Python": sqlite3.sqlite_version,
    }
    try:
        import libsql

        engine = libsql.connect(":memory:").execute("SELECT sqlite_version()").fetchone()[0]
        found["SQLite of libsql"] = engine
    except ImportError:
        pass
    return found


def main() -> None:
    """Seed, measure in interleaved rounds, report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("database", nargs="?", default="sqlite", choices=SYSTEMS)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--times", type=int, default=20, help="runs of a cell in one round")
    parser.add_argument("--budget", type=float, default=0.05, help="seconds for them, if slower")
    parser.add_argument(
        "--only",
        help="systems, by name and comma: "
        + ", ".join(name for g in SYSTEMS.values() for name in g),
    )
    parser.add_argument("--seeded", type=Path, help="a folder that keeps the seeded databases")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument("--write", action="store_true", help="update README.md and results/")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(SYSTEMS[options.database])
    report = Report(options.database, machine(), vars(options))
    with tempfile.TemporaryDirectory(prefix="bench-") as temporary, ExitStack() as servers:
        kept = options.seeded or Path(temporary) / "seeded"
        if options.database in SERVERS:
            if options.seeded:
                parser.error("--seeded is for databases in files")
            url = servers.enter_context(
                server(SERVERS[options.database], Path(temporary) / "server")
            )
            for name in names:
                servers.enter_context(database(url, name, kept / name))
        say(f"seeding {', '.join(names)}")
        with ThreadPoolExecutor(2) as pool:
            reasons = list(pool.map(lambda name: seed(name, kept / name), names))
        workers: dict[str, Worker] = {}
        for name, reason in zip(names, reasons, strict=True):
            report.declare(name)
            try:
                workers[name] = opened(name, kept, Path(temporary), reason, report)
            except (NotRunError, OSError) as error:
                report.failed[name] = str(error)
                say(f"{name}: not run: {error}")
        try:
            measure(workers, report, options)
        finally:
            for worker in workers.values():
                worker.stop()
    text = report.markdown()
    print(text)
    if options.json:
        options.json.write_text(report.json())
    if options.write:
        report.write(HERE, text)


if __name__ == "__main__":
    main()
