"""A line between a client and its server that tests cut, or make deaf."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit, urlunsplit


class Line:
    """A TCP proxy to a server, whose connections a test cuts when it likes.

    ``cut_after`` is how many bytes from clients pass before all is cut, ``deaf`` that answers of
    the server no longer pass.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.target = (parts.hostname, parts.port)
        self.cut_after: int | None = None
        self.deaf = False
        self.cuts = 0
        self.opened = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task] = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def url(self, url: str) -> str:
        """The URL of the server through this line."""
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{self.port}"))

    def cut(self) -> None:
        """Cut all connections."""
        self.cuts += 1
        for writer in list(self._writers):
            writer.transport.abort()

    async def _connected(self, reader, writer):
        self.opened += 1
        far_reader, far_writer = await asyncio.open_connection(*self.target)
        self._writers |= {writer, far_writer}
        for source, sink, ours in ((reader, far_writer, True), (far_reader, writer, False)):
            task = asyncio.create_task(self._copy(source, sink, from_client=ours))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _copy(self, source, sink, *, from_client):
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if from_client and self.cut_after is not None:
                    part = data[: self.cut_after]
                    self.cut_after -= len(part)
                    sink.write(part)
                    await sink.drain()
                    if self.cut_after == 0:
                        self.cut_after = None
                        # What passed arrives; what would come after it does not.
                        await asyncio.sleep(0.05)
                        self.cut()
                        return
                elif from_client or not self.deaf:
                    sink.write(data)
                    await sink.drain()
        sink.transport.abort()
