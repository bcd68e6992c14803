"""An emulator of DynamoDB, from npm: in memory, gone when it is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

from backends import npm
from backends.address import Address
from backends.process import answers, serving


@contextmanager
def in_memory(folder: Path) -> Iterator[Address]:
    """A server that takes any credentials; the URL names a table that is created when used."""
    program = npm.binary("@dynoxide/", "dynoxide")

    def command(on: int) -> list[str | Path]:
        return [program, "--host", "127.0.0.1", "--port", str(on)]

    def health(on: int) -> bool:
        return answers(f"http://127.0.0.1:{on}")

    with serving(command, health, folder) as port:
        server = f"http://127.0.0.1:{port}"
        yield Address(url_of(f"mastra-{uuid4().hex}", server), extra={"endpoint_url": server})


def url_of(table: str, server: str) -> str:
    """The URL of a table of a local server, which is created if it is not there."""
    where = f"region_name=us-east-1&endpoint_url={quote(server, safe='')}"
    return f"dynamodb://local:emulator-secret@{table}?{where}&create_table=true"
