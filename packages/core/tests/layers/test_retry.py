"""What is repeated when the database was unavailable, and what never is."""

from __future__ import annotations

import asyncio

import pytest

from mastra_conformance.rows import at, row
from mastra_conformance.suite.faults import _shape, cases
from mastra_conformance.wrappers import Faulty
from mastra_core import ConflictError, Message, Thread, UnavailableError
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.layers import Retry
from mastra_core.storage.layers.repetition import repeatable
from mastra_core.storage.layers.retry import RetryBackend
from mastra_core.storage.schema import Advance, Delete, Put, Query, Update, Where
from mastra_core.storage.store import BackendStore
from mastra_core.storage.tables import MESSAGES, RESOURCES, SPANS, THREADS

QUICK = Retry(first_pause=0.001, longest_pause=0.002)
CONTENT = {"format": 2, "parts": [{"type": "text", "text": "hello"}]}


def thread(name, **values):
    given = {"id": name, "resourceId": "r", "title": "old", "metadata": "{}", "createdAt": at(0)}
    return row(THREADS, **{**given, "updatedAt": at(0), **values})


def of(name):
    return Where("id", "eq", name)


@pytest.fixture
def faulty():
    return Faulty(InMemoryBackend())


@pytest.fixture
def backend(faulty):
    return RetryBackend(faulty, QUICK)


async def stored(faulty, *columns):
    return await faulty.inner.find(THREADS, Query(columns=columns))


@pytest.mark.parametrize("cut", ["before", "after"])
@pytest.mark.asyncio
async def test_reads_are_repeated(faulty, backend, cut):
    await faulty.inner.write(Put(THREADS, [thread("t")]))
    query = Query(where=(of("t"),), limit=1)
    for call in (
        lambda: backend.find(THREADS, query),
        lambda: backend.find_many(THREADS, [query, query]),
        lambda: backend.count(THREADS),
    ):
        wanted = await call()
        faulty.plan = [cut, cut, cut]
        faulty.operations.clear()
        assert await call() == wanted
        assert not faulty.plan


@pytest.mark.asyncio
async def test_a_repeated_set_up_is_repeated_before_any_write_is_sent():
    class Busy(InMemoryBackend):
        refusals = 2

        async def _setup(self, tables):
            if self.refusals:
                self.refusals -= 1
                raise UnavailableError("busy")
            await super()._setup(tables)

    beneath = Busy()
    backend = RetryBackend(beneath, QUICK)
    doing = Update(THREADS, (), {"title": "x"})
    assert await backend.write(Put(THREADS, [thread("t")]), doing) == [1, 1]
    assert beneath.refusals == 0


@pytest.mark.asyncio
async def test_attempts_are_bounded_and_the_last_error_is_raised(faulty, backend):
    faulty.plan = ["before"] * 10
    with pytest.raises(UnavailableError, match="cut before: find mastra_threads"):
        await backend.find(THREADS, Query(limit=1))
    assert len(faulty.plan) == 6


@pytest.mark.asyncio
async def test_no_attempt_begins_when_the_time_is_over(faulty):
    backend = RetryBackend(faulty, Retry(attempts=1000, seconds=0.05, first_pause=0.04))
    faulty.plan = ["before"] * 1000
    with pytest.raises(UnavailableError):
        await backend.find(THREADS, Query(limit=1))
    assert 995 <= len(faulty.plan) <= 999


def test_pauses_grow_at_random_up_to_the_longest():
    options = Retry(attempts=8, seconds=1000, first_pause=1, longest_pause=4)
    runs = [list(options.waits()) for _ in range(20)]
    for waits in runs:
        assert len(waits) == 7
        for wait, most in zip(waits, (1, 2, 4, 4, 4, 4, 4), strict=True):
            assert most / 2 <= wait <= most
    assert len({waits[0] for waits in runs}) > 1


@pytest.mark.asyncio
async def test_other_errors_are_not_repeated(faulty, backend):
    await faulty.inner.write(Put(THREADS, [thread("t")]))
    with pytest.raises(ConflictError):
        await backend.write(Put(THREADS, [thread("t")], "fail"))
    assert faulty.operations == ["write mastra_threads"]


@pytest.mark.asyncio
async def test_a_cancelled_caller_does_not_wait_for_the_pause(faulty):
    backend = RetryBackend(faulty, Retry(first_pause=60, longest_pause=60, seconds=600))
    faulty.plan = ["before"]
    task = asyncio.create_task(backend.find(THREADS, Query(limit=1)))
    while faulty.plan:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)


