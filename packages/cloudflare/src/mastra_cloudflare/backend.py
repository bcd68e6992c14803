"""Durable Objects by the Worker that this package ships: the only module that imports the driver."""

from __future__ import annotations

from typing import Any, ClassVar, TypedDict, Unpack
from urllib.parse import quote

import httpx
import msgspec

from mastra_core.errors import ConfigurationError
from mastra_core.storage.http import Endpoint
from mastra_core.storage.settings import LOOPBACK, only_known
from mastra_core.storage.sqlite_http import Result, SqliteHttpBackend


class CloudflareDOOptions(TypedDict, total=False):
    """How an object is reached.

    ``namespace`` is the name of the object (``"default"``): each has a database of its own.
    ``table_prefix`` begins the name of each table (letters, digits and underscores). ``timeout`` is
    how many seconds one request may take (30), ``patience`` how long requests are repeated that
    were refused or failed, where that is safe (10). A ``client`` (``httpx.AsyncClient``) is used
    instead of one of our own, and never closed.
    """

    namespace: str
    table_prefix: str
    timeout: float
    patience: float
    client: httpx.AsyncClient | None


class _Executed(msgspec.Struct):
    rows: list[list[Any]]
    changes: int


class _Answer(msgspec.Struct):
    results: list[_Executed] = []
    error: str = ""


_DECODER = msgspec.json.Decoder(_Answer)


class CloudflareDOBackend(SqliteHttpBackend):
    """One object: a request is a batch of statements in one transaction of its SQLite."""

    name: ClassVar[str] = "Cloudflare Durable Objects"

    def __init__(self, *, url: str, token: str, **options: Unpack[CloudflareDOOptions]) -> None:
        only_known(self.name, options, CloudflareDOOptions.__annotations__)
        self.namespace = options.get("namespace", "default")
        _check(url, token, self.namespace)
        endpoint = Endpoint(
            f"{url.rstrip('/')}/v1/objects/{quote(self.namespace, safe='')}/batch",
            headers={"authorization": f"Bearer {token}"},
            timeout=options.get("timeout", 30.0),
            patience=options.get("patience", 10.0),
            client=options.get("client"),
        )
        super().__init__(endpoint, options.get("table_prefix", ""))

    def __repr__(self) -> str:
        return f"CloudflareDOBackend({self.place!r}, namespace={self.namespace!r})"

    def _results(self, content: bytes) -> list[Result]:
        return [(list(map(tuple, e.rows)), e.changes) for e in _DECODER.decode(content).results]

    def _complaint(self, content: bytes) -> str:
        try:
            return _DECODER.decode(content).error
        except msgspec.MsgspecError:
            return super()._complaint(content)


def _check(url: str, token: str, namespace: str) -> None:
    parts = httpx.URL(url) if isinstance(url, str) else httpx.URL("")
    if parts.scheme not in {"http", "https"} or not parts.host or parts.userinfo:
        raise ConfigurationError("url must be the Worker's, as https://name.account.workers.dev")
    if parts.scheme == "http" and parts.host not in LOOPBACK:
        raise ConfigurationError(f"the token would be readable on the way to {url}: use https://")
    if not isinstance(token, str) or not token.strip() or not token.isascii():
        raise ConfigurationError(
            "token must be the secret MASTRA_TOKEN of the Worker, in ASCII; beside a cloudflare-do:// URL "
            "the variable of that name gives it"
        )
    if not isinstance(namespace, str) or not namespace:
        raise ConfigurationError("namespace must be the name of an object, and not empty")
