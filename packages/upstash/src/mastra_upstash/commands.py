"""Redis however it is reached, as one command and its answer: the only module that imports drivers."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from mastra_core.errors import (
    AuthenticationError,
    ConfigurationError,
    CorruptDataError,
    LimitExceededError,
    SchemaError,
    StorageError,
    UnavailableError,
)
from mastra_core.storage.loops import at_end_of_loop

# Both services answer errors as texts, and their drivers have few classes for them.
REFUSED: Final = (
    r"WRONGPASS|NOAUTH|NOPERM|no permissions|[Uu]nauthorized|[Aa]uthentication"
    r"|invalid (or missing )?(auth|username|password)"
)
TOO_LARGE: Final = r"max request size|max (single )?record size|max key size|exceeds the .*limit"
BUSY: Final = (
    r"max requests limit|max daily|rate limit|too many|\b429\b|BUSY|LOADING|TRYAGAIN|READONLY"
    r"|MASTERDOWN|max number of clients|is loading|read only replica"
)
UNREACHED: Final = (
    r"[Cc]onnect|[Tt]imed? ?out|TimeoutError|(Read|Write|Protocol)Error|[Cc]losed|Name or service"
)
ERRORS: Final[Sequence[tuple[str, type[StorageError], str]]] = (
    (r"MASTRA-SCHEMA", SchemaError, "the tables are not there; call init()"),
    (REFUSED, AuthenticationError, "check the token or password, and that it may write"),
    (TOO_LARGE, LimitExceededError, "it is larger than the database takes; nothing was written"),
    (
        r"OOM|capacity quota|maxmemory",
        UnavailableError,
        "the database is full; nothing was written",
    ),
    (BUSY, UnavailableError, "the database takes no more now; try again"),
    (
        r"WRONGTYPE|attempt to .* nil value",
        CorruptDataError,
        "a key has a value of another kind",
    ),
    (r"JSONDecodeError|Expecting value", UnavailableError, "the answer is not Redis's; try again"),
    (UNREACHED, UnavailableError, "the database was not reached; try again"),
)


class Commands(Protocol):
    """Redis, however it is reached: one command, and its answer as text, integers and lists."""

    async def call(self, *arguments: str) -> Any:
        """The answer to a command; a driver's error where there is none."""

    async def close(self) -> None:
        """Release what was opened."""


class Rest:
    """Redis over Upstash's REST API: each command a request of its own."""

    def __init__(self, client: Any, *, own: bool) -> None:
        self._client = client
        self._own = own

    async def call(self, *arguments: str) -> Any:
        """The answer to a command."""
        return await self._client.execute(list(arguments))

    async def close(self) -> None:
        """Close the client if it was made here."""
        if self._own:
            await self._client.close()


class Direct:
    """Redis over its own protocol."""

    def __init__(self, client: Any, *, own: bool) -> None:
        self._client = client
        self._own = own

    async def call(self, *arguments: str) -> Any:
        """The answer to a command."""
        return _texts(await self._client.execute_command(*arguments))

    async def close(self) -> None:
        """Close the client if it was made here."""
        if self._own:
            await self._client.aclose()


class Link:
    """A connection of one event loop, which is not closed under the calls that use it."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._calls = 0
        self._retired = False
        self._at_end = at_end_of_loop(commands.close)

    async def call(self, *arguments: str) -> Any:
        """The answer to a command."""
        self._calls += 1
        try:
            return await self._commands.call(*arguments)
        finally:
            self._calls -= 1
            if self._retired and not self._calls:
                await self._at_end.aclose()

    async def retire(self) -> None:
        """Close it now, or behind the last of its calls."""
        self._retired = True
        if not self._calls:
            await self._at_end.aclose()


def _texts(answer: Any) -> Any:
    """The answer with text for bytes, whatever the client decodes by itself."""
    if isinstance(answer, bytes):
        return answer.decode()
    if isinstance(answer, list):
        return list(map(_texts, answer))  # pyright: ignore[reportUnknownArgumentType]
    return answer


def rest_address(url: str) -> tuple[str, str | None]:
    """The address of the REST API, and the token if it stands in the URL."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https", "upstash"} or not parts.hostname:
        raise ConfigurationError(
            "url must be https://name.upstash.io, upstash://:token@name.upstash.io or redis://…"
        )
    plain = parts.scheme == "http" or dict(parse_qsl(parts.query)).get("tls") == "0"
    host = parts.netloc.rpartition("@")[2]
    token = parts.password or parts.username
    return f"{'http' if plain else 'https'}://{host}{parts.path.rstrip('/')}", token and unquote(
        token
    )


def place_of(url: str) -> str:
    """Where the database is, without what authenticates."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] + parts.path


def rest_client(url: str, token: str) -> Any:
    """A client of the REST API that neither repeats nor reports by itself."""
    driver = importlib.import_module("upstash_redis.asyncio")
    # Its own retries do not ask whether the request was sent, and wait three seconds.
    return driver.Redis(url, token, rest_retries=0, allow_telemetry=False)


def direct_client(url: str) -> Any:
    """A client of a Redis server."""
    try:
        driver = importlib.import_module("redis.asyncio")
    except ImportError as error:
        raise ConfigurationError(
            "redis:// needs the extra: pip install 'mastra-upstash[redis]'"
        ) from error
    # How long a request may take is bounded by the caller of this.
    return driver.Redis.from_url(url, decode_responses=True, socket_timeout=None)


def broke(error: Exception) -> bool:
    """Whether the connection broke, so that the same request may be sent once more."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"NetworkError", "RemoteProtocolError", "ConnectionError"})
