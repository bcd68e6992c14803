"""Debian's Redis, alone and behind a REST front that speaks as Upstash does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backends.address import Address, UnavailableError
from backends.process import listens, serving

FRONT = Path(__file__).with_name("upstash_front.py")
TOKEN = "a-token-of-the-tests"
READER = "a-token-that-may-read"


def program() -> str:
    """The server's program, from the system's packages."""
    found = shutil.which("redis-server")
    if found is None and shutil.which("apt-get") is not None:
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "redis-server"]
        # Several processes of one run may find it missing.
        install[1:1] = ["-o", "DPkg::Lock::Timeout=120"]
        subprocess.run(install, capture_output=True, check=False)
        found = shutil.which("redis-server")
    if found is None:
        raise UnavailableError("redis-server is not installed (apt-get install redis-server)")
    return found


@contextmanager
def direct(folder: Path, port: int | None = None) -> Iterator[Address]:
    """A Redis server by its own protocol; on a port of its own unless one is given."""
    with _redis(folder, port) as taken:
        yield Address(f"redis://127.0.0.1:{taken}/0")


@contextmanager
def rest(folder: Path) -> Iterator[Address]:
    """The REST API on a Redis server; ``extra`` has a token to ``read``, and ``redis`` beneath."""
    with _redis(folder) as redis:
        front = folder / "front"
        front.mkdir(exist_ok=True)

        def command(on: int) -> list[str | Path]:
            return [sys.executable, FRONT, str(on), str(redis), TOKEN, READER]

        with serving(command, listens, front) as taken:
            extra = {"read": READER, "redis": f"redis://127.0.0.1:{redis}/0"}
            yield Address(f"http://127.0.0.1:{taken}", {"token": TOKEN}, extra)


@contextmanager
def _redis(folder: Path, port: int | None = None) -> Iterator[int]:
    found = program()
    data = folder / "redis"
    data.mkdir(exist_ok=True)

    def command(on: int) -> list[str | Path]:
        listen = ["--bind", "127.0.0.1", "--port", str(on)]
        return [found, *listen, "--save", "", "--appendonly", "no", "--dir", data]

    with serving(command, listens, data, port=port) as taken:
        yield taken
