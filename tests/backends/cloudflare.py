"""Cloudflare's storage in its own runtime, workerd, which npm has."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backends import npm
from backends.address import Address, UnavailableError
from backends.process import answers, serving

WORKER = Path(__file__).parents[2] / "packages/cloudflare/src/mastra_cloudflare/worker"


@contextmanager
def d1(folder: Path, port: int | None = None) -> Iterator[Address]:
    """A D1 database behind the REST API; ``extra`` has a token that may only ``read``."""
    writer, reader = secrets.token_urlsafe(), secrets.token_urlsafe()
    with _serving("d1.mjs", folder, writer, reader, port=port) as url:
        address = f"d1://account/database?base_url={url}/client/v4"
        yield Address(address, {"api_token": writer}, {"read": reader})


@contextmanager
def durable_objects(folder: Path, port: int | None = None) -> Iterator[Address]:
    """The Worker that mastra-cloudflare ships, made from its source as wrangler makes it."""
    token = secrets.token_urlsafe()
    with _serving("durable_objects.mjs", folder, str(WORKER), token, port=port) as url:
        host = url.removeprefix("http://")
        yield Address(f"cloudflare-do://{host}/default?tls=0", {"token": token})


@contextmanager
def _serving(script: str, folder: Path, *more: str, port: int | None = None) -> Iterator[str]:
    node = shutil.which("node")
    if node is None:
        raise UnavailableError("Node.js is not installed; install version 20 or newer")
    npm.install()

    def command(on: int) -> list[str | Path]:
        return [node, npm.HERE / script, str(on), folder / "data", *more]

    def health(on: int) -> bool:
        return answers(f"http://127.0.0.1:{on}/health")

    with serving(command, health, folder, port=port) as taken:
        yield f"http://127.0.0.1:{taken}"
