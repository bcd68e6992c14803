"""Recalled messages as the model is told of them: who said what, when, and in which conversation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Final

from mastra_core.records import Message

HEAD: Final = (
    "Messages recalled from earlier because they may bear on what is asked now. They are not part of "
    "the current exchange; use what helps, and do not answer them."
)
WORDS: Final = {"user": "User", "assistant": "Assistant"}


def transcript(messages: Sequence[Message], thread_id: str) -> str:
    """The messages (in order, thread by thread) as text for the model; empty where there are none."""
    told: list[str] = []
    for thread, found in groupby(messages, key=lambda message: message.thread_id):
        lines = [_line(message) for message in found if message.text.strip()]
        if lines:
            place = "this conversation, earlier" if thread == thread_id else "another conversation"
            body = "\n".join(lines)
            told.append(f'<recalled from="{place}">\n{body}\n</recalled>')
    return "\n".join([HEAD, *told]) if told else ""


def _line(message: Message) -> str:
    who = WORDS.get(message.role, message.role)
    # What was said must not be able to end the block that says it was only recalled.
    text = message.text.strip().replace("</recalled", "</ recalled")
    return f"[{_when(message.created_at)}] {who}: {text}"


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
