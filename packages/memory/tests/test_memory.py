"""``Memory``: threads and messages in a storage, and what is recalled of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mastra_core import (
    ConfigurationError,
    ConflictError,
    InMemoryStore,
    InvalidArgumentError,
    MastraStorage,
    Message,
    NotFoundError,
    Thread,
)
from mastra_memory import Memory, MemoryOptions

pytestmark = pytest.mark.asyncio

AT = datetime(2026, 1, 2, tzinfo=UTC)


def message(number, *, thread="t", resource="r", role="user", **content):
    return Message(
        id=f"{thread}-{number}",
        thread_id=thread,
        resource_id=resource,
        role=role,
        content={"format": 2, "parts": [{"type": "text", "text": str(number)}], **content},
        created_at=AT + timedelta(seconds=number),
    )


async def remembering(count=5, **options):
    """A memory with the messages 0, 1, 2 … in the thread ``t`` of the resource ``r``."""
    memory = Memory(storage=InMemoryStore(), options=options)
    await memory.create_thread(thread_id="t", resource_id="r")
    await memory.save_messages([message(number) for number in range(count)])
    return memory


def numbers(page):
    return [int(found.text) for found in page.messages]


async def test_recall_gives_the_latest_messages_oldest_first():
    memory = await remembering(5, last_messages=2)
    page = await memory.recall("t")
    assert numbers(page) == [3, 4]
    assert (page.total, page.page, page.per_page, page.has_more) == (5, 0, 2, True)
    assert numbers(await memory.recall("t", page=1)) == [1, 2]
    assert numbers(await memory.recall("t", page=2)) == [0]
    assert numbers(await memory.recall("t", per_page=3)) == [2, 3, 4]
    assert numbers(await memory.recall("t", per_page=False)) == [0, 1, 2, 3, 4]


async def test_ten_messages_are_recalled_if_nothing_else_is_said():
    memory = await remembering(12)
    assert numbers(await memory.recall("t")) == list(range(2, 12))


async def test_an_order_that_is_asked_for_is_kept():
    memory = await remembering(5)
    ascending = {"field": "createdAt", "direction": "asc"}
    descending = {"field": "createdAt", "direction": "desc"}
    assert numbers(await memory.recall("t", per_page=2, order_by=ascending)) == [0, 1]
    assert numbers(await memory.recall("t", per_page=2, order_by=descending)) == [4, 3]


async def test_recall_is_narrowed_by_dates_and_metadata_and_widened_by_include():
    memory = await remembering(5)
    await memory.save_messages([message(5, metadata={"topic": "tea"})])
    assert numbers(await memory.recall("t", metadata={"topic": "tea"})) == [5]
    early = {"end": AT + timedelta(seconds=1)}
    assert numbers(await memory.recall("t", date_range=early)) == [0, 1]
    wide = [{"id": "t-1", "with_next_messages": 1}]
    assert numbers(await memory.recall("t", per_page=1, include=wide)) == [1, 2, 5]


@pytest.mark.parametrize("off", [False, 0])
async def test_without_history_only_what_is_included_comes(off):
    memory = await remembering(5, last_messages=off)
    page = await memory.recall("t")
    assert (page.messages, page.total, page.per_page, page.has_more) == ([], 0, 0, False)
    assert numbers(await memory.recall("t", include=[{"id": "t-1"}])) == [1]
    assert numbers(await memory.recall("t", per_page=2)) == [3, 4]
    with pytest.raises(NotFoundError):
        await memory.recall("t", resource_id="somebody-else")


async def test_without_a_total_there_is_none():
    memory = await remembering(5, last_messages=2)
    page = await memory.recall("t", with_total=False)
    assert (page.total, page.has_more) == (None, True)


async def test_a_thread_of_another_resource_is_not_there():
    memory = await remembering(5)
    assert numbers(await memory.recall("t", resource_id="r")) == [0, 1, 2, 3, 4]
    for thread_id in ("t", "unknown"):
        with pytest.raises(NotFoundError, match="not found for resource 'b'"):
            await memory.recall(thread_id, resource_id="b")
    with pytest.raises(NotFoundError) as refused:
        await memory.recall("t", resource_id="b")
    assert "'r'" not in str(refused.value)
    assert await memory.get_thread_by_id("t", resource_id="b") is None
    await memory.delete_thread("t", resource_id="b")
    await memory.delete_messages(["t-0"], resource_id="b")
    assert await memory.update_messages([{"id": "t-0", "role": "x"}], resource_id="b") == []
    with pytest.raises(NotFoundError):
        await memory.update_thread("t", title="mine", resource_id="b")
    with pytest.raises(NotFoundError):
        await memory.save_messages([message(9, resource="b")])
    with pytest.raises(ConflictError):
        await memory.save_thread(Thread(id="t", resource_id="b"))
    with pytest.raises(NotFoundError):
        await memory.clone_thread("t", source_resource_id="b")
    assert numbers(await memory.recall("t")) == [0, 1, 2, 3, 4]


async def test_an_empty_thread_of_the_resource_is_empty():
    memory = await remembering(0)
    page = await memory.recall("t", resource_id="r")
    assert (page.messages, page.total) == ([], 0)


async def test_threads_are_created_listed_changed_and_deleted():
    memory = await remembering(1)
    thread = await memory.create_thread(resource_id="r", title="Tea", metadata={"a": 1})
    assert await memory.get_thread_by_id(thread.id, resource_id="r") == thread
    changed = await memory.update_thread(thread.id, metadata={"b": 2})
    assert (changed.title, changed.metadata) == ("Tea", {"a": 1, "b": 2})
    found = await memory.list_threads(resource_id="r", metadata={"a": 1})
    assert [listed.id for listed in found.threads] == [thread.id]
    assert (await memory.list_threads(per_page=1)).total == 2
    await memory.delete_thread("t")
    assert await memory.get_thread_by_id("t") is None
    assert (await memory.recall("t")).messages == []


async def test_messages_are_saved_changed_and_deleted():
    memory = await remembering(2)
    (changed,) = await memory.update_messages([{"id": "t-0", "content": {"metadata": {"x": 1}}}])
    assert changed.content["metadata"] == {"x": 1}
    assert changed.text == "0"
    await memory.delete_messages(["t-1", "unknown"])
    assert numbers(await memory.recall("t")) == [0]
    assert numbers(await memory.list_messages_by_resource_id("r")) == [0]


async def test_instructions_are_no_part_of_what_was_said():
    memory = await remembering(1)
    saved = await memory.save_messages([message(1, role="system"), message(2)])
    assert [found.text for found in saved] == ["2"]
    assert await memory.save_messages([message(3, role="system")]) == []
    assert numbers(await memory.recall("t")) == [0, 2]


async def test_a_clone_knows_where_it_comes_from():
    memory = await remembering(2)
    first = (await memory.clone_thread("t", new_thread_id="t2")).thread
    second = (await memory.clone_thread("t2", title="third")).thread
    assert numbers(await memory.recall(second.id)) == [0, 1]
    clone = memory.get_clone_metadata(first)
    assert clone is not None
    assert (clone.source_thread_id, clone.last_message_id) == ("t", "t-1")
    assert memory.is_clone(first)
    source = await memory.get_source_thread("t2")
    assert source is not None
    assert source.id == "t"
    assert not memory.is_clone(source)
    assert await memory.get_source_thread("t") is None
    history = await memory.get_clone_history(second.id, resource_id="r")
    assert [thread.id for thread in history] == ["t", "t2", second.id]
    assert await memory.get_clone_history(second.id, resource_id="b") == []


async def test_a_history_of_clones_that_goes_round_ends():
    memory = await remembering(0)
    clone = {"sourceThreadId": "t", "clonedAt": "2026-01-02T00:00:00.000Z"}
    looped = await memory.update_thread("t", metadata={"clone": clone})
    assert await memory.get_clone_history("t") == [looped]
    await memory.update_thread("t", metadata={"clone": "not what it should be"})
    assert await memory.get_source_thread("t") is None


async def test_options_are_checked():
    assert Memory(options={"lastMessages": 3}).options == MemoryOptions(last_messages=3)
    assert Memory(options=MemoryOptions(read_only=True)).options.read_only
    with pytest.raises(ConfigurationError) as refused:
        Memory(options={"semantic_recal": True, "lastMessage": 3})
    assert str(refused.value) == (
        "Memory has no option 'lastMessage', 'semantic_recal'; it has last_messages, "
        "semantic_recall, working_memory, generate_title, read_only, filter_incomplete_tool_calls"
    )
    for wrong in (True, -1, 1.5, "10"):
        with pytest.raises(ConfigurationError):
            Memory(options={"last_messages": wrong})
    with pytest.raises(ConfigurationError):
        Memory(options=5)


async def test_a_memory_without_storage_says_what_to_do():
    with pytest.raises(ConfigurationError, match="Mastra"):
        await Memory().recall("t")
    with pytest.raises(ConfigurationError, match="MastraStorage"):
        Memory(storage=InMemoryStore().memory)


async def test_the_storage_that_a_memory_was_made_with_is_the_one_it_uses():
    own, shared = InMemoryStore(), InMemoryStore()
    memory, other = Memory(storage=own), Memory()
    for bound in (memory, other):
        bound.bind(shared)
    assert memory.storage is own
    assert other.storage is shared


async def test_any_store_with_a_memory_domain_will_do():
    inner = InMemoryStore()
    composed = MastraStorage(id="composed", domains={"memory": inner.memory})
    memory = Memory(storage=composed)
    await memory.create_thread(thread_id="t", resource_id="r")
    assert await inner.memory.get_thread_by_id("t") is not None


async def test_what_cannot_be_a_page_is_refused():
    memory = await remembering(1)
    for wrong in ({"page": -1}, {"per_page": -1}, {"per_page": False, "page": 1}):
        with pytest.raises(InvalidArgumentError):
            await memory.recall("t", **wrong)
