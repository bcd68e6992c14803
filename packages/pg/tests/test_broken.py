"""What breaks: connections, servers, time and luck. Nothing is written by half, nothing hangs."""

from __future__ import annotations

import asyncio
import contextlib
import time

import psycopg
import pytest
from backends import UnavailableError as CannotRun
from backends import postgres as servers
from psycopg import errors
from psycopg_pool import AsyncConnectionPool

from mastra_core import Message, Thread
from mastra_core.errors import AuthenticationError, StorageError, UnavailableError
from mastra_core.storage.schema import Update, Where
from mastra_core.storage.tables import THREADS
from mastra_pg import MemoryPG, PostgresStore

pytestmark = pytest.mark.asyncio
CONTENT = {"format": 2, "parts": [{"type": "text", "text": "word " * 100}]}


def messages(count=100, thread="t", prefix="m"):
    return [
        Message(id=f"{prefix}{i}", thread_id=thread, resource_id="r", role="user", content=CONTENT)
        for i in range(count)
    ]


async def count(session, factory, thread="t"):
    sql = f'SELECT count(*) FROM "{factory.schema}".mastra_messages WHERE thread_id = %s'
    return (await (await session.execute(sql, (thread,))).fetchone())[0]


async def writers(session, factory):
    """The transactions that wrote the messages which are there."""
    sql = f'SELECT DISTINCT xmin::text FROM "{factory.schema}".mastra_messages'
    return await (await session.execute(sql)).fetchall()


async def named(session, name):
    """The states of connections that give themselves this name."""
    sql = "SELECT state FROM pg_stat_activity WHERE application_name = %s"
    return [row[0] for row in await (await session.execute(sql, (name,))).fetchall()]


def with_name(url, name):
    return f"{url}?application_name={name}"


async def test_connections_that_the_server_ended_are_replaced_before_they_are_used(
    factory, session
):
    name = factory.schema[:60]
    async with factory(connection_string=with_name(factory.server, name)) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        for write in (True, False, True):
            ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            rows = await session.execute(f"{ended} WHERE application_name = %s", (name,))
            assert set(await rows.fetchall()) == {(True,)}
            if write:
                await store.memory.save_messages(messages(1))
            else:
                assert (await store.memory.list_messages("t")).total == 1


async def test_a_read_is_repeated_when_its_connection_breaks(factory, line):
    async with line, factory(connection_string=line.url(factory.server)) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r", title="here"))
        opened = line.opened
        line.cut_after = 40
        thread = await store.memory.get_thread_by_id("t")
        assert thread is not None
        assert thread.title == "here"
        assert line.cuts == 1
        assert line.opened > opened


@pytest.mark.parametrize("passed", [1, 100, 5_000, 30_000, 60_000])
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
        line.deaf = True
        writing = asyncio.create_task(store.memory.save_messages(messages()))
        while await count(session, factory) == 0:
            await asyncio.sleep(0.01)
        written = await writers(session, factory)
        line.cut()
        with pytest.raises(UnavailableError):
            await writing
        assert await writers(session, factory) == written
        line.deaf = False
        # Whoever repeats it finds the same messages, once.
        await store.memory.save_messages(messages())
        assert await count(session, factory) == 100
        assert await writers(session, factory) != written


async def test_a_store_survives_a_restart_of_the_server(tmp_path):
    try:
        with servers.home(tmp_path) as place:
            with servers.serve(place) as address:
                port = int(address.url.rpartition(":")[2].partition("/")[0])
                store = PostgresStore(id="s", connection_string=address.url, pool_timeout=1)
                await store.memory.save_thread(Thread(id="t", resource_id="r", title="kept"))
                await asyncio.gather(*(store.memory.get_thread_by_id("t") for _ in range(5)))
            with pytest.raises(UnavailableError):
                await store.memory.save_messages(messages(1))
            with pytest.raises(UnavailableError):
                await store.memory.get_thread_by_id("t")
            with servers.serve(place, port):
                deadline = time.monotonic() + 20
                while True:
                    try:
                        await store.memory.save_messages(messages(1))
                        break
                    except UnavailableError:
                        assert time.monotonic() < deadline
                page = await store.memory.list_messages("t")
                assert page.total == 1
                await store.close()
    except CannotRun as reason:
        pytest.skip(f"a server of its own cannot run: {reason}")


async def locked(session, factory, thread="t"):
    """A transaction that holds a thread's row."""
    await session.execute("BEGIN")
    sql = f'SELECT 1 FROM "{factory.schema}".mastra_threads WHERE id = %s FOR UPDATE'
    await session.execute(sql, (thread,))


