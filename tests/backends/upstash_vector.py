"""A double of Upstash Vector on loopback: there is no server of it that could be run here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backends.address import Address
from backends.process import listens, serving

SERVICE = Path(__file__).with_name("upstash_vector_service.py")
TOKEN = "a-token-of-the-vector-tests"
DIMENSION = 1536


@contextmanager
def cosine(folder: Path) -> Iterator[Address]:
    """An index of 1,536 dimensions, whose searches see at once what was stored."""
    with service(folder, "COSINE") as address:
        yield address


@contextmanager
def euclidean(folder: Path) -> Iterator[Address]:
    """The same with the other metric; searches see what was stored some milliseconds later."""
    with service(folder, "EUCLIDEAN", lag=0.02) as address:
        yield address


@contextmanager
def service(
    folder: Path, metric: str, *, dimension: int = DIMENSION, lag: float = 0.0
) -> Iterator[Address]:
    """An index of this metric and dimension; ``lag`` is for how many seconds a change is pending."""

    def command(port: int) -> list[str | Path]:
        return [sys.executable, SERVICE, str(port), TOKEN, str(dimension), metric, str(lag)]

    with serving(command, listens, folder) as port:
        options = {"token": TOKEN, "metric": metric.lower()}
        yield Address(f"http://127.0.0.1:{port}", options, {"dimension": str(dimension)})
