"""A double of Pinecone's API on loopback, or the service itself by ``PINECONE_API_KEY``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backends.address import Address
from backends.process import listens, serving

FRONT = Path(__file__).with_name("pinecone_front.py")
KEY = "a-key-of-the-vector-tests"


@contextmanager
def front(folder: Path) -> Iterator[Address]:
    """A project without indexes; with a key in the environment it is the one of that key."""
    key = os.environ.get("PINECONE_API_KEY")
    if key:
        yield Address("", {"api_key": key})
        return

    def command(port: int) -> list[str | Path]:
        return [sys.executable, FRONT, str(port), KEY]

    with serving(command, listens, folder) as port:
        yield Address(f"http://127.0.0.1:{port}", {"api_key": KEY}, {"double": "yes"})