async def waiting(session, factory, number=1):
    """Wait until so many statements of the schema wait for a lock."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
    while True:
        found = await (await session.execute(sql, (f"%{factory.schema}%",))).fetchone()
        if found[0] >= number:
            return
        await asyncio.sleep(0.01)


async def test_a_pool_with_no_connection_left_says_so_within_its_time(factory, session, other):
    async with factory(max_size=1, pool_timeout=0.3) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        await locked(session, factory)
        writing = asyncio.create_task(store.memory.save_messages(messages(1)))
        await waiting(other, factory)
        begun = time.monotonic()
        with pytest.raises(UnavailableError, match=r"all 1 connections .* raise max_size"):
            await store.memory.get_thread_by_id("t")
        assert time.monotonic() - begun < 5
        await session.execute("COMMIT")
        await writing
        assert (await store.memory.list_messages("t")).total == 1


async def test_a_statement_beyond_its_time_is_ended_and_wrote_nothing(factory, session, other):
    async with factory(statement_timeout=0.3) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        await locked(session, factory)
        with pytest.raises(UnavailableError, match="statement_timeout"):
            await store.memory.save_messages(messages(3))
        await session.execute("COMMIT")
        assert await count(other, factory) == 0
        await store.memory.save_messages(messages(3))
        assert await count(other, factory) == 3


async def test_a_cancelled_write_leaves_nothing_open(factory, session, other):
    name = factory.schema[:60]
    async with factory(connection_string=with_name(factory.server, name)) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        await locked(session, factory)
        writing = asyncio.create_task(store.memory.save_messages(messages(3)))
        await waiting(other, factory)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert set(await named(other, name)) <= {"idle"}
        await session.execute("COMMIT")
        assert await count(other, factory) == 0
        await store.memory.save_messages(messages(3))
        assert await count(other, factory) == 3


async def test_the_victim_of_a_deadlock_tries_again(factory, session, other):
    async with factory() as store:
        for thread in "ab":
            await store.memory.save_thread(Thread(id=thread, resource_id="r"))
        await locked(session, factory, "b")
        sets = {"title": "ours"}
        changes = [Update(THREADS, (Where("id", "eq", t),), sets, expect=1) for t in "ab"]
        writing = asyncio.create_task(store.backend.write(*changes))
        await waiting(other, factory)
        sql = f'UPDATE "{factory.schema}".mastra_threads SET "resourceId" = %s WHERE id = %s'
        theirs = asyncio.create_task(session.execute(sql, ("theirs", "a")))
        # Whoever waited longest is the victim: that is the store, and it loses nothing by it.
        await theirs
        await session.execute("COMMIT")
        assert await writing == [1, 1]
        threads = (await store.memory.list_threads()).threads
        assert {(t.id, t.title, t.resource_id) for t in threads} == {
            ("a", "ours", "theirs"),
            ("b", "ours", "r"),
        }


async def test_what_the_server_could_not_serialize_is_tried_again(factory, monkeypatch):
    isolation = "?options=-c%20default_transaction_isolation%3Dserializable"
    undone: list[str] = []
    async with AsyncConnectionPool(factory.server + isolation, max_size=8, open=False) as pool:
        store = PostgresStore(id="s", pool=pool, schema_name=factory.schema)
        connected = store.backend._connected

        async def counted(do):
            try:
                return await connected(do)
            except errors.SerializationFailure:
                undone.append("again")
                raise

        monkeypatch.setattr(store.backend, "_connected", counted)
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        async with asyncio.TaskGroup() as group:
            for i in range(20):
                group.create_task(store.memory.save_messages(messages(2, prefix=f"{i}-")))
        assert (await store.memory.list_messages("t")).total == 40
        assert undone


async def test_a_server_that_is_not_there_is_said_at_once():
    store = PostgresStore(
        id="s", host="127.0.0.1", port=1, user="u", password="s3cr3t-p", database="d"
    )
    begun = time.monotonic()
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1/d") as caught:
        await store.memory.get_thread_by_id("t")
    assert time.monotonic() - begun < 5
    assert "s3cr3t-p" not in leaks(caught.value, store)


async def test_a_server_that_never_answers_is_given_up():
    left = asyncio.Event()

    async def silent(reader, writer):
        with contextlib.suppress(OSError):
            await reader.read()
        writer.transport.abort()
        left.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = PostgresStore(id="s", host="127.0.0.1", port=port, user="u", connect_timeout=1)
    begun = time.monotonic()
    with pytest.raises(UnavailableError):
        await store.memory.get_thread_by_id("t")
    assert time.monotonic() - begun < 10
    await left.wait()
    server.close()


def leaks(error, *things):
    """All that a log could show of an error and of things."""
    said = [repr(thing) + str(thing) for thing in things]
    while error is not None:
        said.append(repr(error) + str(error))
        error = error.__cause__ or error.__context__
    return " ".join(said)


async def test_a_user_that_is_refused_is_an_authentication_error_without_the_password(postgres):
    url = postgres.url.replace("postgres@", "nobody_of_this_name:s3cr3t-p@", 1)
    memory = MemoryPG(connection_string=url)
    store = PostgresStore(id="s", connection_string=url)
    with pytest.raises(AuthenticationError, match="check user and password") as caught:
        await store.memory.get_thread_by_id("t")
    said = leaks(caught.value, store, store.backend, memory, store.backend._settings)
    assert "s3cr3t-p" not in said


async def test_a_database_that_is_not_there_says_what_to_do(postgres):
    url = postgres.url.rpartition("/")[0] + "/no_such_database"
    with pytest.raises(StorageError, match="create it first"):
        await PostgresStore(id="s", connection_string=url).memory.get_thread_by_id("t")


async def test_missing_tables_say_what_to_do(factory):
    store = factory(disable_init=True)
    with pytest.raises(StorageError, match=r"call init\(\)"):
        await store.memory.get_thread_by_id("t")
    await store.init()
    assert await store.memory.get_thread_by_id("t") is None
    await store.close()


async def test_a_driver_error_never_reaches_the_caller(factory):
    async with factory() as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        with pytest.raises(StorageError) as caught:
            await store.backend.write(
                Update(THREADS, (Where("id", "eq", "t"),), {"metadata": "no JSON"})
            )
        assert isinstance(caught.value.__cause__, psycopg.Error)
