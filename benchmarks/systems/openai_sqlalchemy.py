"""openai-agents' session over SQLAlchemy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.extensions.memory import SQLAlchemySession
from sqlalchemy.ext.asyncio import create_async_engine
from workload import APPENDED, SIZES

from systems.openai_sqlite import OpenAISQLite
from systems.pragmas import relaxed
from systems.server import sqlalchemy_url

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


class OpenAISQLAlchemy(OpenAISQLite):
    """`SQLAlchemySession` on one engine, as its documentation shows."""

    settings = "aiosqlite, WAL, synchronous NORMAL (set on the engine)"

    def connect(self) -> AsyncEngine:
        """Return an engine on the system's database."""
        engine = create_async_engine(f"sqlite+aiosqlite:///{self.folder / 'openai.db'}")
        relaxed(engine.sync_engine)
        return engine

    async def open(self) -> None:
        self.engine = self.connect()
        self.sessions = {
            thread: SQLAlchemySession(thread, engine=self.engine, create_tables=True)
            for thread in (*SIZES, APPENDED[0])
        }

    async def close(self) -> None:
        await self.engine.dispose()


class OpenAISQLAlchemyPG(OpenAISQLAlchemy):
    """The same on PostgreSQL, with the driver of its documentation."""

    settings = "asyncpg, defaults"

    def connect(self) -> AsyncEngine:
        return create_async_engine(sqlalchemy_url(self.folder, "asyncpg"))
