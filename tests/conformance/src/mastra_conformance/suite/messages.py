"""Messages: saved, changed, deleted and listed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.records import message, said, saved, thread
from mastra_conformance.rows import at
from mastra_conformance.tiers import area, base
from mastra_core.errors import ConflictError, InvalidArgumentError, NotFoundError
from mastra_core.records import Message

PARTS: list[dict[str, Any]] = [
    {"type": "text", "text": "hello", "createdAt": 1, "providerMetadata": {"x": {"y": 1}}},
    {"type": "reasoning", "reasoning": "", "details": [{"type": "text", "text": "t"}]},
    {
        "type": "tool-invocation",
        "toolInvocation": {
            "state": "result",
            "toolCallId": "1",
            "toolName": "t",
            "args": {"a": [None, 1.5, {}]},
            "result": None,
        },
        "providerExecuted": False,
    },
    {"type": "data-of-the-future", "data": {"deep": [[[{"er": []}]]]}, "more": "keys"},
    {"type": "step-start"},
]


@area("memory")
@pytest.mark.asyncio(loop_scope="function")
class TestMessages:
    """Saving, changing and deleting messages."""

    @base
    async def test_saved_messages_are_read_back(self, lab: Lab) -> None:
        """In order, every field as it was."""
        memory = lab.store.memory
        owner, messages = await saved(memory, 3)
        page = await memory.list_messages(owner.id)
        assert page.messages == messages
        assert (page.total, page.page, page.per_page, page.has_more) == (3, 0, 40, False)

    async def test_every_part_is_kept_as_it_is(self, lab: Lab) -> None:
        """Also parts, keys and metadata that this version does not know."""
        memory, owner = lab.store.memory, thread()
        await memory.save_thread(owner)
        content: dict[str, Any] = {
            "format": 2,
            "parts": PARTS,
            "content": "hello",
            "metadata": {"mastra": {"sealed": True}, "k": "v"},
            "experimental_attachments": [],
            "ofTheFuture": {"a": None},
        }
        given = message(owner, content=content, role="assistant", type="v2")
        await memory.save_messages([given])
        assert (await memory.list_messages(owner.id)).messages == [given]
        assert await memory.list_messages_by_id([given.id]) == [given]

    async def test_text_that_looks_like_json_is_not_parsed_again(self, lab: Lab) -> None:
        """A tool's result that is JSON in a string stays a string, at any depth."""
        memory, owner = lab.store.memory, thread()
        await memory.save_thread(owner)
        text = '{"a": "{\\"b\\": 1}"}'
        content: dict[str, Any] = {
            "format": 2,
            "parts": [{"type": "text", "text": text}],
            "content": "[1, 2]",
        }
        given = message(owner, content=content)
        await memory.save_messages([given])
        found = (await memory.list_messages(owner.id)).messages
        assert found == [given]
        assert found[0].text == text

    async def test_saving_an_id_again_replaces_but_keeps_when_it_was_made(self, lab: Lab) -> None:
        """One message stays, with the new content and its first time, so its place in the thread."""
        memory = lab.store.memory
        owner, messages = await saved(memory, 3)
        again = message(owner, 9, id=messages[1].id, role="assistant", created_at=at(99_999))
        await memory.save_messages([again])
        found = (await memory.list_messages(owner.id)).messages
        assert said(found) == [0, 9, 2]
        assert (found[1].role, found[1].created_at) == ("assistant", at(1))

    async def test_an_id_twice_in_one_save_is_one_message(self, lab: Lab) -> None:
        """The last one counts."""
        memory, owner = lab.store.memory, thread()
        await memory.save_thread(owner)
        first = message(owner, 1)
        await memory.save_messages([first, message(owner, 2), message(owner, 3, id=first.id)])
        assert sorted(said((await memory.list_messages(owner.id)).messages)) == [2, 3]

    async def test_a_message_is_not_moved_by_saving_it_elsewhere(self, lab: Lab) -> None:
        """An id of another thread is a conflict, and nothing of the batch is stored.

        The usual upsert moves the message: whoever knows an id takes it out of another's thread.
        """
        memory = lab.store.memory
        owner, messages = await saved(memory, 2)
        for resource in (owner.resource_id, None):
            other = await memory.save_thread(thread(resource))
            batch = [message(other, 7), message(other, 8, id=messages[0].id)]
            with pytest.raises(ConflictError):
                await memory.save_messages(batch)
            assert (await memory.list_messages(other.id)).messages == []
            assert (await memory.list_messages(owner.id)).messages == messages

    async def test_a_batch_is_saved_whole_or_not_at_all(self, lab: Lab) -> None:
        """A bad message at the end leaves nothing, nor does a thread that is not there."""
        memory, owner = lab.store.memory, thread()
        await memory.save_thread(owner)
        good = [message(owner, n) for n in range(120)]
        bad: list[Message] = [
            message(thread()),
            message(owner, id=""),
            message(owner, role=""),
            message(owner, resource_id=None),
            message(owner, resource_id=fresh("resource")),
            message(owner, content={"format": 2}),
            message(owner, content={"format": 2, "parts": [object()]}),
            message(owner, created_at=at(0).replace(tzinfo=None)),
        ]
        for wrong in bad:
            with pytest.raises((InvalidArgumentError, NotFoundError)):
                await memory.save_messages([*good, wrong])
            page = await memory.list_messages(owner.id)
            assert (page.messages, page.total) == ([], 0)
        assert await memory.get_thread_by_id(owner.id) == owner

    async def test_a_thread_can_be_created_with_its_first_messages(self, lab: Lab) -> None:
        """``create`` makes it if it is not there, in the same step, and changes none that is."""
        memory, owner = lab.store.memory, thread(title="first")
        await memory.save_messages([message(owner, 1)], create=owner)
        again = thread(owner.resource_id, id=owner.id, title="second")
        await memory.save_messages([message(owner, 2)], create=again)
        found = await memory.get_thread_by_id(owner.id)
        assert found is not None
        assert found.title == "first"
        assert said((await memory.list_messages(owner.id)).messages) == [1, 2]
        lost = thread()
        with pytest.raises((NotFoundError, ConflictError)):
            await memory.save_messages([message(lost), message(thread())], create=lost)
        assert await memory.get_thread_by_id(lost.id) is None

    async def test_many_messages_are_saved_at_once(self, lab: Lab) -> None:
        """And in several threads; saving none is no error."""
        memory, resource = lab.store.memory, fresh("resource")
        threads = [await memory.save_thread(thread(resource)) for _ in range(3)]
        messages = [message(threads[n % 3], n) for n in range(1500)]
        await memory.save_messages(messages)
        page = await memory.list_messages_by_resource_id(resource, per_page=False)
        assert said(page.messages) == list(range(1500))
        assert await memory.save_messages([]) == []

    async def test_an_update_merges_content_and_its_metadata(self, lab: Lab) -> None:
        """Shallowly, both; what is not given stays. Parts that others added stay."""
        memory, owner = lab.store.memory, thread()
        await memory.save_thread(owner)
        content: dict[str, Any] = {
            "format": 2,
            "parts": PARTS,
            "content": "c",
            "metadata": {"a": 1, "b": {"x": 1}},
        }
        given = message(owner, content=content)
        await memory.save_messages([given])
        update: dict[str, Any] = {
            "id": given.id,
            "content": {"metadata": {"b": {"y": 2}, "c": None}, "new": []},
        }
        changed = await memory.update_messages([update])
        metadata = {"a": 1, "b": {"y": 2}, "c": None}
        assert changed[0].content == {**content, "metadata": metadata, "new": []}
        assert (await memory.list_messages(owner.id)).messages == changed
        changed = await memory.update_messages([{"id": given.id, "content": {"parts": []}}])
        assert changed[0].content == {**content, "metadata": metadata, "new": [], "parts": []}
        assert changed[0].created_at == given.created_at

    async def test_an_update_sets_one_field_of_several_messages(self, lab: Lab) -> None:
        """Unknown ids are left out; others stay as they are; an empty update is none."""
        memory = lab.store.memory
        owner, messages = await saved(memory, 4)
        ids = [messages[1].id, fresh("message"), messages[3].id]
        changed = await memory.update_messages([{"id": i, "role": "assistant"} for i in ids])
        assert sorted(m.id for m in changed) == sorted([messages[1].id, messages[3].id])
        found = (await memory.list_messages(owner.id)).messages
        assert [m.role for m in found] == ["user", "assistant", "user", "assistant"]
        assert [m.content for m in found] == [m.content for m in messages]
        assert await memory.update_messages([]) == []

    async def test_an_update_may_move_a_message_within_its_resource(self, lab: Lab) -> None:
        """To a thread that exists; both threads' times move on."""
        memory = lab.store.memory
        owner, messages = await saved(memory, 2)
        other = await memory.save_thread(thread(owner.resource_id))
        await memory.update_messages([{"id": messages[0].id, "threadId": other.id}])
        assert said((await memory.list_messages(other.id)).messages) == [0]
        assert said((await memory.list_messages(owner.id)).messages) == [1]
        found = await memory.get_thread_by_id(other.id)
        assert found is not None
        assert found.updated_at > other.updated_at
        for elsewhere in (fresh("thread"), (await memory.save_thread(thread())).id):
            with pytest.raises(NotFoundError):
                await memory.update_messages([{"id": messages[1].id, "thread_id": elsewhere}])
        assert said((await memory.list_messages(owner.id)).messages) == [1]

    async def test_unknown_keys_of_an_update_are_refused(self, lab: Lab) -> None:
        """A misspelt field must not be ignored; nor can the time be changed."""
        memory = lab.store.memory
        _, messages = await saved(memory, 1)
        for update in ({"rôle": "x"}, {"created_at": at(1)}, {"content": "text"}, {"id": ""}):
            with pytest.raises(InvalidArgumentError):
                await memory.update_messages([{"id": messages[0].id, **update}])

    async def test_messages_are_deleted_by_id(self, lab: Lab) -> None:
        """Across threads, unknown ones ignored; an empty list is no error."""
        memory = lab.store.memory
        owner, messages = await saved(memory, 130)
        other, others = await saved(memory, 2)
        ids = [m.id for m in messages[:120]]
        await memory.delete_messages([*ids, others[0].id, fresh("message")])
        assert said((await memory.list_messages(owner.id)).messages) == list(range(120, 130))
        assert said((await memory.list_messages(other.id)).messages) == [1]
        await memory.delete_messages([])
        await memory.delete_messages(ids)
        assert (await memory.list_messages(owner.id)).total == 10

    async def test_very_many_ids_are_no_problem(self, lab: Lab) -> None:
        """One bound value for each id stops at some limit of the database."""
        memory = lab.store.memory
        _, messages = await saved(memory, 3)
        ids = [fresh("message") for _ in range(3000)]
        found = await memory.list_messages_by_id([*ids, *(m.id for m in messages)])
        assert found == messages
        await memory.delete_messages([*ids, messages[0].id])
        assert await memory.list_messages_by_id([m.id for m in messages]) == messages[1:]

    async def test_messages_by_id_come_in_order_of_time(self, lab: Lab) -> None:
        """Of several threads and resources; each once; unknown ones left out."""
        memory = lab.store.memory
        _, first = await saved(memory, 2)
        _, second = await saved(memory, 2)
        ids = [second[1].id, fresh("message"), first[1].id, first[0].id, first[0].id]
        found = await memory.list_messages_by_id(ids)
        tied = sorted([first[1], second[1]], key=lambda m: m.id)
        assert found == [first[0], *tied]
        assert await memory.list_messages_by_id([]) == []

    async def test_messages_made_one_after_another_are_never_tied(self, lab: Lab) -> None:
        """Times and ids that the library gives strictly increase, so order is never a guess."""
        memory, owner = lab.store.memory, thread()
        await memory.save_thread(owner)
        content: dict[str, Any] = {"format": 2, "parts": []}
        made = [
            Message(thread_id=owner.id, resource_id=owner.resource_id, role="user", content=content)
            for _ in range(50)
        ]
        await memory.save_messages(made[25:])
        await memory.save_messages(made[:25])
        found = (await memory.list_messages(owner.id, per_page=False)).messages
        assert [m.id for m in found] == [m.id for m in made] == sorted(m.id for m in made)
        assert len({m.created_at for m in found}) == 50


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
