"""SQL Server for its drivers: a front that translates its protocol and its SQL for PostgreSQL.

SQL Server itself cannot be had from the registries; ``MASTRA_MSSQL_URL`` names one of yours.
"""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backends import postgres
from backends.address import Address, UnavailableError
from backends.process import listens, serving

FRONT = Path(__file__).with_name("tds_front.py")
PASSWORD = "a}pass;word='of the tests"


# What the drivers load of the system: mssql-python the first, pyodbc the second.
LIBRARIES = {"libltdl.so.7": "libltdl7", "libodbc.so.2": "libodbc2"}


def libraries() -> None:
    """Have the system's libraries that the drivers need."""
    missing = [package for name, package in LIBRARIES.items() if not _loads(name)]
    if missing and shutil.which("apt-get") is not None:
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        # Several processes of one run may find them missing.
        install[1:1] = ["-o", "DPkg::Lock::Timeout=120"]
        subprocess.run(install, capture_output=True, check=False)
    missing = [package for name, package in LIBRARIES.items() if not _loads(name)]
    if missing:
        raise UnavailableError(f"the drivers need {' and '.join(missing)} (apt-get install)")


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


@contextmanager
def front(folder: Path) -> Iterator[Address]:
    """The front on a PostgreSQL of its own; ``extra`` has the address of what is ``beneath``."""
    missing = [name for name in ("sqlglot", "psycopg") if importlib.util.find_spec(name) is None]
    if missing:
        raise UnavailableError(f"{' and '.join(missing)} are not installed")
    libraries()
    with postgres.plain(folder) as beneath, on(folder, beneath.url) as address:
        yield address


@contextmanager
def on(folder: Path, beneath: str, port: int | None = None) -> Iterator[Address]:
    """The front on a PostgreSQL that runs; at its old port it is the one that clients knew."""
    place = folder / "front"
    place.mkdir(exist_ok=True)

    def command(taken: int) -> list[str | Path]:
        return [sys.executable, FRONT, str(taken), beneath, PASSWORD]

    with serving(command, listens, place, port=port) as taken:
        password = "a%7Dpass%3Bword%3D'of%20the%20tests"
        url = f"mssql://sa:{password}@127.0.0.1:{taken}/master?Encrypt=no"
        yield Address(url, {}, {"beneath": beneath})
