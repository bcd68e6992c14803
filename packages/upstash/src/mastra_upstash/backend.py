"""Redis over Upstash's REST API and over its own protocol: the only module that imports the drivers."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final, Protocol, TypedDict, Unpack, cast
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4

import msgspec

from mastra_core.errors import (
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    CorruptDataError,
    LimitExceededError,
    SchemaError,
    StorageError,
    UnavailableError,
)
from mastra_core.storage.backend import Backend, Limits
from mastra_core.storage.loops import PerLoop, at_end_of_loop
from mastra_core.storage.schema import Change, Query, Row, Table, Where
from mastra_core.storage.tables import MESSAGES, RESOURCES, SCORERS, THREADS, WORKFLOW_SNAPSHOT
from mastra_upstash.layout import Layout
from mastra_upstash.plans import changes, pushes
from mastra_upstash.reading import ANSWER_BYTES, LOOKS, Counting, Reading
from mastra_upstash.scripts import SHARDS, ScriptName, script

# What an Upstash database takes in one request, unless its plan says otherwise.
REQUEST_BYTES: Final = 10_000_000
# JSON needs at most so many characters for one of a text.
ESCAPED: Final = 6
# How long a write is known by its token, in seconds: within it, sent again it is not done again.
KEPT: Final = 600
BUILD_ROWS: Final = 500
SCAN_KEYS: Final = 1000
ORIGINALS: Final = (THREADS, MESSAGES, RESOURCES, SCORERS, WORKFLOW_SNAPSHOT)

# Both services answer errors as texts, and their drivers have few classes for them.
MESSAGES_OF_REDIS: Final[Sequence[tuple[str, type[StorageError], str]]] = (
    (r"MASTRA-SCHEMA", SchemaError, "the tables are not there; call init()"),
    (
        r"WRONGPASS|NOAUTH|NOPERM|no permissions|[Uu]nauthorized|invalid (or missing )?(auth|username|password)"
        r"|[Aa]uthentication",
        AuthenticationError,
        "check the token or password, and that it may write",
    ),
    (
        r"max request size|max (single )?record size|max key size|exceeds the .*limit",
        LimitExceededError,
        "it is larger than the database takes; nothing was written",
    ),
    (r"OOM|capacity quota|maxmemory", UnavailableError, "the database is full; nothing was written"),
    (
        r"max requests limit|max daily|rate limit|too many|\b429\b|BUSY|LOADING|TRYAGAIN|READONLY"
        r"|MASTERDOWN|max number of clients|is loading|read only replica",
        UnavailableError,
        "the database takes no more now; try again",
    ),
    (r"WRONGTYPE|attempt to .* nil value", CorruptDataError, "a key has another kind of value"),
    (r"JSONDecodeError|Expecting value", UnavailableError, "the answer is not Redis's; try again"),
    (
        r"[Cc]onnect|[Tt]imed? ?out|TimeoutError|ReadError|WriteError|ProtocolError|[Cc]losed"
        r"|Connection|Name or service|disconnected",
        UnavailableError,
        "the database was not reached; try again",
    ),
)


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


class Commands(Protocol):
    """Redis, however it is reached: one command, and its answer as text, integers and lists."""

    async def call(self, *arguments: str) -> Any:
        """The answer to a command; a driver's error where there is none."""

    async def close(self) -> None:
        """Release what was opened."""


class Rest:
    """Redis over Upstash's REST API: each command a request of its own."""

    def __init__(self, client: Any, *, own: bool) -> None:
        self._client = client
        self._own = own

    async def call(self, *arguments: str) -> Any:
        """The answer to a command."""
        return await self._client.execute(list(arguments))

    async def close(self) -> None:
        """Close the client if it was made here."""
        if self._own:
            await self._client.close()


class Direct:
    """Redis over its own protocol."""

    def __init__(self, client: Any, *, own: bool) -> None:
        self._client = client
        self._own = own

    async def call(self, *arguments: str) -> Any:
        """The answer to a command."""
        return _texts(await self._client.execute_command(*arguments))

    async def close(self) -> None:
        """Close the client if it was made here."""
        if self._own:
            await self._client.aclose()


