"""Lists of messages: pages, orders and filters."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.records import message, said, saved, thread
from mastra_conformance.rows import at
from mastra_conformance.tiers import area
from mastra_core.errors import InvalidArgumentError
from mastra_core.records import Message


@area("memory")
@pytest.mark.asyncio(loop_scope="function")
class TestMessageLists:
    """Lists of messages: pages, orders and filters."""

    async def test_pages_are_cut_and_counted(self, lab: Lab) -> None:
        """Oldest first by default; beyond the end is nothing; all of them with ``False``."""
        memory = lab.store.memory
        owner, _ = await saved(memory, 55)
        for page, size, more in ((0, 40, True), (1, 15, False), (2, 0, False)):
            found = await memory.list_messages(owner.id, page=page)
            assert said(found.messages) == list(range(55))[page * 40 :][:size]
            assert (found.total, found.has_more) == (55, more)
        everything = await memory.list_messages(owner.id, per_page=False)
        assert said(everything.messages) == list(range(55))
        assert (everything.per_page, everything.has_more) == (False, False)
        nothing = await memory.list_messages(owner.id, per_page=0)
        assert (nothing.messages, nothing.has_more) == ([], False)
        empty = await memory.list_messages(fresh("thread"))
        assert (empty.messages, empty.total, empty.has_more) == ([], 0, False)

    async def test_the_last_messages_come_with_descending_order(self, lab: Lab) -> None:
        """How an agent reads its history: newest first, then turned round by the caller."""
        memory = lab.store.memory
        owner, _ = await saved(memory, 30)
        order = {"field": "createdAt", "direction": "DESC"}
        found = await memory.list_messages(owner.id, per_page=4, order_by=order, with_total=False)
        assert said(found.messages) == [29, 28, 27, 26]
        assert (found.total, found.has_more) == (None, True)

    async def test_equal_times_are_listed_once_each_over_all_pages(self, lab: Lab) -> None:
        """In order of the id, both ways; saved in whatever order and in several calls."""
        memory, owner = lab.store.memory, thread()
        await memory.save_thread(owner)
        messages = sorted([message(owner, 0) for _ in range(23)], key=lambda m: m.id)
        await memory.save_messages(messages[::2])
        await memory.save_messages(messages[1::2])
        for direction in ("ASC", "DESC"):
            seen: list[Message] = []
            for page in range(6):
                order = {"direction": direction}
                found = await memory.list_messages(owner.id, page=page, per_page=4, order_by=order)
                seen += found.messages
            assert seen == (messages if direction == "ASC" else messages[::-1])

    async def test_messages_saved_in_several_calls_stand_in_order_of_time(self, lab: Lab) -> None:
        """Not in order of arrival, nor of their place in a call."""
        memory, owner = lab.store.memory, thread()
        await memory.save_thread(owner)
        for numbers in ((5, 1), (3,), (0, 4, 2)):
            await memory.save_messages([message(owner, n) for n in numbers])
        assert said((await memory.list_messages(owner.id)).messages) == [0, 1, 2, 3, 4, 5]

    async def test_several_threads_are_one_list(self, lab: Lab) -> None:
        """Ordered by time over all of them, each message once, whoever owns them."""
        memory = lab.store.memory
        first, second = await memory.save_thread(thread()), await memory.save_thread(thread())
        await memory.save_messages([message([first, second][n % 2], n) for n in range(8)])
        ids = [first.id, second.id, first.id, fresh("thread")]
        page = await memory.list_messages(ids, per_page=5)
        assert said(page.messages) == [0, 1, 2, 3, 4]
        assert (page.total, page.has_more) == (8, True)
        assert said((await memory.list_messages(ids, page=1, per_page=5)).messages) == [5, 6, 7]

    async def test_a_resources_messages_are_one_list(self, lab: Lab) -> None:
        """Over all its threads, and no other's."""
        memory, resource = lab.store.memory, fresh("resource")
        await saved(memory, 3, resource)
        second = await memory.save_thread(thread(resource))
        await memory.save_messages([message(second, n) for n in (10, 11)])
        await saved(memory, 3)
        page = await memory.list_messages_by_resource_id(resource, per_page=4)
        assert said(page.messages) == [0, 1, 2, 10]
        assert (page.total, page.has_more) == (5, True)
        order = {"direction": "DESC"}
        page = await memory.list_messages_by_resource_id(resource, per_page=2, order_by=order)
        assert said(page.messages) == [11, 10]

    async def test_dates_are_included_unless_said_otherwise(self, lab: Lab) -> None:
        """Either end may be open; they combine with pages and totals."""
        memory = lab.store.memory
        owner, _ = await saved(memory, 10)

        async def found(**between: Any) -> list[int]:
            page = await memory.list_messages(owner.id, date_range=between)
            assert page.total == len(page.messages)
            return said(page.messages)

        assert await found(start=at(7)) == [7, 8, 9]
        assert await found(end=at(2)) == [0, 1, 2]
        assert await found(start=at(3), end=at(5)) == [3, 4, 5]
        assert await found(start=at(3), startExclusive=True, end=at(5), end_exclusive=True) == [4]
        assert await found(start=at(20)) == []
        page = await memory.list_messages(
            owner.id,
            date_range={"start": at(4)},
            page=1,
            per_page=4,
            order_by={"direction": "DESC"},
        )
        assert (said(page.messages), page.total, page.has_more) == ([5, 4], 6, False)

    async def test_metadata_filters_look_at_the_contents_metadata(self, lab: Lab) -> None:
        """Exactly, by type; pages and totals are of what matches."""
        memory, owner = lab.store.memory, thread()
        await memory.save_thread(owner)
        metadata: list[Any] = [
            {"k": 1},
            {"k": "1"},
            {"k": True},
            {"k": None},
            {},
            None,
            {"k": 1, "j": "x"},
        ]
        messages = [
            message(
                owner,
                n,
                content={**message(owner, n).content, **({"metadata": m} if m is not None else {})},
            )
            for n, m in enumerate(metadata)
        ]
        await memory.save_messages(messages)
        expected: list[tuple[dict[str, Any], list[int]]] = [
            ({"k": 1}, [0, 6]),
            ({"k": "1"}, [1]),
            ({"k": True}, [2]),
            ({"k": None}, [3]),
            ({"k": 1, "j": "x"}, [6]),
            ({"j": "y"}, []),
            ({}, [0, 1, 2, 3, 4, 5, 6]),
        ]
        for wanted, numbers in expected:
            page = await memory.list_messages(owner.id, metadata=wanted)
            assert (said(page.messages), page.total) == (numbers, len(numbers)), wanted
        page = await memory.list_messages(owner.id, metadata={"k": 1}, per_page=1)
        assert (said(page.messages), page.total, page.has_more) == ([0], 2, True)

    async def test_a_whole_thread_can_be_walked(self, lab: Lab) -> None:
        """``iter_messages`` reads bounded pages and gives every message once, in order."""
        memory = lab.store.memory
        owner, messages = await saved(memory, 2300)
        assert said([m async for m in memory.iter_messages(owner.id)]) == list(range(2300))
        assert [m async for m in memory.iter_messages(fresh("thread"))] == []
        del messages

    async def test_lists_that_cannot_be_are_refused(self, lab: Lab) -> None:
        """Blank threads, impossible pages, orders by what messages do not have."""
        memory, owner = lab.store.memory, fresh("thread")
        for blank in ("", "   ", [], [""], ["a", " "]):
            with pytest.raises(InvalidArgumentError):
                await memory.list_messages(blank)
        bad: list[dict[str, Any]] = [
            {"page": -1},
            {"per_page": -2},
            {"per_page": 1.5},
            {"order_by": {"field": "updatedAt"}},
            {"order_by": {"feild": "createdAt"}},
            {"date_range": {"start": at(0).replace(tzinfo=None)}},
            {"date_range": {"from": at(0)}},
            {"metadata": {"a-b": 1}},
            {"include": [{"id": ""}]},
            {"include": [{"with_previous_messages": 1}]},
        ]
        for arguments in bad:
            with pytest.raises(InvalidArgumentError):
                await memory.list_messages(owner, **arguments)

    async def test_records_encode_as_the_originals_json(self, lab: Lab) -> None:
        """Camel-case keys and times with ``Z``: what other programs on the database expect."""
        memory = lab.store.memory
        owner, messages = await saved(memory, 1)
        found = (await memory.list_messages(owner.id)).messages[0]
        encoded = msgspec.json.decode(msgspec.json.encode(found))
        assert set(encoded) == {
            "id",
            "threadId",
            "resourceId",
            "role",
            "content",
            "type",
            "createdAt",
        }
        assert encoded["createdAt"].startswith("2024-03-01T12:00:00")
        assert encoded["createdAt"].endswith("Z")
        assert encoded["id"] == messages[0].id
