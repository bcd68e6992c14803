"""Messages brought in by id with their neighbours, as semantic recall needs them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.records import message, said, saved, thread
from mastra_conformance.tiers import area
from mastra_core.errors import InvalidArgumentError
from mastra_core.records import Message, Thread
from mastra_core.storage.domains.windows import Anchor


def around(target: Message, before: int = 0, after: int = 0, **more: Any) -> dict[str, Any]:
    """One entry of ``include``."""
    return {
        "id": target.id,
        "with_previous_messages": before,
        "withNextMessages": after,
        **more,
    }


@area("memory")
@pytest.mark.asyncio(loop_scope="function")
class TestIncluded:
    """What ``include`` brings into a page."""

    async def only(
        self, lab: Lab, owner: Thread, *include: dict[str, Any], **more: Any
    ) -> list[int]:
        """What the included messages say, without any page."""
        page = await lab.store.memory.list_messages(owner.id, per_page=0, include=include, **more)
        assert (page.total, page.has_more) == (0, False)
        return said(page.messages)

    async def test_neighbours_come_with_their_target(self, lab: Lab) -> None:
        """As many before and after as asked for, fewer at the ends."""
        owner, messages = await saved(lab.store.memory, 20)
        assert await self.only(lab, owner, around(messages[10], 2)) == [8, 9, 10]
        assert await self.only(lab, owner, around(messages[10], 0, 2)) == [10, 11, 12]
        assert await self.only(lab, owner, around(messages[10], 1, 1)) == [9, 10, 11]
        assert await self.only(lab, owner, around(messages[10])) == [10]
        assert await self.only(lab, owner, around(messages[0], 3, 1)) == [0, 1]
        assert await self.only(lab, owner, around(messages[19], 1, 3)) == [18, 19]

    async def test_windows_that_overlap_give_every_message_once(self, lab: Lab) -> None:
        """Sorted by time, whatever the order of the entries."""
        owner, messages = await saved(lab.store.memory, 20)
        entries = [around(messages[12], 2, 1), around(messages[10], 1, 2), around(messages[3])]
        assert await self.only(lab, owner, *entries) == [3, 9, 10, 11, 12, 13]
        order = {"direction": "DESC"}
        assert await self.only(lab, owner, *entries, order_by=order) == [13, 12, 11, 10, 9, 3]

    async def test_a_target_is_not_lost_among_equal_times(self, lab: Lab) -> None:
        """The window is by time and id: a window by time alone loses its own target."""
        memory, owner = lab.store.memory, thread()
        await memory.save_thread(owner)
        tied = sorted([message(owner, 5) for _ in range(7)], key=lambda m: m.id)
        await memory.save_messages([message(owner, 1), *tied, message(owner, 9)])
        for i in range(7):
            page = await memory.list_messages(owner.id, per_page=0, include=[around(tied[i], 1, 1)])
            ids = [m.id for m in page.messages]
            wanted = [m.id for m in tied[max(i - 1, 0) : i + 2]]
            assert [found for found in ids if found in {m.id for m in tied}] == wanted
            assert len(ids) == 3

    async def test_included_messages_join_the_page(self, lab: Lab) -> None:
        """Merged, each once, in the order asked for; the total is of the page's query."""
        memory = lab.store.memory
        owner, messages = await saved(memory, 10)
        include = [around(messages[7], 1, 1), around(messages[1])]
        page = await memory.list_messages(owner.id, per_page=3, include=include)
        assert said(page.messages) == [0, 1, 2, 6, 7, 8]
        assert (page.total, page.has_more) == (10, True)

    async def test_nothing_more_follows_when_the_whole_thread_is_there(self, lab: Lab) -> None:
        """A page of 3 and the other 2 by ``include``: all 5, and no more."""
        memory = lab.store.memory
        owner, messages = await saved(memory, 5)
        include = [around(messages[4], 1)]
        page = await memory.list_messages(owner.id, per_page=3, include=include)
        assert (said(page.messages), page.has_more) == ([0, 1, 2, 3, 4], False)

    async def test_a_target_brings_its_own_threads_neighbours(self, lab: Lab) -> None:
        """Whichever thread is listed, and whatever a wrong ``thread_id`` in the entry says."""
        owner, _ = await saved(lab.store.memory, 3)
        other, others = await saved(lab.store.memory, 9, owner.resource_id)
        assert await self.only(lab, owner, around(others[5], 1, 1)) == [4, 5, 6]
        assert await self.only(lab, owner, around(others[5], 1, 1, thread_id=owner.id)) == [4, 5, 6]
        assert await self.only(lab, owner, around(others[5], 1, threadId=other.id)) == [4, 5]

    async def test_filters_do_not_restrict_what_is_included(self, lab: Lab) -> None:
        """Dates and metadata are for the page."""
        memory = lab.store.memory
        owner, messages = await saved(memory, 10)
        page = await memory.list_messages(
            owner.id, metadata={"k": 1}, include=[around(messages[5], 1, 1)]
        )
        assert (said(page.messages), page.total) == ([4, 5, 6], 0)

    async def test_unknown_targets_are_left_out(self, lab: Lab) -> None:
        """Without an error, and the others come."""
        owner, messages = await saved(lab.store.memory, 3)
        unknown = {"id": fresh("message"), "with_previous_messages": 5}
        assert await self.only(lab, owner, unknown, around(messages[1])) == [1]
        assert await self.only(lab, owner, unknown) == []

    async def test_many_targets_in_one_call(self, lab: Lab) -> None:
        """As recall with many hits does."""
        owner, messages = await saved(lab.store.memory, 120)
        entries = [around(messages[n], 1) for n in range(1, 120, 2)]
        assert await self.only(lab, owner, *entries) == list(range(120))

    async def test_a_resource_id_keeps_others_out(self, lab: Lab) -> None:
        """Targets and neighbours alike; without one, other resources' messages may be included."""
        memory = lab.store.memory
        owner, messages = await saved(memory, 3)
        _, others = await saved(memory, 3)
        entries = [around(others[1], 1, 1), around(messages[0], 0, 1)]
        assert await self.only(lab, owner, *entries, resource_id=owner.resource_id) == [0, 1]
        page = await memory.list_messages(owner.id, per_page=0, include=entries)
        assert len(page.messages) == 5
        page = await memory.list_messages_by_resource_id(owner.resource_id, include=entries)
        assert said(page.messages) == [0, 1, 2]


