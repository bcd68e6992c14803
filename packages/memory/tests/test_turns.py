"""Turns of agents on a storage: what they cost, who may see them, and that they do not mix."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models.function import FunctionModel

from mastra_core import InMemoryStore, Mastra, NotFoundError
from mastra_core.agent import Agent
from mastra_core.clock import now
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.store import BackendStore
from mastra_memory import Memory

pytestmark = pytest.mark.asyncio

HERE = {"thread": "t", "resource": "r"}


class CountingBackend(InMemoryBackend):
    """Notes each round trip: what was done to which tables."""

    def __init__(self):
        super().__init__()
        self.trips = []

    async def _find(self, table, query):
        self.trips.append(("find", table.name))
        return await super()._find(table, query)

    async def _count(self, table, where):
        self.trips.append(("count", table.name))
        return await super()._count(table, where)

    async def _write(self, changes):
        self.trips.append(("write", *dict.fromkeys(change.table.name for change in changes)))
        return await super()._write(changes)


def prompts(messages):
    return [
        part.content
        for message in messages
        for part in message.parts
        if isinstance(part, UserPromptPart)
    ]


def echo(messages, info):
    """A model that says all that it was asked."""
    return ModelResponse([TextPart(" / ".join(prompts(messages)))])


async def words(messages, info):
    for prompt in prompts(messages):
        yield f"{prompt} "


def agent(memory, function=echo, **options):
    return Agent(
        id="a", model=FunctionModel(function, stream_function=words), memory=memory, **options
    )


async def test_a_turn_costs_one_read_and_one_write_before_the_model_and_one_write_after():
    backend = CountingBackend()
    mastra = Mastra(
        storage=BackendStore(backend, id="counting"),
        agents=[agent(Memory(options={"last_messages": 2}))],
    )
    asking = mastra.get_agent("a")
    for _ in range(3):
        backend.trips.clear()
        await asking.generate("hi", memory=HERE)
        assert backend.trips == [
            ("find", "mastra_messages"),
            ("write", "mastra_threads", "mastra_messages"),
            ("write", "mastra_threads", "mastra_messages"),
        ]
    backend.trips.clear()
    stream = await asking.stream("hi", memory=HERE)
    assert len(backend.trips) == 2
    await stream.result()
    assert len(backend.trips) == 3


async def test_without_history_there_is_no_read_and_read_only_no_write():
    backend = CountingBackend()
    store = BackendStore(backend, id="counting")
    forgetful = agent(Memory(storage=store, options={"last_messages": False}))
    await forgetful.generate("one", memory=HERE)
    assert [trip[0] for trip in backend.trips] == ["write", "write"]
    assert (await forgetful.generate("two", memory=HERE)).text == "two"
    backend.trips.clear()
    reading = agent(Memory(storage=store, options={"read_only": True}))
    assert (await reading.generate("three", memory=HERE)).text == "one / two / three"
    assert backend.trips == [("find", "mastra_messages")]


async def test_another_process_goes_on_where_the_first_one_stopped():
    store = InMemoryStore()
    await agent(Memory(storage=store)).generate("one", memory=HERE)
    result = await agent(Memory(storage=store)).generate("two", memory=HERE)
    assert result.text == "one / two"
    page = await store.memory.list_messages("t")
    assert [(m.role, m.text) for m in page.messages] == [
        ("user", "one"),
        ("assistant", "one"),
        ("user", "two"),
        ("assistant", "one / two"),
    ]
    assert page.messages[2:] == result.messages


async def test_only_the_last_messages_are_shown():
    memory = Memory(storage=InMemoryStore(), options={"last_messages": 2})
    asking = agent(memory)
    for prompt in ("one", "two", "three"):
        result = await asking.generate(prompt, memory=HERE)
    assert result.text == "two / three"


async def test_the_thread_is_created_as_it_is_first_named_and_then_left_as_it_is():
    memory = Memory(storage=InMemoryStore())
    asking = agent(memory)
    named = {"id": "t", "title": "Tea", "metadata": {"kind": "green"}}
    await asking.generate("hi", memory={"thread": named, "resource": "r"})
    await asking.generate("hi", memory={"thread": {**named, "title": "No"}, "resource": "r"})
    thread = await memory.get_thread_by_id("t", resource_id="r")
    assert thread is not None
    assert (thread.title, thread.metadata) == ("Tea", {"kind": "green"})
    assert thread.updated_at > thread.created_at


@pytest.mark.parametrize("options", [{}, {"read_only": True}, {"last_messages": False}])
async def test_the_thread_of_another_resource_is_refused_and_the_model_never_called(options):
    store = InMemoryStore()
    await agent(Memory(storage=store)).generate("secret", memory=HERE)
    before = (await store.memory.list_messages("t")).messages

    def never(messages, info):
        raise AssertionError(prompts(messages))

    other = agent(Memory(storage=store, options=options), never)
    theirs = {"thread": "t", "resource": "somebody-else"}
    with pytest.raises(NotFoundError) as refused:
        await other.generate("tell me", memory=theirs)
    assert "'r'" not in str(refused.value)
    with pytest.raises(NotFoundError):
        await other.stream("tell me", memory=theirs)
    assert (await store.memory.list_messages("t")).messages == before


async def test_a_read_only_turn_on_a_new_thread_leaves_nothing():
    store = InMemoryStore()
    reading = agent(Memory(storage=store, options={"read_only": True}))
    assert (await reading.generate("hi", memory=HERE)).text == "hi"
    assert (await store.memory.list_threads()).threads == []


async def test_what_is_asked_comes_after_what_was_said_whatever_the_clocks_say():
    store = InMemoryStore()
    memory = Memory(storage=store)
    await agent(memory).generate("one", memory=HERE)
    ahead = now() + timedelta(hours=1)
    (asked, answered) = (await store.memory.list_messages("t")).messages
    moved = msgspec.structs.replace(answered, id="ahead", created_at=ahead)
    await store.memory.save_messages([moved])
    await agent(memory).generate("two", memory=HERE)
    page = await store.memory.list_messages("t")
    assert [m.role for m in page.messages] == [
        asked.role,
        "assistant",
        "assistant",
        "user",
        "assistant",
    ]
    assert page.messages[3].created_at == ahead + timedelta(milliseconds=1)
    assert page.messages[4].created_at > page.messages[3].created_at


async def test_turns_at_once_on_one_new_thread_lose_nothing_and_do_not_mix():
    count = 20
    store = InMemoryStore()
    arrived = asyncio.Barrier(count)

    async def step(messages, info):
        asked = prompts(messages)[-1]
        if isinstance(messages[-1].parts[-1], UserPromptPart):
            await arrived.wait()
            return ModelResponse([ToolCallPart("look", {"what": asked}, f"call-{asked}")])
        return ModelResponse([TextPart(f"seen {asked}")])

    async def look(what: str) -> str:
        """Look."""
        await asyncio.sleep(0)
        return what

    def one():
        return agent(Memory(storage=store), step, tools=[look])

    results = await asyncio.gather(
        *(one().generate(f"q{number}", memory=HERE) for number in range(count))
    )
    assert [result.text for result in results] == [f"seen q{number}" for number in range(count)]
    messages = (await store.memory.list_messages("t", per_page=False)).messages
    assert sorted(m.text for m in messages if m.role == "user") == sorted(
        f"q{number}" for number in range(count)
    )
    answers = [m for m in messages if m.role == "assistant"]
    assert len(answers) == count
    for answer in answers:
        call = answer.parts[1]["toolInvocation"]
        assert call["args"]["what"] == call["result"] == answer.text.removeprefix("seen ")
    assert {m.id for m in messages} == {m.id for result in results for m in result.messages}


async def test_a_turn_that_never_came_back_does_not_stop_the_next_one():
    store = InMemoryStore()
    running = asyncio.Event()

    async def hang(messages, info):
        running.set()
        await asyncio.Event().wait()
        return ModelResponse([])

    lost = asyncio.ensure_future(agent(Memory(storage=store), hang).generate("one", memory=HERE))
    await running.wait()
    result = await agent(Memory(storage=store)).generate("two", memory=HERE)
    assert result.text == "one / two"
    lost.cancel()
    with pytest.raises(asyncio.CancelledError):
        await lost


async def test_calls_without_a_result_are_left_out_or_shown_as_interrupted():
    store = InMemoryStore()
    memory = Memory(storage=store)
    first = await agent(memory).generate("one", memory=HERE)
    call = {"state": "call", "toolCallId": "c", "toolName": "look", "args": {}}
    parts = [{"type": "tool-invocation", "toolInvocation": call}]
    await store.memory.update_messages([{"id": first.messages[1].id, "content": {"parts": parts}}])
    shown = []

    def note(messages, info):
        shown.append([part.part_kind for message in messages for part in message.parts])
        return ModelResponse([TextPart("ok")])

    for keep in (True, False):
        options = {"filter_incomplete_tool_calls": keep, "read_only": True}
        await agent(Memory(storage=store, options=options), note).generate("two", memory=HERE)
    assert shown == [
        ["user-prompt", "user-prompt"],
        ["user-prompt", "tool-call", "tool-return", "user-prompt"],
    ]
    assert (await memory.recall("t")).messages[1].parts == parts


async def test_a_failed_turn_leaves_the_question_and_a_marked_answer_and_the_next_turn_works():
    store = InMemoryStore()

    def fail(messages, info):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await agent(Memory(storage=store), fail).generate("one", memory=HERE)
    page = await store.memory.list_messages("t")
    assert [[part["type"] for part in m.parts] for m in page.messages] == [["text"], ["error"]]
    assert (await agent(Memory(storage=store)).generate("two", memory=HERE)).text == "one / two"


async def test_the_model_is_shown_a_conversation_that_providers_take():
    store = InMemoryStore()
    seen = []

    def note(messages, info):
        seen[:] = messages
        return ModelResponse([TextPart("ok")])

    for _ in range(3):
        await agent(Memory(storage=store), note).generate("hi", memory=HERE)
    kinds = [type(message) for message in seen]
    assert kinds == [ModelRequest, ModelResponse, ModelRequest, ModelResponse, ModelRequest]
