"""What a careful programmer writes on psycopg, on our tables and indexes: the floor of the ratios."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool
from workload import LAST, NEWEST, USER, Message, System

from systems.server import url_in
from systems.tables import decode, encode
from systems.tables_pg import MESSAGE_COLUMNS, fill, row

if TYPE_CHECKING:
    from collections.abc import Sequence

# The same moment as our indexes have it: the twin, or the column where there is none.
CREATED = """COALESCE("createdAtZ" AT TIME ZONE 'UTC', "createdAt")"""
UPDATED = """COALESCE("updatedAtZ" AT TIME ZONE 'UTC', "updatedAt")"""
INSERT = f"INSERT INTO mastra_messages ({MESSAGE_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
# One parameter with all rows costs half of what `executemany` does, and a list for each column more.
INSERT_MANY = (
    f"INSERT INTO mastra_messages ({MESSAGE_COLUMNS}) SELECT r->>0, r->>1, r->>2, r->>3, r->>4, "
    "(r->>5)::timestamp, r->>6, (r->>7)::timestamptz FROM json_array_elements(%s::json) r"
)
TOUCH = 'UPDATE mastra_threads SET "updatedAt" = %s, "updatedAtZ" = %s WHERE id = %s'
LAST_MESSAGES = (
    f'SELECT id, thread_id, content, role, type, {CREATED}, "resourceId" FROM mastra_messages '
    f'WHERE thread_id = %s ORDER BY {CREATED} DESC, id COLLATE "C" DESC LIMIT {LAST}'
)
NEWEST_THREADS = (
    f'SELECT id, "resourceId", title, metadata, {CREATED}, {UPDATED} FROM mastra_threads '
    f'WHERE "resourceId" = %s ORDER BY {UPDATED} DESC, id COLLATE "C" DESC LIMIT {NEWEST}'
)
SAVE = (
    'INSERT INTO mastra_workflow_snapshot (workflow_name, run_id, snapshot, "createdAt", '
    '"updatedAt", "createdAtZ", "updatedAtZ") VALUES (%s, %s, %s::jsonb, %s, %s, %s, %s) '
    "ON CONFLICT (workflow_name, run_id) DO UPDATE SET snapshot = excluded.snapshot, "
    '"updatedAt" = excluded."updatedAt", "updatedAtZ" = excluded."updatedAtZ"'
)
LOAD = "SELECT snapshot FROM mastra_workflow_snapshot WHERE workflow_name = %s AND run_id = %s"


class BarePG(System):
    """Rows as tuples on a pooled connection; statements are prepared by the driver itself.

    An append is one transaction of two statements in pipeline mode, which fails if there is no
    such thread. There are no records, no check of what is read, and no rule for stored ids.
    """

    package = "psycopg"
    settings = "pool, autocommit, pipeline; 100 rows as one JSON parameter"

    async def seed(self) -> None:
        await fill(url_in(self.folder), self.messages, self.sizes, self.threads)

    async def open(self) -> None:
        set_json_loads(decode)
        set_json_dumps(encode)
        self.pool = AsyncConnectionPool(
            url_in(self.folder), min_size=1, open=False, kwargs={"autocommit": True}
        )
        await self.pool.open(wait=True)

    async def close(self) -> None:
        if hasattr(self, "pool"):
            await self.pool.close()

    def inputs(self, messages: Sequence[Message]) -> Any:
        return messages

    async def append(self, batch: Any) -> None:
        rows = [row(message) for message in batch]
        now = datetime.now(UTC)
        touch = (now.replace(tzinfo=None), now, batch[0].thread)
        async with self.pool.connection() as connection:
            async with connection.pipeline():
                if len(rows) == 1:
                    await connection.execute(INSERT, rows[0])
                else:
                    await connection.execute(INSERT_MANY, (encode(rows).decode(),))
                touched = await connection.execute(TOUCH, touch)
            if touched.rowcount != 1:
                raise LookupError(batch[0].thread)

    async def last(self, thread: str) -> Sequence[Any]:
        async with self.pool.connection() as connection:
            found = await (await connection.execute(LAST_MESSAGES, (thread,))).fetchall()
        return [
            (id_, of, decode(content), role, kind, at.replace(tzinfo=UTC), owner)
            for id_, of, content, role, kind, at, owner in found
        ]

    async def newest_threads(self) -> Sequence[Any]:
        async with self.pool.connection() as connection:
            found = await (await connection.execute(NEWEST_THREADS, (USER,))).fetchall()
        return [
            (
                id_,
                owner,
                title,
                metadata,
                created.replace(tzinfo=UTC),
                updated.replace(tzinfo=UTC),
            )
            for id_, owner, title, metadata, created, updated in found
        ]

    async def save_snapshot(self, value: dict[str, Any]) -> None:
        now = datetime.now(UTC)
        plain = now.replace(tzinfo=None)
        text = encode(value).decode()
        async with self.pool.connection() as connection:
            await connection.execute(SAVE, ("workflow", "run", text, plain, plain, now, now))

    async def load_snapshot(self) -> Any:
        async with self.pool.connection() as connection:
            found = await (await connection.execute(LOAD, ("workflow", "run"))).fetchone()
        return None if found is None else found[0]
