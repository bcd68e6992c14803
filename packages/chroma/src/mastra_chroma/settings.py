"""How Chroma is reached: options, checked, and the service that they say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypedDict
from urllib.parse import urlsplit

import msgspec

from mastra_chroma.server import Server
from mastra_chroma.service import Service
from mastra_core.errors import ConfigurationError
from mastra_core.storage.http import check_client
from mastra_core.storage.settings import check_secret, only_known, server_or_folder

CLOUD: Final = "https://api.trychroma.com:443"
PORT: Final = 8000
TENANT: Final = "default_tenant"
DATABASE: Final = "default_database"


class ChromaOptions(TypedDict, total=False):
    """How Chroma is reached.

    ``url`` is ``https://host:8000`` of a server (``chroma://host`` is ``https``, and ``http`` on this
    machine), ``api_key`` a key of Chroma Cloud, which needs no ``url`` but the ``tenant`` and the
    ``database``, and ``headers`` are sent with each request, such as a proxy's authorization. Or ``path``
    is a folder that one process uses. Or ``client`` is a client of the package ``chromadb``, or an
    ``httpx.AsyncClient`` to send requests to a ``url`` with; neither is ever closed here.
    ``timeout`` is how many seconds one request to a server may take (30).
    """

    url: str | None
    api_key: str | None
    headers: Mapping[str, str]
    path: str | Path | None
    client: Any
    tenant: str
    database: str
    timeout: float


class IndexOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the graph of a collection is made: the more neighbours are looked at, the better it is."""

    ef_construction: int | None = None
    ef_search: int | None = None
    max_neighbors: int | None = None


def connected(options: ChromaOptions) -> tuple[Service, str]:
    """The service that the options say, and where it is; nothing is opened."""
    only_known("Chroma", options, ChromaOptions.__annotations__)
    timeout = options.get("timeout", 30.0)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0:
        raise ConfigurationError(f"timeout must be a positive number of seconds, not {timeout!r}")
    key, client = options.get("api_key"), options.get("client")
    url, path = options.get("url"), options.get("path")
    if url is None and path is None and client is None and key:
        url = CLOUD
    if url is not None:
        url, folder = server_or_folder(
            url, "Chroma", scheme="chroma", port=PORT, secrets="api_key or headers"
        )
        if folder is not None:
            url, path = None, folder
    if (path is not None) + (url is not None) + (client is not None and url is None) != 1:
        raise ConfigurationError(
            "give one of url='https://…:8000', path='./folder', api_key='…' of Chroma Cloud, and client"
        )
    if url is None:
        return _embedded(options, None if path is None else str(path))
    return _server(options, url), urlsplit(url).netloc


def _embedded(options: ChromaOptions, path: str | None) -> tuple[Service, str]:
    client = options.get("client")
    if client is not None and not callable(getattr(client, "get_or_create_collection", None)):
        raise ConfigurationError("client must be a client of chromadb, or there must be a url")
    if options.get("api_key") or options.get("headers"):
        raise ConfigurationError("api_key and headers are a server's; a folder has none")
    try:
        from mastra_chroma.embedded import Embedded  # noqa: PLC0415 (a server does without it)
    except ImportError as error:
        raise ConfigurationError(
            "a folder needs the package chromadb: pip install 'mastra-chroma[embedded]'"
        ) from error
    tenant, database = options.get("tenant", TENANT), options.get("database", DATABASE)
    service = Embedded(path, client, tenant=tenant, database=database)
    return service, path or "a given client"


def _server(options: ChromaOptions, url: str) -> Server:
    key, headers = options.get("api_key"), dict(options.get("headers") or {})
    if key is not None:
        check_secret(key, "api_key")
        headers["x-chroma-token"] = key
    cloud = (urlsplit(url).hostname or "").endswith(".trychroma.com")
    if cloud and not (key and options.get("tenant") and options.get("database")):
        raise ConfigurationError("Chroma Cloud needs api_key, tenant and database")
    client = options.get("client")
    check_client(client)
    return Server(
        url,
        tenant=options.get("tenant", TENANT),
        database=options.get("database", DATABASE),
        headers=headers,
        timeout=options.get("timeout", 30.0),
        client=client,
        cloud=cloud,
    )
