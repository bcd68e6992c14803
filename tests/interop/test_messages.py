"""Messages: what one side writes, the other lists, includes, updates and deletes."""

from __future__ import annotations

import msgspec
import pytest
import pytest_asyncio

from mastra_core.records import Message, Thread

from .plain import at, page_of, plain, plains

pytestmark = pytest.mark.asyncio

CONTENT = {
    "format": 2,
    "parts": [
        {"type": "step-start", "model": {"id": "m", "provider": "p"}},
        {"type": "text", "text": "It's “5°” <b>&</b> 🦆\n\tnext", "createdAt": 1767323045678},
        {
            "type": "reasoning",
            "reasoning": "because",
            "details": [
                {"type": "text", "text": "because", "signature": "s"},
                {"type": "redacted"},
            ],
            "providerMetadata": {"provider": {"itemId": "rs_1"}},
        },
        {
            "type": "tool-invocation",
            "toolInvocation": {
                "state": "result",
                "toolCallId": "call-1",
                "toolName": "weather",
                "args": {"city": "Ribe", "days": [1, 2.5, None]},
                "result": {"ok": True, "items": [], "big": 9007199254740991, "small": -1.5e-7},
                "step": 0,
                "approval": {"id": "a-1", "approved": True, "reason": None},
            },
            "providerExecuted": False,
            "title": "Weather",
        },
        {"type": "source", "source": {"sourceType": "url", "id": "s-1", "url": "doc:1"}},
        {"type": "source-document", "sourceId": "s-2", "mediaType": "text/plain", "title": "T"},
        {"type": "file", "mimeType": "image/png", "data": "data:image/png;base64,iVBORw0KGgo="},
        {"type": "error", "error": {"name": "Error", "message": "boom"}},
        {"type": "data-progress", "data": {"done": 0.5, "nothing": None}},
        {"type": "part-of-a-later-version", "anything": {"__proto__": [], "a.b": {"": 1}}},
    ],
    "content": "It's “5°”",
    "metadata": {"kind": "note", "rank": 3, "mastra": {"sealed": True}, "list": [{"deep": None}]},
    "providerMetadata": {"provider": {"cache": True}},
    "experimental_attachments": [{"url": "doc:2", "contentType": "text/plain"}],
    "toolInvocations": [],
    "reasoning": "because",
    "annotations": [None],
    "keyOfALaterVersion": {"kept": True},
}
MESSAGE = {
    "id": "message-1",
    "threadId": "thread-1",
    "resourceId": "resource-1",
    "role": "assistant",
    "type": "text",
    "content": CONTENT,
    "createdAt": at(3),
}


def message(number: int, **changes) -> dict:
    """A short message; its number is its place in time, and part of its id."""
    sample = {
        "id": f"message-{number:03}",
        "threadId": "thread-1",
        "resourceId": "resource-1",
        "role": "user",
        "content": {"format": 2, "parts": [{"type": "text", "text": f"text {number}"}]},
        "createdAt": at(number),
    }
    return {**sample, **changes}


def record(sample: dict) -> Message:
    return msgspec.convert(sample, Message)


def ids(messages) -> list[str]:
    return [one["id"] if isinstance(one, dict) else one.id for one in messages]


@pytest_asyncio.fixture(autouse=True)
async def threads(ours):
    """The threads that the messages are in: two of one resource, one of another."""
    for number, owner in ((1, 1), (2, 1), (3, 2)):
        thread = Thread(id=f"thread-{number}", resource_id=f"resource-{owner}", updated_at=at(0))
        await ours.memory.save_thread(thread)


async def save(ours, theirs, messages: list[dict]) -> None:
    """Save every other message by the original, the rest by us."""
    await theirs.memory.saveMessages(messages=messages[::2])
    await ours.memory.save_messages([record(sample) for sample in messages[1::2]])


async def test_we_read_a_message_of_the_original(ours, theirs):
    await theirs.memory.saveMessages(messages=[MESSAGE])

    assert plains((await ours.memory.list_messages("thread-1")).messages) == [MESSAGE]
    assert plains(await ours.memory.list_messages_by_id(["message-1"])) == [MESSAGE]


