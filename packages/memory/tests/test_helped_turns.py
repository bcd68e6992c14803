"""Turns of agents whose memory has titles, working memory and message processors."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models.function import DeltaToolCall, FunctionModel

from mastra_core import Agent, ConfigurationError, InMemoryStore, Mastra, NotFoundError
from mastra_memory import Memory, TokenLimiter, ToolCallFilter

pytestmark = pytest.mark.asyncio

HERE = {"thread": "t", "resource": "r"}
TITLING = "You name conversations"


class Model:
    """A model that makes titles, updates working memory when it is told a fact, and else says ok."""

    def __init__(self):
        self.titles = []
        self.shown = []
        self.instructions = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.failing = None
        self.function = FunctionModel(self.whole, stream_function=self.pieces)

    async def whole(self, messages, info):
        if (messages[-1].instructions or "").startswith(TITLING):
            await self.hold.wait()
            self.titles.append(messages[-1].parts[0].content)
            if self.failing is not None:
                raise self.failing
            return ModelResponse([TextPart(f'"Title {len(self.titles)}"')])
        return self.answer(messages)

    async def pieces(self, messages, info):
        (part,) = self.answer(messages).parts
        if isinstance(part, TextPart):
            yield part.content
        else:
            yield {0: DeltaToolCall(part.tool_name, part.args_as_json_str(), tool_call_id="c")}

    def answer(self, messages):
        prompts = [p.content for m in messages for p in m.parts if isinstance(p, UserPromptPart)]
        self.shown.append(prompts)
        self.instructions.append(messages[-1].instructions)
        update = self.update(prompts[-1])
        if update is not None and isinstance(messages[-1].parts[-1], UserPromptPart):
            return ModelResponse([ToolCallPart("updateWorkingMemory", update, "c")])
        return ModelResponse([TextPart("ok")])

    def update(self, prompt) -> Any:
        fact = prompt.removeprefix("note: ")
        return {"memory": fact} if fact != prompt else None


def agent_of(model, store=None, processors=(), **options):
    memory = Memory(storage=store or InMemoryStore(), options=options, processors=processors)
    return Agent(id="a", model=model.function, memory=memory)


async def title_of(agent, thread="t"):
    return (await agent.memory.get_thread_by_id(thread)).title


async def test_a_thread_gets_its_title_from_what_was_first_asked_and_closing_waits_for_it():
    model, store = Model(), InMemoryStore()
    agent = agent_of(model, generate_title=True)
    agent.memory = Memory(options={"generate_title": True})
    model.hold.clear()
    mastra = Mastra(storage=store, agents=[agent])
    async with mastra:
        stream = await agent.stream("what of tea?", memory=HERE)
        assert (await stream.result()).text == "ok"
        assert (await store.memory.get_thread_by_id("t")).title == ""
        asyncio.get_running_loop().call_soon(model.hold.set)
    assert (await store.memory.get_thread_by_id("t")).title == "Title 1"
    assert model.titles == ["User: what of tea?"]
    async with mastra:
        await agent.generate("and now?", memory=HERE)
    assert len(model.titles) == 1


async def test_racing_turns_make_one_title_and_a_failure_is_made_good_by_the_next_turn(caplog):
    model = Model()
    agent = agent_of(model, generate_title=True)
    model.failing = RuntimeError("secret words")
    with caplog.at_level(logging.WARNING, "mastra_memory"):
        await asyncio.gather(*(agent.generate(f"q{n}", memory=HERE) for n in range(5)))
        await agent.memory.settle()
    assert len(model.titles) == 1
    assert "has no title yet" in caplog.text
    assert "secret" not in caplog.text
    assert await title_of(agent) == ""
    model.failing = None
    await agent.generate("again", memory=HERE)
    await agent.memory.settle()
    assert await title_of(agent) == "Title 2"


async def test_a_thread_that_loses_its_title_or_is_begun_anew_is_named_again():
    model = Model()
    agent = agent_of(model, generate_title=True)
    for change in (
        lambda: agent.memory.update_thread("t", title=""),
        lambda: agent.memory.delete_thread("t"),
    ):
        await agent.generate("what of tea?", memory=HERE)
        await agent.memory.settle()
        assert await title_of(agent) == f"Title {len(model.titles)}"
        await change()
    await agent.generate("what of tea?", memory=HERE)
    await agent.memory.settle()
    assert len(model.titles) == 3


async def test_a_title_that_is_given_stays_and_costs_nothing():
    model = Model()
    agent = agent_of(model, generate_title=True)
    named = {"thread": {"id": "t", "title": "Mine"}, "resource": "r"}
    await agent.generate("what of tea?", memory=named)
    await agent.memory.settle()
    assert (await title_of(agent), model.titles) == ("Mine", [])


async def test_what_the_model_notes_of_a_user_it_is_told_in_every_thread():
    model = Model()
    agent = agent_of(model, working_memory={"template": "# Facts"}, last_messages=False)
    stream = await agent.stream("note: likes tea", memory=HERE)
    assert (await stream.result()).text == "ok"
    assert "(nothing is known yet)" in model.instructions[0]
    await agent.generate("hello", memory={"thread": "other", "resource": "r"})
    assert "<working_memory_data>\nlikes tea\n</working_memory_data>" in model.instructions[-1]
    await agent.generate("hello", memory={"thread": "third", "resource": "somebody"})
    assert "likes tea" not in model.instructions[-1]
    assert await agent.memory.get_working_memory(resource_id="r") == "likes tea"
    stored = (await agent.memory.recall("t", per_page=10)).messages
    assert [[p["type"] for p in m.parts] for m in stored] == [["text"], ["step-start", "text"]]
    assert "updateWorkingMemory" not in msgspec.json.encode(stored).decode()


async def test_working_memory_of_a_thread_is_in_its_metadata_and_of_no_other_thread():
    model = Model()
    agent = agent_of(model, working_memory={"scope": "thread"})
    begun = {"thread": {"id": "t", "metadata": {"workingMemory": "given"}}, "resource": "r"}
    await agent.generate("hello", memory=begun)
    assert "given" in model.instructions[-1]
    await agent.generate("note: likes tea", memory=HERE)
    thread = await agent.memory.get_thread_by_id("t")
    assert thread.metadata == {"workingMemory": "likes tea"}
    await agent.generate("hello", memory={"thread": "other", "resource": "r"})
    assert "likes tea" not in model.instructions[-1]
    with pytest.raises(NotFoundError):
        await agent.memory.update_working_memory("x", thread_id="t", resource_id="somebody")


class Person(BaseModel):
    """What is kept of a person."""

    name: str | None = None
    likes: dict[str, int] = {}


async def test_agents_that_note_different_things_at_once_lose_nothing():
    class Many(Model):
        def update(self, prompt):
            return {"memory": {"likes": {prompt: 1}}}

    store, options = InMemoryStore(), {"schema": Person}
    agents = [agent_of(Many(), store, working_memory=options) for _ in range(20)]
    turns = [
        agent.generate(f"thing{n}", memory={"thread": f"t{n}", "resource": "r"})
        for n, agent in enumerate(agents)
    ]
    await asyncio.gather(*turns)
    text = await agents[0].memory.get_working_memory(resource_id="r")
    assert Person.model_validate_json(text).likes == {f"thing{n}": 1 for n in range(20)}
    direct = agents[0].memory.update_working_memory
    await direct({"name": "Ada", "likes": {"thing0": None}}, resource_id="r")
    person = Person.model_validate_json(await agents[0].memory.get_working_memory(resource_id="r"))
    assert (person.name, "thing0" in person.likes, len(person.likes)) == ("Ada", False, 19)
    assert '"likes"' in agents[0].memory.get_working_memory_template()


async def test_a_read_only_turn_knows_but_has_no_tool_makes_no_title_and_stores_nothing():
    model, store = Model(), InMemoryStore()
    await agent_of(model, store, working_memory=True).generate("note: likes tea", memory=HERE)
    tools = []

    def look(messages, info):
        tools.append((info.function_tools, messages[-1].instructions))
        return ModelResponse([TextPart("ok")])

    reading = Memory(
        storage=store,
        options={"read_only": True, "working_memory": True, "generate_title": True},
    )
    await Agent(id="a", model=FunctionModel(look), memory=reading).generate("hi", memory=HERE)
    await reading.settle()
    assert tools[0][0] == []
    assert "likes tea" in tools[0][1]
    assert (await store.memory.list_messages("t")).total == 2
    assert (await store.memory.get_thread_by_id("t")).title == ""


async def test_processors_choose_what_the_model_is_shown_and_nothing_of_what_is_stored():
    model, store = Model(), InMemoryStore()
    agent = agent_of(model, store)
    for n in range(4):
        await agent.generate(f"a question of some length, number {n}", memory=HERE)

    class Shouting:
        async def process(self, messages):
            return [
                msgspec.structs.replace(
                    m, content={"format": 2, "parts": [{"type": "text", "text": m.text.upper()}]}
                )
                for m in messages
                if m.role == "user"
            ]

    trimmed = agent_of(model, store, [ToolCallFilter(), Shouting(), TokenLimiter(20)])
    await trimmed.generate("now", memory=HERE)
    assert model.shown[-1] == [f"A QUESTION OF SOME LENGTH, NUMBER {n}" for n in (2, 3)] + ["now"]
    assert (await store.memory.list_messages("t")).total == 10


async def test_what_is_not_there_says_how_to_have_it():
    memory = Memory(storage=InMemoryStore())
    with pytest.raises(ConfigurationError, match="working_memory"):
        await memory.get_working_memory(resource_id="r")
    for name, wrong in (
        ("working_memory", {"scope": "all"}),
        ("working_memory", {"templat": ""}),
        ("generate_title", {"min_messages": 0}),
        ("generate_title", "yes"),
    ):
        with pytest.raises(ConfigurationError):
            Memory(options={name: wrong})
    off = Memory(options={"working_memory": {"enabled": False}, "generate_title": False})
    assert (off.options.working_memory, off.options.generate_title) == (None, None)
