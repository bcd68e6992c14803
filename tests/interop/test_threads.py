"""Threads and resources: what one side writes, the other reads, changes and deletes."""

from __future__ import annotations

import msgspec
import pytest

from mastra_core.errors import NotFoundError
from mastra_core.records import Resource, Thread

from .plain import at, page_of, plain, plains

pytestmark = pytest.mark.asyncio

THREAD = {
    "id": "thread-1",
    "resourceId": "resource-1",
    "title": "Über “quotes” 'n' 🦆",
    "metadata": {
        "text": "tea",
        "number": 7,
        "yes": True,
        "nothing": None,
        "deep": {"list": [1, {"two": None}], "empty": {}},
        "mastra": {"om": {"currentTask": "unknown to this version"}},
    },
    "createdAt": at(0),
    "updatedAt": at(1),
}
RESOURCE = {
    "id": "resource-1",
    "workingMemory": "# Facts\n- likes “tea”",
    "metadata": {"plan": "pro", "limits": {"seats": [1, None]}},
    "createdAt": at(0),
    "updatedAt": at(1),
}


def thread(**changes) -> dict:
    return {**THREAD, **changes}


async def test_we_read_a_thread_of_the_original(ours, theirs):
    await theirs.memory.saveThread(thread=THREAD)

    assert plain(await ours.memory.get_thread_by_id("thread-1")) == THREAD
    assert plains((await ours.memory.list_threads()).threads) == [THREAD]


async def test_the_original_reads_a_thread_of_ours(ours, theirs):
    await ours.memory.save_thread(msgspec.convert(THREAD, Thread))

    assert plain(await theirs.memory.getThreadById(threadId="thread-1")) == THREAD
    assert plains((await theirs.memory.listThreads())["threads"]) == [THREAD]


async def test_a_thread_without_title_or_metadata_goes_both_ways(ours, theirs):
    bare = {k: v for k, v in THREAD.items() if k not in {"title", "metadata"}}
    await ours.memory.save_thread(msgspec.convert(bare, Thread))
    await theirs.memory.saveThread(thread={**bare, "id": "thread-2", "title": ""})

    for number in ("thread-1", "thread-2"):
        expected = {**bare, "id": number, "title": ""}
        assert plain(await theirs.memory.getThreadById(threadId=number)) == expected
        assert plain(await ours.memory.get_thread_by_id(number)) == expected


async def test_we_update_a_thread_of_the_original(ours, theirs):
    await theirs.memory.saveThread(thread=THREAD)

    answered = await ours.memory.update_thread(
        "thread-1", title="New", metadata={"number": 8, "added": [None]}
    )

    expected = thread(
        title="New",
        metadata={**THREAD["metadata"], "number": 8, "added": [None]},
        updatedAt=answered.updated_at,
    )
    assert answered.updated_at > THREAD["updatedAt"]
    assert plain(answered) == expected
    assert plain(await theirs.memory.getThreadById(threadId="thread-1")) == expected


async def test_the_original_updates_a_thread_of_ours(ours, theirs):
    await ours.memory.save_thread(msgspec.convert(THREAD, Thread))

    answered = await theirs.memory.updateThread(
        id="thread-1", title="New", metadata={"number": 8, "added": [None]}
    )

    expected = thread(
        title="New",
        metadata={**THREAD["metadata"], "number": 8, "added": [None]},
        updatedAt=answered["updatedAt"],
    )
    assert plain(await ours.memory.get_thread_by_id("thread-1")) == expected


async def test_updates_of_both_sides_add_up(ours, theirs):
    await theirs.memory.saveThread(thread=thread(metadata={}))

    for number in range(3):
        await ours.memory.update_thread("thread-1", metadata={f"ours{number}": number})
        await theirs.memory.updateThread(id="thread-1", metadata={f"theirs{number}": number})

    keys = {f"{side}{number}": number for side in ("ours", "theirs") for number in range(3)}
    assert (await ours.memory.get_thread_by_id("thread-1")).metadata == keys
    assert (await theirs.memory.getThreadById(threadId="thread-1"))["metadata"] == keys


async def test_only_the_owner_finds_a_thread_of_the_other_side(ours, theirs):
    await theirs.memory.saveThread(thread=THREAD)
    await ours.memory.save_thread(msgspec.convert(thread(id="thread-2"), Thread))

    assert await ours.memory.get_thread_by_id("thread-1", resource_id="resource-2") is None
    assert await theirs.memory.getThreadById(threadId="thread-2", resourceId="resource-2") is None
    assert await ours.memory.get_thread_by_id("thread-1", resource_id="resource-1") is not None
    with pytest.raises(NotFoundError):
        await ours.memory.update_thread("thread-1", title="x", resource_id="resource-2")


@pytest.mark.parametrize("metadata", [{"text": "tea"}, {"number": 7}, {"text": "tea", "number": 7}])
async def test_both_sides_filter_threads_alike(ours, theirs, metadata):
    await theirs.memory.saveThread(thread=THREAD)
    await ours.memory.save_thread(
        msgspec.convert(thread(id="thread-2", metadata={"text": "tea"}), Thread)
    )
    await ours.memory.save_thread(
        msgspec.convert(thread(id="thread-3", metadata={"number": 7}), Thread)
    )
    await theirs.memory.saveThread(thread=thread(id="thread-4", resourceId="resource-2"))

    mine = await ours.memory.list_threads(resource_id="resource-1", metadata=metadata)
    original = await theirs.memory.listThreads(
        filter={"resourceId": "resource-1", "metadata": metadata}
    )

    assert sorted(t.id for t in mine.threads) == sorted(t["id"] for t in original["threads"])
    assert page_of(mine) == page_of(original)
    assert "thread-1" in {t.id for t in mine.threads}


