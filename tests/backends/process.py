"""A server as a process of its own, healthy when handed over and stopped whatever happens."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from backends.address import UnavailableError

GUARD = Path(__file__).with_name("guard.py")
ATTEMPTS = 3
START_SECONDS = 30
PAUSE = 0.02
# A server that waits for its clients to leave at SIGTERM ends at once at this one.
FAST_STOP = signal.SIGINT


def free_port() -> int:
    """A port of the loopback interface that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Whether an HTTP server answers without an error."""
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status < 400)
    except OSError:
        return False


def listens(port: int) -> bool:
    """Whether something on this machine takes connections at a port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


@contextmanager
def serving(
    command: Callable[[int], Sequence[str | Path]],
    health: Callable[[int], bool],
    folder: Path,
    *,
    port: int | None = None,
    environment: Mapping[str, str] | None = None,
    user: int | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[int]:
    """The port of a server whose command line is made for a free port (or for the given one).

    Another process may take the port in between; the server then ends at once and gets a new one.
    It runs as another ``user`` if one is given, and is stopped by the signal ``stop``.
    """
    guarded = [sys.executable, "-I", "-S", GUARD, "" if user is None else str(user), str(int(stop))]
    log = folder / "server.log"
    for attempt in range(1, ATTEMPTS + 1):
        taken = port or free_port()
        process = _spawn([*guarded, *command(taken)], log, environment)
        try:
            if _healthy(process, lambda taken=taken: health(taken)):
                yield taken
                return
        finally:
            _stop(process)
        if attempt == ATTEMPTS:
            said = log.read_text(errors="replace")[-2000:]
            raise UnavailableError(f"{command(taken)[0]} did not start: {said}")


def _spawn(
    command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None
) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        # A session of its own: an interrupt at the terminal is for the tests, which then stop it.
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )


def _healthy(process: subprocess.Popen[bytes], health: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if health():
            return True
        time.sleep(PAUSE)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait()
