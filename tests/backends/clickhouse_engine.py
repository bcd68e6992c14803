"""ClickHouse's engine in a process of its own (chDB, from PyPI), behind its HTTP interface."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backends.address import Address, UnavailableError
from backends.process import answers, serving

FRONT = Path(__file__).with_name("clickhouse_front.py")
USER = "mastra"
PASSWORD = "a-password-of-the-tests"


@contextmanager
def plain(folder: Path) -> Iterator[Address]:
    """A server with a database called ``mastra``, whose user may create others."""
    if importlib.util.find_spec("chdb") is None:
        raise UnavailableError("chdb is not installed (pip install chdb)")
    data = folder / "data"
    data.mkdir(exist_ok=True)

    def command(on: int) -> list[str | Path]:
        return [sys.executable, FRONT, str(on), data, USER, PASSWORD]

    def health(on: int) -> bool:
        return answers(f"http://127.0.0.1:{on}/ping")

    with serving(command, health, folder) as port:
        url = f"clickhouse://{USER}:{PASSWORD}@127.0.0.1:{port}/default?create_database=true"
        yield Address(url, extra={"port": str(port)})
