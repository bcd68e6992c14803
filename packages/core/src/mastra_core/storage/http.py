"""A database behind HTTP: a client for each event loop, and requests repeated where that is safe.

Adapters that import this module depend on ``httpx``; nothing else of the core does.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import random
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

import httpx

from mastra_core.errors import ConfigurationError
from mastra_core.storage.loops import PerLoop, at_end_of_loop

TOO_MANY: Final = 429
SERVER_ERROR: Final = 500
CONNECTIONS: Final = 20
# Seconds that an idle connection is kept: servers close theirs (workerd after 5), and a request that
# goes out in that moment is lost.
IDLE: Final = 2.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
# What happens before anything of the request was sent.
UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class RefusedError(Exception):
    """A server's answer that is no success: its status, and what it says."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text}")
        self.status = status
        self.text = text


def unsent(error: Exception) -> bool:
    """Whether a failed request never left, so that nothing can have been done."""
    return isinstance(error, UNSENT)


def never(answer: httpx.Response) -> bool:  # noqa: ARG001 (as others are asked)
    """Of no answer it is known that nothing was done."""
    return False


def check_client(client: Any) -> None:
    """Refuse a caller's client that cannot be used here; ``None`` is none."""
    if client is not None and not inspect.iscoroutinefunction(getattr(client, "post", None)):
        raise ConfigurationError(
            "client must be an httpx.AsyncClient, not "
            f"{type(client).__module__}.{type(client).__name__}"
        )


class _Client:
    """An open client, which the last of its users closes once it is no longer wanted."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.users = 0
        self.wanted = True

    @contextlib.asynccontextmanager
    async def use(self) -> AsyncGenerator[httpx.AsyncClient]:
        self.users += 1
        try:
            yield self.client
        finally:
            self.users -= 1
            if not self.wanted:
                await self.close()

    async def close(self) -> None:
        self.wanted = False
        # A client that is closed while it waits for answers leaves their connections open.
        if not self.users:
            await self.client.aclose()


class Clients:
    """A client for each event loop, or the one that is given, which is never closed.

    ``connections`` is how many one of our own has at most; how long a request may take is bounded
    where it is sent.
    """

    def __init__(self, given: httpx.AsyncClient | None = None, *, connections: int) -> None:
        self._given = given
        self._connections = connections
        self._opened = PerLoop(self._open)

    def _open(self) -> tuple[_Client, object]:
        limits = httpx.Limits(
            max_connections=self._connections,
            max_keepalive_connections=CONNECTIONS,
            keepalive_expiry=IDLE,
        )
        made = httpx.AsyncClient(verify=_trusted(), limits=limits, timeout=None)  # noqa: S113 (see above)
        opened = _Client(made)
        return opened, at_end_of_loop(opened.close)

    @contextlib.asynccontextmanager
    async def use(self) -> AsyncGenerator[httpx.AsyncClient]:
        """The running loop's client, which is not closed while it is in use."""
        if self._given is not None:
            yield self._given
            return
        async with self._opened.get()[0].use() as client:
            yield client

    async def close(self) -> None:
        """Close what the running loop opened; requests under way come to their end."""
        opened = self._opened.pop()
        if opened is not None:
            await opened[0].close()


class Endpoint:
    """One address that JSON is sent to, and what is beneath it.

    A request is repeated for ``patience`` seconds where that is safe: if nothing of it was sent, if
    the server had too many (429), if ``undone`` says of an answer that nothing was done, and
    otherwise, after an error of the server or of the line, only where it is ``repeatable``.
    ``timeout`` bounds each attempt in seconds. A ``client`` that is given is used and never closed.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        timeout: float,
        patience: float,
        client: httpx.AsyncClient | None = None,
        undone: Callable[[httpx.Response], bool] = never,
    ) -> None:
        self.url = url
        self._headers = {**headers, "content-type": "application/json"}
        # Waiting for one's turn is not the server's time: a queue of tasks may be long.
        self._timeout = httpx.Timeout(timeout, pool=None)
        self._patience = patience
        self._undone = undone
        self._clients = Clients(client, connections=CONNECTIONS)

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r})"

    async def post(self, body: bytes, *, repeatable: bool) -> httpx.Response:
        """The first answer that need not or must not be followed by another attempt."""
        return await self.send("POST", "", body, repeatable=repeatable)

    async def send(
        self, method: str, path: str, body: bytes = b"", *, repeatable: bool
    ) -> httpx.Response:
        """The same for another method, and for a ``path`` that is put behind the address."""
        async with self._clients.use() as client:
            return await self._send(client, method, self.url + path, body, repeatable=repeatable)

    async def _send(
        self, client: httpx.AsyncClient, method: str, url: str, body: bytes, *, repeatable: bool
    ) -> httpx.Response:
        deadline = time.monotonic() + self._patience
        for pause in _pauses():
            wait = pause
            try:
                answer = await client.request(
                    method, url, content=body, headers=self._headers, timeout=self._timeout
                )
            except httpx.TransportError as error:
                if not (repeatable or unsent(error)) or time.monotonic() + wait > deadline:
                    raise
            else:
                wait = max(pause, _asked(answer))
                again = self._again(answer, repeatable=repeatable)
                if not again or time.monotonic() + wait > deadline:
                    return answer
            await asyncio.sleep(wait)
        raise AssertionError("the pauses never end")

    def _again(self, answer: httpx.Response, *, repeatable: bool) -> bool:
        if answer.status_code == TOO_MANY or self._undone(answer):
            return True
        return repeatable and answer.status_code >= SERVER_ERROR

    async def close(self) -> None:
        """Close what the running loop opened; requests under way come to their end."""
        await self._clients.close()


def _pauses() -> Iterator[float]:
    """How long to wait after each attempt: at random, and longer each time."""
    pause = FIRST_PAUSE
    while True:
        yield random.uniform(pause / 2, pause)  # noqa: S311 (no secret)
        pause = min(pause * 2, LONGEST_PAUSE)


def _asked(answer: httpx.Response) -> float:
    """The seconds that a server asks to wait; dates are not understood and count as none."""
    try:
        return float(answer.headers.get("retry-after", 0))
    except ValueError:
        return 0.0


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates that are trusted, read once: it takes longer than a request."""
    return httpx.create_ssl_context()
