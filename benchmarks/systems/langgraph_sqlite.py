"""LangGraph's `AsyncSqliteSaver` with a state of messages, and its `AsyncSqliteStore`."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import aiosqlite
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.store.base import PutOp
from langgraph.store.sqlite.aio import AsyncSqliteStore
from workload import APPENDED, LAST, NEWEST, SIZES, TEXT, THREADS, USER, Message, System

if TYPE_CHECKING:
    from collections.abc import Sequence

THREAD_LIST = ("threads", USER)


class State(TypedDict):
    """The state of the documentation's chat graphs."""

    messages: Annotated[list[AnyMessage], add_messages]


class LangGraph(System):
    """A graph whose state holds the conversation; a checkpoint holds the whole state.

    Appending is `aupdate_state`, reading is `aget_state`. The threads of a user are items of its
    store, and the snapshot is the value of a channel of a checkpoint.
    """

    package = "langgraph"
    settings = "aiosqlite, WAL, synchronous NORMAL (set on the connection)"

    async def seed(self) -> None:
        await self.open()
        for thread, size in (*SIZES.items(), APPENDED):
            await self.graph.aupdate_state(
                self._config(thread), self.inputs(self.messages.of(thread, size))
            )
        for first in range(0, THREADS, 500):
            await self.store.abatch(
                [
                    PutOp(
                        THREAD_LIST, f"thread-{first + number:06}", {"title": f"Title of {number}"}
                    )
                    for number in range(500)
                ]
            )

    async def open(self) -> None:
        self.versions = itertools.count(time.time_ns())
        self.saver, self.store = await self.connect()
        await self.saver.setup()
        await self.store.setup()
        builder = StateGraph(State)
        builder.add_node("chat", lambda _: {"messages": []})
        builder.add_edge(START, "chat")
        builder.add_edge("chat", END)
        self.graph = builder.compile(checkpointer=self.saver)

    async def connect(self) -> tuple[Any, Any]:
        """Return the saver and the store on the system's database."""
        saver = AsyncSqliteSaver(await self._connect("langgraph.db"))
        return saver, AsyncSqliteStore(await self._connect("langgraph-store.db"))

    async def _connect(self, name: str) -> aiosqlite.Connection:
        connection = await aiosqlite.connect(self.folder / name, isolation_level=None)
        await connection.execute("PRAGMA journal_mode=WAL")
        await connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    async def close(self) -> None:
        await self.saver.conn.close()
        await self.store.conn.close()

    def inputs(self, messages: Sequence[Message]) -> Any:
        kinds = {"user": HumanMessage, "assistant": AIMessage}
        return {"messages": [kinds[m.role](content=TEXT, id=m.id) for m in messages]}

    async def append(self, batch: Any) -> None:
        await self.graph.aupdate_state(self._config(APPENDED[0]), batch, as_node="chat")

    async def last(self, thread: str) -> Sequence[Any]:
        state = await self.graph.aget_state(self._config(thread))
        return state.values["messages"][-LAST:]

    async def newest_threads(self) -> Sequence[Any]:
        return await self.store.asearch(THREAD_LIST, limit=NEWEST)

    async def save_snapshot(self, value: dict[str, Any]) -> None:
        checkpoint = empty_checkpoint()
        # A value of a version that is stored would not be written again.
        versions = {"snapshot": next(self.versions)}
        checkpoint["channel_values"] = {"snapshot": value}
        checkpoint["channel_versions"] = versions
        await self.saver.aput(self._config("run"), checkpoint, {"step": 1}, versions)

    async def load_snapshot(self) -> Any:
        found = await self.saver.aget_tuple(self._config("run"))
        return found.checkpoint["channel_values"]["snapshot"]

    def _config(self, thread: str) -> Any:
        return {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