def anchor(target: Message, **changes: Any) -> Anchor:
    """What an index of vectors remembers of a message."""
    known = Anchor(id=target.id, thread_id=target.thread_id, created_at=target.created_at)
    return msgspec.structs.replace(known, **changes)


@area("memory")
@pytest.mark.asyncio(loop_scope="function")
class TestWindows:
    """``list_windows``: what a search has found, with neighbours, and a thread's latest messages."""

    async def test_each_anchor_has_its_window_and_the_latest_come_with_them(self, lab: Lab) -> None:
        """Windows may overlap, and are oldest first; so are the latest."""
        owner, messages = await saved(lab.store.memory, 20)
        other, others = await saved(lab.store.memory, 5, owner.resource_id)
        found = await lab.store.memory.list_windows(
            [anchor(messages[5]), anchor(messages[7]), anchor(others[0])],
            before=2,
            after=1,
            resource_id=owner.resource_id,
            latest_of=owner.id,
            latest=3,
        )
        assert said(found.latest) == [17, 18, 19]
        assert {key: said(window) for key, window in found.around.items()} == {
            messages[5].id: [3, 4, 5, 6],
            messages[7].id: [5, 6, 7, 8],
            others[0].id: [0, 1],
        }
        assert {m.thread_id for m in found.around[others[0].id]} == {other.id}

    async def test_nothing_asked_for_is_nothing(self, lab: Lab) -> None:
        """Neither anchors nor a thread; or a thread without messages."""
        memory = lab.store.memory
        nothing = await memory.list_windows([], before=1, after=1)
        assert (nothing.latest, nothing.around) == ([], {})
        empty = await memory.list_windows([], latest_of=fresh("thread"), latest=5)
        assert empty.latest == []

    async def test_a_window_is_by_time_and_id(self, lab: Lab) -> None:
        """Messages of one millisecond are each other's neighbours in the order of their ids."""
        memory, owner = lab.store.memory, thread()
        await memory.save_thread(owner)
        tied = sorted([message(owner, 5) for _ in range(7)], key=lambda m: m.id)
        await memory.save_messages(tied)
        found = await memory.list_windows([anchor(m) for m in tied], before=1, after=1)
        for i, one in enumerate(tied):
            wanted = [m.id for m in tied[max(i - 1, 0) : i + 2]]
            assert [m.id for m in found.around[one.id]] == wanted

    async def test_an_anchor_that_is_wrong_about_its_message_still_finds_it(self, lab: Lab) -> None:
        """The message may have moved since it was indexed: its window is where it is now."""
        owner, messages = await saved(lab.store.memory, 9)
        wrong = [
            anchor(messages[4], thread_id=fresh("thread")),
            anchor(messages[6], created_at=messages[0].created_at),
        ]
        found = await lab.store.memory.list_windows(wrong, before=1, after=1)
        assert said(found.around[messages[4].id]) == [3, 4, 5]
        assert said(found.around[messages[6].id]) == [5, 6, 7]
        assert owner.id == messages[4].thread_id

    async def test_what_is_gone_or_anothers_is_left_out_with_its_neighbours(self, lab: Lab) -> None:
        """An index may remember messages that were deleted, and hold those of others."""
        memory = lab.store.memory
        owner, messages = await saved(memory, 5)
        _, others = await saved(memory, 5)
        await memory.delete_messages([messages[2].id])
        asked = [anchor(messages[2]), anchor(messages[4]), anchor(others[2])]
        found = await memory.list_windows(
            asked, before=2, after=2, resource_id=owner.resource_id, latest_of=owner.id, latest=9
        )
        assert {key: said(window) for key, window in found.around.items()} == {
            messages[4].id: [1, 3, 4]
        }
        assert said(found.latest) == [0, 1, 3, 4]
        stolen = await memory.list_windows(
            [], resource_id=owner.resource_id, latest_of=others[0].thread_id, latest=9
        )
        assert stolen.latest == []

    async def test_a_window_of_fewer_than_none_is_refused(self, lab: Lab) -> None:
        """Before anything is read."""
        with pytest.raises(InvalidArgumentError):
            await lab.store.memory.list_windows([], before=-1)