async def test_the_original_reads_a_message_of_ours(ours, theirs):
    await ours.memory.save_messages([record(MESSAGE)])

    original = await theirs.memory.listMessages(threadId="thread-1")
    assert plains(original["messages"]) == [MESSAGE]
    original = await theirs.memory.listMessagesById(messageIds=["message-1"])
    assert plains(original["messages"]) == [MESSAGE]


@pytest.mark.parametrize("role", ["user", "assistant", "tool", "signal"])
async def test_every_role_goes_both_ways(ours, theirs, role):
    await save(ours, theirs, [message(1, role=role), message(2, role=role)])

    mine = (await ours.memory.list_messages("thread-1")).messages
    original = (await theirs.memory.listMessages(threadId="thread-1"))["messages"]
    expected = [message(1, role=role), message(2, role=role)]
    assert plains(mine) == plains(original) == expected


async def test_saving_moves_the_threads_time_on_for_the_other_side(ours, theirs):
    await theirs.memory.saveMessages(messages=[message(1)])
    first = (await ours.memory.get_thread_by_id("thread-1")).updated_at
    await ours.memory.save_messages([record(message(2))])
    second = (await theirs.memory.getThreadById(threadId="thread-1"))["updatedAt"]

    assert at(0) < first < second


async def test_saving_again_replaces_what_the_other_side_saved_but_not_its_time(ours, theirs):
    await save(ours, theirs, [message(1), message(2)])
    again = {"content": CONTENT, "role": "assistant", "createdAt": at(99)}
    await ours.memory.save_messages([record(message(1, **again))])
    await theirs.memory.saveMessages(messages=[message(2, **again)])

    expected = [message(n, **{**again, "createdAt": at(n)}) for n in (1, 2)]
    assert plains((await ours.memory.list_messages("thread-1")).messages) == expected
    original = (await theirs.memory.listMessages(threadId="thread-1"))["messages"]
    assert plains(original) == expected


async def test_we_merge_into_a_message_of_the_original(ours, theirs):
    await theirs.memory.saveMessages(messages=[MESSAGE])

    changes = {"content": "short", "metadata": {"rank": 4, "added": None}, "later": [1]}
    answered = await ours.memory.update_messages(
        [{"id": "message-1", "role": "user", "content": changes}]
    )

    metadata = {**CONTENT["metadata"], **changes["metadata"]}
    expected = {**MESSAGE, "role": "user", "content": {**CONTENT, **changes, "metadata": metadata}}
    assert plains(answered) == [expected]
    original = await theirs.memory.listMessages(threadId="thread-1")
    assert plains(original["messages"]) == [expected]


async def test_the_original_merges_into_a_message_of_ours(ours, theirs):
    await ours.memory.save_messages([record(MESSAGE)])

    changes = {"content": "short", "metadata": {"rank": 4, "added": None}, "later": [1]}
    await theirs.memory.updateMessages(
        messages=[{"id": "message-1", "role": "user", "content": changes}]
    )

    metadata = {**CONTENT["metadata"], **changes["metadata"]}
    expected = {**MESSAGE, "role": "user", "content": {**CONTENT, **changes, "metadata": metadata}}
    assert plains((await ours.memory.list_messages("thread-1")).messages) == [expected]


async def test_a_message_moved_by_one_side_is_in_its_new_thread_on_the_other(ours, theirs):
    await save(ours, theirs, [message(1), message(2)])
    await ours.memory.update_messages([{"id": "message-001", "thread_id": "thread-2"}])
    await theirs.memory.updateMessages(messages=[{"id": "message-002", "threadId": "thread-2"}])

    expected = [message(1, threadId="thread-2"), message(2, threadId="thread-2")]
    assert plains((await ours.memory.list_messages("thread-2")).messages) == expected
    original = await theirs.memory.listMessages(threadId="thread-2")
    assert plains(original["messages"]) == expected
    assert (await ours.memory.list_messages("thread-1")).total == 0


