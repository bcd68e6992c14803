"""What agents say: turns that one side stored, as the other side's model is shown them."""

from __future__ import annotations

import json
import os
import subprocess

import msgspec
import pytest
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from mastra_core.messages import from_model_messages, to_model_messages
from mastra_core.records import Message

from .original import HERE, install


@pytest.fixture
def ask(original):
    node = install()

    def ask(**given):
        run = subprocess.run(
            [node, HERE / "prompt.mjs"],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            env={**os.environ, "MASTRA_TELEMETRY_DISABLED": "1"},
            check=True,
        )
        return json.loads(run.stdout)

    return ask


def bare(shown):
    """The parts without what providers know of them."""
    return [
        (
            message["role"],
            [
                {k: v for k, v in part.items() if k != "providerOptions"}
                for part in message["content"]
            ],
        )
        for message in shown
    ]


def test_the_original_shows_its_model_what_our_agents_did(ask):
    turn: list[ModelMessage] = [
        ModelRequest(
            [UserPromptPart(["hi", BinaryContent(b"\xfb\xff\xfe", media_type="image/png")])]
        ),
        ModelResponse(
            [
                ThinkingPart("hm", signature="SIG", provider_name="anthropic"),
                TextPart("I look."),
                ToolCallPart("look", '{"a":1}', "c1"),
                ToolCallPart("jump", {}, "c2"),
            ]
        ),
        ModelRequest(
            [
                ToolReturnPart("look", {"n": 1}, "c1"),
                ToolReturnPart("jump", "not like this", "c2", outcome="retried"),
            ]
        ),
        ModelResponse([TextPart("Done.")]),
    ]
    stored = msgspec.to_builtins(from_model_messages(turn, thread_id="t", resource_id="r"))
    shown = ask(stored=stored)["shown"]
    look = {"type": "tool-call", "toolCallId": "c1", "toolName": "look", "input": {"a": 1}}
    jump = {"type": "tool-call", "toolCallId": "c2", "toolName": "jump", "input": {}}
    assert bare(shown) == [
        (
            "user",
            [
                {"type": "text", "text": "hi"},
                {"type": "file", "mediaType": "image/png", "data": "data:image/png;base64,+//+"},
            ],
        ),
        (
            "assistant",
            [
                {"type": "reasoning", "text": "hm"},
                {"type": "text", "text": "I look."},
                look,
                jump,
            ],
        ),
        (
            "tool",
            [
                {
                    **look,
                    "type": "tool-result",
                    "output": {"type": "json", "value": {"n": 1}},
                },
                {
                    **jump,
                    "type": "tool-result",
                    "output": {"type": "error-text", "value": "not like this"},
                },
            ],
        ),
        ("assistant", [{"type": "text", "text": "Done."}]),
    ]
    options = shown[1]["content"][0]["providerOptions"]
    assert options["anthropic"] == {"signature": "SIG"}


def test_our_model_is_shown_what_agents_of_the_original_did(ask):
    look = {"toolCallId": "c1", "toolName": "look"}
    signed = {"anthropic": {"signature": "SIG"}}
    said = [
        {
            "role": "assistant",
            "content": [
                {"type": "reasoning", "text": "hm", "providerOptions": signed},
                {"type": "text", "text": "I look."},
                {**look, "type": "tool-call", "input": {"a": 1}},
            ],
        },
        {
            "role": "tool",
            "content": [
                {**look, "type": "tool-result", "output": {"type": "json", "value": {"n": 1}}}
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "Done."}]},
    ]
    stored = [msgspec.convert(message, Message) for message in ask(said=said)["stored"]]
    asked, looked, found, done = to_model_messages(stored)
    assert asked.parts[0].content == "hi"
    assert looked.parts == [
        ThinkingPart("hm", signature="SIG", provider_name="anthropic"),
        TextPart("I look."),
        ToolCallPart("look", {"a": 1}, "c1"),
    ]
    assert [(part.tool_call_id, part.content) for part in found.parts] == [("c1", {"n": 1})]
    assert done.parts == [TextPart("Done.")]
