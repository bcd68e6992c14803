"""A deployment of Convex over HTTP: one function called, and what it returned or threw."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, Literal

import httpx
import msgspec
from convex.values import convex_to_json, json_to_convex

from mastra_convex.options import Place, Settings
from mastra_core.errors import LimitExceededError
from mastra_core.storage.codec import json_object
from mastra_core.storage.http import Clients, unsent
from mastra_core.storage.loops import pauses

Kind = Literal["query", "mutation", "action"]
# As many as httpx itself allows.
CONNECTIONS: Final = 100
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
THROTTLED: Final = 429
# What a function threw comes with a status of its own.
THREW: Final = 560


class ConvexFailure(Exception):  # noqa: N818 (what the service said, before it is one of ours)
    """What Convex answers in place of a result."""


class FunctionThrew(ConvexFailure):
    """What a function of ours threw on purpose."""

    def __init__(self, message: str, data: Mapping[str, Any]) -> None:
        super().__init__(str(data.get("message", message)))
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


class _Unclear(ConvexFailure):
    """It may have been done or not; a read may be sent again."""


class Deployment:
    """The functions of one deployment, over a client of HTTP for each event loop."""

    def __init__(self, place: Place, settings: Settings, client: httpx.AsyncClient | None) -> None:
        self.place = place
        self._settings = settings
        # Waiting for one's turn is not the deployment's time: a queue of tasks may be long.
        self._timeout = httpx.Timeout(settings.timeout, pool=None)
        self._clients = Clients(client, connections=CONNECTIONS)
        self._headers = {
            "authorization": f"Convex {place.key}",
            "content-type": "application/json",
        }

    async def call(self, kind: Kind, name: str, arguments: dict[str, Any]) -> Any:
        """What a function returns; sent again only where nothing was done, or it only reads."""
        content = self._encoded(name, arguments)
        repeated = (_Busy,) if kind == "mutation" else (_Busy, _Unclear)
        try:
            return await self._once(kind, content)
        except repeated as failure:
            last = failure
        async for _ in pauses(self._settings.patience):
            try:
                return await self._once(kind, content)
            except repeated as failure:
                last = failure
        raise last

    def _encoded(self, name: str, arguments: dict[str, Any]) -> bytes:
        body = {
            "path": f"{self._settings.functions}/{name}",
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
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            # The deployment may have done it: only a read (our actions are) may be sent once more.
            if kind == "mutation" or unsent(error):
                raise
        return await self._send(kind, content)

    async def _send(self, kind: Kind, content: bytes) -> Any:
        url = f"{self.place.url}/api/{kind}"
        async with self._clients.use() as client:
            response = await client.post(
                url, content=content, headers=self._headers, timeout=self._timeout
            )
        return _result(response.status_code, response.content)

    async def close(self) -> None:
        """Close the running loop's client, if it was made here."""
        await self._clients.close()


def _result(status: int, content: bytes) -> Any:
    """What was asked for; any other answer is an error, of which no more than a line is told."""
    try:
        answer = msgspec.json.decode(content, type=_Answer)
    except msgspec.MsgspecError as error:
        said = f"HTTP {status}, and an answer that is not Convex's"
        raise _failure(status, "")(said) from error
    if answer.status == "success":
        return json_to_convex(answer.value)
    thrown = json_object(answer.error_data)
    if thrown:
        raise FunctionThrew(answer.error_message, thrown)
    said = f"HTTP {status}: {answer.code or 'error'}: {answer.message or answer.error_message}"
    raise _failure(status, answer.code)(said[:500])


def _failure(status: int, code: str) -> type[ConvexFailure]:
    """What an answer that is no result says about what was done."""
    if code in UNDONE or status == THROTTLED:
        return _Busy
    return (
        _Unclear
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != THREW
        else ConvexFailure
    )
