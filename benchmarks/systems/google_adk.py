"""Google ADK's `DatabaseSessionService`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from google.adk.events import Event, EventActions
from google.adk.sessions import DatabaseSessionService
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types
from workload import (
    APPENDED,
    LAST,
    NEWEST,
    OWNER,
    SIZES,
    START,
    TEXT,
    THREADS,
    USER,
    Message,
    System,
)

from systems.pragmas import relaxed
from systems.server import sqlalchemy_url

if TYPE_CHECKING:
    from collections.abc import Sequence

APP = "app"


class GoogleADK(System):
    """Events of sessions. It has no call for many events, so a hundred are a hundred calls.

    It has no page of sessions, so the newest are cut from all. The snapshot is the session's state.
    The data is written in bulk through its own table classes: call by call takes ten minutes.
    """

    package = "google-adk"
    settings = "aiosqlite, WAL, synchronous NORMAL (set on the engine)"

    def connect(self) -> DatabaseSessionService:
        """Return the service on the system's database."""
        service = DatabaseSessionService(f"sqlite+aiosqlite:///{self.folder / 'adk.db'}")
        relaxed(service.db_engine.sync_engine)
        return service

    async def seed(self) -> None:
        await self._connect()
        tables = self.service._get_schema_classes()
        await self.service.create_session(app_name=APP, user_id=OWNER, session_id="run")
        for thread, size in (*SIZES.items(), APPENDED):
            session = await self.service.create_session(
                app_name=APP, user_id=OWNER, session_id=thread
            )
            for batch in self.messages.batches(thread, size, 5_000):
                async with self.service.database_session_factory() as database:
                    database.add_all(
                        tables.StorageEvent.from_event(session, event)
                        for event in self.inputs(batch)
                    )
                    await database.commit()
        await self.service.create_session(app_name=APP, user_id=USER, session_id="first")
        async with self.service.database_session_factory() as database:
            for number in range(THREADS - 1):
                at = (START + timedelta(milliseconds=number)).replace(tzinfo=None)
                database.add(
                    tables.StorageSession(
                        app_name=APP,
                        user_id=USER,
                        id=f"thread-{number:06}",
                        state={"title": f"Title of {number}"},
                        create_time=at,
                        update_time=at,
                    )
                )
            await database.commit()

    async def open(self) -> None:
        await self._connect()
        self.appended = await self._session(APPENDED[0], 0)
        self.run = await self._session("run", 0)

    async def _connect(self) -> None:
        self.service = self.connect()
        await self.service.prepare_tables()

    async def close(self) -> None:
        await self.service.close()

    def inputs(self, messages: Sequence[Message]) -> Any:
        return [
            Event(
                id=message.id,
                invocation_id=message.id,
                author="user" if message.role == "user" else "agent",
                content=types.Content(
                    role="user" if message.role == "user" else "model",
                    parts=[types.Part(text=TEXT)],
                ),
                timestamp=message.created_at.timestamp(),
            )
            for message in messages
        ]

    async def append(self, batch: Any) -> None:
        for event in batch:
            await self.service.append_event(self.appended, event)

    async def last(self, thread: str) -> Sequence[Any]:
        return (await self._session(thread, LAST)).events

    async def newest_threads(self) -> Sequence[Any]:
        listed = await self.service.list_sessions(app_name=APP, user_id=USER)
        return listed.sessions[-NEWEST:]

    async def save_snapshot(self, value: dict[str, Any]) -> None:
        event = Event(
            author="agent",
            timestamp=datetime.now(UTC).timestamp(),
            actions=EventActions(state_delta={"snapshot": value}),
        )
        await self.service.append_event(self.run, event)

    async def load_snapshot(self) -> Any:
        return (await self._session("run", 0)).state["snapshot"]

    async def _session(self, thread: str, events: int) -> Any:
        return await self.service.get_session(
            app_name=APP,
            user_id=OWNER,
            session_id=thread,
            config=GetSessionConfig(num_recent_events=events),
        )


class GoogleADKPG(GoogleADK):
    """The same on PostgreSQL, with the driver of its documentation."""

    settings = "asyncpg, defaults"

    def connect(self) -> DatabaseSessionService:
        return DatabaseSessionService(sqlalchemy_url(self.folder, "asyncpg"))
