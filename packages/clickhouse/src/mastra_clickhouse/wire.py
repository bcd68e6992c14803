"""Requests to the server: a client of ``clickhouse-connect`` for each event loop, and its errors.

The only module that imports the driver.
"""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final, cast

import aiohttp
import msgspec
from clickhouse_connect import driver
from clickhouse_connect.driver.exceptions import ClickHouseError, Error, OperationalError

from mastra_clickhouse.options import Options
from mastra_core.errors import (
    AuthenticationError,
    LimitExceededError,
    MastraError,
    SchemaError,
    StorageError,
    UnavailableError,
)
from mastra_core.storage.loops import PerLoop, at_end_of_loop

# What the server's numbers mean, so far as it is more than that something failed.
CODES: Final[Mapping[int, type[StorageError]]] = {
    **dict.fromkeys((16, 36, 47, 60, 81), SchemaError),
    **dict.fromkeys((192, 193, 194, 164, 497, 516), AuthenticationError),
    **dict.fromkeys(
        (3, 159, 160, 202, 203, 209, 210, 241, 242, 252, 279, 285, 319, 394, 425, 999, 236, 745),
        UnavailableError,
    ),
    **dict.fromkeys((128, 131), LimitExceededError),
}
MOST_TEXT: Final = 300
# Inserts are acknowledged when they are stored, known again by their tokens, and one part: what the
# driver sends as several blocks is put together up to these sizes.
INSERTS: Final = {
    "async_insert": 0,
    "insert_deduplicate": 1,
    "min_insert_block_size_rows": 10_000_000,
    "min_insert_block_size_bytes": 2_000_000_000,
    "date_time_input_format": "best_effort",
}
READS: Final = {
    "date_time_output_format": "iso",
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_decimals": 1,
}
# From so many bytes on what is inserted is compressed.
PACKED: Final = 32_768
# On a cluster an insert is acknowledged by most servers, and reads see all that are.
QUORUM: Final = {"insert_quorum": "auto", "insert_quorum_parallel": 0}
SEQUENTIAL: Final = {"select_sequential_consistency": 1}


_columns = msgspec.json.Decoder(list[list[Any]]).decode


class _Slot:
    """The client of one event loop."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.client: Any = None
        self.waiting: AsyncGenerator[None, None] | None = None


class Wire:
    """One server, asked from any event loop."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._slots: PerLoop[_Slot] = PerLoop(_Slot)
        replicated = options.replication is not None
        self._inserts = {**INSERTS, **(QUORUM if replicated else {})}
        self._reads = {**READS, **(SEQUENTIAL if replicated else {})}

    async def fetch(self, sql: str, params: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """The columns of a SELECT, times as ISO texts; without any row they are empty."""
        client = await self._client()
        # By the driver's own format each answer is read in another thread; JSON is as fast.
        body = await client.raw_query(
            sql, parameters=dict(params), settings=self._reads, fmt="JSONCompactColumns"
        )
        return _columns(body)

    async def insert(self, table: str, names: Sequence[str], body: bytes, token: str) -> None:
        """Insert rows, each a JSON array, as one block; a second time with the token is none."""
        client = await self._client()
        packed = len(body) > PACKED
        await client.raw_insert(
            table,
            column_names=names,
            insert_block=gzip.compress(body, 1) if packed else body,
            settings={**self._inserts, "insert_deduplication_token": token},
            fmt="JSONCompactEachRow",
            compression="gzip" if packed else None,
        )

    async def command(self, sql: str) -> None:
        """Run a definition."""
        client = await self._client()
        await client.command(sql)

    async def close(self) -> None:
        """Close the running loop's client, if it is ours."""
        slot = self._slots.pop()
        if slot is not None and slot.client is not None and self.options.client is None:
            client, slot.client = slot.client, None
            await client.close()

    async def _client(self) -> Any:
        if self.options.client is not None:
            return self.options.client
        slot = self._slots.get()
        if slot.client is None:
            async with slot.lock:
                if slot.client is None:
                    slot.client = await self._connect()
                    slot.waiting = at_end_of_loop(slot.client.close)
        return slot.client

    async def _connect(self) -> Any:
        options = self.options
        # (The driver leaves the types of its further arguments open.)
        return await cast("Any", driver).create_async_client(
            host=options.host,
            port=options.port,
            secure=options.secure,
            username=options.username,
            password=options.password,
            database="__default__",
            connect_timeout=min(10, options.timeout),
            send_receive_timeout=options.timeout,
            query_limit=0,
            client_name="mastra",
            # Ids and texts do not belong into URLs, which proxies keep in their logs.
            form_encode_query_params=True,
        )


def translated(error: Exception, doing: str, place: str) -> Exception:
    """A driver's error as this library's; others stay as they are."""
    if isinstance(error, MastraError):
        return error
    told = f"ClickHouse ({place}) could not {doing}"
    if isinstance(error, Error) and error.code is not None:
        kind = CODES.get(error.code, StorageError)
        return kind(f"{told}: {_said(str(error))}")
    network = (OperationalError, aiohttp.ClientError, TimeoutError, OSError)
    if isinstance(error, network):
        return UnavailableError(f"{told}: {_said(str(error) or type(error).__name__)}")
    if isinstance(error, ClickHouseError):
        return StorageError(f"{told}: {_said(str(error))}")
    return error


def is_certain(error: Exception) -> bool:
    """Whether the server itself said that a statement failed: it was not done."""
    return isinstance(error, Error) and error.code is not None and error.code not in {159, 209, 210}


def _said(text: str) -> str:
    """What the server said, in a line; statements, which may have values in them, are cut off."""
    plain = re.sub(r"\s+", " ", text)
    plain = plain.rpartition("server response: ")[2]
    return plain if len(plain) <= MOST_TEXT else f"{plain[:MOST_TEXT]}…"
