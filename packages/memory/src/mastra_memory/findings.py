"""What a search by meaning has found: messages with their scores and neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from mastra_core.records import Message, MessagePage, Record


class Finding(Record, frozen=True, kw_only=True):
    """A message that was found, its score, and its neighbours in its thread, oldest first."""

    message: Message
    score: float
    before: list[Message]
    after: list[Message]

    @classmethod
    def of(cls, message_id: str, score: float, window: Sequence[Message]) -> Finding:
        """The finding of a window around the message."""
        place = [message.id for message in window].index(message_id)
        return cls(
            message=window[place],
            score=score,
            before=list(window[:place]),
            after=list(window[place + 1 :]),
        )


class RecalledPage(MessagePage, frozen=True, kw_only=True):
    """A page of messages, with those that were recalled by meaning merged into it.

    ``matches`` has the score of each message that was found, ``recalled`` the ids of those that are
    there only because of that: what was found, and the neighbours.
    """

    matches: dict[str, float] = msgspec.field(default_factory=dict[str, float])
    recalled: list[str] = msgspec.field(default_factory=list[str])


def merged(page: MessagePage, findings: Sequence[Finding]) -> RecalledPage:
    """The page with what was found, each message once; in order of time where that adds any."""
    own = {message.id for message in page.messages}
    near = in_order([*f.before, f.message, *f.after] for f in findings)
    added = [message for message in near if message.id not in own]
    messages = page.messages
    if added:
        messages = sorted([*messages, *added], key=_place)
    return RecalledPage(
        messages=messages,
        total=page.total,
        page=page.page,
        per_page=page.per_page,
        has_more=page.has_more,
        matches={finding.message.id: finding.score for finding in findings},
        recalled=[message.id for message in added],
    )


def in_order(windows: Iterable[Sequence[Message]]) -> list[Message]:
    """The messages of windows that may overlap, each once: thread by thread, oldest first."""
    unique = {message.id: message for window in windows for message in window}
    threads: dict[str, list[Message]] = {}
    for message in sorted(unique.values(), key=_place):
        threads.setdefault(message.thread_id, []).append(message)
    return [message for messages in threads.values() for message in messages]


def _place(message: Message) -> tuple[object, ...]:
    return (message.created_at, message.id)
