"""Our tables, made by our own setup and filled row by row: what the bare drivers and we start from."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec
from workload import (
    APPENDED,
    OWNER,
    SIZES,
    START,
    THREADS,
    USER,
    Message,
    Messages,
)

from mastra_libsql import LibSQLStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

MESSAGE_COLUMNS = "id, thread_id, content, role, type, createdAt, resourceId"
THREAD_COLUMNS = "id, resourceId, title, metadata, createdAt, updatedAt"
encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode


def text(moment: datetime) -> str:
    """Return the time as the tables hold it."""
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def row(message: Message) -> tuple[str, ...]:
    """Return a message as a row of the table."""
    return (
        message.id,
        message.thread,
        encode(message.content).decode(),
        message.role,
        "v2",
        text(message.created_at),
        OWNER,
    )


async def fill(
    path: Path,
    messages: Messages,
    sizes: Mapping[str, int] = MappingProxyType(dict((*SIZES.items(), APPENDED))),
    threads: int = THREADS,
) -> None:
    """Create the tables and indexes in a new file, and write the data of the workload."""
    store = LibSQLStore(id="seed", url=f"file:{path}")
    await store.init()
    await store.close()
    connection = sqlite3.connect(path)
    connection.executemany(
        f"INSERT INTO mastra_threads ({THREAD_COLUMNS}) VALUES (?,?,?,?,?,?)",
        _threads(sizes, threads),
    )
    for thread, size in sizes.items():
        for batch in messages.batches(thread, size, 5_000):
            connection.executemany(
                f"INSERT INTO mastra_messages ({MESSAGE_COLUMNS}) VALUES (?,?,?,?,?,?,?)",
                map(row, batch),
            )
    connection.commit()
    connection.close()


def _threads(owned: Iterable[str], count: int) -> Iterator[tuple[str, ...]]:
    at = text(START)
    for thread in owned:
        yield thread, OWNER, f"Title of {thread}", '{"pinned":false}', at, at
    for number in range(count):
        name, at = f"thread-{number:06}", text(START + timedelta(milliseconds=number))
        yield name, USER, f"Title of {name}", '{"pinned":false}', at, at
