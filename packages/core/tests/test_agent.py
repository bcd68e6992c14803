"""``Agent``: what the model is shown, what is stored when, and what is left of a turn that fails."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys

import msgspec
import pytest
from pydantic_ai.messages import (
    ImageUrl,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import DeltaToolCall, FunctionModel
from pydantic_ai.models.test import TestModel

from mastra_core import (
    ConfigurationError,
    InMemoryStore,
    InMemoryVector,
    Mastra,
    Message,
    UnavailableError,
)
from mastra_core.agent import Agent
from mastra_core.conversation import Recollection
from mastra_core.errors import InvalidArgumentError, StreamAbandoned

HERE = {"thread": "t", "resource": "r"}


class Notes:
    """A memory in a list."""

    def __init__(self):
        self.messages: list[Message] = []
        self.closed = asyncio.Event()
        self.storage = None

    def bind(self, storage):
        self.storage = storage

    async def open_turn(self, thread, asked):
        history = [m for m in self.messages if m.thread_id == thread.id]
        self.messages.append(asked)
        return Recollection(thread=thread, history=history, asked=asked)

    async def close_turn(self, turn, answer, *, model):
        self.messages.append(answer)
        self.model = model
        self.closed.set()
        return answer

    async def close(self):
        self.ended = True

    def kinds(self):
        """The roles, and of answers the parts."""
        return [
            m.role if m.role == "user" else [part["type"] for part in m.parts]
            for m in self.messages
        ]


def steps(messages):
    return sum(isinstance(message, ModelResponse) for message in messages)


def says(*texts):
    """A model that answers with these texts, one after another, in pieces of a word."""
    left = list(texts)

    def whole(messages, info):
        return ModelResponse([TextPart(left.pop(0))])

    async def pieces(messages, info):
        for word in left.pop(0).split(" "):
            yield f"{word} "

    return FunctionModel(whole, stream_function=pieces)


def calls(*names, then="done"):
    """A model that calls these tools and then says what it says, or raises what it raises."""

    def last(messages):
        return isinstance(messages[-1], ModelRequest) and any(
            isinstance(part, UserPromptPart) for part in messages[-1].parts
        )

    def whole(messages, info):
        if last(messages):
            return ModelResponse(
                [TextPart("I look."), *(ToolCallPart(name, {}, f"call-{name}") for name in names)]
            )
        if isinstance(then, Exception):
            raise then
        return ModelResponse([TextPart(then)])

    async def pieces(messages, info):
        if last(messages):
            yield "I look."
            yield {
                i: DeltaToolCall(name, "{}", tool_call_id=f"call-{name}")
                for i, name in enumerate(names)
            }
        elif isinstance(then, Exception):
            raise then
        else:
            yield then

    return FunctionModel(whole, stream_function=pieces)


async def look():
    """Look."""
    return "seen"


async def read(agent, prompt="hi", **options):
    stream = await agent.stream(prompt, **options)
    return "".join([text async for text in stream.text_stream])


async def ask(agent, how, prompt="hi"):
    """One turn, either way."""
    if how == "generate":
        return (await agent.generate(prompt, memory=HERE)).text
    return await read(agent, prompt, memory=HERE)


ways = pytest.mark.parametrize("how", ["generate", "stream"])


@pytest.mark.asyncio
async def test_without_memory_nothing_is_remembered():
    notes = Notes()
    agent = Agent(id="a", model=says("hello", "again"), memory=notes)
    result = await agent.generate("hi")
    assert result.text == "hello"
    assert [(m.role, m.text) for m in result.messages] == [("user", "hi"), ("assistant", "hello")]
    assert result.usage.requests == 1
    assert await read(agent) == "again "
    assert notes.messages == []


@pytest.mark.asyncio
@ways
async def test_what_is_asked_is_stored_before_the_model_is_called_and_the_answer_after(how):
    notes = Notes()
    seen = []

    def whole(messages, info):
        seen.append([m.role for m in notes.messages])
        return ModelResponse([TextPart("hello")])

    async def pieces(messages, info):
        seen.append([m.role for m in notes.messages])
        yield "hello"

    model = FunctionModel(whole, stream_function=pieces)
    assert await ask(Agent(id="a", model=model, memory=notes), how) == "hello"
    assert seen == [["user"]]
    assert [m.role for m in notes.messages] == ["user", "assistant"]
    assert notes.messages[0].created_at < notes.messages[1].created_at


@pytest.mark.asyncio
@ways
async def test_the_next_turn_shows_the_model_what_was_said(how):
    seen = []

    def whole(messages, info):
        seen.append(messages)
        return ModelResponse([TextPart(f"answer {len(seen)}")])

    async def pieces(messages, info):
        seen.append(messages)
        yield f"answer {len(seen)}"

    notes = Notes()
    model = FunctionModel(whole, stream_function=pieces)
    agent = Agent(id="a", model=model, memory=notes, instructions="be kind")
    await ask(agent, how, "first")
    await ask(agent, how, ["second", ImageUrl("https://example.com/x.png")])
    shown = [part.content for message in seen[1] for part in message.parts]
    assert shown == ["first", "answer 1", ["second", ImageUrl("https://example.com/x.png")]]
    assert seen[1][-1].instructions == "be kind"
    assert seen[1][0].instructions is None


@pytest.mark.asyncio
@ways
async def test_the_steps_of_a_turn_are_one_message_with_each_result_at_its_call(how):
    notes = Notes()
    agent = Agent(id="a", model=calls("look"), tools=[look], memory=notes)
    await ask(agent, how)
    assert notes.kinds() == [
        "user",
        ["step-start", "text", "tool-invocation", "step-start", "text"],
    ]
    assert notes.messages[1].parts[2]["toolInvocation"] == {
        "state": "result",
        "toolCallId": "call-look",
        "toolName": "look",
        "args": {},
        "result": "seen",
    }


@pytest.mark.asyncio
@ways
async def test_a_turn_whose_model_fails_keeps_what_its_tools_did_and_says_that_it_failed(how):
    notes = Notes()
    agent = Agent(
        id="a", model=calls("look", then=RuntimeError("key sk-1")), tools=[look], memory=notes
    )
    with pytest.raises(RuntimeError, match="key sk-1"):
        await ask(agent, how)
    assert notes.kinds() == ["user", ["step-start", "text", "tool-invocation", "error"]]
    assert notes.messages[1].parts[-1] == {
        "type": "error",
        "error": {
            "name": "RuntimeError",
            "message": "The turn ended before its answer was complete (RuntimeError).",
        },
    }
    assert "sk-1" not in str(notes.messages)


@pytest.mark.asyncio
@ways
async def test_a_turn_that_fails_before_anything_was_done_is_an_error_and_nothing_else(how):
    notes = Notes()

    def whole(messages, info):
        raise RuntimeError

    async def pieces(messages, info):
        yield "half an ans"
        raise RuntimeError

    agent = Agent(id="a", model=FunctionModel(whole, stream_function=pieces), memory=notes)
    with pytest.raises(RuntimeError):
        await ask(agent, how)
    assert notes.kinds() == ["user", ["error"]]


@pytest.mark.asyncio
@ways
async def test_after_a_tool_failed_the_next_turn_knows_and_no_call_is_without_a_result(how):
    async def jump():
        """Jump."""
        raise ValueError("broken leg")

    notes = Notes()
    agent = Agent(id="a", model=calls("look", "jump"), tools=[look, jump], memory=notes)
    with pytest.raises(ValueError, match="broken leg"):
        await ask(agent, how)
    seen = []

    def whole(messages, info):
        seen.extend(messages)
        return ModelResponse([TextPart("well")])

    again = Agent(id="a", model=FunctionModel(whole), memory=notes)
    assert (await again.generate("and now?", memory=HERE)).text == "well"
    assert [type(message) for message in seen] == [ModelRequest, ModelResponse, ModelRequest]
    looked, jumped, asked = seen[2].parts
    assert (looked.content, looked.outcome) == ("seen", "success")
    assert jumped.outcome == "interrupted"
    assert asked.content == "and now?"
    assert "broken leg" not in str(notes.messages)


@pytest.mark.asyncio
@ways
async def test_a_turn_cancelled_in_a_tool_is_marked_and_the_cancellation_goes_on(how):
    running = asyncio.Event()

    async def wait():
        """Wait."""
        running.set()
        await asyncio.Event().wait()

    notes = Notes()
    agent = Agent(id="a", model=calls("look", "wait"), tools=[look, wait], memory=notes)
    task = asyncio.ensure_future(ask(agent, how))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert notes.kinds() == [
        "user",
        ["step-start", "text", "tool-invocation", "tool-invocation", "error"],
    ]
    waited = notes.messages[1].parts[3]["toolInvocation"]
    assert waited["state"] == "output-error"
    assert waited["errorText"] == "There is no result: the turn ended while this tool was running."


@pytest.mark.asyncio
@ways
async def test_a_timeout_is_a_timeout(how):
    async def wait():
        """Wait."""
        await asyncio.Event().wait()

    notes = Notes()
    agent = Agent(id="a", model=calls("wait"), tools=[wait], memory=notes)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await ask(agent, how)
    assert notes.kinds()[-1][-1] == "error"


@pytest.mark.asyncio
async def test_cancelled_while_the_answer_is_being_stored_it_is_stored():
    notes = Notes()
    storing, go_on = asyncio.Event(), asyncio.Event()
    close = notes.close_turn

    async def slowly(turn, answer, *, model):
        storing.set()
        await go_on.wait()
        return await close(turn, answer, model=model)

    notes.close_turn = slowly
    agent = Agent(id="a", model=says("hello"), memory=notes)
    task = asyncio.ensure_future(agent.generate("hi", memory=HERE))
    await storing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await notes.closed.wait()
    assert [m.text for m in notes.messages] == ["hi", "hello"]


@pytest.mark.asyncio
async def test_a_stream_that_is_read_to_its_end_is_stored_when_it_ends():
    notes = Notes()
    agent = Agent(id="a", model=says("one two three"), memory=notes)
    async with await agent.stream("count", memory=HERE) as stream:
        texts = []
        async for text in stream.text_stream:
            texts.append(text)
            assert len(notes.messages) == 1
        assert texts == ["one ", "two ", "three "]
        assert notes.messages[1].text == "one two three "
        result = await stream.result()
    assert result.text == "one two three "
    assert result.messages == notes.messages
    assert len(notes.messages) == 2


@pytest.mark.asyncio
async def test_a_stream_can_be_read_in_parts_and_finished_by_its_result():
    notes = Notes()
    stream = await Agent(id="a", model=says("one two three"), memory=notes).stream(
        "count", memory=HERE
    )
    async for text in stream.text_stream:
        assert text == "one "
        break
    assert len(notes.messages) == 1
    assert [text async for text in stream.text_stream] == ["two ", "three "]
    assert (await stream.result()).text == "one two three "


@pytest.mark.asyncio
@pytest.mark.parametrize("way", ["close", "leave", "drop"])
async def test_an_abandoned_stream_stops_the_model_and_its_text_is_not_kept(way):
    stopped = asyncio.Event()

    async def endless(messages, info):
        try:
            while True:
                yield "more "
        finally:
            stopped.set()

    notes = Notes()
    agent = Agent(id="a", model=FunctionModel(stream_function=endless), memory=notes)
    stream = await agent.stream("talk", memory=HERE)
    async for _ in stream.text_stream:
        break
    if way == "close":
        await stream.aclose()
        with pytest.raises(StreamAbandoned):
            await stream.result()
    elif way == "leave":
        async with stream:
            pass
    del stream
    gc.collect()
    await asyncio.wait_for(notes.closed.wait(), 5)
    await asyncio.wait_for(stopped.wait(), 5)
    assert notes.kinds() == ["user", ["error"]]
    assert notes.messages[1].parts[0]["error"]["name"] == "StreamAbandoned"


@pytest.mark.asyncio
async def test_a_tool_call_that_was_not_said_to_its_end_is_not_kept():
    async def half(messages, info):
        yield {0: DeltaToolCall("look", '{"a', tool_call_id="c")}
        yield "meanwhile"
        await asyncio.Event().wait()

    notes = Notes()
    agent = Agent(id="a", model=FunctionModel(stream_function=half), tools=[look], memory=notes)
    async with await agent.stream("hi", memory=HERE) as stream:
        async for text in stream.text_stream:
            assert text == "meanwhile"
            break
    assert notes.kinds() == ["user", ["error"]]


@pytest.mark.asyncio
async def test_a_stream_closed_before_it_was_read_never_calls_the_model():
    notes = Notes()
    agent = Agent(id="a", model=says("never"), memory=notes)
    async with await agent.stream("hi", memory=HERE) as stream:
        assert notes.kinds() == ["user"]
    assert notes.kinds() == ["user", ["error"]]
    with pytest.raises(StreamAbandoned):
        await stream.result()


@pytest.mark.asyncio
async def test_the_error_of_a_stream_is_also_that_of_its_result():
    agent = Agent(id="a", model=calls("look", then=RuntimeError("down")), tools=[look])
    stream = await agent.stream("hi")
    with pytest.raises(RuntimeError, match="down"):
        _ = [text async for text in stream.text_stream]
    with pytest.raises(RuntimeError, match="down"):
        await stream.result()


@pytest.mark.asyncio
@ways
async def test_when_the_failure_cannot_be_stored_it_is_said_and_the_failure_stays(how):
    notes = Notes()

    async def refuse(turn, answer, *, model):
        raise UnavailableError("no disk")

    notes.close_turn = refuse
    agent = Agent(id="a", model=calls("look", then=RuntimeError()), tools=[look], memory=notes)
    with pytest.raises(RuntimeError) as failed:
        await ask(agent, how)
    assert failed.value.__notes__ == ["That the turn failed could not be stored either: no disk"]


@pytest.mark.asyncio
@ways
async def test_an_answer_that_cannot_be_stored_is_an_error(how):
    notes = Notes()

    async def refuse(turn, answer, *, model):
        raise UnavailableError("no disk")

    notes.close_turn = refuse
    with pytest.raises(UnavailableError, match="no disk"):
        await ask(Agent(id="a", model=says("hello"), memory=notes), how)


@pytest.mark.asyncio
async def test_when_the_question_cannot_be_stored_the_model_is_not_called():
    notes = Notes()

    async def refuse(thread, asked):
        raise UnavailableError("no disk")

    notes.open_turn = refuse
    agent = Agent(id="a", model=calls(then=AssertionError("called")), memory=notes)
    with pytest.raises(UnavailableError):
        await agent.generate("hi", memory=HERE)
    with pytest.raises(UnavailableError):
        await agent.stream("hi", memory=HERE)


@pytest.mark.asyncio
async def test_a_model_that_cannot_be_made_stores_nothing():
    notes = Notes()
    agent = Agent(id="a", model="no-such/model", memory=notes)
    with pytest.raises(ConfigurationError, match="no-such/model"):
        await agent.generate("hi", memory=HERE)
    assert notes.messages == []


@pytest.mark.asyncio
async def test_calls_without_a_result_of_whatever_origin_do_not_stop_the_next_turn():
    notes = Notes()
    call = {"state": "call", "toolCallId": "c", "toolName": "look", "args": {}}
    content = {"format": 2, "parts": [{"type": "tool-invocation", "toolInvocation": call}]}
    asked = Message(thread_id="t", resource_id="r", role="user", content={"parts": []})
    notes.messages = [
        asked,
        msgspec.structs.replace(asked, role="assistant", content=content),
    ]
    seen = []

    def whole(messages, info):
        seen.extend(part for message in messages for part in message.parts)
        return ModelResponse([TextPart("ok")])

    agent = Agent(id="a", model=FunctionModel(whole), memory=notes)
    assert (await agent.generate("hi", memory=HERE)).text == "ok"
    assert [type(part) for part in seen] == [ToolCallPart, ToolReturnPart, UserPromptPart]
    assert seen[1].outcome == "interrupted"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("memory", "said"),
    [
        ({"thread": "t"}, "memory has no resource"),
        ({"resource": "r"}, "memory has no thread"),
        ({}, "memory has no thread and no resource"),
        ({"thread": "", "resource": "r"}, "memory has no thread"),
        ({"thread": "t", "resource": "r", "options": {}}, "options"),
        ({"thread": {"title": "x"}, "resource": "r"}, "id"),
        ({"thread": {"id": "t", "name": "x"}, "resource": "r"}, "name"),
        ({"thread": 5, "resource": "r"}, "thread"),
        ({"thread": "a\0b", "resource": "r"}, "NUL"),
    ],
)
async def test_a_conversation_that_is_not_named_rightly_is_refused(memory, said):
    agent = Agent(id="a", model=TestModel(), memory=Notes())
    with pytest.raises(InvalidArgumentError, match=said):
        await agent.generate("hi", memory=memory)


@pytest.mark.asyncio
async def test_remembering_without_a_memory_says_what_to_do():
    with pytest.raises(ConfigurationError, match="pip install mastra-memory"):
        await Agent(id="a", model=TestModel()).generate("hi", memory=HERE)


@pytest.mark.parametrize("model", ["", "gpt-4o", "openai/", "/x", "openai gpt"])
def test_a_model_is_named_with_its_provider(model):
    with pytest.raises(ConfigurationError, match="must be provider/model"):
        Agent(id="a", model=model)


def test_an_agent_needs_an_id():
    with pytest.raises(ConfigurationError, match="id"):
        Agent(id="", model=TestModel())


@pytest.mark.asyncio
@pytest.mark.parametrize("model", ["groq/llama-3", "groq:llama-3"])
async def test_a_provider_that_is_not_installed_says_what_to_install(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "groq", None)
    monkeypatch.delitem(sys.modules, "pydantic_ai.providers.groq", raising=False)
    with pytest.raises(ConfigurationError) as refused:
        await Agent(id="a", model=model).generate("hi")
    assert str(refused.value) == (
        f"model {model!r} needs a package that is not installed: "
        'pip install "pydantic-ai-slim[groq]"'
    )


def test_the_storage_of_an_instance_is_offered_to_the_memory_of_its_agents():
    notes, store = Notes(), InMemoryStore()
    agent = Agent(id="a", model=TestModel(), memory=notes)
    forgetful = Agent(id="b", model=TestModel())
    mastra = Mastra(storage=store, agents=[agent, forgetful])
    assert notes.storage is store
    assert mastra.get_agent("a") is agent
    Mastra(agents=[agent])
    assert notes.storage is store


def test_an_agent_shows_its_id_and_model():
    assert repr(Agent(id="a", model="openai/gpt-4o")) == "Agent(id='a', model='openai/gpt-4o')"
    assert repr(Agent(id="a", model=TestModel())) == "Agent(id='a', model='test')"


def python(code):
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_what_only_stores_imports_no_model_framework():
    code = "import sys, mastra_core, mastra_core.messages; print('pydantic_ai' in sys.modules)"
    assert python(code) == "False"


def test_without_the_framework_the_error_says_what_to_install():
    code = (
        "import sys; sys.modules['pydantic_ai'] = None\n"
        "import mastra_core\n"
        "try: mastra_core.Agent\n"
        "except mastra_core.ConfigurationError as error: print(error)"
    )
    assert python(code) == "Agent needs pydantic-ai: pip install 'mastra-core[agent]'"


class Helpful(Notes):
    """A memory that tells the model something, and gives it a tool."""

    def __init__(self, known):
        super().__init__()
        self.known = known

    async def open_turn(self, thread, asked):
        opened = await super().open_turn(thread, asked)

        def remember(fact: str) -> str:
            """Remember."""
            self.known = fact
            return "done"

        return Recollection(
            thread=opened.thread,
            history=opened.history,
            asked=asked,
            instructions=f"Known: {self.known}.",
            tools=(remember,),
        )


@pytest.mark.asyncio
@ways
async def test_the_memory_tells_the_model_something_and_gives_it_a_tool_for_one_turn(how):
    seen = []

    def answer(messages):
        seen.append(messages[-1].instructions)
        if steps(messages) == 0:
            return ModelResponse([ToolCallPart("remember", {"fact": "tea"}, "c")])
        return ModelResponse([TextPart("ok")])

    def whole(messages, info):
        assert [tool.name for tool in info.function_tools] == ["look", "remember"]
        return answer(messages)

    async def pieces(messages, info):
        (part,) = whole(messages, info).parts
        if isinstance(part, TextPart):
            yield part.content
        else:
            yield {0: DeltaToolCall(part.tool_name, '{"fact": "tea"}', tool_call_id="c")}

    memory = Helpful("nothing")
    model = FunctionModel(whole, stream_function=pieces)
    agent = Agent(id="a", instructions="Be kind.", model=model, tools=[look], memory=memory)
    await ask(agent, how)
    assert seen == ["Be kind.\n\nKnown: nothing."] * 2
    assert memory.known == "tea"
    assert memory.model is agent.model


@pytest.mark.asyncio
async def test_an_application_that_ends_closes_every_part_though_one_cannot_be():
    notes, store, vector = Notes(), InMemoryStore(), InMemoryVector()
    closed = []

    async def refuse():
        closed.append("memory")
        raise UnavailableError("no disk")

    async def close():
        closed.append("vector")

    notes.close, vector.close, store.close = refuse, close, close
    agent = Agent(id="a", model=says("hello"), memory=notes)
    with pytest.raises(UnavailableError, match="no disk"):
        async with Mastra(storage=store, agents=[agent], vectors={"v": vector}) as mastra:
            assert mastra.get_vector("v") is vector
    assert closed == ["memory", "vector", "vector"]


@pytest.mark.asyncio
async def test_an_agent_by_itself_closes_its_memory():
    notes = Notes()
    async with Agent(id="a", model=says("hello"), memory=notes) as agent:
        await agent.generate("hi", memory=HERE)
    assert notes.ended