async def test_a_deleted_message_is_gone_for_the_other_side(ours, theirs):
    await save(ours, theirs, [message(n) for n in range(4)])
    await ours.memory.delete_messages(["message-000", "unknown"])
    await theirs.memory.deleteMessages(["message-001", "unknown"])

    assert ids((await ours.memory.list_messages("thread-1")).messages) == [
        "message-002",
        "message-003",
    ]
    original = await theirs.memory.listMessages(threadId="thread-1")
    assert ids(original["messages"]) == ["message-002", "message-003"]


QUERIES = {
    "all": {"per_page": False},
    "by default": {},
    "newest first": {"order_by": {"field": "createdAt", "direction": "DESC"}},
    "first page": {"per_page": 5},
    "last page": {"per_page": 5, "page": 4},
    "page behind the end": {"per_page": 5, "page": 9},
    "empty page": {"per_page": 0},
    "newest page": {
        "per_page": 3,
        "page": 1,
        "order_by": {"field": "createdAt", "direction": "DESC"},
    },
    "from": {"date_range": {"start": at(5)}},
    "until": {"date_range": {"end": at(5)}},
    "between": {"date_range": {"start": at(5), "end": at(8)}},
    "behind and before": {
        "date_range": {"start": at(5), "end": at(8), "startExclusive": True, "endExclusive": True}
    },
    "of a resource": {"resource_id": "resource-1"},
    "of another resource": {"resource_id": "resource-2"},
    "metadata text": {"metadata": {"kind": "even"}},
    "metadata number": {"metadata": {"third": 2}},
    "metadata truth": {"metadata": {"early": True}},
    "metadata of two keys": {"metadata": {"kind": "odd", "third": 1}, "per_page": 2},
    "metadata nobody has": {"metadata": {"kind": "neither"}},
}
NAMES = {"page": "page", "per_page": "perPage", "order_by": "orderBy", "resource_id": "resourceId"}


async def stocked(ours, theirs) -> None:
    """Save 24 messages with metadata in the first thread, and a few in the others."""
    metadata = [
        {"kind": ("even", "odd")[n % 2], "third": n % 3, "early": n < 10} for n in range(24)
    ]
    messages = [
        message(n, content={"format": 2, "parts": [], "metadata": found})
        for n, found in enumerate(metadata)
    ]
    await save(ours, theirs, messages)
    other = [message(n, threadId="thread-2") for n in range(100, 104)]
    foreign = [message(n, threadId="thread-3", resourceId="resource-2") for n in range(200, 204)]
    await save(ours, theirs, other + foreign)


def original_query(query: dict) -> dict:
    """The arguments of the original's method for ours."""
    translated = {NAMES[name]: value for name, value in query.items() if name in NAMES}
    filters = {"dateRange": query.get("date_range"), "metadata": query.get("metadata")}
    return {**translated, "filter": {k: v for k, v in filters.items() if v is not None}}


async def test_both_sides_answer_every_query_alike(ours, theirs):
    await stocked(ours, theirs)

    for name, query in QUERIES.items():
        mine = await ours.memory.list_messages("thread-1", **query)
        original = await theirs.memory.listMessages(threadId="thread-1", **original_query(query))
        assert plains(mine.messages) == plains(original["messages"]), name
        assert page_of(mine) == page_of(original), name


async def test_both_sides_list_several_threads_and_a_whole_resource_alike(ours, theirs):
    await stocked(ours, theirs)

    both = ["thread-2", "thread-3"]
    mine = await ours.memory.list_messages(both)
    original = await theirs.memory.listMessages(threadId=both)
    assert plains(mine.messages) == plains(original["messages"])
    assert page_of(mine) == page_of(original)
    assert len(mine.messages) == 8

    mine = await ours.memory.list_messages_by_resource_id("resource-1", per_page=False)
    original = await theirs.memory.listMessagesByResourceId(resourceId="resource-1", perPage=False)
    assert plains(mine.messages) == plains(original["messages"])
    assert page_of(mine) == page_of(original)
    assert len(mine.messages) == 28


