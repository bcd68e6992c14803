"""openai-agents' session over SQLAlchemy and aiosqlite."""

from __future__ import annotations

from agents.extensions.memory import SQLAlchemySession
from sqlalchemy.ext.asyncio import create_async_engine
from workload import APPENDED, SIZES

from systems.openai_sqlite import OpenAISQLite
from systems.pragmas import relaxed


class OpenAISQLAlchemy(OpenAISQLite):
    """`SQLAlchemySession` on one engine, as its documentation shows."""

    settings = "aiosqlite, WAL, synchronous NORMAL (set on the engine)"

    async def open(self) -> None:
        self.engine = create_async_engine(f"sqlite+aiosqlite:///{self.folder / 'openai.db'}")
        relaxed(self.engine.sync_engine)
        self.sessions = {
            thread: SQLAlchemySession(thread, engine=self.engine, create_tables=True)
            for thread in (*SIZES, APPENDED[0])
        }

    async def close(self) -> None:
        await self.engine.dispose()
