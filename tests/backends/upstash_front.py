"""The REST API of Upstash before a Redis server: python upstash_front.py PORT REDIS_PORT TOKEN READER

Written from Upstash's documentation: ``POST /`` is one command, ``/pipeline`` several, ``/multi-exec``
a transaction, ``GET /SET/key/value`` a command in the path; ``Upstash-Encoding: base64`` encodes texts in
answers. The token stands in ``Authorization`` or in ``_token``; READER may only read. Requests are
bounded, and commands that need a connection of their own are refused.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

MAX_REQUEST = 10 * 1000 * 1000
STATUS = {200: "OK", 400: "Bad Request", 401: "Unauthorized"}
REFUSED = {
    *(
        "SUBSCRIBE",
        "PSUBSCRIBE",
        "SSUBSCRIBE",
        "MONITOR",
        "SELECT",
        "AUTH",
        "HELLO",
        "CLIENT",
        "RESET",
    ),
    *(
        "MULTI",
        "EXEC",
        "DISCARD",
        "WATCH",
        "UNWATCH",
        "BLPOP",
        "BRPOP",
        "BLMOVE",
        "BZPOPMIN",
        "BZPOPMAX",
    ),
    *("CONFIG", "SHUTDOWN", "DEBUG", "SAVE", "BGSAVE", "REPLICAOF", "ACL", "MODULE", "QUIT"),
}
READING = {
    *(
        "GET",
        "MGET",
        "EXISTS",
        "TTL",
        "TYPE",
        "SCAN",
        "ZRANGE",
        "ZRANGEBYLEX",
        "ZREVRANGEBYLEX",
        "ZCARD",
    ),
    *("ZLEXCOUNT", "HGET", "HGETALL", "PING", "INFO", "DBSIZE", "EVAL_RO", "EVALSHA_RO"),
}


class RedisError(Exception):
    """An error that Redis answered."""


class Redis:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, command: list[Any]) -> None:
        parts = [_argument(part) for part in command]
        self.writer.write(b"*%d\r\n" % len(parts))
        for part in parts:
            self.writer.write(b"$%d\r\n%s\r\n" % (len(part), part))

    async def answer(self) -> Any:
        line = (await self.reader.readuntil(b"\r\n"))[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        size = int(rest)
        if size < 0:
            return None
        if kind == b"$":
            return (await self.reader.readexactly(size + 2))[:-2]
        return [await self.answer() for _ in range(size)]

    async def ask(self, commands: list[list[Any]]) -> list[Any]:
        for command in commands:
            self.send(command)
        return [await self.answer() for _ in commands]


def _argument(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return json.dumps(value).encode()
    return str(value).encode()


class Front:
    """Answers requests, each with a connection of a pool."""

    def __init__(self, redis_port: int, token: str, reader: str) -> None:
        self.port, self.token, self.read_token = redis_port, token, reader
        self.idle: list[Redis] = []

    @contextlib.asynccontextmanager
    async def redis(self) -> AsyncIterator[Redis]:
        if self.idle:
            one = self.idle.pop()
        else:
            opened = await asyncio.open_connection("127.0.0.1", self.port, limit=2**26)
            one = Redis(*opened)
        try:
            yield one
        except BaseException:
            one.writer.close()
            raise
        self.idle.append(one)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
                raw = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
                raw = {name.lower(): value for name, value in raw.items()}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, target, _ = head[0].split(" ", 2)
                status, answer = await self.respond(method, target, raw, body)
                text = json.dumps(answer).encode()
                writer.write(
                    f"HTTP/1.1 {status} {STATUS[status]}\r\nContent-Type: application/json\r\n"
                    f"Upstash-Sync-Token: 1\r\nContent-Length: {len(text)}\r\n\r\n".encode()
                    + text
                )
                await writer.drain()
        writer.close()

    async def respond(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, Any]:
        parts = urlsplit(target)
        bearer = headers.get("authorization", "").partition("Bearer ")[2]
        token = bearer or dict(parse_qsl(parts.query)).get("_token", "")
        if not token:
            return 401, {"error": "Unauthorized"}
        if token not in {self.token, self.read_token}:
            return 401, {"error": "WRONGPASS invalid or missing auth token"}
        if len(body) > MAX_REQUEST:
            said = f"Limit: {MAX_REQUEST} bytes, Actual: {len(body)} bytes"
            return 400, {"error": f"ERR max request size exceeded. {said}"}
        encode = _base64 if headers.get("upstash-encoding") == "base64" else _text
        path = parts.path.rstrip("/")
        try:
            given = json.loads(body) if body and path in {"", "/pipeline", "/multi-exec"} else None
        except ValueError:
            return 400, {"error": "ERR failed to parse command"}
        if path in {"/pipeline", "/multi-exec"}:
            return await self.several(given, token, encode, atomic=path == "/multi-exec")
        command = given if path == "" else [unquote(part) for part in path[1:].split("/")]
        if path and body:
            command = [*command, body.decode()]
        if not isinstance(command, list) or not command:
            return 400, {"error": "ERR failed to parse command"}
        if refused := self.refusal(command, token):
            return 400, {"error": refused}
        async with self.redis() as redis:
            (answer,) = await redis.ask([command])
        if isinstance(answer, RedisError):
            return 400, {"error": str(answer)}
        return 200, {"result": encode(answer)}

    async def several(
        self, given: Any, token: str, encode: Any, *, atomic: bool
    ) -> tuple[int, Any]:
        if not isinstance(given, list) or not all(isinstance(c, list) and c for c in given):
            return 400, {"error": "ERR failed to parse pipeline request"}
        refused = [self.refusal(command, token) for command in given]
        if atomic and any(refused):
            return 400, {"error": "EXECABORT Transaction discarded because of previous errors."}
        commands = [c for c, no in zip(given, refused, strict=True) if not no]
        async with self.redis() as redis:
            if atomic:
                *_, answers = await redis.ask([["MULTI"], *commands, ["EXEC"]])
                if isinstance(answers, RedisError):
                    return 400, {"error": str(answers)}
            else:
                answers = await redis.ask(commands)
        left = iter(answers)
        found = [RedisError(no) if no else next(left) for no in refused]
        return 200, [
            {"error": str(a)} if isinstance(a, RedisError) else {"result": encode(a)} for a in found
        ]

    def refusal(self, command: list[Any], token: str) -> str | None:
        name = str(command[0]).upper()
        if name in REFUSED:
            return f"ERR Command is not available: '{name}'. See the documentation of the REST API"
        if token == self.read_token and name not in READING:
            return f"NOPERM this user has no permissions to run the '{name.lower()}' command"
        return None


def _text(answer: Any) -> Any:
    if isinstance(answer, list):
        return [_text(each) for each in answer]
    if isinstance(answer, RedisError):
        return str(answer)
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer


def _base64(answer: Any) -> Any:
    if isinstance(answer, list):
        return [_base64(each) for each in answer]
    if answer == "OK" or isinstance(answer, int) or answer is None:
        return answer
    return base64.b64encode(answer if isinstance(answer, bytes) else str(answer).encode()).decode()


async def main(port: int, redis_port: int, token: str, reader: str) -> None:
    front = Front(redis_port, token, reader)
    server = await asyncio.start_server(front.serve, "127.0.0.1", port, limit=2**26)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]))