WINDOWS = {
    "alone": [("message-010", 0, 0)],
    "before": [("message-010", 3, 0)],
    "after": [("message-010", 0, 3)],
    "around": [("message-010", 2, 2)],
    "around the first": [("message-000", 5, 1)],
    "around the last": [("message-023", 1, 5)],
    "more than there is": [("message-010", 99, 99)],
    "overlapping": [("message-010", 2, 2), ("message-012", 2, 2)],
    "other threads": [("message-101", 1, 1), ("message-201", 1, 1), ("message-003", 0, 1)],
    "unknown": [("nobody", 2, 2), ("message-005", 0, 0)],
    "only unknown": [("nobody", 2, 2)],
}


@pytest.mark.parametrize("per_page", [0, 2, False])
@pytest.mark.parametrize("resource_id", [None, "resource-1"])
async def test_both_sides_include_the_same_windows(ours, theirs, per_page, resource_id):
    await stocked(ours, theirs)

    owner = {} if resource_id is None else {"resourceId": resource_id}
    for name, window in WINDOWS.items():
        include = [
            {"id": number, "withPreviousMessages": before, "withNextMessages": after}
            for number, before, after in window
        ]
        mine = await ours.memory.list_messages(
            "thread-1", include=include, per_page=per_page, resource_id=resource_id
        )
        original = await theirs.memory.listMessages(
            threadId="thread-1", include=include, perPage=per_page, **owner
        )
        assert plains(mine.messages) == plains(original["messages"]), name
        assert page_of(mine) == page_of(original), name


async def test_a_wrong_hint_of_the_thread_changes_no_window(ours, theirs):
    await stocked(ours, theirs)

    include = [{"id": "message-101", "threadId": "thread-3", "withPreviousMessages": 1}]
    mine = await ours.memory.list_messages("thread-1", include=include, per_page=0)
    original = await theirs.memory.listMessages(threadId="thread-1", include=include, perPage=0)
    assert ids(mine.messages) == ids(original["messages"]) == ["message-100", "message-101"]


async def test_the_original_reads_our_clone_of_its_thread(ours, theirs):
    await theirs.memory.saveMessages(messages=[MESSAGE, message(5), message(6)])

    clone = await ours.memory.clone_thread(
        "thread-1", new_thread_id="clone", metadata={"why": "test"}, options={"message_limit": 2}
    )

    stored = await theirs.memory.getThreadById(threadId="clone")
    assert plain(stored) == plain(clone.thread)
    assert stored["metadata"]["clone"]["sourceThreadId"] == "thread-1"
    assert stored["metadata"]["clone"]["lastMessageId"] == "message-006"
    copies = (await theirs.memory.listMessages(threadId="clone"))["messages"]
    assert clone.message_id_map.keys() == {"message-005", "message-006"}
    assert plains(copies) == [
        message(n, id=clone.message_id_map[f"message-00{n}"], threadId="clone") for n in (5, 6)
    ]


async def test_we_read_the_originals_clone_of_our_thread(ours, theirs):
    await ours.memory.save_messages([record(MESSAGE), record(message(5))])

    clone = await theirs.memory.cloneThread(
        sourceThreadId="thread-1", newThreadId="clone", resourceId="resource-2", title="Copy"
    )

    stored = await ours.memory.get_thread_by_id("clone")
    assert stored.title == "Copy"
    assert stored.resource_id == "resource-2"
    assert stored.created_at == stored.updated_at == clone["thread"]["createdAt"]
    # Times inside of JSON are text, as the original stores them.
    assert stored.metadata["clone"] == {
        "sourceThreadId": "thread-1",
        "clonedAt": f"{clone['thread']['createdAt']:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
        "lastMessageId": "message-005",
    }
    copied = {"threadId": "clone", "resourceId": "resource-2"}
    assert plains((await ours.memory.list_messages("clone")).messages) == [
        {**MESSAGE, **copied, "id": clone["messageIdMap"]["message-1"]},
        message(5, **copied, id=clone["messageIdMap"]["message-005"]),
    ]
