"""Connections: shared by settings, one pool a loop, given ones left alone, and through poolers."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from mastra_core import Message, Thread, open_storage
from mastra_core.errors import StorageError
from mastra_pg import MemoryPG, PostgresStore, WorkflowsPG

CONTENT = {"format": 2, "parts": [{"type": "text", "text": "hello"}]}
PROCESSES, STEPS = 4, 50


async def connections(session, name):
    sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    return (await (await session.execute(sql, (name,))).fetchone())[0]


async def gone(session, name):
    """Wait until the server has noticed that a pool is closed."""
    while await connections(session, name):
        await asyncio.sleep(0.01)


def named(factory):
    return f"{factory.server}?application_name={factory.schema[:60]}"


@pytest.mark.asyncio
async def test_domains_of_the_same_settings_share_a_pool_until_the_last_closes(factory, session):
    options = {"connection_string": named(factory), "schema_name": factory.schema, "max_size": 1}
    memory, workflows = MemoryPG(**options), WorkflowsPG(**options)
    await memory.save_thread(Thread(id="t", resource_id="r"))
    await workflows.persist_workflow_snapshot(workflow_name="w", run_id="r", snapshot={})
    name = factory.schema[:60]
    assert await connections(session, name) == 1
    await memory.close()
    assert await connections(session, name) == 1
    assert await workflows.load_workflow_snapshot(workflow_name="w", run_id="r") == {}
    await workflows.close()
    await gone(session, name)
    # Use opens it again.
    assert (await memory.get_thread_by_id("t")).id == "t"
    await memory.close()
    await memory.close()


@pytest.mark.asyncio
async def test_other_settings_are_another_pool(factory, session):
    url, schema = named(factory), factory.schema
    one = MemoryPG(connection_string=url, schema_name=schema, max_size=1)
    two = MemoryPG(connection_string=url, schema_name=schema, max_size=1, statement_timeout=7)
    await asyncio.gather(one.list_threads(), two.list_threads())
    assert await connections(session, schema[:60]) == 2
    await asyncio.gather(one.close(), two.close())


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
async def test_a_loop_that_ended_keeps_no_connection(factory, session):
    store = factory(connection_string=named(factory))

    def other_loop():
        return asyncio.run(store.memory.list_threads()).total

    assert await asyncio.to_thread(other_loop) == 0
    await gone(session, factory.schema[:60])


@pytest.mark.asyncio
async def test_a_given_pool_is_used_as_it_is_and_never_closed(factory):
    kwargs = {"row_factory": dict_row}
    async with AsyncConnectionPool(
        factory.server, min_size=1, max_size=2, open=False, kwargs=kwargs
    ) as pool:
        async with PostgresStore(id="s", pool=pool, schema_name=factory.schema) as store:
            await store.memory.save_thread(Thread(id="t", resource_id="r"))
            await asyncio.gather(*(store.memory.list_threads() for _ in range(5)))
        assert not pool.closed
        async with pool.connection() as connection:
            # As its owner set it up: in a transaction, with rows that are dictionaries.
            assert connection.autocommit is False
            sql = f'SELECT id FROM "{factory.schema}".mastra_threads'
            assert await (await connection.execute(sql)).fetchall() == [{"id": "t"}]


@pytest.mark.asyncio
async def test_a_given_pool_that_is_closed_says_so(factory):
    pool = AsyncConnectionPool(factory.server, open=False)
    store = PostgresStore(id="s", pool=pool, schema_name=factory.schema)
    with pytest.raises(StorageError, match="pool"):
        await store.memory.list_threads()


@pytest.mark.asyncio
async def test_a_url_opens_the_store(factory):
    async with open_storage(factory.server, schema_name=factory.schema) as store:
        assert isinstance(store, PostgresStore)
        assert (await store.memory.list_threads()).total == 0


class Pooler:
    """A transaction-mode pooler: every transaction of a client is on whichever session is next.

    Like pgbouncer it refuses parameters of a session at the start.
    """

    def __init__(self, host, port, user, database, size=3):
        self.target, self.size = (host, port), size
        names = f"user\0{user}\0database\0{database}\0client_encoding\0UTF8\0\0".encode()
        self.startup = (len(names) + 8).to_bytes(4, "big") + (196608).to_bytes(4, "big") + names
        self.tasks = set()
        self.used = 0

    async def __aenter__(self):
        self.sessions = asyncio.Queue()
        self.open = []
        for _ in range(self.size):
            reader, writer = await asyncio.open_connection(*self.target)
            writer.write(self.startup)
            self.greeting = await self._until_ready(reader)
            self.open.append(writer)
            self.sessions.put_nowait((reader, writer))
        self.server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for writer in self.open:
            writer.transport.abort()

    async def _message(self, reader):
        head = await reader.readexactly(5)
        return head + await reader.readexactly(int.from_bytes(head[1:], "big") - 4)

    async def _until_ready(self, reader):
        said = b""
        while True:
            message = await self._message(reader)
            said += message
            if message[:1] == b"Z":
                return said

    async def _client(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        try:
            await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()

    async def _serve(self, reader, writer):
        while True:
            size = int.from_bytes(await reader.readexactly(4), "big")
            body = await reader.readexactly(size - 4)
            if int.from_bytes(body[:4], "big") == 196608:
                break
            if int.from_bytes(body[:4], "big") == 80877102:
                return
            writer.write(b"N")
        if b"\0options\0" in body:
            text = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0"
            writer.write(b"E" + (len(text) + 4).to_bytes(4, "big") + text)
            await writer.drain()
            return
        writer.write(self.greeting)
        while True:
            first = await self._message(reader)
            if first[:1] == b"X":
                return
            if first[:1] == b"H":
                continue  # Behind a pipeline's end the driver asks for what was sent to it already.
            far = await self.sessions.get()
            self.used += 1
            try:
                await self._transaction(first, reader, writer, *far)
            finally:
                self.sessions.put_nowait(far)

    async def _transaction(self, first, reader, writer, far_reader, far_writer):
        message, state = first, b""
        while state != b"I":
            while True:
                far_writer.write(message)
                if message[:1] in b"SQ":
                    break
                message = await self._message(reader)
            answer = await self._until_ready(far_reader)
            writer.write(answer)
            await writer.drain()
            state = answer[-1:]
            if state != b"I":
                message = await self._message(reader)


def pooler_of(factory):
    parts = psycopg.conninfo.conninfo_to_dict(factory.server)
    return Pooler(parts["host"], int(parts["port"]), parts["user"], parts["dbname"])


@pytest.mark.asyncio
async def test_behind_a_transaction_pooler_nothing_of_a_session_is_assumed(factory):
    async with pooler_of(factory) as pooler:
        url = f"postgresql://u@127.0.0.1:{pooler.port}/d?sslmode=disable&gssencmode=disable"
        store = factory(connection_string=url, prepared_statements=False, max_size=6)
        async with store:
            await store.memory.save_thread(Thread(id="t", resource_id="r"))

            async def turn(i):
                message = Message(thread_id="t", resource_id="r", role="user", content=CONTENT)
                await store.memory.save_messages([message], create=Thread(id="t", resource_id="r"))
                await store.memory.update_thread("t", metadata={f"k{i}": i})
                await store.memory.list_messages("t")

            for _ in range(4):
                await asyncio.gather(*(turn(i) for i in range(8)))
            assert (await store.memory.list_messages("t")).total == 32
            thread = await store.memory.get_thread_by_id("t")
            assert thread.metadata == {f"k{i}": i for i in range(8)}
            include = [
                {"id": m.id, "withPreviousMessages": 1, "withNextMessages": 1}
                for m in (await store.memory.list_messages("t", per_page=3)).messages[1:2]
            ]
            page = await store.memory.list_messages("t", include=include, per_page=0)
            assert len(page.messages) == 3
            asked = "SELECT count(*) FROM pg_prepared_statements"
            for _ in range(pooler.size):
                cursor = psycopg.AsyncConnection.connect(url, prepare_threshold=None)
                async with await cursor as connection:
                    assert await (await connection.execute(asked)).fetchone() == (0,)
        assert pooler.used > 100


@pytest.mark.asyncio
async def test_behind_a_pooler_the_error_names_the_option(factory):
    async with pooler_of(factory) as pooler:
        url = f"postgresql://u@127.0.0.1:{pooler.port}/d?sslmode=disable&gssencmode=disable"
        with pytest.raises(StorageError, match="prepared_statements=False"):
            await factory(connection_string=url, connect_timeout=2).memory.list_threads()


# A process whose steps of one run report at the same time.
REPORT = """
import asyncio, sys
from mastra_pg import WorkflowsPG
url, schema, first, every, steps = sys.argv[1:3] + [int(n) for n in sys.argv[3:]]

