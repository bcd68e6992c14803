"""Two servers that speak MongoDB's protocol, from PyPI: with different bugs, so that both must be content.

``secantusdb`` (on WiredTiger) is a replica set of one, or a standalone server; ``mongoeco`` (in memory) is
standalone, and lives in an environment of its own because it needs Python 3.13.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backends.address import Address, NoSuchServerError, UnavailableError
from backends.process import serving

HERE = Path(__file__).parent
ENVIRONMENT = HERE / ".backends" / "mongoeco"
REQUIREMENTS = ("mongoeco==4.11.0", "pymongo==4.20.1")
NEWER = ("python3.13", "python3.14")
# As in hatch.toml.
WITHOUT_SECANTUS = (3, 14)
PING_MILLISECONDS = 1000


@contextmanager
def replica_set(folder: Path) -> Iterator[Address]:
    """A replica set of one member: with transactions."""
    with _secantus(folder) as address:
        yield address


@contextmanager
def standalone(folder: Path) -> Iterator[Address]:
    """The same server, which says that it is no replica set: without transactions."""
    with _secantus(folder, "--standalone") as address:
        yield address


@contextmanager
def mongoeco(folder: Path) -> Iterator[Address]:
    """The other server, standalone."""
    python = _environment()
    script = HERE / "mongoeco_server.py"
    with serving(lambda port: [python, script, str(port)], answers, folder) as port:
        yield Address(f"mongodb://127.0.0.1:{port}/mastra")


@contextmanager
def _secantus(folder: Path, *more: str) -> Iterator[Address]:
    if importlib.util.find_spec("secantus") is None:
        if sys.version_info >= WITHOUT_SECANTUS:
            raise NoSuchServerError("secantusdb has no wheel for Python 3.14 and newer")
        raise UnavailableError("pip install secantusdb, or name a server: MASTRA_MONGODB_URL")

    script, data = HERE / "secantus_server.py", folder / "data"

    def command(port: int) -> list[str | Path]:
        return [sys.executable, script, str(port), data, *more]

    with serving(command, answers, folder) as port:
        yield Address(f"mongodb://127.0.0.1:{port}/mastra")


def answers(port: int) -> bool:
    """Whether a MongoDB server answers on a port."""
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    try:
        with MongoClient(
            "127.0.0.1", port, serverSelectionTimeoutMS=PING_MILLISECONDS, directConnection=True
        ) as client:
            return bool(client.admin.command("ping")["ok"])
    except PyMongoError:
        return False


def _environment() -> Path:
    """The Python of the environment, which is made when first needed."""
    python, stamp = ENVIRONMENT / "bin" / "python", ENVIRONMENT / ".installed"
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    with (ENVIRONMENT.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == "\n".join(REQUIREMENTS):
            return python
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        _run(_newer_python(), "-m", "venv", ENVIRONMENT)
        _run(python, "-m", "pip", "install", "--quiet", *REQUIREMENTS)
        stamp.write_text("\n".join(REQUIREMENTS))
    return python


def _newer_python() -> Path:
    """A Python that mongoeco runs on."""
    if sys.version_info >= (3, 13):
        return Path(sys.executable)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [Path(path) for name in NEWER if (path := shutil.which(name))]
    for python in [*found, *(p for name in NEWER for p in sorted(pyenv.glob(f"*/bin/{name}")))]:
        # What is found on the path may be a shim for a version that is not there.
        ran = subprocess.run([python, "-c", ""], capture_output=True, check=False)
        if ran.returncode == 0:
            return python
    raise UnavailableError("mongoeco needs Python 3.13, and no python3.13 was found")


def _run(*command: str | Path) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise UnavailableError(f"{command[0]} failed: {ran.stderr[-2000:]}")
