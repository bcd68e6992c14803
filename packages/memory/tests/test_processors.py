"""Message processors: what goes to a model, and messages without calls and blocks."""

from __future__ import annotations

import pytest

from mastra_core import ConfigurationError
from mastra_core.records import Message
from mastra_memory.processors import (
    MessageProcessor,
    ProcessorError,
    TokenLimiter,
    ToolCallFilter,
    apply,
    estimated_tokens,
)
from mastra_memory.removal import without_blocks, without_calls
from mastra_memory.working_memory import without_updates

START = {"type": "step-start"}
REASONING = {"type": "reasoning", "reasoning": "", "details": [{"type": "text", "text": "hm"}]}


def text(said):
    return {"type": "text", "text": said}


def call(name, **fields):
    invocation = {"state": "result", "toolCallId": f"c-{name}", "toolName": name, "args": {}}
    return {"type": "tool-invocation", "toolInvocation": {**invocation, **fields}}


def retry(name):
    part = {"part_kind": "retry-prompt", "tool_name": name, "content": "again"}
    return {"type": "data-pydantic-ai", "data": {"in": "request", "part": part}}


def message(*parts, role="assistant", **content):
    content = {"format": 2, "parts": list(parts), **content}
    return Message(thread_id="t", resource_id="r", role=role, content=content)


async def said(processors, messages):
    return [m.text for m in await apply(processors, messages)]


@pytest.mark.asyncio
async def test_the_newest_messages_that_fit_are_kept_whole():
    messages = [message(text(letter * 8)) for letter in "abcd"]
    assert await said([TokenLimiter(8)], messages) == [letter * 8 for letter in "abcd"]
    assert await said([TokenLimiter(5)], messages) == ["c" * 8, "d" * 8]
    assert await said([TokenLimiter(1)], messages) == []
    assert await said([TokenLimiter(5)], []) == []
    assert await said([TokenLimiter(2, count=lambda _: 1)], messages) == ["c" * 8, "d" * 8]


@pytest.mark.asyncio
async def test_older_messages_do_not_fill_the_gap_that_a_long_one_leaves():
    messages = [message(text("a")), message(text("b" * 400)), message(text("c"))]
    assert await said([TokenLimiter(50)], messages) == ["c"]


@pytest.mark.parametrize(
    ("parts", "tokens"),
    [
        ([], 0),
        ([START, text("")], 0),
        ([text("abcd")], 1),
        ([text("abcde")], 2),
        ([text("ab"), text("cd")], 1),
        ([REASONING], 1),
        ([{"type": "reasoning", "reasoning": "12345678"}], 2),
        ([call("look", args={"a": 1}, result="x" * 29)], 10),
        ([call("look", state="output-error", args=None, errorText="x" * 4)], 2),
        ([{"type": "file", "mimeType": "image/png", "data": "x" * 100_000}], 1_000),
        ([{"type": "data-own", "data": "x" * 100}], 0),
        ([{"type": "tool-invocation", "toolInvocation": None}, 3, {"text": 4}], 0),
    ],
)
def test_tokens_are_estimated_over_all_that_a_model_is_shown(parts, tokens):
    assert estimated_tokens(message(*parts)) == tokens


def test_a_message_of_an_old_format_is_estimated_by_its_text():
    assert estimated_tokens(message(content="12345678")) == 2


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "10"])
def test_a_limit_that_cannot_be_is_refused(limit):
    with pytest.raises(ConfigurationError, match="limit of TokenLimiter"):
        TokenLimiter(limit)


@pytest.mark.asyncio
async def test_calls_of_named_tools_go_with_their_results_and_others_stay():
    both = message(START, text("a"), call("look"), call("write"))
    only = message(START, call("look", state="call"))
    answer = message(text("b"))
    given = [both, only, answer]
    kept = await apply([ToolCallFilter(["look"])], given)
    assert [m.parts for m in kept] == [[START, text("a"), call("write")], [text("b")]]
    assert kept[1] is answer
    kept = await apply([ToolCallFilter()], given)
    assert [m.parts for m in kept] == [[START, text("a")], [text("b")]]
    assert await apply([ToolCallFilter([])], given) == given
    assert both.parts == [START, text("a"), call("look"), call("write")]
    with pytest.raises(ConfigurationError, match=r"\['look'\]"):
        ToolCallFilter("look")


