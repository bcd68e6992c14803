"""Where the original's memory domain loses or mixes up data, and ours does not (see README.md)."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
import pytest_asyncio

from mastra_core.errors import ConflictError, InvalidArgumentError, NotFoundError
from mastra_core.records import Resource, Thread
from mastra_libsql import LibSQLStore

from .original import OriginalError
from .plain import at, plain, plains
from .test_messages import ids, message, record
from .test_threads import RESOURCE, THREAD, thread

pytestmark = [pytest.mark.asyncio, pytest.mark.only("libsql")]

WRITERS = 10


@pytest_asyncio.fixture(autouse=True)
async def threads(ours):
    """Two threads of one resource and one of another, each with a metadata key."""
    for number, owner in ((1, 1), (2, 1), (3, 2)):
        sample = thread(id=f"thread-{number}", resourceId=f"resource-{owner}", metadata={"n": 1})
        await ours.memory.save_thread(msgspec.convert(sample, Thread))


async def test_updates_of_one_thread_at_once_are_all_kept(ours, theirs):
    await asyncio.gather(
        *(theirs.memory.updateThread(id="thread-1", metadata={f"k{n}": n}) for n in range(WRITERS))
    )
    kept = (await theirs.memory.getThreadById(threadId="thread-1"))["metadata"]
    assert len(kept) - 1 < WRITERS

    await asyncio.gather(
        *(ours.memory.update_thread("thread-2", metadata={f"k{n}": n}) for n in range(WRITERS))
    )
    kept = (await ours.memory.get_thread_by_id("thread-2")).metadata
    assert kept == {"n": 1, **{f"k{n}": n for n in range(WRITERS)}}


async def test_updates_of_one_message_at_once_are_all_kept(ours, theirs):
    await ours.memory.save_messages([record(message(1)), record(message(2))])
    changes = [{"metadata": {f"k{n}": n}} for n in range(WRITERS)]

    await asyncio.gather(
        *(
            theirs.memory.updateMessages(messages=[{"id": "message-001", "content": change}])
            for change in changes
        )
    )
    await asyncio.gather(
        *(
            ours.memory.update_messages([{"id": "message-002", "content": change}])
            for change in changes
        )
    )

    original, mine = (await ours.memory.list_messages("thread-1")).messages
    assert len(original.content["metadata"]) < WRITERS
    assert mine.content["metadata"] == {f"k{n}": n for n in range(WRITERS)}


async def test_updates_that_create_a_resource_at_once_are_all_kept(ours, theirs):
    await asyncio.gather(
        *(
            theirs.memory.updateResource(resourceId="a", metadata={f"k{n}": n})
            for n in range(WRITERS)
        )
    )
    assert len((await theirs.memory.getResourceById(resourceId="a"))["metadata"]) < WRITERS

    await asyncio.gather(
        *(ours.memory.update_resource("b", metadata={f"k{n}": n}) for n in range(WRITERS))
    )
    kept = (await ours.memory.get_resource_by_id("b")).metadata
    assert kept == {f"k{n}": n for n in range(WRITERS)}


async def test_an_included_message_is_there_though_others_have_its_time(ours, theirs):
    tied = [message(number, createdAt=at(0)) for number in range(3)]
    await theirs.memory.saveMessages(messages=tied)
    include = [{"id": "message-000"}]

    original = await theirs.memory.listMessages(threadId="thread-1", include=include, perPage=0)
    assert ids(original["messages"]) == ["message-002"]
    mine = await ours.memory.list_messages("thread-1", include=include, per_page=0)
    assert ids(mine.messages) == ["message-000"]


async def test_messages_of_one_time_are_in_the_order_of_their_ids(original, tmp_path):
    path = tmp_path / "fresh.db"
    theirs = original.store(path)
    await theirs.init()
    await theirs.memory.saveThread(thread=THREAD)
    tied = [message(number, createdAt=at(0)) for number in (2, 0, 1)]
    await theirs.memory.saveMessages(messages=tied)

    async def order() -> list[str]:
        return ids((await theirs.memory.listMessages(threadId="thread-1"))["messages"])

    assert await order() == ["message-002", "message-000", "message-001"]
    async with LibSQLStore(id="ours", url=f"file:{path}") as ours:
        mine = await ours.memory.list_messages("thread-1")
        assert ids(mine.messages) == ["message-000", "message-001", "message-002"]
    # With our indexes in the file the original reads along them.
    assert await order() == ids(mine.messages)
    await theirs.close()


async def test_a_message_of_another_thread_is_not_taken_over_by_its_id(ours, theirs):
    await ours.memory.save_messages([record(message(1)), record(message(2))])
    stolen = {"threadId": "thread-3", "resourceId": "resource-2"}

    await theirs.memory.saveMessages(messages=[message(1, **stolen)])
    assert ids((await ours.memory.list_messages("thread-3")).messages) == ["message-001"]

    with pytest.raises(ConflictError, match="message-002"):
        await ours.memory.save_messages([record(message(2, **stolen))])
    assert ids((await theirs.memory.listMessages(threadId="thread-1"))["messages"]) == [
        "message-002"
    ]


async def test_a_thread_of_another_resource_is_not_taken_over_by_its_id(ours, theirs):
    stolen = {"resourceId": "resource-2", "title": "stolen"}

    await theirs.memory.saveThread(thread=thread(id="thread-1", **stolen))
    assert (await ours.memory.get_thread_by_id("thread-1")).resource_id == "resource-2"

    with pytest.raises(ConflictError, match="thread-2"):
        await ours.memory.save_thread(msgspec.convert(thread(id="thread-2", **stolen), Thread))
    assert (await theirs.memory.getThreadById(threadId="thread-2"))["title"] == THREAD["title"]


async def test_saving_many_messages_saves_all_or_none(ours, theirs):
    # The original writes 50 at a time; the last of these is one that no database takes.
    many = [message(number) for number in range(50)]

    with pytest.raises(OriginalError, match="NOT NULL"):
        await theirs.memory.saveMessages(messages=[*many, message(50, role=None)])
    assert (await theirs.memory.listMessages(threadId="thread-1"))["total"] == 50

    there = [message(n, id=f"other-{n}", threadId="thread-2") for n in range(50)]
    # Refused by the database, not before: a message that is stored in another thread.
    late = message(0, threadId="thread-2")
    with pytest.raises(ConflictError):
        await ours.memory.save_messages([record(sample) for sample in (*there, late)])
    assert (await ours.memory.list_messages("thread-2")).total == 0


async def test_a_message_needs_a_thread(ours, theirs):
    await theirs.memory.saveMessages(messages=[message(1, threadId="nowhere")])
    assert (await theirs.memory.listMessages(threadId="nowhere"))["total"] == 1
    # What the original saved there is readable all the same.
    assert ids((await ours.memory.list_messages("nowhere")).messages) == ["message-001"]

    with pytest.raises(NotFoundError, match="elsewhere"):
        await ours.memory.save_messages([record(message(2, threadId="elsewhere"))])
    assert (await theirs.memory.listMessages(threadId="elsewhere"))["total"] == 0


async def test_saving_moves_the_times_of_all_threads_on(ours, theirs):
    async def times() -> list:
        return [
            (await ours.memory.get_thread_by_id(number)).updated_at
            for number in ("thread-1", "thread-2")
        ]

    before = await times()
    await theirs.memory.saveMessages(messages=[message(1), message(2, threadId="thread-2")])
    after = await times()
    assert after[0] > before[0]
    assert after[1] == before[1]

    before = after
    await ours.memory.save_messages([record(message(3)), record(message(4, threadId="thread-2"))])
    after = await times()
    assert after[0] > before[0]
    assert after[1] > before[1]


async def test_system_messages_are_answered(ours, theirs):
    system = message(1, role="system")
    await theirs.memory.saveMessages(messages=[system])

    original = await theirs.memory.listMessages(threadId="thread-1")
    assert (original["messages"], original["total"]) == ([], 1)
    assert plains((await ours.memory.list_messages("thread-1")).messages) == [system]


@pytest.mark.parametrize(("title", "answer"), [("[1,2]", [1, 2]), ('{"a":1}', {"a": 1})])
async def test_a_title_that_looks_like_json_stays_text(ours, theirs, title, answer):
    await ours.memory.save_thread(msgspec.convert(thread(title=title), Thread))

    assert (await theirs.memory.getThreadById(threadId="thread-1"))["title"] == answer
    await theirs.memory.updateThread(id="thread-1", metadata={"more": 1})
    assert (await ours.memory.get_thread_by_id("thread-1")).title == title
    await theirs.memory.saveThread(thread=thread(title=title))
    assert (await ours.memory.get_thread_by_id("thread-1")).title == title


async def test_working_memory_that_looks_like_json_stays_as_it_was_written(ours, theirs):
    text = '{"b":  1}'
    await theirs.memory.saveResource(resource={**RESOURCE, "workingMemory": text})

    original = await theirs.memory.getResourceById(resourceId="resource-1")
    assert original["workingMemory"] == '{"b":1}'
    assert (await ours.memory.get_resource_by_id("resource-1")).working_memory == text
    await ours.memory.save_resource(
        msgspec.convert({**RESOURCE, "id": "resource-2", "workingMemory": text}, Resource)
    )
    assert (await ours.memory.get_resource_by_id("resource-2")).working_memory == text


async def test_the_time_of_a_message_cannot_be_spoilt_by_an_update(ours, theirs):
    await ours.memory.save_messages([record(message(1)), record(message(2))])

    await theirs.memory.updateMessages(messages=[{"id": "message-001", "createdAt": at(9)}])
    spoilt = (await theirs.memory.listMessagesById(messageIds=["message-001"]))["messages"]
    assert plain(spoilt[0]).get("createdAt") is None
    # The original has put the time into quotes; we read it, and the page that it is on.
    assert ids((await ours.memory.list_messages("thread-1")).messages) == [
        "message-001",
        "message-002",
    ]
    assert (await ours.memory.list_messages_by_id(["message-001"]))[0].created_at == at(9)

    with pytest.raises(InvalidArgumentError, match="created"):
        await ours.memory.update_messages([{"id": "message-002", "createdAt": at(9)}])
    kept = (await theirs.memory.listMessagesById(messageIds=["message-002"]))["messages"]
    assert plains(kept) == [message(2)]


async def test_moving_a_thread_to_another_resource_answers_its_metadata(ours, theirs):
    await theirs.memory.saveThread(thread=thread(id="thread-1", metadata={"n": 1}))
    original = await theirs.memory.updateThreadResourceId(threadId="thread-1", resourceId="new")
    assert original["metadata"].keys() == {"$bytes"}

    mine = await ours.memory.update_thread_resource_id("thread-2", resource_id="new")
    assert mine.metadata == {"n": 1}


async def test_a_metadata_filter_tells_numbers_truth_and_absence_apart(ours, theirs):
    await ours.memory.update_thread("thread-2", metadata={"n": True, "none": None})

    async def found(metadata: dict) -> tuple[list[str], list[str]]:
        original = await theirs.memory.listThreads(filter={"metadata": metadata})
        mine = await ours.memory.list_threads(metadata=metadata)
        return sorted(ids(original["threads"])), sorted(ids(mine.threads))

    everything = ["thread-1", "thread-2", "thread-3"]
    assert await found({"n": True}) == (everything, ["thread-2"])
    assert await found({"n": 1}) == (everything, ["thread-1", "thread-3"])
    assert await found({"none": None}) == (everything, ["thread-2"])


async def test_an_order_that_messages_do_not_have_is_refused(ours, theirs):
    with pytest.raises(OriginalError, match="no such column"):
        await theirs.memory.listMessages(threadId="thread-1", orderBy={"field": "updatedAt"})
    with pytest.raises(InvalidArgumentError, match="updatedAt"):
        await ours.memory.list_messages("thread-1", order_by={"field": "updatedAt"})


async def test_a_total_that_is_not_wanted_is_not_counted(ours, theirs):
    await ours.memory.save_messages([record(message(number)) for number in range(3)])

    original = await theirs.memory.listMessages(threadId="thread-1", perPage=2, includeTotal=False)
    assert (original["total"], original["hasMore"]) == (3, True)
    mine = await ours.memory.list_messages("thread-1", per_page=2, with_total=False)
    assert (mine.total, mine.has_more) == (None, True)


async def test_deleting_a_thread_deletes_what_was_observed_in_it(ours, theirs):
    for number in ("thread-1", "thread-2"):
        await theirs.memory.initializeObservationalMemory(
            threadId=number, resourceId="resource-1", scope="thread", config={}
        )

    await theirs.memory.deleteThread(threadId="thread-1")
    await ours.memory.delete_thread("thread-2")

    assert await theirs.memory.getObservationalMemory("thread-1", "resource-1") is not None
    assert await theirs.memory.getObservationalMemory("thread-2", "resource-1") is None
