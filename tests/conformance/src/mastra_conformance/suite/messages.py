"""Messages: saved, changed, deleted and listed."""

from __future__ import annotations

from typing import Any

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