async def run():
    async with asyncio.TaskGroup() as group:
        for i in range(first, steps, every):
            group.create_task(workflows.update_workflow_results(
                workflow_name="w", run_id="r", step_id=f"step-{i}",
                result={"status": "success", "output": {"step": i}},
                request_context={f"k{i}": i},
            ))
    await workflows.close()

workflows = WorkflowsPG(connection_string=url, schema_name=schema)
print("ready", flush=True)
sys.stdin.readline()
asyncio.run(run())
"""


def test_fifty_steps_that_report_at_once_from_four_processes_lose_nothing(factory):
    async def begin():
        async with factory() as store:
            await store.workflows.persist_workflow_snapshot(
                workflow_name="w", run_id="r", snapshot={"status": "running", "context": {}}
            )

    async def end():
        async with factory() as store:
            return await store.workflows.load_workflow_snapshot(workflow_name="w", run_id="r")

    asyncio.run(begin())
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", REPORT, factory.server, factory.schema]
            + [str(n) for n in (i, PROCESSES, STEPS)],
            **pipes,
        )
        for i in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0] * PROCESSES
    snapshot = asyncio.run(end())
    assert set(snapshot["context"]) == {f"step-{i}" for i in range(STEPS)}
    assert all(snapshot["context"][f"step-{i}"]["output"] == {"step": i} for i in range(STEPS))
    assert snapshot["requestContext"] == {f"k{i}": i for i in range(STEPS)}
