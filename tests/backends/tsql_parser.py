"""Microsoft's own parser of T-SQL, as the language service in the wheel of ``mssql-cli`` has it.

It knows the syntax of SQL Server 2019, and no database: names and types are not looked up.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import queue
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from backends.address import UnavailableError

HERE = Path(__file__).parent
CACHE = HERE / ".backends" / "tsql"
WHEEL = "mssql-cli==1.0.0"
# Its runtime wants OpenSSL 1.1, which systems no longer have, and this wheel of another package has.
LIBRARIES = "psycopg2-binary==2.9.3"
PROGRAMS = "mssqlcli/mssqltoolsservice/bin/"
PATIENCE = 120
# (A file of very many statements is read no faster than several.)
AT_ONCE = 200


class Complaint(NamedTuple):
    """What the parser does not take, and why."""

    statement: str
    reason: str


def install() -> Path:
    """The folder of the parser's programs; tests of several processes wait for the first."""
    if platform.system() != "Linux" or platform.machine() not in {"x86_64", "AMD64"}:
        raise UnavailableError(f"{WHEEL} has no programs for this system")
    CACHE.mkdir(parents=True, exist_ok=True)
    done = CACHE / "done"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            with tempfile.TemporaryDirectory() as folder:
                _download(Path(folder))
            done.touch()
    return CACHE / PROGRAMS


def _download(folder: Path) -> None:
    """Both wheels, by a pip of its own: the environment of the tests may have none."""
    pip = folder / "pip"
    subprocess.run([sys.executable, "-m", "venv", pip], check=True, capture_output=True)
    common = ["download", "-q", "--no-deps", "--only-binary=:all:", "--python-version", "3.8"]
    for wheel, platforms in ((WHEEL, ("manylinux1",)), (LIBRARIES, ("manylinux2014",))):
        named = [part for name in platforms for part in ("--platform", f"{name}_x86_64")]
        command = [pip / "bin" / "python", "-m", "pip", *common, *named, "-d", folder, wheel]
        ran = subprocess.run(command, check=False, capture_output=True, text=True)
        if ran.returncode:
            raise UnavailableError(f"{wheel} cannot be downloaded: {ran.stderr[-500:]}")
    for found in folder.glob("*.whl"):
        with zipfile.ZipFile(found) as archive:
            for name in archive.namelist():
                if name.startswith(PROGRAMS):
                    archive.extract(name, CACHE)
                for library in ("libssl", "libcrypto"):
                    if f"/{library}-" in name:
                        (CACHE / f"{library}.so.1.1").write_bytes(archive.read(name))
                        # (They look for each other by the names that they have there.)
                        (CACHE / Path(name).name).write_bytes(archive.read(name))
    (CACHE / PROGRAMS / "MicrosoftSqlToolsServiceLayer").chmod(0o755)


class Parser:
    """The running language service."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._told: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        capabilities = {"processId": os.getpid(), "rootPath": str(CACHE), "capabilities": {}}
        self._send({"id": "1", "method": "initialize", "params": capabilities})
        self._send({"method": "initialized", "params": {}})

    def complaints(self, statements: Sequence[str]) -> list[Complaint]:
        """What it does not take, of batches that have nothing to do with each other."""
        found: list[Complaint] = []
        for i in range(0, len(statements), AT_ONCE):
            found += self._complaints(statements[i : i + AT_ONCE])
        return found

    def _complaints(self, statements: Sequence[str]) -> list[Complaint]:
        lines: list[str] = []
        owners: list[int] = []
        for i, statement in enumerate(statements):
            text = [*statement.split("\n"), "GO"]
            lines += text
            owners += [i] * len(text)
        address = f"file:///{time.time_ns()}.sql"
        document = {
            "uri": address,
            "languageId": "sql",
            "version": 1,
            "text": "\n".join(lines),
        }
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        while True:
            told = self._told.get(timeout=PATIENCE)
            if told is None:
                raise UnavailableError("Microsoft's parser ended by itself")
            params = told.get("params") or {}
            published = told.get("method") == "textDocument/publishDiagnostics"
            if published and params["uri"] == address:
                break
        return [
            Complaint(statements[owners[d["range"]["start"]["line"]]], d["message"])
            for d in params["diagnostics"]
        ]

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(data), data))
        self._process.stdin.flush()

    def _listen(self) -> None:
        output = self._process.stdout
        assert output is not None
        length = 0
        while line := output.readline():
            name, _, value = line.strip().partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            elif not name:
                self._told.put(json.loads(output.read(length)))
        self._told.put(None)


@contextmanager
def parser(folder: Path) -> Iterator[Parser]:
    """A parser, which ends with its input, and so with the tests."""
    program = install() / "MicrosoftSqlToolsServiceLayer"
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(CACHE),
        "CLR_OPENSSL_VERSION_OVERRIDE": "1.1",
        "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
    }
    process = subprocess.Popen(
        [program, "--log-file", folder / "parser.log"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=folder,
    )
    try:
        yield Parser(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
