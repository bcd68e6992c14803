"""Writes where the server has no transactions: their order, their guards, and the way back."""

from __future__ import annotations

import asyncio

import pytest

from mastra_core import Thread
from mastra_core.errors import ConflictError, UnavailableError
from mastra_core.storage.schema import Delete, Put, Update, Where
from mastra_core.storage.tables import MESSAGES, RESOURCES, THREADS
from mastra_mongodb.changes import steps
from mastra_mongodb.ordered import safe_order

from .rows import AT, message, resource, rows_of, thread

pytestmark = pytest.mark.asyncio


def id_is(value):
    return (Where("id", "eq", value),)


def of_thread(value):
    return (Where("thread_id", "eq", value),)


async def test_guards_go_first_and_deletes_last_within_a_collections_own_order():
    made = steps(
        [
            Delete(MESSAGES, of_thread("t")),
            Put(MESSAGES, [message("m", "t")]),
            Put(RESOURCES, [resource("r")]),
            Update(THREADS, id_is("t"), {"title": "x"}, expect=1),
            Delete(THREADS, id_is("u")),
        ]
    )
    assert [step.number for step in safe_order(made)] == [3, 2, 0, 1, 4]


async def test_a_guard_that_does_not_hold_leaves_nothing_to_take_back(standalone, logged, log):
    async with standalone(url=None, client=logged(standalone.url), db_name=standalone.db_name) as s:
        log.commands.clear()
        with pytest.raises(ConflictError) as caught:
            await s.backend.write(
                Put(MESSAGES, [message("m", "t"), message("n", "t")]),
                Update(THREADS, id_is("nobody"), {"title": "x"}, expect=1),
            )
        assert caught.value.change == 1
        assert log.sent == ["find mastra_threads"]
        await s.backend.connection.client().close()


async def test_a_write_that_fails_behind_is_taken_back(anywhere):
    """New rows go, changed ones are as they were, deleted ones are there again."""
    async with anywhere() as s:
        await s.backend.write(
            Put(THREADS, [thread("a", title="old"), thread("b")]),
            Put(MESSAGES, [message("m", "a"), message("n", "a", content="kept")]),
        )
        before = [await rows_of(s, table) for table in (THREADS, MESSAGES, RESOURCES)]
        with pytest.raises(ConflictError) as caught:
            await s.backend.write(
                Put(THREADS, [thread("a", title="new"), thread("c")]),
                Update(MESSAGES, of_thread("a"), {"role": "system", "content": "x"}),
                Delete(MESSAGES, id_is("m")),
                Put(RESOURCES, [resource("r")]),
                Put(THREADS, [thread("b")], "fail"),
            )
        assert caught.value.change == 4
        assert [await rows_of(s, table) for table in (THREADS, MESSAGES, RESOURCES)] == before


async def test_what_others_changed_meanwhile_is_not_taken_back(standalone, monkeypatch):
    async with standalone() as s:
        await s.backend.write(Put(THREADS, [thread("a", title="old"), thread("b", title="old")]))
        other = standalone()
        run = type(s.backend)._send

        async def failing(self, step, operations, session):
            if self is s.backend and step.change.table is RESOURCES:
                await other.memory.update_thread("a", title="theirs")
                raise ConflictError("injected", change=step.number)
            return await run(self, step, operations, session)

        monkeypatch.setattr(type(s.backend), "_send", failing)
        with pytest.raises(ConflictError, match="injected"):
            await s.backend.write(
                Update(THREADS, (Where("title", "eq", "old"),), {"title": "ours"}),
                Put(RESOURCES, [resource("r")]),
            )
        titles = {t.id: t.title for t in (await s.memory.list_threads()).threads}
        assert titles == {"a": "theirs", "b": "old"}
        await other.close()


@pytest.mark.parametrize("names", ["m", "mn"])
async def test_rows_of_something_that_is_deleted_meanwhile_are_taken_back(
    standalone, monkeypatch, names
):
    """Who deletes it first deletes what belongs to it next, which is too early for rows that come then."""
    async with standalone() as s, standalone() as other:
        await s.backend.write(Put(THREADS, [thread("a")]))
        run = type(s.backend)._send

        async def late(self, step, operations, session):
            if self is s.backend and step.change.table is MESSAGES:
                await other.memory.delete_thread("a")
            return await run(self, step, operations, session)

        monkeypatch.setattr(type(s.backend), "_send", late)
        with pytest.raises(ConflictError) as caught:
            await s.backend.write(
                Update(THREADS, id_is("a"), {"title": "x"}, expect=1),
                Put(MESSAGES, [message(name, "a") for name in names]),
            )
        assert caught.value.change == 0
        assert await rows_of(s, MESSAGES) == await rows_of(s, THREADS) == []


