"""Upstash Vector's REST API: one request, and its answer."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from mastra_core.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidArgumentError,
    LimitExceededError,
    StorageError,
    UnavailableError,
)
from mastra_core.storage.http import Clients
from mastra_upstash.vector_rows import Row

T = TypeVar("T")
# As many as httpx itself allows.
CONNECTIONS: Final = 100
# What tells that a connection broke, so that the same request may be sent once more.
BROKEN: Final = (httpx.NetworkError, httpx.RemoteProtocolError)

ERRORS: Final[Sequence[tuple[str, type[StorageError], str]]] = (
    (r"HTTP (401|403)", AuthenticationError, "check the token, and that it may write"),
    (r"HTTP 429|quota|rate limit", UnavailableError, "the service takes no more now; try again"),
    (r"HTTP 413|HTTP 4.*([Ee]xceed|too (large|long))", LimitExceededError, "it is too large"),
    (r"HTTP 4\d\d: .*[Ff]ilter", InvalidArgumentError, "the service refuses the filter"),
    (r"HTTP 5\d\d", UnavailableError, "the service has a problem; try again"),
    (r"is malformed|invalid character|JSON", UnavailableError, "the answer is not the service's"),
    (
        r"[Cc]onnect|[Tt]imed? ?out|TimeoutError|(Read|Write|Protocol)Error|[Cc]losed|Name or service",
        UnavailableError,
        "the service was not reached; try again",
    ),
)


class ServiceError(Exception):
    """What the service answers in place of a result."""


class Answer(msgspec.Struct):
    """An answer: its result as it came, or an error."""

    result: msgspec.Raw = msgspec.Raw(b"null")
    error: str | None = None


class Space(msgspec.Struct, rename="camel"):
    """What the service counts in a namespace."""

    vector_count: int = 0
    pending_vector_count: int = 0

    @property
    def used(self) -> bool:
        """Whether there is a vector in it: reading a namespace is enough to make one."""
        return bool(self.vector_count or self.pending_vector_count)


class Info(msgspec.Struct, rename="camel"):
    """What the service says of the whole."""

    dimension: int
    similarity_function: str
    namespaces: dict[str, Space] = {}


class Page(msgspec.Struct, rename="camel"):
    """Some of the vectors of a namespace, and where the next of them begin."""

    vectors: list[Row]
    next_cursor: str = ""


class Gone(msgspec.Struct):
    """How many vectors were deleted."""

    deleted: int = 0


class Updated(msgspec.Struct):
    """How many vectors were changed: one, or none where there is none with this id."""

    updated: int = 0


class VectorService:
    """The requests of one index of Upstash Vector, over a client of HTTP for each event loop."""

    def __init__(self, url: str, token: str, *, client: Any, timeout: float) -> None:
        self._url = url
        self._token = token
        self._timeout = timeout
        self._clients = Clients(client, connections=CONNECTIONS)

    async def ask(self, kind: type[T], path: str, body: object = None, *, space: str = "") -> T:
        """The result of a request.

        It is sent once more where the connection broke: sent twice, each of these does what it
        does once, as late as the second time.
        """
        address = f"{self._url}/{path}{'/' if space else ''}{quote(space, safe=':')}"
        content = b"" if body is None else msgspec.json.encode(body)
        async with self._clients.use() as client, asyncio.timeout(self._timeout):
            try:
                response = await self._send(client, address, content)
            except BROKEN:
                response = await self._send(client, address, content)
        return _result(kind, response)

    async def _send(
        self, client: httpx.AsyncClient, address: str, content: bytes
    ) -> httpx.Response:
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        return await client.post(address, content=content, headers=headers)

    async def close(self) -> None:
        """Close the running loop's client, if it was made here."""
        await self._clients.close()


def _result(kind: type[T], response: httpx.Response) -> T:
    """What was asked for; any other answer is an error, of which no more than a line is told."""
    status, content = response.status_code, response.content
    try:
        answer = msgspec.json.decode(content, type=Answer)
        if status == 200 and answer.error is None:
            return msgspec.json.decode(answer.result, type=kind)
        said = answer.error or ""
    except msgspec.MsgspecError as error:
        if status == 200:
            raise ServiceError(f"JSON that is no answer: {error}") from error
        said = ""
    raise ServiceError(f"HTTP {status}: {said[:300]}")


def check_client(client: Any) -> Any:
    """A caller's client, if it can be used here."""
    if client is not None and not inspect.iscoroutinefunction(getattr(client, "post", None)):
        raise ConfigurationError(
            f"client must be an httpx.AsyncClient, not {type(client).__module__}."
            f"{type(client).__name__}"
        )
    return client
