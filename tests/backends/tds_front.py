"""A server that speaks SQL Server's protocol and runs what it is asked on PostgreSQL.

    python tds_front.py PORT POSTGRES_URL PASSWORD

The drivers are real, and so are transactions, locks and conflicts; the SQL is translated. What only
SQL Server does (collations but two, its locking, its limits) is not here.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import tds_wire as wire
from tds_statements import Statements

# What else is told of a type; nobody asks.
TYPE_INFORMATION = (
    "LITERAL_PREFIX",
    "LITERAL_SUFFIX",
    "CREATE_PARAMS",
    "NULLABLE",
    "CASE_SENSITIVE",
    "SEARCHABLE",
    "UNSIGNED_ATTRIBUTE",
    "MONEY",
    "AUTO_INCREMENT",
    "LOCAL_TYPE_NAME",
    "MINIMUM_SCALE",
    "MAXIMUM_SCALE",
    "SQL_DATA_TYPE",
    "SQL_DATETIME_SUB",
    "NUM_PREC_RADIX",
    "INTERVAL_PRECISION",
    "USERTYPE",
)
SESSION = (
    "SET search_path = dbo, front, pg_catalog; SET timezone = 'UTC'; SET deadlock_timeout = '50ms'; "
    "SET lock_timeout = '30s'; SET client_min_messages = error"
)


class Session(Statements):
    """One client, and its connection to PostgreSQL."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, url: str, password: str
    ) -> None:
        super().__init__()
        self.reader, self.writer, self.url, self.password = reader, writer, url, password
        self.inbox: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        self.prepared: list[str] = []

    async def serve(self) -> None:
        listening = asyncio.create_task(self.listen())
        try:
            while (packet := await self.inbox.get()) is not None:
                kind, data = packet
                if kind == wire.PRELOGIN:
                    self.send(wire.prelogin())
                elif kind == wire.LOGIN:
                    if not await self.login(data):
                        return
                elif kind == wire.ATTENTION:
                    self.send(wire.done(wire.DONE, wire.ATTENDED, 0))
                else:
                    await self.attentively(kind, data)
                await self.writer.drain()
        finally:
            listening.cancel()
            if self.database is not None:
                await self.database.close()

    async def listen(self) -> None:
        """Take in packets, so that a request to stop is seen while something is running."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            parts = b""
            while True:
                head = await self.reader.readexactly(8)
                parts += await self.reader.readexactly(struct.unpack(">H", head[2:4])[0] - 8)
                if head[1] & 1:
                    self.inbox.put_nowait((head[0], parts))
                    parts = b""
        self.inbox.put_nowait(None)

    async def attentively(self, kind: int, data: bytes) -> None:
        """Run a request, until it is done or the client does not want it any more."""
        running = asyncio.create_task(self.request(kind, data))
        asking = asyncio.create_task(self.inbox.get())
        await asyncio.wait({running, asking}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            assert self.database is not None
            await self.database.cancel_safe()
            await asyncio.wait({running})
            await self.finish("ROLLBACK")
            packet = asking.result()
            if packet is None:
                self.inbox.put_nowait(None)
            else:
                self.send(wire.done(wire.DONE, wire.ATTENDED, 0))
            return
        if asking.done():
            self.inbox.put_nowait(asking.result())
        else:
            asking.cancel()
        self.send(running.result())

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.writer.write(wire.packets(data))

    async def login(self, data: bytes) -> bool:
        who = wire.login(data)
        if who.password != self.password:
            failed = wire.failed(18456, 14, f"Login failed for user '{who.user}'.")
            self.send(failed + wire.done(wire.DONE, wire.ERROR, 0))
            await self.writer.drain()
            return False
        self.database = await psycopg.AsyncConnection.connect(self.url, autocommit=True)
        await self.database.execute(SESSION)
        self.send(wire.welcome(who.database or "master"))
        return True

    async def request(self, kind: int, data: bytes) -> bytes:
        """The answer to a request."""
        self.answer = []
        start = struct.unpack_from("<I", data)[0]
        if kind == wire.BATCH:
            return await self.batch(data[start:].decode("utf-16-le"), {}, wire.DONE)
        if kind == wire.TRANSACTION:
            return await self.manage(wire.Reader(data, start))
        return await self.calls(wire.Reader(data, start))

    async def manage(self, reader: wire.Reader) -> bytes:
        """A request to begin, commit or undo a transaction."""
        kind = reader.number(2)
        if kind == 5:
            await self.begin()
        else:
            await self.finish("COMMIT" if kind == 7 else "ROLLBACK")
            reader.take(reader.number(1) * 2)
            if reader.more and reader.number(1) & 1:
                await self.begin()
        return b"".join(self.answer) + wire.done(wire.DONE, 0, 0)

    async def calls(self, reader: wire.Reader) -> bytes:
        answer = b""
        while reader.more:
            answer += await self.call(reader)
            if reader.more:
                reader.take(1)
        return answer

    async def call(self, reader: wire.Reader) -> bytes:
        """One call of a procedure; only those that the drivers use for statements."""
        size = reader.number(2)
        name: Any = (
            reader.number(2) if size == 0xFFFF else reader.take(2 * size).decode("utf-16-le")
        )
        reader.take(2)
        given = []
        while reader.more and reader.data[reader.at] not in {0x80, 0xFF}:
            given.append(reader.parameter())
        values = [value for _, value in given]
        self.answer = []
        handle = b""
        if name in {10, "sp_executesql"}:
            text, params = values[0], values[2:]
        elif name in {13, "sp_prepexec"}:
            self.prepared.append(values[2])
            text, params = values[2], values[3:]
            handle = b"\xac\x00\x00" + wire.text8("@handle") + b"\x01" + bytes(6) + b"\x26\x04\x04"
            handle += struct.pack("<i", len(self.prepared))
        elif name in {11, "sp_prepare"}:
            self.prepared.append(values[2])
            handle = b"\xac\x00\x00" + wire.text8("@handle") + b"\x01" + bytes(6) + b"\x26\x04\x04"
            handle += struct.pack("<i", len(self.prepared))
            return b"\x79" + bytes(4) + handle + wire.done(wire.DONE_PROC, 0, 0)
        elif name in {12, "sp_execute"}:
            text, params = self.prepared[values[0] - 1], values[1:]
        elif str(name).lower().endswith("sp_datatype_info_100"):
            return self.types(given)
        elif name in {15, "sp_unprepare"}:
            return b"\x79" + bytes(4) + wire.done(wire.DONE_PROC, 0, 0)
        else:
            text = f"there is no procedure {name} here"
            return wire.failed(2812, 16, text) + wire.done(wire.DONE_PROC, wire.ERROR, 0)
        bound = {f"P{i}": value for i, value in enumerate(params, 1)}
        answer = await self.batch(text, bound, wire.DONE_IN_PROC)
        return answer + b"\x79" + bytes(4) + handle + wire.done(wire.DONE_PROC, 0, 0)

    def types(self, given: Sequence[tuple[str, Any]]) -> bytes:
        """How long values of a type may be, which pyodbc asks for when it connects."""
        kind = given[0][1] if given else 0
        size = {-9: 4000, -8: 4000, 12: 8000, 1: 8000, -3: 8000, -2: 8000}.get(kind, 2**30)
        names = ("TYPE_NAME", "DATA_TYPE", "PRECISION", *TYPE_INFORMATION)
        row = ["type", kind, size, *[None for _ in TYPE_INFORMATION]]
        columns = [wire.column("text", 128), *[wire.column("int") for _ in names[1:]]]
        told = wire.table(names, columns, [row])
        end = wire.done(wire.DONE_IN_PROC, wire.COUNT | wire.MORE, 1)
        return told + end + b"\x79" + bytes(4) + wire.done(wire.DONE_PROC, 0, 0)


async def main(port: int, url: str, password: str) -> None:
    """Serve until the process ends."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("SELECT pg_advisory_lock(1)")
        await connection.execute(Path(__file__).with_name("tsql_setup.sql").read_bytes())

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await Session(reader, writer, url, password).serve()
        except (OSError, psycopg.OperationalError) as error:
            print(error, file=sys.stderr)
        finally:
            writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
