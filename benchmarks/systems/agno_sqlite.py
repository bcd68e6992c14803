"""agno's `SqliteDb`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from agno.db.base import SessionType
from agno.db.sqlite import SqliteDb
from agno.db.utils import build_single_run_row
from agno.models.message import Message as AgnoMessage
from agno.run.agent import RunOutput
from agno.run.base import RunStatus
from agno.session import AgentSession, WorkflowSession
from sqlalchemy import create_engine, insert
from workload import APPENDED, LAST, NEWEST, OWNER, TEXT, USER, Message, System

from systems.pragmas import relaxed

if TYPE_CHECKING:
    from collections.abc import Sequence

RUN = "run"


class AgnoSQLite(System):
    """Sessions with a table of runs: every message of the data is a run of its own.

    Appending is what its agent does after a turn: `upsert_run`, then `upsert_session`. A hundred
    messages are one run that holds them.
    """

    package = "agno"
    blocking = True
    settings = "WAL, synchronous NORMAL (set on the engine)"

    def connect(self) -> Any:
        """Return the database on an engine of its own."""
        self.engine = create_engine(f"sqlite:///{self.folder / 'agno.db'}")
        relaxed(self.engine)
        return SqliteDb(db_engine=self.engine)

    async def seed(self) -> None:
        await self.open()
        now = int(time.time())
        for thread, size in self.sizes.items():
            self.db.upsert_session(self._session(thread, OWNER, now))
            self.db.upsert_run(self.inputs(self.messages.of(thread, 1)), thread, OWNER, 0)
            runs = self.db._get_table("runs", create_table_if_not_found=True)
            done = 1
            for batch in self.messages.batches(thread, size - 1, 5_000):
                rows = [
                    build_single_run_row(self.inputs([message]), thread, OWNER, done + offset)
                    for offset, message in enumerate(batch)
                ]
                done += len(batch)
                with self.engine.begin() as connection:
                    connection.execute(insert(runs), rows)
        for first in range(0, self.threads, 1_000):
            self.db.upsert_sessions(
                [
                    self._session(
                        f"thread-{first + number:06}", USER, now - self.threads + first + number
                    )
                    for number in range(1_000)
                ],
                preserve_updated_at=True,
            )

    async def open(self) -> None:
        self.db = self.connect()
        self.index = APPENDED[1]
        now = int(time.time())
        self.appended = {thread: self._session(thread, OWNER, now) for thread in self.sizes}

    async def close(self) -> None:
        self.engine.dispose()

    def inputs(self, messages: Sequence[Message]) -> Any:
        return RunOutput(
            run_id=messages[0].id,
            session_id=messages[0].thread,
            agent_id="agent",
            user_id=OWNER,
            status=RunStatus.completed,
            messages=[AgnoMessage(id=m.id, role=m.role, content=TEXT) for m in messages],
        )

    async def append(self, batch: Any) -> None:
        self.db.upsert_run(batch, batch.session_id, OWNER, self.index)
        self.index += 1
        self.db.upsert_session(self.appended[batch.session_id])

    async def last(self, thread: str) -> Sequence[Any]:
        session = self.db.get_session(thread, SessionType.AGENT, runs_limit=LAST)
        return session.get_messages(limit=LAST)

    async def newest_threads(self) -> Sequence[Any]:
        return self.db.get_sessions(
            SessionType.AGENT,
            user_id=USER,
            limit=NEWEST,
            page=1,
            sort_by="updated_at",
            sort_order="desc",
            include_runs=False,
        )

    async def save_snapshot(self, value: dict[str, Any]) -> None:
        session = WorkflowSession(session_id=RUN, workflow_id="workflow", user_id=OWNER)
        session.session_data = {"session_state": value}
        self.db.upsert_session(session)

    async def load_snapshot(self) -> Any:
        session = self.db.get_session(RUN, SessionType.WORKFLOW)
        return session.session_data["session_state"]

    def _session(self, thread: str, user: str, at: int) -> AgentSession:
        return AgentSession(
            session_id=thread,
            agent_id="agent",
            user_id=user,
            session_data={"session_name": f"Title of {thread}"},
            metadata={"pinned": False},
            created_at=at,
            updated_at=at,
        )