@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
@pytest.mark.parametrize("direction", ["ASC", "DESC"])
async def test_both_sides_page_through_threads_alike(ours, theirs, field, direction):
    # Creation and update run against each other, so that the field of the order shows.
    for number in range(7):
        one = thread(id=f"thread-{number}", createdAt=at(number), updatedAt=at(100 - number))
        if number % 2:
            await theirs.memory.saveThread(thread=one)
        else:
            await ours.memory.save_thread(msgspec.convert(one, Thread))

    for page in range(4):
        order = {"field": field, "direction": direction}
        mine = await ours.memory.list_threads(page=page, per_page=3, order_by=order)
        original = await theirs.memory.listThreads(page=page, perPage=3, orderBy=order)
        assert plains(mine.threads) == plains(original["threads"])
        assert page_of(mine) == page_of(original)


async def test_a_deleted_thread_is_gone_for_the_other_side_with_its_messages(ours, theirs):
    content = {"format": 2, "parts": [{"type": "text", "text": "hello"}]}
    for number in (1, 2):
        await theirs.memory.saveThread(thread=thread(id=f"thread-{number}"))
        await theirs.memory.saveMessages(
            messages=[
                {
                    "id": f"message-{number}",
                    "threadId": f"thread-{number}",
                    "resourceId": "resource-1",
                    "role": "user",
                    "content": content,
                    "createdAt": at(number),
                }
            ]
        )

    await ours.memory.delete_thread("thread-1")
    assert await theirs.memory.getThreadById(threadId="thread-1") is None
    assert (await theirs.memory.listMessages(threadId="thread-1"))["total"] == 0
    assert (await theirs.memory.listMessages(threadId="thread-2"))["total"] == 1

    await theirs.memory.deleteThread(threadId="thread-2")
    assert await ours.memory.get_thread_by_id("thread-2") is None
    assert (await ours.memory.list_messages("thread-2")).messages == []


async def test_a_thread_given_to_another_resource_by_one_side_belongs_to_it_on_the_other(
    ours, theirs
):
    await theirs.memory.saveThread(thread=THREAD)

    moved = await ours.memory.update_thread_resource_id("thread-1", resource_id="resource-2")
    expected = thread(resourceId="resource-2", updatedAt=moved.updated_at)
    assert plain(await theirs.memory.getThreadById(threadId="thread-1")) == expected

    await theirs.memory.updateThreadResourceId(threadId="thread-1", resourceId="resource-1")
    back = await theirs.memory.getThreadById(threadId="thread-1")
    expected = thread(updatedAt=back["updatedAt"])
    assert plain(back) == expected
    assert back["updatedAt"] >= moved.updated_at
    assert plain(await ours.memory.get_thread_by_id("thread-1")) == expected


async def test_we_read_a_resource_of_the_original(ours, theirs):
    await theirs.memory.saveResource(resource=RESOURCE)

    assert plain(await ours.memory.get_resource_by_id("resource-1")) == RESOURCE


async def test_the_original_reads_a_resource_of_ours(ours, theirs):
    await ours.memory.save_resource(msgspec.convert(RESOURCE, Resource))

    assert plain(await theirs.memory.getResourceById(resourceId="resource-1")) == RESOURCE


async def test_we_update_a_resource_of_the_original(ours, theirs):
    await theirs.memory.saveResource(resource=RESOURCE)

    answered = await ours.memory.update_resource(
        "resource-1", working_memory="# New", metadata={"plan": "free"}
    )

    expected = {
        **RESOURCE,
        "workingMemory": "# New",
        "metadata": {**RESOURCE["metadata"], "plan": "free"},
        "updatedAt": answered.updated_at,
    }
    assert plain(answered) == expected
    assert plain(await theirs.memory.getResourceById(resourceId="resource-1")) == expected


async def test_the_original_updates_a_resource_of_ours(ours, theirs):
    await ours.memory.save_resource(msgspec.convert(RESOURCE, Resource))

    answered = await theirs.memory.updateResource(
        resourceId="resource-1", metadata={"plan": "free"}
    )

    expected = {
        **RESOURCE,
        "metadata": {**RESOURCE["metadata"], "plan": "free"},
        "updatedAt": answered["updatedAt"],
    }
    assert plain(await ours.memory.get_resource_by_id("resource-1")) == expected


async def test_an_update_creates_a_resource_that_the_other_side_reads(ours, theirs):
    mine = await ours.memory.update_resource("new-1", working_memory="ours")
    original = await theirs.memory.updateResource(resourceId="new-2", workingMemory="theirs")

    assert plain(await theirs.memory.getResourceById(resourceId="new-1")) == plain(mine)
    assert plain(await ours.memory.get_resource_by_id("new-2")) == plain(original)
    assert mine.metadata == original["metadata"] == {}