async def test_what_somebody_else_wrote_just_the_same_is_not_taken_back(standalone, monkeypatch):
    """Two count from 0 to 1; who comes second is refused, and does not make 0 of it again."""
    async with standalone() as s, standalone() as other:
        await s.backend.write(Put(THREADS, [thread("a", title="0")]))
        counting = Update(
            THREADS, (*id_is("a"), Where("title", "eq", "0")), {"title": "1"}, expect=1
        )
        read = type(s.backend).documents_of

        async def late(self, step, *more):
            found = await read(self, step, *more)
            if self is s.backend and step.change.table is THREADS:
                await other.backend.write(counting)
            return found

        monkeypatch.setattr(type(s.backend), "documents_of", late)
        with pytest.raises(ConflictError) as caught:
            await s.backend.write(counting, Put(RESOURCES, [resource("r"), resource("q")]))
        assert caught.value.change == 0
        assert [t.title for t in (await s.memory.list_threads()).threads] == ["1"]
        assert await rows_of(s, RESOURCES) == []


@pytest.mark.parametrize("on_conflict", ["replace", "skip", "fail"])
async def test_rows_that_are_said_to_be_new_and_are_not_are_as_they_were(standalone, on_conflict):
    """They are not looked for at first; what is behind them fails, and all is taken back."""
    async with standalone() as s:
        await s.backend.write(Put(MESSAGES, [message("m", "a", content="old")]))
        before = await rows_of(s, MESSAGES)
        for names in ("mn", "nm", "m"):
            rows = [message(name, "a", content="new") for name in names]
            with pytest.raises(ConflictError):
                await s.backend.write(
                    Put(MESSAGES, rows, on_conflict, fresh=True),
                    Update(MESSAGES, id_is("nobody"), {"role": "system"}, expect=1),
                )
            assert await rows_of(s, MESSAGES) == before


async def test_which_change_was_refused_is_not_said_where_it_may_be_an_earlier_one(standalone):
    """The second is looked at first, since something has to be done before the other."""
    async with standalone() as s:
        nobody = Update(THREADS, id_is("nobody"), {"title": "x"}, expect=1)
        with pytest.raises(ConflictError) as caught:
            await s.backend.write(
                Put(MESSAGES, [message("m", "t")], "skip"),
                Update(MESSAGES, id_is("n"), {"role": "system"}, expect=1),
                nobody,
            )
        assert caught.value.change is None
        with pytest.raises(ConflictError) as caught:
            await s.backend.write(Put(MESSAGES, [message("m", "t")], "skip"), nobody)
        assert caught.value.change == 1


async def test_what_cannot_be_taken_back_is_said(standalone, monkeypatch):
    async with standalone() as s:

        async def broken(*_):
            raise UnavailableError("the line is cut")

        run = type(s.backend)._send

        async def failing(self, step, operations, session):
            if step.change.table is RESOURCES:
                monkeypatch.setattr(type(s.backend), "undo", broken)
                raise UnavailableError("gone")
            return await run(self, step, operations, session)

        monkeypatch.setattr(type(s.backend), "_send", failing)
        with pytest.raises(UnavailableError, match="part of it may be there"):
            await s.backend.write(
                Put(THREADS, [thread("a"), thread("b")]), Put(RESOURCES, [resource("r")])
            )


async def test_a_cancelled_write_comes_to_its_end_first(standalone, monkeypatch):
    """Every step of it, however often it is cancelled; then the caller is cancelled."""
    async with standalone() as s:
        run = type(s.backend)._send
        begun = asyncio.Event()

        async def slow(self, step, operations, session):
            begun.set()
            await asyncio.sleep(0.01)
            return await run(self, step, operations, session)

        monkeypatch.setattr(type(s.backend), "_send", slow)
        task = asyncio.ensure_future(
            s.backend.write(
                Put(THREADS, [thread("a"), thread("b")]),
                Put(MESSAGES, [message("m", "a"), message("n", "a")]),
            )
        )
        await begun.wait()
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(await rows_of(s, THREADS)) == len(await rows_of(s, MESSAGES)) == 2


async def test_the_deployment_is_asked_once_whether_it_has_transactions(
    replica_set, standalone, mongoeco_stores
):
    for factory, wanted in ((replica_set, True), (standalone, False), (mongoeco_stores, False)):
        async with factory() as s:
            assert await s.backend.connection.has_transactions() is wanted
            await s.memory.save_thread(Thread(id="t", resource_id="r", created_at=AT))
            assert s.backend.connection._has_transactions is wanted