@pytest.mark.parametrize("cut", ["before", "after"])
@pytest.mark.asyncio
async def test_an_idempotent_write_is_done_and_answered_as_if_it_was_done_once(
    faulty, backend, cut
):
    await faulty.inner.write(Put(THREADS, [thread("old")]))
    faulty.plan = [cut]
    counts = await backend.write(
        Put(THREADS, [thread("new"), thread("old")], "skip"),
        Update(THREADS, (of("old"),), {"title": "new", "updatedAt": Advance(at(9))}, expect=1),
        Put(RESOURCES, [row(RESOURCES, id="r", createdAt=at(0), updatedAt=at(0))]),
    )
    assert counts == [1, 1, 1]
    assert sorted(await stored(faulty, "id", "title")) == [("new", "old"), ("old", "new")]


@pytest.mark.parametrize("cut", ["before", "after"])
@pytest.mark.asyncio
async def test_saving_messages_survives_a_cut_without_doubling_anything(faulty, cut):
    memory = MemoryStorage(faulty).with_layers(QUICK)
    await memory.save_thread(Thread(id="t", resource_id="r"))
    said = [
        Message(thread_id="t", resource_id="r", role="user", content=CONTENT) for _ in range(40)
    ]
    faulty.plan = [cut]
    assert len(await memory.save_messages(said)) == 40
    assert not faulty.plan
    page = await memory.list_messages("t", per_page=100)
    assert [m.id for m in page.messages] == [m.id for m in said]


@pytest.mark.parametrize("cut", ["before", "after"])
@pytest.mark.asyncio
async def test_a_row_that_must_be_new_is_put_once_and_known_again(faulty, backend, cut):
    faulty.plan = [cut]
    change = Update(THREADS, (of("a"), Where("updatedAt", "eq", at(0))), {"updatedAt": at(1)}, 1)
    await faulty.inner.write(Put(THREADS, [thread("a")]))
    assert await backend.write(change, Put(THREADS, [thread("b"), thread("c")], "fail")) == [1, 2]
    assert sorted(await stored(faulty, "id", "updatedAt")) == [
        ("a", at(1)),
        ("b", at(0)),
        ("c", at(0)),
    ]


@pytest.mark.asyncio
async def test_a_compare_and_set_that_was_done_is_not_done_again_and_the_caller_is_told(
    faulty, backend
):
    await faulty.inner.write(Put(THREADS, [thread("t", title="0")]))
    change = Update(THREADS, (of("t"), Where("title", "eq", "0")), {"title": "1"}, expect=1)
    faulty.plan = ["after"]
    # Another writer may have made the same of it, so nothing proves that it was this one.
    with pytest.raises(UnavailableError, match="cut after") as caught:
        await backend.write(change)
    assert isinstance(caught.value.__cause__, ConflictError)
    assert faulty.operations == ["write mastra_threads"] * 2
    assert await stored(faulty, "title") == [("1",)]


@pytest.mark.asyncio
async def test_a_compare_and_set_that_was_not_done_is_repeated(faulty, backend):
    await faulty.inner.write(Put(THREADS, [thread("t", title="0")]))
    change = Update(THREADS, (of("t"), Where("title", "eq", "0")), {"title": "1"}, expect=1)
    faulty.plan = ["before", "before"]
    assert await backend.write(change) == [1]
    assert await stored(faulty, "title") == [("1",)]


@pytest.mark.asyncio
async def test_a_lost_answer_is_never_taken_for_a_lost_race(faulty):
    """``until_applied`` would merge once more what was merged already."""
    memory = MemoryStorage(faulty).with_layers(QUICK)
    await memory.save_thread(Thread(id="t", resource_id="r", metadata={"n": 0}))
    faulty.plan = [None, "after"]

    def more(metadata):
        return {**metadata, "n": metadata["n"] + 1}

    with pytest.raises(UnavailableError):
        await memory.change_thread_metadata("t", more)
    found = await memory.get_thread_by_id("t")
    assert found is not None
    assert found.metadata == {"n": 1}


@pytest.mark.asyncio
async def test_another_writers_row_is_not_taken_for_ones_own(faulty, backend):
    await faulty.inner.write(Put(THREADS, [thread("t", title="another's")]))
    faulty.plan = ["before"]
    with pytest.raises(UnavailableError):
        await backend.write(Put(THREADS, [thread("t", title="mine")], "fail"))
    assert await stored(faulty, "title") == [("another's",)]


COMPARING = {
    "batch_delete_items",
    "batch_insert_items",
    "delete_dataset",
    "update_messages",
    "update_thread",
    "update_thread_resource_id",
    "update_workflow_results",
    "update_workflow_state",
}


