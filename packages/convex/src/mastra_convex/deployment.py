"""A deployment of Convex over HTTP: one function called, and what it returned or threw."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Mapping
from typing import Any, Final, Literal

import httpx
import msgspec
from convex.values import CoercibleToConvexValue, convex_to_json, json_to_convex

from mastra_convex.options import Place, Settings
from mastra_core.errors import LimitExceededError
from mastra_core.storage.loops import PerLoop, at_end_of_loop, pauses

Kind = Literal["query", "mutation"]
# What a function takes as arguments, with room for what the encoding adds.
ARGUMENT_BYTES: Final = 15 * 1024 * 1024
# Answers after which nothing was done, so that a mutation may be sent again, too.
UNDONE: Final = frozenset(
    {
        "OptimisticConcurrencyControlFailure",
        "TooManyConcurrentRequests",
        "ExpiredInQueue",
        "RateLimited",
        "SystemTimeoutBeforeExecution",
    }
)
FAILED: Final = 560


class ConvexFailure(Exception):  # noqa: N818 (what the service said, before it is one of ours)
    """What Convex answers in place of a result."""


class FunctionThrew(ConvexFailure):
    """What a function of ours threw on purpose."""

    def __init__(self, message: str, data: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.data = data


class _Answer(msgspec.Struct, rename="camel"):
    status: str = ""
    value: Any = None
    error_message: str = ""
    error_data: Any = None
    code: str = ""
    message: str = ""


class _Busy(ConvexFailure):
    """Nothing was done; the same request may be sent again."""


@functools.cache
def _certificates() -> ssl.SSLContext:
    """What is trusted, read once: it takes tens of milliseconds, and each event loop has a client."""
    return httpx.create_ssl_context()


class Deployment:
    """The functions of one deployment, over a client of HTTP for each event loop."""

    def __init__(self, place: Place, settings: Settings, client: httpx.AsyncClient | None) -> None:
        self.place = place
        self._settings = settings
        self._given = client
        self._clients = PerLoop(self._open)
        self._headers = {
            "authorization": f"Convex {place.key}",
            "content-type": "application/json",
        }

    def _open(self) -> tuple[httpx.AsyncClient, Any]:
        if self._given is not None:
            return self._given, None
        # How long a request may take is bounded where it is sent.
        client = httpx.AsyncClient(timeout=None, verify=_certificates())  # noqa: S113
        return client, at_end_of_loop(client.aclose)

    async def call(
        self, kind: Kind, name: str, arguments: dict[str, CoercibleToConvexValue]
    ) -> Any:
        """What a function returns; sent again only where nothing was done, or it only reads."""
        content = self._encoded(name, arguments)
        try:
            return await self._once(kind, content)
        except _Busy as busy:
            last = busy
        async for _ in pauses(self._settings.patience):
            try:
                return await self._once(kind, content)
            except _Busy as busy:
                last = busy
        raise last

    def _encoded(self, name: str, arguments: dict[str, CoercibleToConvexValue]) -> bytes:
        body = {
            "path": f"{self._settings.functions}/rows:{name}",
            "format": "convex_encoded_json",
            "args": convex_to_json(arguments),
        }
        content = msgspec.json.encode(body)
        if len(content) > ARGUMENT_BYTES:
            raise LimitExceededError(
                f"the request has {len(content):,} bytes, and a function of Convex takes at most "
                f"{ARGUMENT_BYTES:,}; nothing was sent: write less in one call"
            )
        return content

    async def _once(self, kind: Kind, content: bytes) -> Any:
        try:
            return await self._send(kind, content)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            # The deployment may have done it: only a read may be sent once more.
            if kind != "query":
                raise
        return await self._send(kind, content)

    async def _send(self, kind: Kind, content: bytes) -> Any:
        client, _ = self._clients.get()
        url = f"{self.place.url}/api/{kind}"
        async with asyncio.timeout(self._settings.timeout):
            response = await client.post(url, content=content, headers=self._headers)
        return _result(response.status_code, response.content)

    async def close(self) -> None:
        """Close the running loop's client, if it was made here."""
        opened = self._clients.pop()
        if opened is not None and opened[1] is not None:
            await opened[0].aclose()


def _result(status: int, content: bytes) -> Any:
    """What was asked for; any other answer is an error, of which no more than a line is told."""
    try:
        answer = msgspec.json.decode(content, type=_Answer)
    except msgspec.MsgspecError as error:
        raise ConvexFailure(f"HTTP {status}, and an answer that is not Convex's") from error
    if answer.status == "success":
        return json_to_convex(answer.value)
    if isinstance(answer.error_data, dict):
        raise FunctionThrew(answer.error_message, answer.error_data)
    said = f"HTTP {status}: {answer.code or 'error'}: {answer.message or answer.error_message}"
    if answer.code in UNDONE:
        raise _Busy(said[:500])
    raise ConvexFailure(said[:500])
