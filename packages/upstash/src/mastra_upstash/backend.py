"""Redis over Upstash's REST API and over its own protocol: every call one script, and one request."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, TypedDict, Unpack
from uuid import uuid4

import msgspec

from mastra_core.errors import ConfigurationError, ConflictError, LimitExceededError
from mastra_core.storage.backend import Backend, Limits
from mastra_core.storage.loops import PerLoop
from mastra_core.storage.schema import Change, Query, Row, Table, Where
from mastra_core.storage.settings import only_known
from mastra_core.storage.tables import MESSAGES, RESOURCES, SCORERS, THREADS, WORKFLOW_SNAPSHOT
from mastra_upstash.commands import (
    ERRORS,
    Commands,
    Direct,
    Link,
    Rest,
    broke,
    direct_client,
    place_of,
    rest_address,
    rest_client,
)
from mastra_upstash.layout import Layout
from mastra_upstash.plans import planned, pushes
from mastra_upstash.reading import ANSWER_BYTES, LOOKS, Counting, Reading
from mastra_upstash.scripts import SHARDS, ScriptName, script

# What an Upstash database takes in one request, unless its plan says otherwise.
REQUEST_BYTES: Final = 10_000_000
# JSON needs at most so many characters for one of a text.
ESCAPED: Final = 6
# How long a write is known by its token, in seconds: within it, sent again it is not done again.
KEPT: Final = 600
# Answers are bounded by their bytes, so a page may have many rows.
PAGE_ROWS: Final = 5000
BUILD_ROWS: Final = 500
SCAN_KEYS: Final = 1000
ORIGINALS: Final = (THREADS, MESSAGES, RESOURCES, SCORERS, WORKFLOW_SNAPSHOT)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What both kinds of database are told; ``UpstashOptions`` says what each means."""

    key_prefix: str = ""
    timeout: float = 30.0
    max_request_bytes: int | None = None


class UpstashOptions(TypedDict, total=False):
    """How a database is reached.

    ``token`` is that of the REST API. ``client`` is an ``upstash_redis.asyncio.Redis`` or a
    ``redis.asyncio.Redis`` in place of a URL; it is never closed here. ``key_prefix`` stands before
    every key, so that several stores can share a database. ``timeout`` is how many seconds one
    request may take (30). ``max_request_bytes`` is what the database takes in one request
    (10,000,000 on Upstash, no bound on Redis).
    """

    token: str | None
    client: Any
    key_prefix: str
    timeout: float
    max_request_bytes: int | None


def open_backend(url: str | None = None, **options: Unpack[UpstashOptions]) -> UpstashBackend:
    """The backend for a URL or a client; nothing is connected before the first operation."""
    only_known("Upstash", options, UpstashOptions.__annotations__)
    client, token = options.get("client"), options.get("token")
    given = {name: value for name, value in options.items() if name not in {"client", "token"}}
    try:
        settings = msgspec.convert(given, Settings)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"an option of Upstash is wrong: {error}") from error
    if (url is None) == (client is None):
        raise ConfigurationError("give either a url (and token) or a client")
    if client is not None:
        return _of_client(client, settings)
    if not isinstance(url, str) or not url.strip():
        raise ConfigurationError("url must be the address of the REST API, or redis://host:port/db")
    if url.partition(":")[0].lower() in {"redis", "rediss", "unix"}:
        if token is not None:
            raise ConfigurationError("a token is for the REST API; a password stands in the url")
        return RedisBackend(lambda: Direct(direct_client(url), own=True), settings, place_of(url))
    address, inside = rest_address(url)
    known = token or inside
    if not known:
        raise ConfigurationError(
            "token is required: the REST API of Upstash asks everybody for one"
        )
    if not known.isascii() or not known.isprintable() or " " in known:
        raise ConfigurationError("the token has characters that no token has; is it all of it?")
    return UpstashBackend(
        lambda: Rest(rest_client(address, known), own=True), settings, place_of(url)
    )


