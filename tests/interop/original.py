"""The original's stores as Python sees it: a Node process that answers JSON lines."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import IO, Any, Self

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
DOMAINS = ("memory", "workflows", "scores", "observability", "datasets", "experiments")

# @mastra/core runs on no older one.
OLDEST_NODE = (22, 13)


class UnavailableOriginalError(Exception):
    """The original cannot run here; the text says what is missing."""


class OriginalError(Exception):
    """What the original threw: ``id`` is the framework's error id, ``None`` for another error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.id: str | None = error.get("id")


def install() -> Path:
    """A Node that runs the original; its pinned packages are installed unless they are there."""
    # The modules belong to one lock file, whichever of the two is newer on disk.
    stamp = MODULES / ".installed"
    lock = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != lock:
        npm = shutil.which("npm")
        if npm is None:
            raise UnavailableOriginalError("npm is not installed")
        ran = subprocess.run([npm, "ci"], cwd=HERE, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise UnavailableOriginalError(f"npm ci failed: {ran.stderr[-2000:]}")
        stamp.write_text(lock)
    for node in (MODULES / ".bin" / "node", shutil.which("node")):
        if node is not None and _version(node) >= OLDEST_NODE:
            return Path(node)
    raise UnavailableOriginalError(f"no Node {'.'.join(map(str, OLDEST_NODE))} or newer")


def _version(node: str | Path) -> tuple[int, ...]:
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return ()
    return tuple(map(int, re.findall(r"\d+", said.stdout)))


class Original:
    """A running Node process with the original's stores, one for each database.

    ``zone`` is the time zone of the process, as an application's server might have it.
    """

    def __init__(self, node: Path, complaints: Path, *, zone: str = "UTC") -> None:
        self._complaints = complaints
        self._ids = count(1)
        self._waiting: dict[int, Future[Any]] = {}
        with complaints.open("wb") as stderr:
            self._process = subprocess.Popen(
                [node, HERE / "original.mjs"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, "MASTRA_TELEMETRY_DISABLED": "1", "TZ": zone},
                encoding="utf-8",
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests: IO[str] = self._process.stdin
        self._answers: IO[str] = self._process.stdout
        # A thread, not a task: every test has an event loop of its own, the process outlives them.
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self._answers:
            answer = json.loads(line, object_hook=_revive)
            future = self._waiting.pop(answer["id"])
            if "error" in answer:
                future.set_exception(OriginalError(answer["error"]))
            else:
                future.set_result(answer.get("result"))
        gone = UnavailableOriginalError(f"it ended: {self._complaints.read_text()[-2000:]}")
        for future in self._waiting.values():
            future.set_exception(gone)

    def store(self, place: Path | str) -> OriginalStore:
        """The original's store on the database file at a path, or on what a URL names."""
        return OriginalStore(self, f"file:{place}" if isinstance(place, Path) else place)

    async def call(self, url: str, domain: str | None, method: str, args: list[Any]) -> Any:
        """Call a method of the original's domain, or of its store where no domain is named."""
        number = next(self._ids)
        request = {"id": number, "url": url, "domain": domain, "method": method, "args": args}
        line = json.dumps(request, default=_tag)
        future = self._waiting[number] = Future()
        self._requests.write(line + "\n")
        self._requests.flush()
        return await asyncio.wrap_future(future)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._requests.close()
        self._process.wait(timeout=10)
        self._reader.join()
        self._answers.close()


class OriginalStore:
    """The original's store on one database: ``await store.memory.getThreadById(threadId="t")``.

    ``store.vector`` is the original's vector store on the same database, ``store.recall`` its
    ``Memory`` over both.
    """

    def __init__(self, original: Original, url: str) -> None:
        self._original = original
        self._url = url
        (
            self.memory,
            self.workflows,
            self.scores,
            self.observability,
            self.datasets,
            self.experiments,
        ) = (OriginalDomain(original, url, domain) for domain in DOMAINS)
        self.vector = OriginalDomain(original, url, "vector")
        self.recall = OriginalDomain(original, url, "recall")

    async def init(self) -> None:
        """Create or migrate every table that the original knows."""
        await self._original.call(self._url, None, "init", [])

    async def close(self) -> None:
        """Let go of the database."""
        await self._original.call(self._url, None, "close", [])


class OriginalDomain:
    """A domain under the original's method names; named arguments become its one object."""

    def __init__(self, original: Original, url: str, domain: str) -> None:
        self._original, self._url, self._domain = original, url, domain

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        def call(*args: Any, **named: Any) -> Awaitable[Any]:
            given = [*args, named] if named or not args else [*args]
            return self._original.call(self._url, self._domain, method, given)

        return call


def _tag(value: Any) -> dict[str, str]:
    if isinstance(value, datetime):
        text = value.astimezone(UTC).isoformat(timespec="milliseconds")
        return {"$date": text.replace("+00:00", "Z")}
    raise TypeError(f"{value!r} does not go through JSON")


def _revive(value: dict[str, Any]) -> Any:
    if value.keys() == {"$date"}:
        return value["$date"] and datetime.fromisoformat(value["$date"])
    return value