class Link:
    """A connection of one event loop, which is not closed under the calls that use it."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._calls = 0
        self._retired = False
        self._at_end = at_end_of_loop(commands.close)

    async def call(self, *arguments: str) -> Any:
        """The answer to a command."""
        self._calls += 1
        try:
            return await self._commands.call(*arguments)
        finally:
            self._calls -= 1
            if self._retired and not self._calls:
                await self._commands.close()

    async def retire(self) -> None:
        """Close it now, or behind the last of its calls."""
        self._retired = True
        if not self._calls:
            await self._commands.close()


def _texts(answer: Any) -> Any:
    """The answer with text for bytes, whatever the client decodes by itself."""
    if isinstance(answer, bytes):
        return answer.decode()
    if isinstance(answer, list):
        return [_texts(each) for each in cast("list[Any]", answer)]
    return answer


def open_backend(url: str | None = None, **options: Unpack[UpstashOptions]) -> UpstashBackend:
    """The backend for a URL or a client; nothing is connected before the first operation."""
    unknown = sorted(set(options) - UpstashOptions.__annotations__.keys())
    if unknown:
        raise ConfigurationError(f"Upstash has no option {', '.join(unknown)}")
    client, token = options.pop("client", None), options.pop("token", None)
    if (url is None) == (client is None):
        raise ConfigurationError("give either a url (and token) or a client")
    if client is not None:
        return _of_client(client, options)
    if not isinstance(url, str) or not url.strip():
        raise ConfigurationError("url must be the address of the REST API, or redis://host:port/db")
    scheme = url.partition(":")[0].lower()
    if scheme in {"redis", "rediss", "unix"}:
        if token is not None:
            raise ConfigurationError("a token is for the REST API; a password stands in the url")
        return RedisBackend(lambda: Direct(_redis(url), own=True), place=_place(url), **options)
    address, inside = _address(url)
    if not (token := token or inside):
        raise ConfigurationError("token is required: the REST API of Upstash asks everybody for one")
    return UpstashBackend(
        lambda: Rest(_upstash(address, token), own=True), place=_place(url), **options
    )


def _of_client(client: Any, options: Any) -> UpstashBackend:
    package = type(client).__module__.partition(".")[0]
    if not asyncio.iscoroutinefunction(getattr(client, "execute", None)) and package != "redis":
        raise ConfigurationError(
            "client must be an upstash_redis.asyncio.Redis or a redis.asyncio.Redis, not "
            f"{type(client).__module__}.{type(client).__name__}"
        )
    if package == "redis":
        if not asyncio.iscoroutinefunction(getattr(client, "execute_command", None)):
            raise ConfigurationError("client must be asynchronous: a redis.asyncio.Redis")
        return RedisBackend(lambda: Direct(client, own=False), place="a client", **options)
    return UpstashBackend(lambda: Rest(client, own=False), place="a client", **options)


def _address(url: str) -> tuple[str, str | None]:
    """The address of the REST API, and the token if it stands in the URL."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https", "upstash"} or not parts.hostname:
        raise ConfigurationError(
            "url must be https://name.upstash.io, upstash://:token@name.upstash.io or redis://…"
        )
    plain = parts.scheme == "http" or dict(parse_qsl(parts.query)).get("tls") == "0"
    host = parts.netloc.rpartition("@")[2]
    token = parts.password or parts.username
    return f"{'http' if plain else 'https'}://{host}{parts.path.rstrip('/')}", token and unquote(token)


def _place(url: str) -> str:
    """Where the database is, without what authenticates."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] + parts.path


def _upstash(url: str, token: str) -> Any:
    driver = importlib.import_module("upstash_redis.asyncio")
    # Its own retries do not ask whether the request was sent, and wait three seconds.
    return driver.Redis(url, token, rest_retries=0, allow_telemetry=False)


def _redis(url: str) -> Any:
    try:
        driver = importlib.import_module("redis.asyncio")
    except ImportError as error:
        raise ConfigurationError(
            "redis:// needs the extra: pip install 'mastra-upstash[redis]'"
        ) from error
    return driver.Redis.from_url(url, decode_responses=True)


def _fresh(error: Exception) -> bool:
    """Whether the connection broke, so that the same request may be sent once more."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"NetworkError", "RemoteProtocolError", "ConnectionError"})


class UpstashBackend(Backend):
    """A Redis database by the REST API of Upstash: one request for each read and each write."""

    name: ClassVar[str] = "Upstash"
    texts = MESSAGES_OF_REDIS
    # None: the server's own bound is what holds.
    request_bytes: ClassVar[int | None] = REQUEST_BYTES

    def __init__(
        self,
        connect: Callable[[], Commands],
        *,
        place: str,
        key_prefix: str = "",
        timeout: float = 30.0,
        max_request_bytes: int | None = None,
    ) -> None:
        super().__init__()
        if max_request_bytes is not None and max_request_bytes < 1:
            raise ConfigurationError("max_request_bytes must be positive")
        self.place = place
        self.prefix = key_prefix
        self._timeout = timeout
        self._bound = max_request_bytes or self.request_bytes
        if self._bound is not None:
            # Text is escaped twice on its way: in its row, and in the request.
            value_bytes = min(self._bound // 4, self._bound)
            self.limits = Limits(value_bytes=value_bytes)  # type: ignore[misc]
        self._links = PerLoop(lambda: Link(connect()))
        self._layouts: dict[str, Layout] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.place!r})"

    def _driver_raised(self, error: Exception) -> bool:
        module = type(error).__module__.partition(".")[0]
        return module in {"httpx", "httpcore", "upstash_redis", "redis", "json"} or isinstance(
            error, (OSError, TimeoutError)
        )

    def layout(self, table: Table) -> Layout:
        """How the rows of a table stand in the database."""
        found = self._layouts.get(table.name)
        if found is None or found.table is not table:
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
                if not _fresh(error):
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
            {"name": table.name, "text": msgspec.json.encode(self.layout(table).description()).decode()}
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

    async def _write(self, given: Sequence[Change]) -> list[int]:
        if not given:
            return []
        layouts = {change.table.name: self.layout(change.table) for change in given}
        found, texts = changes(layouts, given)
        plan = {"token": uuid4().hex, "kept": KEPT, "changes": found}
        answer = await self.run("write", plan, *texts)
        if answer[0] == 0:
            raise ConflictError(str(answer[2]), change=int(answer[1]))
        return [int(count) for count in answer[1:]]

    async def server(self) -> str:
        """The version that the server gives itself."""
        found = re.search(r"redis_version:(\S+)", str(await self._call("INFO", "server")))
        return f"{self.name} {found[1]}" if found else self.name

    async def _close(self) -> None:
        link = self._links.pop()
        if link is not None:
            await link.retire()


class RedisBackend(UpstashBackend):
    """A Redis database by its own protocol."""

    name: ClassVar[str] = "Redis"
    request_bytes: ClassVar[int | None] = None
