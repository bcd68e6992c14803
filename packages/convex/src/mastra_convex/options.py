"""How a deployment is reached: options, checked."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final, TypedDict
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

import msgspec

from mastra_core.errors import ConfigurationError
from mastra_core.storage.settings import only_known

FOLDER: Final = "mastra_python"
SCAN: Final = 4000


class ConvexOptions(TypedDict, total=False):
    """How a deployment is reached.

    ``functions`` is the folder of the functions in ``convex/`` (``mastra_python``). ``client`` is an
    ``httpx.AsyncClient`` to send requests with; it is never closed here. ``timeout`` is how many
    seconds one request may take (30), and ``patience`` how many a call goes on trying while the
    deployment is busy (10).
    """

    functions: str
    client: Any
    timeout: float
    patience: float


class ConvexVectorOptions(ConvexOptions, total=False):
    """The same for vectors.

    ``scan`` is how many vectors an index may have to be looked at whole even where Convex can search
    it (4,000, and never more than one function may read).
    """

    scan: int


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options that are no secret and no object."""

    functions: str = FOLDER
    timeout: float = 30.0
    patience: float = 10.0


class Place(msgspec.Struct, frozen=True):
    """Where a deployment is; its key is in no repr."""

    url: str
    key: str

    def __repr__(self) -> str:
        return f"Place({self.url!r})"


def vector_settings(options: Mapping[str, Any]) -> tuple[Settings, int]:
    """The options of a vector store, checked; and how many vectors are looked at whole."""
    scan = options.get("scan", SCAN)
    if type(scan) is not int or scan < 1:
        raise ConfigurationError(f"scan must be a positive integer, not {scan!r}")
    return settings({name: value for name, value in options.items() if name != "scan"}), scan


def settings(options: Mapping[str, Any]) -> Settings:
    """The options, checked."""
    only_known("Convex", options, ConvexOptions.__annotations__)
    client = options.get("client")
    if client is not None and not inspect.iscoroutinefunction(getattr(client, "post", None)):
        raise ConfigurationError(
            "client must be an httpx.AsyncClient, not "
            f"{type(client).__module__}.{type(client).__name__}"
        )
    given = {name: value for name, value in options.items() if name != "client"}
    try:
        found = msgspec.convert(given, Settings)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"an option of Convex is wrong: {error}") from error
    if found.timeout <= 0 or found.patience < 0:
        raise ConfigurationError("timeout must be positive, patience not negative")
    return found


def place(url: str, key: str | None) -> Place:
    """The address and the key; a URL ``convex://:KEY@HOST`` may hold both."""
    if not isinstance(url, str) or not url.strip():
        raise ConfigurationError("deployment_url must be the address of the deployment")
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme not in {"http", "https", "convex"} or not parts.hostname:
        raise ConfigurationError(
            "deployment_url must be like https://happy-animal-123.convex.cloud or "
            "convex://:KEY@happy-animal-123.convex.cloud"
        )
    scheme = parts.scheme
    if scheme == "convex":
        scheme = "http" if query.get("tls") == "0" else "https"
    token = key or unquote(parts.password or "")
    if not isinstance(token, str) or not token:
        raise ConfigurationError(
            "admin_auth_token is required: the functions are for the holder of the deploy key only"
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError("the key has characters that no key has; is it all of it?")
    host = parts.netloc.rpartition("@")[2]
    return Place(urlunsplit((scheme, host, parts.path.rstrip("/"), "", "")), token)
