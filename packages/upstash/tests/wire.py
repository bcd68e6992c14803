"""A wire between client and REST API that notes what passes, and breaks where it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

CUT_BEFORE, CUT_AFTER, HANG = "cut before", "cut after", "hang"


class Request(NamedTuple):
    """One request as it passed: its path, and the command (or what else is asked) in it."""

    path: str
    command: Any
    size: int

    @property
    def name(self) -> str:
        """The command's name."""
        return str(self.command[0])


class Reply(NamedTuple):
    """What is answered in place of the server."""

    status: int
    body: str


class Wire:
    """Listens on loopback; ``faults`` has one entry for each request to come, ``None`` lets it pass."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), parts.port or 80
        self.requests: list[Request] = []
        self.hanging = asyncio.Event()
        self.faults: deque[str | Reply | None] = deque()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**26)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._pass(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head, body = await _message(reader)
        path = head.split(b" ", 2)[1].decode()
        self.requests.append(Request(path, json.loads(body or b"null"), len(body)))
        fault = self.faults.popleft() if self.faults else None
        if fault == CUT_BEFORE:
            return False
        if fault == HANG:
            self.hanging.set()
            await asyncio.sleep(3600)
        if isinstance(fault, Reply):
            writer.write(
                f"HTTP/1.1 {fault.status} X\r\nContent-Length: {len(fault.body)}\r\n\r\n{fault.body}".encode()
            )
            await writer.drain()
            return True
        answer = await self._forward(head + body)
        if fault == CUT_AFTER:
            return False
        writer.write(answer)
        await writer.drain()
        return True

    async def _forward(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=2**26)
        writer.write(request)
        head, body = await _message(reader)
        writer.close()
        return head + body


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    size = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
    return head, await reader.readexactly(size)
