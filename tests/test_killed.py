"""A process that is killed in the middle of a turn: what was asked is there, and the thread goes on."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from mastra_core import Agent
from mastra_libsql import LibSQLStore
from mastra_memory import Memory

KILLED = """
import asyncio, os, signal
from pydantic_ai.models.test import TestModel
from mastra_core import Agent
from mastra_libsql import LibSQLStore
from mastra_memory import Memory

def pay() -> str:
    "Pay."
    os.kill(os.getpid(), signal.SIGKILL)
    return "paid"

memory = Memory(storage=LibSQLStore(id="s", url="file:./killed.db"))
agent = Agent(id="a", model=TestModel(), tools=[pay], memory=memory)
asyncio.run(agent.generate("pay", memory={"thread": "t", "resource": "r"}))
"""


@pytest.mark.asyncio
async def test_what_was_asked_is_there_no_half_answer_is_and_the_next_turn_works(tmp_path):
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, cwd=tmp_path)
    assert await process.wait() == -signal.SIGKILL

    def answer(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
        asked = [
            part.content
            for message in messages
            for part in message.parts
            if isinstance(part, UserPromptPart)
        ]
        return ModelResponse([TextPart(" / ".join(map(str, asked)))])

    async with LibSQLStore(id="s", url=f"file:{tmp_path}/killed.db") as store:
        stored = (await store.memory.list_messages("t", resource_id="r")).messages
        assert [(message.role, message.text) for message in stored] == [("user", "pay")]
        agent = Agent(id="a", model=FunctionModel(answer), memory=Memory(storage=store))
        result = await agent.generate("and?", memory={"thread": "t", "resource": "r"})
        assert result.text == "pay / and?"
