"""Resources and clones: working memory across threads, and copies of threads."""

from __future__ import annotations

import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.records import message, said, saved, thread
from mastra_conformance.rows import NOON, at
from mastra_conformance.tiers import area, base
from mastra_core.errors import ConflictError, InvalidArgumentError, NotFoundError
from mastra_core.records import Resource


@area("memory")
@pytest.mark.asyncio(loop_scope="function")
class TestResources:
    """What is kept of a resource."""

    @base
    async def test_a_saved_resource_is_read_back(self, lab: Lab) -> None:
        """Working memory as the exact text, metadata as it was, times to the millisecond."""
        memory = lab.store.memory
        given = Resource(
            id=fresh("resource"),
            working_memory='{"b":  1}\n# Ä \'"',
            metadata={"a": {"b": [None, 1]}},
            created_at=at(1),
            updated_at=at(2),
        )
        assert await memory.save_resource(given) == given
        assert await memory.get_resource_by_id(given.id) == given
        assert await memory.get_resource_by_id(fresh("resource")) is None

    async def test_empty_and_absent_values_stay_apart(self, lab: Lab) -> None:
        """An empty working memory is not none; nor are empty metadata."""
        memory = lab.store.memory
        for text, metadata in ((None, None), ("", {}), ("null", {"a": None})):
            given = Resource(id=fresh("resource"), working_memory=text, metadata=metadata)
            await memory.save_resource(given)
            found = await memory.get_resource_by_id(given.id)
            assert found is not None
            assert (found.working_memory, found.metadata) == (text, metadata)

    async def test_saving_again_replaces_and_moves_the_time_on(self, lab: Lab) -> None:
        """A plain insert would fail the second time."""
        memory, key = lab.store.memory, fresh("resource")
        await memory.save_resource(
            Resource(id=key, working_memory="one", metadata={"a": 1}, updated_at=NOON)
        )
        again = Resource(id=key, working_memory="two", updated_at=NOON)
        returned = await memory.save_resource(again)
        found = await memory.get_resource_by_id(key)
        assert found == returned
        assert found is not None
        assert (found.working_memory, found.metadata) == ("two", None)
        assert found.updated_at > NOON

    async def test_an_update_creates_merges_and_keeps(self, lab: Lab) -> None:
        """It makes what is not there; metadata is merged; working memory stays unless given."""
        memory, key = lab.store.memory, fresh("resource")
        made = await memory.update_resource(key, metadata={"a": 1})
        assert (made.working_memory, made.metadata) == (None, {"a": 1})
        changed = await memory.update_resource(key, working_memory="w")
        assert (changed.working_memory, changed.metadata) == ("w", {"a": 1})
        changed = await memory.update_resource(key, metadata={"b": {"c": []}, "a": None})
        assert (changed.working_memory, changed.metadata) == ("w", {"a": None, "b": {"c": []}})
        changed = await memory.update_resource(key, working_memory="")
        assert changed.working_memory == ""
        assert await memory.get_resource_by_id(key) == changed
        assert changed.created_at == made.created_at
        assert changed.updated_at > made.updated_at

    async def test_working_memory_is_changed_by_a_function(self, lab: Lab) -> None:
        """Of what is stored, also of nothing; metadata stay; what it raises writes nothing."""
        memory, key = lab.store.memory, fresh("resource")

        def refuse(text: str | None) -> str | None:
            raise ConflictError(repr(text))

        with pytest.raises(ConflictError, match=r"^None$"):
            await memory.change_working_memory(key, refuse)
        assert await memory.get_resource_by_id(key) is None
        made = await memory.change_working_memory(key, lambda text: f"{text} one")
        assert made.working_memory == "None one"
        assert await memory.get_resource_by_id(key) == made
        await memory.update_resource(key, metadata={"a": 1})
        changed = await memory.change_working_memory(key, lambda text: f"{text}\n two")
        assert (changed.working_memory, changed.metadata) == ("None one\n two", {"a": 1})
        assert changed.created_at == made.created_at
        assert changed.updated_at > made.updated_at
        with pytest.raises(ConflictError, match=r"^'None one\\n two'$"):
            await memory.change_working_memory(key, refuse)
        assert await memory.get_resource_by_id(key) == changed
        emptied = await memory.change_working_memory(key, lambda _: None)
        assert (emptied.working_memory, emptied.metadata) == (None, {"a": 1})
        assert await memory.get_resource_by_id(key) == emptied

    async def test_large_working_memory_is_kept_whole(self, lab: Lab) -> None:
        """10 KB of text, beyond what short columns take."""
        memory, key = lab.store.memory, fresh("resource")
        text = "# Wissen\n" + "äöü\n" * 2500
        await memory.update_resource(key, working_memory=text)
        found = await memory.get_resource_by_id(key)
        assert found is not None
        assert found.working_memory == text

    async def test_invalid_resources_are_refused(self, lab: Lab) -> None:
        """No id, values that JSON does not have."""
        memory = lab.store.memory
        with pytest.raises(InvalidArgumentError):
            await memory.save_resource(Resource(id=""))
        with pytest.raises(InvalidArgumentError):
            await memory.update_resource(fresh("resource"), metadata={"a": object()})
        with pytest.raises(InvalidArgumentError):
            await memory.get_resource_by_id("")


