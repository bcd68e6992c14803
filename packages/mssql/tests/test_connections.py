"""Connections: shared by settings, in threads of their own, given ones left alone; and pyodbc."""

from __future__ import annotations

import asyncio
import struct
import threading

import pytest

from mastra_conformance.records import message, thread
from mastra_core import Thread, open_storage
from mastra_core.errors import ConfigurationError
from mastra_mssql import MemoryMSSQL, MSSQLStore, WorkflowsMSSQL
from mastra_mssql.driver import connect, load
from mastra_mssql.settings import settings

CONTENT = {"format": 2, "parts": [{"type": "text", "text": "hello"}]}


@pytest.mark.asyncio
async def test_domains_of_the_same_settings_share_connections_until_the_last_closes(factory):
    options = {
        "connection_string": factory.server,
        "schema_name": factory.schema,
        "max_size": 1,
        "pool_timeout": 11,
    }
    memory, workflows = MemoryMSSQL(**options), WorkflowsMSSQL(**options)
    await memory.save_thread(Thread(id="t", resource_id="r"))
    await workflows.persist_workflow_snapshot(workflow_name="w", run_id="r", snapshot={})
    pool = memory.backend._pool()
    assert workflows.backend._pool() is pool
    assert pool.opened == 1
    await memory.close()
    assert await workflows.load_workflow_snapshot(workflow_name="w", run_id="r") == {}
    assert pool.opened == 1
    await workflows.close()
    # Use opens it again.
    assert (await memory.get_thread_by_id("t")).id == "t"
    assert memory.backend._pool() is not pool
    await memory.close()
    await memory.close()


def test_a_store_made_outside_of_any_loop_works_in_several_one_after_another(factory):
    store = factory()

    async def use(name):
        await store.memory.save_thread(Thread(id=name, resource_id="r"))
        await asyncio.gather(*(store.memory.get_thread_by_id(name) for _ in range(5)))
        return (await store.memory.list_threads()).total

    assert [asyncio.run(use(f"t{i}")) for i in range(3)] == [1, 2, 3]

    async def use_and_close():
        async with store:
            return await use("last")

    assert asyncio.run(use_and_close()) == 4


@pytest.mark.asyncio
async def test_more_calls_than_connections_wait_for_each_other(factory):
    async with factory(max_size=2) as store:
        await store.memory.list_threads()
        pool = store.backend._pool()
        await asyncio.gather(*(store.memory.list_threads() for _ in range(20)))
        assert pool.opened <= 2
        names = [t.name for t in threading.enumerate() if t.name.startswith("mastra-mssql")]
        assert names


@pytest.mark.asyncio
@pytest.mark.parametrize("autocommit", [True, False])
async def test_a_given_connection_is_used_as_it_is_and_never_closed(factory, autocommit):
    connection = connect(settings({"connection_string": factory.server}))
    connection.autocommit = autocommit
    async with MSSQLStore(id="s", connection=connection, schema_name=factory.schema) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        await asyncio.gather(*(store.memory.list_threads() for _ in range(5)))
        assert "a connection of the caller" in repr(store.backend)
    assert connection.autocommit is autocommit
    cursor = connection.cursor()
    cursor.execute(f"SELECT [id] FROM [{factory.schema}].[mastra_threads]")
    assert [tuple(r) for r in cursor.fetchall()] == [("t",)]
    connection.close()


@pytest.mark.asyncio
async def test_a_url_opens_the_store(factory):
    async with open_storage(factory.server, schema_name=factory.schema) as store:
        assert isinstance(store, MSSQLStore)
        assert (await store.memory.list_threads()).total == 0
        assert "SQL Server" in await store.backend.server()


def test_a_driver_that_is_not_installed_is_said_in_words(monkeypatch):
    monkeypatch.setattr("mastra_mssql.driver.MODULES", {"pyodbc": "no_such_module_of_odbc"})
    with pytest.raises(ConfigurationError, match=r"pip install 'mastra-mssql\[pyodbc\]'"):
        load("pyodbc")


class Counting:
    """Counts the requests that pass a line: messages of TDS, which may be of several packets."""

    def __init__(self, line):
        self.line, self.requests = line, 0
        self.copy, line._copy = line._copy, self._copy

    async def _copy(self, source, sink, *, from_client):
        if from_client:
            counted = asyncio.StreamReader()
            asyncio.get_running_loop().create_task(self._count(counted))
            read = source.read

            async def reading(size):
                data = await read(size)
                counted.feed_data(data) if data else counted.feed_eof()
                return data

            source.read = reading
        await self.copy(source, sink, from_client=from_client)

    async def _count(self, counted):
        while head := await counted.read(8):
            head += b"" if len(head) == 8 else await counted.readexactly(8 - len(head))
            await counted.readexactly(struct.unpack(">H", head[2:4])[0] - 8)
            self.requests += head[1] & 1


@pytest.mark.asyncio
async def test_requests_per_operation_are_few_and_do_not_grow(factory, line):
    counting = Counting(line)
    async with line, factory(connection_string=line.url(factory.server), max_size=1) as store:
        owner = await store.memory.save_thread(thread("r", id="t"))
        snapshot = {"workflow_name": "w", "run_id": "r"}

        async def requests(call):
            await store.memory.get_thread_by_id("t")
            before = counting.requests
            await call
            return counting.requests - before

        async def measured(first):
            memory, workflows = store.memory, store.workflows
            many = [message(owner, first + n) for n in range(1, 101)]
            return {
                "append 1 message": await requests(memory.save_messages([message(owner, first)])),
                "append 100 messages": await requests(memory.save_messages(many)),
                "last 40 messages": await requests(memory.list_messages("t", per_page=40)),
                "newest 20 threads": await requests(
                    memory.list_threads(resource_id="r", per_page=20)
                ),
                "save a snapshot": await requests(
                    workflows.persist_workflow_snapshot(**snapshot, snapshot={"a": 1})
                ),
                "load a snapshot": await requests(workflows.load_workflow_snapshot(**snapshot)),
                "list traces": await requests(store.observability.list_traces()),
            }

        few = await measured(0)
        await store.memory.save_messages([message(owner, 1000 + n) for n in range(1000)])
        assert await measured(500) == few
        # A statement is one request, and another by which the driver forgets that it prepared it.
        assert few == {
            "append 1 message": 2,
            "append 100 messages": 3,
            "last 40 messages": 4,
            "newest 20 threads": 2,
            "save a snapshot": 2,
            "load a snapshot": 2,
            "list traces": 2,
        }


@pytest.mark.asyncio
async def test_pyodbc_does_the_same(factory, pyodbc_options):
    async with factory() as one, factory(**pyodbc_options) as two:
        owner = await two.memory.save_thread(thread("r ", id="t ", title="ünï😀" * 2000))
        assert await one.memory.get_thread_by_id("t ") == owner
        given = [message(owner, n) for n in range(500)]
        await two.memory.save_messages(given)
        assert (await two.memory.list_messages("t ", per_page=False)).messages == given
        assert (await one.memory.list_messages("t ", per_page=False)).messages == given