async def cut_everywhere(cut):
    """Cut each writing call at each of its operations; which raised, and what was seen of each."""
    raised, seen = set(), {}
    for position in range(12):
        beneath = Faulty(InMemoryBackend())
        store = BackendStore(beneath, id="cut").with_layers(QUICK)
        for case in await cases(store):
            before = await case.seen(store)
            beneath.plan = [*([None] * position), cut]
            try:
                await case.call(store)
            except UnavailableError:
                raised.add(case.name)
                if cut == "before":
                    continue
            reached, beneath.plan = not beneath.plan, []
            after = await case.seen(store)
            assert after != before, (case.name, position)
            seen.setdefault(case.name, []).append((reached, _shape(after)))
    return raised, seen


@pytest.mark.asyncio
async def test_every_writing_call_of_the_domains_is_done_whichever_operation_is_cut_before():
    raised, seen = await cut_everywhere("before")
    # (It takes experiments from the dataset that they are found by.)
    assert raised == {"delete_dataset"}
    assert len(seen) >= 12
    for name, found in seen.items():
        assert name in raised or found[0][0], name
        assert not found[-1][0], name
        assert all(shape == found[-1][1] for _, shape in found), name


@pytest.mark.asyncio
async def test_every_writing_call_is_done_once_whichever_answer_is_lost():
    """Those that compare and set cannot tell whose change it was, and say so; none does it twice."""
    raised, seen = await cut_everywhere("after")
    assert raised == COMPARING
    for name, found in seen.items():
        assert all(shape == found[-1][1] for _, shape in found), name


UNSAFE = {
    "an update of whatever matches, which changes what it looks at": [
        Update(THREADS, (Where("title", "eq", "old"),), {"title": "new"})
    ],
    "the same, even if a number of rows is expected": [
        Update(THREADS, (Where("title", "eq", "old"),), {"title": "new"}, expect=1)
    ],
    "a row by its key, without an expectation": [
        Update(THREADS, (of("a"), Where("title", "eq", "old")), {"title": "new"})
    ],
    "a change that looks at what a later one changes": [
        Update(THREADS, (Where("title", "eq", "old"),), {"metadata": "1"}),
        Update(THREADS, (of("a"),), {"title": "old"}),
    ],
    "a change of what a later one puts": [
        Update(THREADS, (Where("resourceId", "eq", "r"),), {"title": "new"}),
        Put(THREADS, [thread("b")]),
    ],
    "a guard that another change lifts again": [
        Update(THREADS, (of("a"), Where("title", "eq", "old")), {"title": "new"}, expect=1),
        Update(THREADS, (Where("resourceId", "eq", "r"),), {"title": "old"}),
    ],
    "a put that must be new, of what is deleted before": [
        Delete(THREADS, (Where("resourceId", "eq", "r"),)),
        Put(THREADS, [thread("a")], "fail"),
    ],
}


@pytest.mark.parametrize("changes", UNSAFE.values(), ids=list(UNSAFE))
@pytest.mark.asyncio
async def test_what_is_not_safe_is_done_at_most_once(faulty, backend, changes):
    await faulty.inner.write(Put(THREADS, [thread("a")]))
    for cut in ("before", "after"):
        faulty.plan, faulty.operations = [cut], []
        with pytest.raises(UnavailableError, match=f"cut {cut}"):
            await backend.write(*changes)
        assert len(faulty.operations) == (cut == "after")


SAFE = {
    "a put over what is there": [Put(THREADS, [thread("a")])],
    "a deletion": [Delete(THREADS, (Where("resourceId", "eq", "r"),))],
    "a deletion of one that must be there": [Delete(THREADS, (of("a"),), expect=1)],
    "an update by what it leaves alone": [
        Update(THREADS, (Where("resourceId", "eq", "r"),), {"title": "new"})
    ],
    "an update that sets what it asks for": [
        Update(THREADS, (Where("title", "eq", "old"),), {"title": "old"})
    ],
    "changes of many rows, each on condition of what was read": [
        Update(
            MESSAGES,
            (of(name), Where("content", "eq", "old")),
            {"content": "new"},
            expect=1,
        )
        for name in ("a", "b")
    ],
    "anything behind a guard": [
        Update(THREADS, (of("a"), Where("updatedAt", "eq", at(0))), {"updatedAt": at(1)}, 1),
        Update(SPANS, (Where("name", "eq", "old"),), {"name": "new"}),
    ],
}


@pytest.mark.parametrize("changes", SAFE.values(), ids=list(SAFE))
def test_what_is_safe_is_known(changes):
    assert repeatable(changes, atomic=True)


def test_without_atomic_writes_nothing_is_safe_because_of_a_guard():
    (put,) = guard = [Put(THREADS, [thread("a")], "fail")]
    assert repeatable(guard, atomic=True)
    assert not repeatable(guard, atomic=False)
    assert not repeatable([*SAFE["anything behind a guard"], put], atomic=False)
    assert repeatable(SAFE["a put over what is there"], atomic=False)