def _of_client(client: Any, settings: Settings) -> UpstashBackend:
    packages = {kind.__module__.partition(".")[0] for kind in type(client).__mro__}
    command = getattr(client, "execute_command" if "redis" in packages else "execute", None)
    if not inspect.iscoroutinefunction(command):
        raise ConfigurationError(
            "client must be asynchronous, an upstash_redis.asyncio.Redis or a redis.asyncio.Redis, "
            f"not {type(client).__module__}.{type(client).__name__}"
        )
    if "redis" in packages:
        return RedisBackend(lambda: Direct(client, own=False), settings)
    return UpstashBackend(lambda: Rest(client, own=False), settings)


class UpstashBackend(Backend):
    """A Redis database by the REST API of Upstash: one request for each read and each write."""

    name: ClassVar[str] = "Upstash"
    texts = ERRORS
    # None: the server's own bound is what holds.
    request_bytes: ClassVar[int | None] = REQUEST_BYTES

    def __init__(
        self, connect: Callable[[], Commands], settings: Settings, place: str = ""
    ) -> None:
        super().__init__()
        bound = settings.max_request_bytes
        if bound is not None and bound < 1:
            raise ConfigurationError("max_request_bytes must be positive")
        self.place = place
        self.prefix = settings.key_prefix
        self._timeout = settings.timeout
        self._bound = bound or self.request_bytes
        # Text is escaped twice on its way: in its row, and in the request.
        value_bytes = None if self._bound is None else self._bound // 4
        self.limits = Limits(page_rows=PAGE_ROWS, value_bytes=value_bytes)  # type: ignore[misc]
        self._links = PerLoop(lambda: Link(connect()))
        self._layouts: dict[str, Layout] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.place or 'a client of the caller'!r})"

    def _driver_raised(self, error: Exception) -> bool:
        module = type(error).__module__.partition(".")[0]
        return module in {"httpx", "httpcore", "upstash_redis", "redis", "json"} or isinstance(
            error, (OSError, TimeoutError)
        )

    def layout(self, table: Table) -> Layout:
        """How the rows of a table stand in the database; a declared one may have more indexes."""
        declared = self._declared.get(table.name, table)
        found = self._layouts.get(table.name)
        if found is None or found.table is not declared:
            found = self._layouts[table.name] = Layout(declared)
        return found

    async def run(self, name: ScriptName, plan: dict[str, Any], *texts: str) -> Any:
        """What a script answers; it is sent whole only where the server does not know it yet."""
        known = script(name)
        text = msgspec.json.encode({"root": self.prefix, **plan}).decode()
        self._check_request(text, texts)
        try:
            return await self._call("EVALSHA", known.digest, "0", text, *texts)
        except Exception as error:
            if not re.search("NOSCRIPT|No matching script", str(error)):
                raise
        return await self._call("EVAL", known.text, "0", text, *texts)

    async def _call(self, *arguments: str) -> Any:
        """One command, sent once more where the connection broke: scripts know a write again."""
        link = self._links.get()
        async with asyncio.timeout(self._timeout):
            try:
                return await link.call(*arguments)
            except Exception as error:
                if not broke(error):
                    raise
            return await link.call(*arguments)

    def _check_request(self, plan: str, texts: Sequence[str]) -> None:
        bound = self._bound
        if bound is None or (len(plan) + sum(map(len, texts))) * ESCAPED < bound:
            return
        size = sum([len(json.dumps(text)) for text in (plan, *texts)])
        if size > bound:
            raise LimitExceededError(
                f"the request has {size:,} bytes, and {self.name} takes at most {bound:,} at once; "
                "nothing was sent: write less in one call (or raise max_request_bytes, where the "
                "plan of the database allows more)"
            )

    async def _setup(self, tables: Sequence[Table]) -> None:
        described = [
            {
                "name": table.name,
                "text": msgspec.json.encode(self.layout(table).description()).decode(),
            }
            for table in tables
        ]
        missing = await self.run("setup", {"tables": described, "built": []})
        for name in dict.fromkeys(table for table, _ in missing):
            for shard in SHARDS:
                await self._build(name, shard)
        if missing:
            await self.run("setup", {"tables": [], "built": missing})

    async def _build(self, table: str, shard: str) -> None:
        """Put the rows of a table, a page at a time, into indexes that are new to it."""
        last = "-"
        while last:
            plan = {"table": table, "shard": shard, "low": last, "size": BUILD_ROWS}
            _, end = await self.run("index", plan)
            last = f"({end}" if end else ""

    async def adopt(self) -> dict[str, int]:
        """Put what the TypeScript framework wrote into our indexes; how many rows of each table.

        Its adapter keeps none, so what it wrote is found by key only, and stands in no list before
        this. It looks at every key of the database, in bounded steps, and may be repeated.
        """
        await self.setup(ORIGINALS)
        return {table.name: await self._adopt(table) for table in ORIGINALS}

    async def _adopt(self, table: Table) -> int:
        head = f"{self.prefix}{self.layout(table).description()['parts'][0]}"
        pattern = re.sub(r"([\\*?\[\]^])", r"\\\1", head) + "*"
        cursor, count = "0", 0
        try:
            while True:
                cursor, names = await self._call(
                    "SCAN", str(cursor), "MATCH", pattern, "COUNT", str(SCAN_KEYS)
                )
                if names:
                    count += (await self.run("index", {"table": table.name, "names": names}))[0]
                if str(cursor) == "0":
                    return count
        except Exception as error:
            raise self._translate(error, f"adopt {table.name}") from error

    def _pushes(self, table: Table, where: Where) -> bool:
        return pushes(where)

    async def _find(self, table: Table, query: Query) -> list[Row]:
        return (await self._find_many(table, [query]))[0]

    async def _find_many(self, table: Table, queries: Sequence[Query]) -> list[list[Row]]:
        layout = self.layout(table)
        readings = [Reading(layout, query) for query in queries]
        await self._read(table, readings, count=False)
        return [reading.rows() for reading in readings]

    async def _count(self, table: Table, where: Sequence[Where]) -> int:
        counting = Counting(self.layout(table), Query(where=tuple(where)))
        await self._read(table, [counting], count=True)
        return counting.total

    async def _read(
        self, table: Table, readings: Sequence[Reading | Counting], *, count: bool
    ) -> None:
        """Ask until every window has all of its rows: once, unless they are very many."""
        bounds = {"count": count, "bytes": ANSWER_BYTES, "looks": LOOKS}
        while pending := [window for reading in readings for window in reading.pending()]:
            asked = [window.spelled() for window in pending]
            plan = {"table": table.name, **bounds, "windows": asked}
            for window, answer in zip(pending, await self.run("read", plan), strict=False):
                window.take(answer)

    async def _write(self, changes: Sequence[Change]) -> list[int]:
        if not changes:
            return []
        layouts = {change.table.name: self.layout(change.table) for change in changes}
        found, texts = planned(layouts, changes)
        plan = {"token": uuid4().hex, "kept": KEPT, "changes": found}
        answer = await self.run("write", plan, *texts)
        if answer[0] == 0:
            raise ConflictError(str(answer[2]), change=int(answer[1]))
        return [int(count) for count in answer[1:]]

    async def server(self) -> str:
        """The version that the server gives itself."""
        try:
            said = str(await self._call("INFO", "server"))
        except Exception as error:
            raise self._translate(error, "ask for the server's version") from error
        found = re.search(r"redis_version\W+(\d[\w.]*)", said)
        return f"{self.name} {found[1]}" if found else self.name

    async def _close(self) -> None:
        link = self._links.pop()
        if link is not None:
            await link.retire()


class RedisBackend(UpstashBackend):
    """A Redis database by its own protocol."""

    name: ClassVar[str] = "Redis"
    request_bytes: ClassVar[int | None] = None
