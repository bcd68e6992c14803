"""How Qdrant is reached: options, checked, and a client for each event loop."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlsplit

import msgspec
from qdrant_client import AsyncQdrantClient
from qdrant_client.local.async_qdrant_local import AsyncQdrantLocal

from mastra_core.errors import ConfigurationError
from mastra_core.storage.loops import PerLoop, at_end_of_loop
from mastra_core.storage.settings import LOOPBACK, only_known, server_or_folder


class QdrantOptions(TypedDict, total=False):
    """How Qdrant is reached.

    ``url`` is ``https://host:6333`` of a server or of Qdrant Cloud (``qdrant://host`` is ``https``, and
    ``http`` on this machine), with its ``api_key``; or ``path`` is a folder that one process uses, or
    ``":memory:"``. Or ``client`` is an ``AsyncQdrantClient``, which is never closed here.
    ``timeout`` is how many seconds one request may take (30).
    """

    url: str | None
    api_key: str | None
    path: str | Path | None
    client: Any
    timeout: float


class IndexOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a collection is made: where its vectors are, and on how many shards and replicas."""

    on_disk: bool = False
    shard_number: int | None = None
    replication_factor: int | None = None


class Connection:
    """A server by a client for each event loop, a folder or a given client by one for all."""

    def __init__(self, place: str, options: QdrantOptions, *, address: str | None) -> None:
        self.place = place
        self._address = address
        self._key = options.get("api_key")
        self._timeout = options.get("timeout", 30.0)
        self._path = options.get("path")
        self._given: AsyncQdrantClient | None = options.get("client")
        self._folder: AsyncQdrantClient | None = None
        self._clients = PerLoop(self._open)

    def client(self) -> AsyncQdrantClient:
        """The client of the running event loop."""
        if self._given is not None:
            return self._given
        if self._path is None:
            return self._clients.get()[0]
        if self._folder is None:
            self._folder = self._local()
        return self._folder

    @property
    def local(self) -> bool:
        """Whether there is no server: the client itself has the vectors, and no indexes."""
        inner: Any = getattr(self.client(), "_client", None)
        return isinstance(inner, AsyncQdrantLocal)

    async def close(self) -> None:
        """Close what was opened here."""
        folder, self._folder = self._folder, None
        opened = self._clients.pop()
        for client in (folder, opened[0] if opened else None):
            if client is not None:
                await client.close()

    def _local(self) -> AsyncQdrantClient:
        path = str(self._path)
        if path == ":memory:":
            return AsyncQdrantClient(location=path)
        try:
            return AsyncQdrantClient(path=path)
        except RuntimeError as error:
            raise ConfigurationError(
                f"the folder {path!r} is in use by another client: Qdrant lets one process use it; "
                "run a server for several, or give this one's client"
            ) from error

    def _open(self) -> tuple[AsyncQdrantClient, object]:
        with warnings.catch_warnings():
            if urlsplit(self._address or "").hostname in LOOPBACK:
                # It warns of keys that go through a network unencrypted; these do not go through one.
                warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
            client = AsyncQdrantClient(
                url=self._address,
                api_key=self._key,
                timeout=max(1, round(self._timeout)),
                check_compatibility=False,
            )
        return client, at_end_of_loop(client.close)


def connected(options: QdrantOptions) -> Connection:
    """The connection that the options say; nothing is opened."""
    only_known("Qdrant", options, QdrantOptions.__annotations__)
    given = [name for name in ("url", "path", "client") if options.get(name) is not None]
    if len(given) != 1:
        raise ConfigurationError("give one of url='https://…:6333', path='./folder' and client")
    timeout = options.get("timeout", 30.0)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0:
        raise ConfigurationError(f"timeout must be a positive number of seconds, not {timeout!r}")
    client, path, url = options.get("client"), options.get("path"), options.get("url")
    if client is not None:
        if not isinstance(client, AsyncQdrantClient):
            raise ConfigurationError("client must be an AsyncQdrantClient")
        return Connection("a given client", options, address=None)
    if path is not None:
        return Connection(str(path), options, address=None)
    address, folder = server_or_folder(url, "Qdrant", scheme="qdrant", port=6333, secrets="api_key")
    if folder is not None:
        return Connection(folder, {**options, "path": folder}, address=None)
    return Connection(urlsplit(address).netloc, options, address=address)
