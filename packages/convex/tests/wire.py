"""A way to a deployment on which requests are cut, and answers replaced."""

from __future__ import annotations

import json
from typing import NamedTuple

import httpx


class Cut(NamedTuple):
    """The connection ends: before the request arrives, or before its answer does."""

    after: bool


class Answer(NamedTuple):
    """What is answered in place of the deployment, which the request does not reach."""

    status: int
    code: str
    message: str = "try again"


BEFORE, AFTER = Cut(after=False), Cut(after=True)


class Wire(httpx.AsyncBaseTransport):
    """Notes the kind and the function of each request.

    ``faults`` are what happens to the next ones, in turn.
    """

    def __init__(self) -> None:
        self.inner = httpx.AsyncHTTPTransport()
        self.faults: list[Cut | Answer | None] = []
        self.kinds: list[str] = []
        self.functions: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer of the deployment, or what a fault makes of it."""
        self.kinds.append(request.url.path.rpartition("/")[2])
        self.functions.append(json.loads(request.content)["path"].rpartition("/")[2])
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Answer):
            body = json.dumps({"code": fault.code, "message": fault.message})
            content = body if fault.code else "<html>no answer of Convex's</html>"
            return httpx.Response(fault.status, content=content, request=request)
        if fault == BEFORE:
            raise httpx.ReadError("Connection reset by peer", request=request)
        response = await self.inner.handle_async_request(request)
        await response.aread()
        if fault == AFTER:
            raise httpx.RemoteProtocolError("Server disconnected", request=request)
        return response

    async def aclose(self) -> None:
        """End the connections."""
        await self.inner.aclose()