def test_a_retry_goes_with_its_call_and_reasoning_that_leads_nowhere_goes_too():
    said_and_called = message(
        START, REASONING, call("look"), retry("look"), START, REASONING, text("a"), retry("write")
    )
    rest = without_calls(said_and_called, ["look"])
    assert rest.parts == [START, REASONING, text("a"), retry("write")]
    beside = message(START, REASONING, text("a"), call("look"))
    assert without_calls(beside, ["look"]).parts == [START, REASONING, text("a")]
    thinking = message(START, REASONING)
    assert without_calls(thinking, ["look"]) is thinking


def test_mirrors_of_old_formats_lose_the_calls_too():
    mirror = [{"toolName": "look"}, {"toolName": "write"}]
    old = message(text("a"), call("look"), toolInvocations=mirror, metadata={"k": 1})
    rest = without_calls(old, ["look"])
    assert rest.content == {
        "format": 2,
        "parts": [text("a")],
        "toolInvocations": [{"toolName": "write"}],
        "metadata": {"k": 1},
    }
    assert rest.id == old.id


@pytest.mark.parametrize(
    ("given", "rest"),
    [
        ("<b>x</b> Hello", "Hello"),
        ("Hello <b>x</b>there<b>\ny</b>", "Hello there"),
        ("<b>x</b>", None),
        ("<b>open", "<b>open"),
        ("a <b>x</b> b <b>open", "a  b <b>open"),
        ("</b> a <b>", "</b> a <b>"),
        ("<b><b>x</b>y</b>", "y</b>"),
        ("  untouched  ", "  untouched  "),
        ("<b>" * 50_000, "<b>" * 50_000),
    ],
)
def test_blocks_are_cut_out_of_texts(given, rest):
    kept = without_blocks(message(text(given), role="user"), "b")
    assert (kept and kept.text) == rest


def test_blocks_are_cut_out_of_the_copy_of_the_text_too():
    old = message(text("<b>x</b>"), START, content="<b>x</b>Hello")
    assert without_blocks(old, "b").content == {"format": 2, "parts": [START], "content": "Hello"}
    bare = Message(
        thread_id="t", resource_id="r", role="user", content={"content": "<b>x</b>Hello"}
    )
    assert without_blocks(bare, "b").content == {"content": "Hello"}


def test_what_is_working_memorys_is_not_stored_with_messages():
    answer = message(
        START,
        text("I see.<working_memory># Name\nAda</working_memory>"),
        call("updateWorkingMemory"),
        call("look"),
    )
    assert without_updates(answer).parts == [START, text("I see."), call("look")]
    assert without_updates(message(START, call("updateWorkingMemory"))) is None
    assert without_updates(message(text("<working_memory>x</working_memory>"))) is None
    plain = message(text("updateWorkingMemory"), call("setWorkingMemory"))
    assert without_updates(plain) is plain
    empty = message()
    assert without_updates(empty) is empty


@pytest.mark.asyncio
async def test_processors_follow_one_another_also_if_they_wait():
    class Shout:
        async def process(self, messages):
            return [message(text(m.text.upper())) for m in messages]

    class Drop:
        def process(self, messages):
            messages.pop()
            return messages

    given = [message(text("a")), message(text("b"))]
    assert isinstance(Shout(), MessageProcessor)
    assert await said([Shout(), Drop()], given) == ["A"]
    assert [m.text for m in given] == ["a", "b"]
    assert await apply([], given) == given


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", [None, "messages", [1], ({},)])
async def test_an_answer_that_is_no_list_of_messages_names_the_processor(answer):
    class Odd:
        def process(self, messages):
            return answer

    with pytest.raises(ProcessorError, match=r"message processor 2 of 2 \(Odd\) must give a list"):
        await apply([ToolCallFilter(), Odd()], [])


@pytest.mark.asyncio
async def test_what_a_processor_raises_is_the_cause_of_an_error_that_names_it():
    def failing(_):
        raise KeyError("k")

    expected = r"message processor 1 of 1 \(TokenLimiter\) raised KeyError: 'k'"
    with pytest.raises(ProcessorError, match=expected) as raised:
        await apply([TokenLimiter(1, count=failing)], [message(text("a"))])
    assert isinstance(raised.value.__cause__, KeyError)
