"""Our tables on PostgreSQL, made by our own setup and filled by COPY."""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

import psycopg
from workload import APPENDED, OWNER, SIZES, START, THREADS, USER, Message, Messages

from mastra_pg import PostgresStore
from systems.tables import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

MESSAGE_COLUMNS = 'id, thread_id, content, role, type, "createdAt", "resourceId", "createdAtZ"'
THREAD_COLUMNS = (
    'id, "resourceId", title, metadata, "createdAt", "updatedAt", "createdAtZ", "updatedAtZ"'
)


def row(message: Message) -> tuple[object, ...]:
    """Return a message as a row of the table: the time is in two columns, as in the original."""
    at = message.created_at
    content = encode(message.content).decode()
    return (
        message.id,
        message.thread,
        content,
        message.role,
        "v2",
        at.replace(tzinfo=None),
        OWNER,
        at,
    )


async def fill(
    url: str,
    messages: Messages,
    sizes: Mapping[str, int] = MappingProxyType(dict((*SIZES.items(), APPENDED))),
    threads: int = THREADS,
) -> None:
    """Create the tables and indexes in an empty database, and write the data of the workload."""
    async with PostgresStore(id="seed", connection_string=url) as store:
        await store.init()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = connection.cursor()
        async with cursor.copy(f"COPY mastra_threads ({THREAD_COLUMNS}) FROM STDIN") as copy:
            for one in _threads(sizes, threads):
                await copy.write_row(one)
        async with cursor.copy(f"COPY mastra_messages ({MESSAGE_COLUMNS}) FROM STDIN") as copy:
            for thread, size in sizes.items():
                for batch in messages.batches(thread, size, 5_000):
                    for message in batch:
                        await copy.write_row(row(message))


def _threads(owned: Iterable[str], count: int) -> Iterator[tuple[object, ...]]:
    for thread in owned:
        yield _thread(thread, OWNER, START)
    for number in range(count):
        yield _thread(f"thread-{number:06}", USER, START + timedelta(milliseconds=number))


def _thread(name: str, owner: str, at: datetime) -> tuple[object, ...]:
    plain = at.replace(tzinfo=None)
    return name, owner, f"Title of {name}", '{"pinned":false}', plain, plain, at, at
