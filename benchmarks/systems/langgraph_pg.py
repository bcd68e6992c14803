"""LangGraph's `AsyncPostgresSaver` with a state of messages, and its `AsyncPostgresStore`."""

from __future__ import annotations

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.store.postgres.aio import AsyncPostgresStore
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from systems.langgraph_sqlite import LangGraph
from systems.server import url_in


class LangGraphPG(LangGraph):
    """The same work as on SQLite, on a pool as its documentation opens it."""

    settings = "psycopg pool, defaults"

    async def connect(self) -> tuple[AsyncPostgresSaver, AsyncPostgresStore]:
        self.pool = AsyncConnectionPool(
            url_in(self.folder),
            open=False,
            kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
        )
        await self.pool.open(wait=True)
        return AsyncPostgresSaver(self.pool), AsyncPostgresStore(self.pool)

    async def close(self) -> None:
        await self.pool.close()