@area("memory")
@pytest.mark.asyncio(loop_scope="function")
class TestClones:
    """Copies of threads."""

    async def test_a_clone_has_all_messages_under_new_ids(self, lab: Lab) -> None:
        """Same contents, times and order; the source stays as it is."""
        memory = lab.store.memory
        owner, messages = await saved(memory, 60)
        await memory.update_thread(owner.id, title="Plan", metadata={"own": 1})
        source = await memory.get_thread_by_id(owner.id)
        clone = await memory.clone_thread(owner.id)
        assert clone.thread.title == "Clone of Plan"
        assert clone.thread.resource_id == owner.resource_id
        assert clone.thread.id != owner.id
        marks = (clone.thread.metadata or {})["clone"]
        assert marks["sourceThreadId"] == owner.id
        assert marks["lastMessageId"] == messages[-1].id
        assert await memory.get_thread_by_id(clone.thread.id) == clone.thread
        found = (await memory.list_messages(clone.thread.id, per_page=False)).messages
        assert found == clone.cloned_messages
        assert said(found) == list(range(60))
        assert [m.created_at for m in found] == [m.created_at for m in messages]
        assert not {m.id for m in found} & {m.id for m in messages}
        assert [clone.message_id_map[m.id] for m in messages] == [m.id for m in found]
        assert await memory.get_thread_by_id(owner.id) == source
        assert (await memory.list_messages(owner.id, per_page=False)).messages == messages

    async def test_a_clone_may_have_its_own_names(self, lab: Lab) -> None:
        """Id, resource, title and metadata; messages belong to the new resource."""
        memory, new, resource = lab.store.memory, fresh("thread"), fresh("resource")
        owner, _ = await saved(memory, 2)
        clone = await memory.clone_thread(
            owner.id, new_thread_id=new, resource_id=resource, title="Mine", metadata={"k": 1}
        )
        assert (clone.thread.id, clone.thread.title, clone.thread.resource_id) == (
            new,
            "Mine",
            resource,
        )
        assert (clone.thread.metadata or {})["k"] == 1
        assert {m.resource_id for m in clone.cloned_messages} == {resource}
        assert len((await memory.list_messages_by_resource_id(resource)).messages) == 2

    async def test_a_clone_may_take_some_of_the_messages(self, lab: Lab) -> None:
        """The latest few, those between two dates (included), those with these ids."""
        memory = lab.store.memory
        owner, messages = await saved(memory, 10)

        async def taken(**options: object) -> list[int]:
            clone = await memory.clone_thread(owner.id, options=options)
            return said(clone.cloned_messages)

        assert await taken(message_limit=3) == [7, 8, 9]
        assert await taken(start_date=at(2), endDate=at(4)) == [2, 3, 4]
        assert await taken(message_ids=[messages[8].id, messages[1].id]) == [1, 8]
        assert await taken(end_date=at(5), messageLimit=2) == [4, 5]
        assert await taken(message_limit=0) == []

    async def test_a_clone_of_nothing_or_onto_something_is_refused(self, lab: Lab) -> None:
        """Unknown sources; ids that are taken, of which nothing changes."""
        memory = lab.store.memory
        owner, messages = await saved(memory, 2)
        with pytest.raises(NotFoundError):
            await memory.clone_thread(fresh("thread"))
        with pytest.raises(ConflictError):
            await memory.clone_thread(owner.id, new_thread_id=owner.id)
        other = await memory.save_thread(thread(owner.resource_id))
        with pytest.raises(ConflictError):
            await memory.clone_thread(owner.id, new_thread_id=other.id)
        assert (await memory.list_messages(other.id)).messages == []
        assert (await memory.list_messages(owner.id)).messages == messages

    async def test_a_clone_without_a_title_has_none(self, lab: Lab) -> None:
        """``Clone of`` nothing is nothing; an empty thread is cloned empty."""
        memory = lab.store.memory
        owner = await memory.save_thread(thread())
        clone = await memory.clone_thread(owner.id)
        assert (clone.thread.title, clone.cloned_messages) == ("", [])
        await memory.save_messages([message(clone.thread, 1)])
        assert (await memory.list_messages(owner.id)).messages == []
