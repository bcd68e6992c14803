"""Chroma's own server on loopback, from the wheel of its client."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backends.address import Address, UnavailableError
from backends.process import answers, serving

START = "from chromadb.cli.cli import app; app()"


@contextmanager
def with_folder(folder: Path) -> Iterator[Address]:
    """A server that has nothing yet, open to everybody on this machine."""
    if importlib.util.find_spec("chromadb") is None:
        raise UnavailableError("the package chromadb is missing")

    def command(port: int) -> list[str | Path]:
        options = ["--path", folder / "chroma", "--host", "127.0.0.1", "--port", str(port)]
        return [sys.executable, "-c", START, "run", *options]

    def healthy(port: int) -> bool:
        return answers(f"http://127.0.0.1:{port}/api/v2/heartbeat")

    environment = {**os.environ, "ANONYMIZED_TELEMETRY": "FALSE"}
    with serving(command, healthy, folder, environment=environment) as port:
        yield Address(f"http://127.0.0.1:{port}")
