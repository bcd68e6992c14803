"""How Pinecone is reached: options, checked, and its clients for each event loop."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Final, TypedDict
from urllib.parse import parse_qsl, urlsplit

import msgspec
from pinecone import AsyncPinecone

from mastra_core.errors import ConfigurationError
from mastra_core.storage.loops import PerLoop, at_end_of_loop
from mastra_core.storage.settings import check_secret, only_known

PUBLIC: Final = "https://api.pinecone.io"


class PineconeOptions(TypedDict, total=False):
    """How Pinecone is reached.

    ``api_key`` is the key of a project (else that of ``PINECONE_API_KEY``). New indexes are made in the
    ``cloud`` and ``region`` (``aws``, ``us-east-1``). ``namespace`` is that of each index in which the
    vectors are; by default the one without a name. ``host`` is that of the control plane, if it is another
    than Pinecone's own. Or ``client`` is an ``AsyncPinecone`` for one event loop, which is never closed here.
    ``timeout`` is how many seconds one request may take (30), ``settle`` how many a change waits until
    reads see it (5).
    """

    api_key: str | None
    cloud: str
    region: str
    namespace: str
    host: str | None
    client: Any
    timeout: float
    settle: float


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options that are no secret."""

    cloud: str = "aws"
    region: str = "us-east-1"
    namespace: str = ""
    host: str = PUBLIC
    timeout: float = 30.0
    settle: float = 5.0


class _Opened:
    """The client of an event loop, and one for each index that it used."""

    def __init__(self, client: Any, *, ours: bool) -> None:
        self.client = client
        self._ours = ours
        self._indexes: dict[str, Any] = {}
        self.closing = at_end_of_loop(self.close)

    async def index(self, host: str) -> Any:
        """The client of the index at this host."""
        if host not in self._indexes:
            made = await self.client.index(host=host)
            # (Another task may have made one meanwhile; neither has connections yet.)
            self._indexes.setdefault(host, made)
        return self._indexes[host]

    async def close(self) -> None:
        """Close what was opened here."""
        indexes = list(self._indexes.values())
        self._indexes.clear()
        await asyncio.gather(*(one.close() for one in indexes))
        if self._ours:
            await self.client.close()


class Connection:
    """The clients of a project, for each event loop."""

    def __init__(self, settings: Settings, key: str, client: Any) -> None:
        self.settings = settings
        self._key = key
        self._given = client
        self._opened = PerLoop(self._open)

    def client(self) -> Any:
        """The client of the control plane."""
        return self._opened.get().client

    async def index(self, host: str) -> Any:
        """The client of the index at this host."""
        return await self._opened.get().index(host)

    async def close(self) -> None:
        """Close what the running loop opened."""
        opened = self._opened.pop()
        if opened is not None:
            await opened.close()

    def _open(self) -> _Opened:
        if self._given is not None:
            return _Opened(self._given, ours=False)
        settings = self.settings
        client = AsyncPinecone(api_key=self._key, host=settings.host, timeout=settings.timeout)
        return _Opened(client, ours=True)


def connected(options: PineconeOptions) -> Connection:
    """The connection that the options say; nothing is opened."""
    only_known("Pinecone", options, PineconeOptions.__annotations__)
    client = options.get("client")
    if client is not None and not isinstance(client, AsyncPinecone):
        raise ConfigurationError("client must be an AsyncPinecone")
    given = {
        name: value
        for name, value in options.items()
        if name not in {"api_key", "client"} and value is not None
    }
    try:
        settings = msgspec.convert(given, Settings)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"an option of Pinecone is wrong: {error}") from error
    if settings.timeout <= 0 or settings.settle < 0:
        raise ConfigurationError("timeout must be positive, and settle not negative")
    key = options.get("api_key") or os.environ.get("PINECONE_API_KEY") or ""
    if client is None:
        if not key:
            raise ConfigurationError("api_key is required: give it, or set PINECONE_API_KEY")
        check_secret(key, "api_key")
    return Connection(settings, key, client)


def options_of(url: str) -> PineconeOptions:
    """The options that a URL says: ``pinecone://``, or ``pinecone://host`` of another control plane."""
    parts = urlsplit(url)
    if parts.scheme != "pinecone" or parts.path not in ("", "/"):
        raise ConfigurationError("a URL of Pinecone is pinecone://, with options behind a ?")
    if parts.username or parts.password:
        raise ConfigurationError("a URL of Pinecone has no user and password; give api_key")
    said = dict(parse_qsl(parts.query))
    only_known("a URL of Pinecone", said, ("cloud", "region", "namespace"))
    host = {"host": f"https://{parts.netloc}"} if parts.netloc else {}
    found: PineconeOptions = {**said, **host}  # type: ignore[typeddict-item]
    return found
