"""Threads: saved, changed, listed and deleted."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from mastra_conformance.lab import Lab, fresh
from mastra_conformance.records import message, saved, thread
from mastra_conformance.rows import NOON, at
from mastra_conformance.tiers import area, base
from mastra_core.errors import ConflictError, InvalidArgumentError, NotFoundError
from mastra_core.records import Thread


@area("memory")
@pytest.mark.asyncio(loop_scope="function")
class TestThreads:
    """One thread."""

    @base
    async def test_a_saved_thread_is_read_back(self, lab: Lab) -> None:
        """Every field as it was, times to the millisecond, with their zone."""
        given = thread(
            title="A title", metadata={"a": [1, {"b": None}], "c": "ü"}, created_at=at(1)
        )
        assert await lab.store.memory.save_thread(given) == given
        assert await lab.store.memory.get_thread_by_id(given.id) == given

    async def test_an_unknown_thread_is_none(self, lab: Lab) -> None:
        """Not an error."""
        assert await lab.store.memory.get_thread_by_id(fresh("thread")) is None

    async def test_ids_and_titles_that_look_like_data_stay_text(self, lab: Lab) -> None:
        """Ids of digits stay strings; a title ``[1, 2]`` is no list, and `` {"b":  1}`` keeps its blanks."""
        digits = fresh()[3:15].translate(str.maketrans("abcdef", "123456"))
        titles = ["[1, 2]", '{"b":  1}', "null", "true", "12", "1e3", "2024-01-01", " x ", "''"]
        for i, title in enumerate(titles):
            given = thread(id=f"{digits}{i}", title=title)
            await lab.store.memory.save_thread(given)
            found = await lab.store.memory.get_thread_by_id(given.id)
            assert found is not None
            assert (found.id, found.title) == (given.id, title)

    async def test_metadata_keeps_absent_apart_from_empty(self, lab: Lab) -> None:
        """``None`` and ``{}`` come back as they were."""
        values: list[dict[str, Any] | None] = [None, {}]
        for metadata in values:
            given = thread(metadata=metadata)
            await lab.store.memory.save_thread(given)
            found = await lab.store.memory.get_thread_by_id(given.id)
            assert found is not None
            assert found.metadata == metadata

    async def test_a_title_is_set_where_there_is_none(self, lab: Lab) -> None:
        """Once, and nothing else of the thread is touched but its time."""
        memory = lab.store.memory
        given = await memory.save_thread(thread(title="", metadata={"a": {"b": 1}}))
        assert await memory.set_title(given.id, "Tea", resource_id=fresh("resource")) is False
        assert await memory.get_thread_by_id(given.id) == given
        assert await memory.set_title(given.id, "Tea", resource_id=given.resource_id) is True
        found = await memory.get_thread_by_id(given.id)
        assert found is not None
        assert found.updated_at > given.updated_at
        assert found == thread(
            given.resource_id,
            id=given.id,
            title="Tea",
            metadata={"a": {"b": 1}},
            created_at=given.created_at,
            updated_at=found.updated_at,
        )
        assert await memory.set_title(given.id, "Coffee") is False
        assert await memory.get_thread_by_id(given.id) == found
        assert await memory.set_title(fresh("thread"), "Tea") is False
        with pytest.raises(InvalidArgumentError):
            await memory.set_title(given.id, "")

    async def test_metadata_are_changed_by_a_function(self, lab: Lab) -> None:
        """Of what is stored; what it raises reaches the caller, and nothing is written."""
        memory, other = lab.store.memory, fresh("resource")
        given = await memory.save_thread(thread(title="t", metadata={"a": [1], "b": 2}))

        def without_b(metadata: dict[str, Any]) -> dict[str, Any]:
            return {"a": [*metadata["a"], 2]}

        changed = await memory.change_thread_metadata(given.id, without_b)
        assert changed.metadata == {"a": [1, 2]}
        assert (changed.title, changed.created_at) == (given.title, given.created_at)
        assert changed.updated_at > given.updated_at
        assert await memory.get_thread_by_id(given.id) == changed

        def refuse(metadata: dict[str, Any]) -> dict[str, Any]:
            raise ConflictError(str(metadata["a"]))

        with pytest.raises(ConflictError, match=r"^\[1, 2\]$"):
            await memory.change_thread_metadata(given.id, refuse)
        with pytest.raises(InvalidArgumentError):
            await memory.change_thread_metadata(given.id, lambda _: {"a": object()})
        with pytest.raises(NotFoundError):
            await memory.change_thread_metadata(given.id, without_b, resource_id=other)
        with pytest.raises(NotFoundError):
            await memory.change_thread_metadata(fresh("thread"), without_b)
        assert await memory.get_thread_by_id(given.id) == changed

    async def test_an_empty_title_stays_empty(self, lab: Lab) -> None:
        """An invented title would keep the agent from ever making one."""
        given = thread(title="")
        await lab.store.memory.save_thread(given)
        found = await lab.store.memory.get_thread_by_id(given.id)
        assert found is not None
        assert found.title == ""

    async def test_saving_again_replaces_and_moves_the_time_on(self, lab: Lab) -> None:
        """All fields are those of the last save; there is one thread; ``updated_at`` grows."""
        memory, given = lab.store.memory, thread(title="one", metadata={"a": 1})
        await memory.save_thread(given)
        again = thread(given.resource_id, id=given.id, title="two", metadata={"b": 2})
        returned = await memory.save_thread(again)
        found = await memory.get_thread_by_id(given.id)
        assert found == returned
        assert found is not None
        assert found is not None
        assert (found.title, found.metadata) == ("two", {"b": 2})
        assert found.updated_at > given.updated_at
        page = await memory.list_threads(resource_id=given.resource_id)
        assert [t.id for t in page.threads] == [given.id]

    async def test_an_update_merges_metadata(self, lab: Lab) -> None:
        """Given keys replace, others stay; what is returned is what is stored."""
        memory, given = lab.store.memory, thread(title="t", metadata={"a": 1, "b": {"c": 1}})
        await memory.save_thread(given)
        returned = await memory.update_thread(given.id, metadata={"b": {"d": 2}, "e": None})
        assert returned.metadata == {"a": 1, "b": {"d": 2}, "e": None}
        assert returned.title == "t"
        assert await memory.get_thread_by_id(given.id) == returned

    async def test_an_update_of_the_title_leaves_the_rest(self, lab: Lab) -> None:
        """Not given is not emptied; an empty title is one that was given."""
        memory, given = lab.store.memory, thread(title="t", metadata={"a": 1})
        await memory.save_thread(given)
        changed = await memory.update_thread(given.id, title="")
        assert (changed.title, changed.metadata, changed.created_at) == ("", {"a": 1}, NOON)
        assert changed.resource_id == given.resource_id

    async def test_updates_move_the_time_strictly_on(self, lab: Lab) -> None:
        """Each of many updates within a millisecond has a later time than the one before."""
        memory, given = lab.store.memory, thread()
        await memory.save_thread(given)
        times = [(await memory.update_thread(given.id, title=str(i))).updated_at for i in range(10)]
        assert times == sorted(set(times))

    async def test_an_update_of_an_unknown_thread_says_so(self, lab: Lab) -> None:
        """``NotFoundError`` with the id, and no thread is made."""
        unknown = fresh("thread")
        with pytest.raises(NotFoundError, match=unknown):
            await lab.store.memory.update_thread(unknown, title="t")
        assert await lab.store.memory.get_thread_by_id(unknown) is None

    async def test_deleting_a_thread_deletes_its_messages(self, lab: Lab) -> None:
        """All of them, however many, and of no other thread."""
        memory = lab.store.memory
        owner, _ = await saved(memory, 120)
        other, _ = await saved(memory, 3, owner.resource_id)
        await memory.delete_thread(owner.id)
        assert await memory.get_thread_by_id(owner.id) is None
        assert (await memory.list_messages(owner.id, per_page=False)).messages == []
        assert len((await memory.list_messages(other.id)).messages) == 3

    async def test_deleting_an_unknown_thread_is_no_error(self, lab: Lab) -> None:
        """Nor is deleting one twice."""
        memory, given = lab.store.memory, thread()
        await memory.save_thread(given)
        await memory.delete_thread(given.id)
        await memory.delete_thread(given.id)
        await memory.delete_thread(fresh("thread"))
        assert await memory.get_thread_by_id(given.id) is None

    async def test_a_thread_moves_with_all_its_messages(self, lab: Lab) -> None:
        """To another resource, in one step, with metadata and titles as they are."""
        memory, new = lab.store.memory, fresh("resource")
        owner, messages = await saved(memory, 5)
        await memory.update_thread(owner.id, metadata={"a": [1]}, title="t")
        moved = await memory.update_thread_resource_id(owner.id, resource_id=new)
        assert (moved.resource_id, moved.title, moved.metadata) == (new, "t", {"a": [1]})
        assert await memory.get_thread_by_id(owner.id) == moved
        found = (await memory.list_messages_by_resource_id(new)).messages
        assert [m.id for m in found] == [m.id for m in messages]
        assert (await memory.list_messages_by_resource_id(owner.resource_id)).messages == []
        with pytest.raises(NotFoundError):
            await memory.update_thread_resource_id(fresh("thread"), resource_id=new)

    async def test_writing_messages_moves_the_threads_time_on(self, lab: Lab) -> None:
        """Of every thread of the batch, for saves, updates and deletes alike."""
        memory = lab.store.memory
        threads = [await memory.save_thread(thread()) for _ in range(3)]
        messages = [message(owner) for owner in threads]

        async def times() -> list[Any]:
            found = [await memory.get_thread_by_id(owner.id) for owner in threads]
            return [owner.updated_at for owner in found if owner is not None]

        before = await times()
        await memory.save_messages(messages)
        after_save = await times()
        await memory.update_messages([{"id": m.id, "role": "assistant"} for m in messages])
        after_update = await times()
        await memory.delete_messages([m.id for m in messages])
        after_delete = await times()
        for i in range(3):
            assert before[i] < after_save[i] < after_update[i] < after_delete[i]

    async def test_invalid_threads_are_refused(self, lab: Lab) -> None:
        """Before anything is sent: no id, no resource, a time without a zone, what is no JSON."""
        memory = lab.store.memory
        bad = [
            thread(id=""),
            Thread(id=fresh(), resource_id="", created_at=NOON, updated_at=NOON),
            thread(id="x" * 256),
            thread(created_at=NOON.replace(tzinfo=None)),
            thread(metadata={"f": object()}),
            thread(metadata={"f": [lambda: 1]}),
        ]
        for given in bad:
            with pytest.raises(InvalidArgumentError):
                await memory.save_thread(given)
        with pytest.raises(InvalidArgumentError):
            await memory.get_thread_by_id("")


@area("memory")
@pytest.mark.asyncio(loop_scope="function")
class TestThreadLists:
    """Lists of threads."""

    @base
    async def test_threads_of_a_resource_are_listed(self, lab: Lab) -> None:
        """Newest first, as they are read one by one, and no others."""
        memory, resource = lab.store.memory, fresh("resource")
        given = [
            thread(resource, created_at=at(i), updated_at=at(-i), title=str(i)) for i in range(3)
        ]
        for owner in given:
            await memory.save_thread(owner)
        await memory.save_thread(thread())
        page = await memory.list_threads(resource_id=resource)
        assert page.threads == given[::-1]
        assert (page.total, page.page, page.per_page, page.has_more) == (3, 0, 100, False)

    async def test_pages_have_a_total_and_say_whether_more_follow(self, lab: Lab) -> None:
        """17 threads in pages of 7; beyond the end a page is empty and the total right."""
        memory, resource = lab.store.memory, fresh("resource")
        for i in range(17):
            await memory.save_thread(thread(resource, created_at=at(i)))
        expected = {0: (7, True), 1: (7, True), 2: (3, False), 3: (0, False), 50: (0, False)}
        seen: list[str] = []
        for page, (size, more) in expected.items():
            found = await memory.list_threads(resource_id=resource, page=page, per_page=7)
            assert (len(found.threads), found.has_more, found.total) == (size, more, 17), page
            seen += [owner.id for owner in found.threads]
        assert len(set(seen)) == 17
        everything = await memory.list_threads(resource_id=resource, per_page=False)
        assert (len(everything.threads), everything.per_page, everything.has_more) == (
            17,
            False,
            False,
        )
        nothing = await memory.list_threads(resource_id=resource, per_page=0)
        assert (nothing.threads, nothing.total) == ([], 17)
        empty = await memory.list_threads(resource_id=fresh("resource"))
        assert (empty.threads, empty.total, empty.has_more) == ([], 0, False)

    async def test_without_a_total_more_is_known_all_the_same(self, lab: Lab) -> None:
        """``with_total=False`` saves the counting; it is ignored by some."""
        memory, resource = lab.store.memory, fresh("resource")
        for i in range(5):
            await memory.save_thread(thread(resource, created_at=at(i)))
        for page, more in ((0, True), (1, True), (2, False)):
            found = await memory.list_threads(
                resource_id=resource, page=page, per_page=2, with_total=False
            )
            assert (found.total, found.has_more) == (None, more)

    async def test_every_order_both_ways(self, lab: Lab) -> None:
        """By creation or change; names as the record's or the original's; the default is newest."""
        memory, resource = lab.store.memory, fresh("resource")
        made = [(3, 1), (1, 3), (2, 2)]
        for created, updated in made:
            title = f"{created}{updated}"
            await memory.save_thread(
                thread(resource, title=title, created_at=at(created), updated_at=at(updated))
            )

        async def titles(order_by: Any) -> list[str]:
            page = await memory.list_threads(resource_id=resource, order_by=order_by)
            return [owner.title for owner in page.threads]

        assert await titles({"field": "createdAt", "direction": "ASC"}) == ["13", "22", "31"]
        assert await titles({"field": "created_at", "direction": "desc"}) == ["31", "22", "13"]
        assert await titles({"field": "updatedAt", "direction": "ASC"}) == ["31", "22", "13"]
        assert await titles({"field": "updated_at"}) == ["13", "22", "31"]
        assert await titles({"direction": "ASC"}) == ["13", "22", "31"]
        assert await titles(None) == ["31", "22", "13"]

    async def test_equal_times_are_listed_once_each_over_all_pages(self, lab: Lab) -> None:
        """Ties are broken by the id in the direction of the order: 205 in, 205 out."""
        memory, resource = lab.store.memory, fresh("resource")
        given = sorted([(await memory.save_thread(thread(resource))).id for _ in range(41)])
        for direction, field in itertools.product(("ASC", "DESC"), ("createdAt", "updatedAt")):
            seen: list[str] = []
            for page in range(5):
                found = await memory.list_threads(
                    resource_id=resource,
                    page=page,
                    per_page=10,
                    order_by={"field": field, "direction": direction},
                )
                seen += [owner.id for owner in found.threads]
            assert seen == (given if direction == "ASC" else given[::-1])

    async def test_metadata_filters_are_exact_and_joined_by_and(self, lab: Lab) -> None:
        """Types count; a thread without the key matches nothing, not even ``None``."""
        memory, resource = lab.store.memory, fresh("resource")
        metadata: list[Any] = [
            {"k": 1},
            {"k": "1"},
            {"k": True},
            {"k": None},
            {},
            None,
            {"k": 1, "j": "x"},
            {"k": 1.5, "j": "it's"},
            {"k": [1]},
        ]
        for i, given in enumerate(metadata):
            await memory.save_thread(
                thread(resource, title=str(i), metadata=given, created_at=at(-i))
            )

        async def found(**wanted: Any) -> str:
            page = await memory.list_threads(resource_id=resource, metadata=wanted)
            assert page.total == len(page.threads)
            return "".join(owner.title for owner in page.threads)

        assert await found(k=1) == "06"
        assert await found(k="1") == "1"
        assert await found(k=True) == "2"
        assert await found(k=None) == "3"
        assert await found(k=1.5) == "7"
        assert await found(k=1, j="x") == "6"
        assert await found(j="it's") == "7"
        assert await found(k=2) == ""
        assert await found(missing=1) == ""
        everything = await memory.list_threads(resource_id=resource, metadata={}, per_page=False)
        assert len(everything.threads) == 9

    async def test_pages_that_cannot_be_are_refused(self, lab: Lab) -> None:
        """Negative, huge or of the wrong type; unknown orders; keys and values of no filter."""
        memory = lab.store.memory
        bad: list[dict[str, Any]] = [
            {"page": -1},
            {"per_page": -1},
            {"page": 1.5},
            {"page": True},
            {"per_page": "10"},
            {"page": 2**60, "per_page": 100},
            {"page": 1, "per_page": False},
            {"order_by": {"field": "title"}},
            {"order_by": {"direction": "sideways"}},
            {"order_by": {"field": "createdAt; DROP TABLE mastra_threads"}},
            {"metadata": {"a.b": 1}},
            {"metadata": {"": 1}},
            {"metadata": {"a'b": 1}},
            {"metadata": {"__proto__": 1}},
            {"metadata": {"k" * 129: 1}},
            {"metadata": {"k": {}}},
            {"metadata": {"k": []}},
            {"metadata": {"k": 2**64}},
            {"metadata": {"k": float("nan")}},
            {"resource_id": ""},
        ]
        for arguments in bad:
            with pytest.raises(InvalidArgumentError):
                await memory.list_threads(**arguments)

    async def test_a_thread_of_somebody_else_is_not_taken_over_by_saving(self, lab: Lab) -> None:
        """The id is taken: a conflict, and nothing changes."""
        memory, given = lab.store.memory, thread(title="mine")
        await memory.save_thread(given)
        with pytest.raises(ConflictError):
            await memory.save_thread(thread(id=given.id, title="theirs"))
        assert await memory.get_thread_by_id(given.id) == given
