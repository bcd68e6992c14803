"""Qdrant's REST API on loopback, over the local mode of its client."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backends.address import Address
from backends.process import listens, serving

FRONT = Path(__file__).with_name("qdrant_front.py")
KEY = "a-key-of-the-vector-tests"


@contextmanager
def front(folder: Path) -> Iterator[Address]:
    """A server that has nothing yet, and asks for a key."""

    def command(port: int) -> list[str | Path]:
        return [sys.executable, FRONT, str(port), KEY]

    with serving(command, listens, folder) as port:
        yield Address(f"http://127.0.0.1:{port}", {"api_key": KEY})
