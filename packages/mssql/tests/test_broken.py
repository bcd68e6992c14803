"""What breaks: connections, servers, time and luck. Nothing is written by half, nothing hangs."""

from __future__ import annotations

import asyncio
import logging
import socket
import time

import pytest

from mastra_core import Message, Thread
from mastra_core.errors import AuthenticationError, MastraError, UnavailableError
from mastra_core.storage.schema import Update, Where
from mastra_core.storage.tables import THREADS
from mastra_mssql import MSSQLStore

pytestmark = pytest.mark.asyncio
CONTENT = {"format": 2, "parts": [{"type": "text", "text": "word " * 100}]}


def messages(count=100, prefix="m"):
    return [
        Message(id=f"{prefix}{i}", thread_id="t", resource_id="r", role="user", content=CONTENT)
        for i in range(count)
    ]


async def count(session, factory):
    sql = f'SELECT count(*) FROM "{factory.schema}".mastra_messages'
    return (await (await session.execute(sql)).fetchone())[0]


async def writers(session, factory):
    """The transactions that wrote the messages which are there."""
    sql = f'SELECT DISTINCT xmin::text FROM "{factory.schema}".mastra_messages'
    return await (await session.execute(sql)).fetchall()


async def waiting(session, factory):
    """Wait until somebody waits for a lock on a table of this test."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
    while (await (await session.execute(sql, (f"%{factory.schema}%",))).fetchone())[0] == 0:
        await asyncio.sleep(0.01)


async def locked(session, factory, name):
    """Hold the lock of a thread in an open transaction."""
    await session.execute("BEGIN")
    sql = f'UPDATE "{factory.schema}".mastra_threads SET title = %s WHERE id = %s'
    await session.execute(sql, ("held", name))


async def test_a_read_is_repeated_when_its_connection_breaks(factory, line):
    async with line, factory(connection_string=line.url(factory.server)) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r", title="here"))
        opened = line.opened
        line.cut_after = 40
        thread = await store.memory.get_thread_by_id("t")
        assert thread.title == "here"
        assert line.cuts == 1
        assert line.opened > opened


@pytest.mark.parametrize("passed", [1, 100, 5_000, 60_000])
async def test_a_write_that_is_cut_is_whole_or_not_there_and_can_be_repeated(
    factory, line, session, passed
):
    async with factory() as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
    async with line, factory(connection_string=line.url(factory.server)) as store:
        assert await store.memory.get_thread_by_id("t") is not None
        line.cut_after = passed
        with pytest.raises(UnavailableError):
            await store.memory.save_messages(messages())
        assert await count(session, factory) == 0
        await store.memory.save_messages(messages())
        await store.memory.save_messages(messages())
        assert await count(session, factory) == 100


async def test_a_write_whose_answer_is_lost_is_not_sent_again(factory, line, session):
    async with factory() as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
    async with line, factory(connection_string=line.url(factory.server)) as store:
        assert await store.memory.get_thread_by_id("t") is not None
        # (Preparing what is so long takes answers, so that it is cut behind what it writes.)
        few = messages(2)
        line.deaf = True
        writing = asyncio.create_task(store.memory.save_messages(few))
        while await count(session, factory) == 0:
            await asyncio.sleep(0.01)
        written = await writers(session, factory)
        line.cut()
        with pytest.raises(UnavailableError):
            await writing
        assert await writers(session, factory) == written
        line.deaf = False
        # Whoever repeats it finds the same messages, once.
        await store.memory.save_messages(few)
        assert await count(session, factory) == 2
        assert await writers(session, factory) != written


async def test_a_connection_that_was_idle_is_looked_at_before_it_writes(factory, line, monkeypatch):
    monkeypatch.setattr("mastra_mssql.pool.FRESH", 0.0)
    async with line, factory(connection_string=line.url(factory.server)) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        line.cut()
        await store.memory.save_messages(messages(1))
        assert (await store.memory.list_messages("t")).total == 1


async def test_a_store_survives_a_restart_of_the_server(beneath, tmp_path):
    from backends import sql_server

    with sql_server.on(tmp_path, beneath) as address:
        port = int(address.url.partition("/master")[0].rpartition(":")[2])
        store = MSSQLStore(id="s", connection_string=address.url, schema_name="restarted")
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await store.memory.get_thread_by_id("t")
    with sql_server.on(tmp_path, beneath, port):
        assert (await store.memory.get_thread_by_id("t")).id == "t"
        await store.memory.save_messages(messages(1))
        await store.close()


async def test_a_pool_with_no_connection_left_says_so_within_its_time(factory, session, other):
    options = {"max_size": 1, "pool_timeout": 0.2}
    async with factory(**options) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        await locked(session, factory, "t")
        writing = asyncio.create_task(store.memory.update_thread("t", title="x"))
        await waiting(other, factory)
        with pytest.raises(UnavailableError, match=r"all 1 connections .* raise max_size"):
            await store.memory.get_thread_by_id("t")
        await session.execute("ROLLBACK")
        await writing
        assert (await store.memory.get_thread_by_id("t")).title == "x"


async def test_a_write_beyond_its_time_is_ended_and_wrote_nothing(factory, session, other):
    async with factory(statement_timeout=1) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r", title="before"))
        await locked(session, factory, "t")
        with pytest.raises(UnavailableError, match="longer than statement_timeout"):
            await store.memory.update_thread("t", title="x")
        await session.execute("ROLLBACK")
        assert (await store.memory.get_thread_by_id("t")).title == "before"


async def test_a_cancelled_write_holds_nobody_up_and_is_whole(factory, session, other):
    async with factory() as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r", title="before"))
        await locked(session, factory, "t")
        writing = asyncio.create_task(store.memory.save_messages(messages()))
        await waiting(other, factory)
        writing.cancel()
        start = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert time.monotonic() - start < 1
        assert (await store.memory.get_thread_by_id("t")).title == "before"
        await session.execute("ROLLBACK")
        # It was sent as one transaction, and so all of it comes, on a connection of its own.
        while await count(session, factory) == 0:
            await asyncio.sleep(0.01)
        assert await count(session, factory) == 100


async def test_the_victim_of_a_deadlock_tries_again(factory, session, other):
    async with factory() as store:
        for name in ("a", "b"):
            await store.memory.save_thread(Thread(id=name, resource_id="r"))
        await locked(session, factory, "b")
        updates = [
            Update(THREADS, (Where("id", "eq", name),), {"title": "ours"}) for name in ("a", "b")
        ]
        writing = asyncio.create_task(store.backend.write(*updates))
        await waiting(other, factory)
        # Whoever waits second is told of the deadlock; the store's transaction looks first.
        sql = f"UPDATE \"{factory.schema}\".mastra_threads SET title = 'theirs' WHERE id = 'a'"
        await session.execute("SET deadlock_timeout = '10s'")
        await session.execute(sql)
        await session.execute("COMMIT")
        assert await writing == [1, 1]
        titles = [(await store.memory.get_thread_by_id(name)).title for name in ("a", "b")]
        assert titles == ["ours", "ours"]


async def test_a_server_that_is_not_there_is_said_at_once():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"mssql://sa:s3cr3t@127.0.0.1:{probe.getsockname()[1]}/d?Encrypt=no"
        store = MSSQLStore(id="s", connection_string=url, connect_timeout=1)
        with pytest.raises(UnavailableError, match="cannot be reached") as caught:
            await store.memory.list_threads()
        assert "s3cr3t" not in f"{caught.value} {caught.value.__cause__}"
        await store.close()


async def test_a_server_that_never_answers_is_given_up():
    async def silent(reader, writer):
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"mssql://sa:x@127.0.0.1:{port}/d?Encrypt=no"
        store = MSSQLStore(id="s", connection_string=url, connect_timeout=1)
        start = time.monotonic()
        with pytest.raises(UnavailableError):
            await store.memory.list_threads()
        assert time.monotonic() - start < 30
        await store.close()


async def test_a_user_that_is_refused_is_an_authentication_error_without_the_password(
    factory, mssql, caplog
):
    caplog.set_level(logging.DEBUG)
    wrong = mssql.url.replace(mssql.url.split("@")[0], "mssql://sa:s3cr3t")
    store = factory(connection_string=wrong)
    with pytest.raises(AuthenticationError, match="check user and password") as caught:
        await store.memory.list_threads()
    told = f"{caught.value} {caught.value.__cause__} {store!r} {store.backend!r} {caplog.text}"
    assert "s3cr3t" not in told
    await store.close()


async def test_a_driver_error_never_reaches_the_caller(factory):
    async with factory() as store:
        from mastra_core.storage.sql import Statement

        for text in ("SELECT [none] FROM [nowhere]", "SELEC"):
            with pytest.raises(MastraError, match="could not read") as caught:
                await store.backend.fetch(Statement(text))
            assert "mssql_python" in type(caught.value.__cause__).__module__
