"""Several processes on one file, and processes that are killed in the middle of their writes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mastra_core.records import Thread
from mastra_core.storage.sql import Statement
from mastra_libsql import LibSQLStore

ROUNDS = 4
WRITERS = 6

# One process: says when it is ready, waits for the word, then saves batches of three messages and
# says of each batch when it is acknowledged.
WRITER = """
import asyncio, os, sys
from mastra_core.records import Message, Thread
from mastra_libsql import LibSQLStore

url, name, batches = sys.argv[1], sys.argv[2], int(sys.argv[3])

def message(batch, part):
    content = {"format": 2, "parts": [{"type": "text", "text": "x" * 500}], "batch": batch}
    return Message(id=f"{name}-{batch}-{part}", thread_id="t", resource_id="r", role="user",
                   content=content)

async def save(store, batch):
    await store.memory.save_messages([message(batch, part) for part in range(3)])
    # One write: lines of several tasks must not mix, and must be out before the process is gone.
    os.write(1, f"{name}-{batch}\\n".encode())

async def main():
    store = LibSQLStore(id=name, url=url, busy_timeout=60.0)
    os.write(1, b"ready\\n")
    sys.stdin.readline()
    await store.memory.save_messages([message("first", part) for part in range(3)],
                                     create=Thread(id="t", resource_id="r"))
    await asyncio.gather(*(save(store, batch) for batch in range(batches)))
    await asyncio.gather(*(
        store.memory.update_thread("t", metadata={f"{name}-{n}": n}) for n in range(10)
    ))
    await store.close()

asyncio.run(main())
"""


@contextmanager
def writers(url: str, names: list[str], batches: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are all ready before the first of them writes."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, name, str(batches)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def stored(url: str) -> tuple[dict[str, set[int]], str]:
    """Which parts there are of each batch, and what the engine says about the file."""

    async def read() -> tuple[dict[str, set[int]], str]:
        async with LibSQLStore(id="reader", url=url, busy_timeout=60.0) as store:
            parts: dict[str, set[int]] = {}
            async for message in store.memory.iter_messages("t"):
                batch, _, part = message.id.rpartition("-")
                parts.setdefault(batch, set()).add(int(part))
                assert message.text == "x" * 500
            rows = await store.backend._fetch(Statement("PRAGMA integrity_check"))
            return parts, str(rows[0][0])

    return asyncio.run(read())


def test_a_killed_process_loses_nothing_acknowledged_and_leaves_nothing_half(
    tmp_path: Path,
) -> None:
    url = f"file:{tmp_path}/killed.db"
    acknowledged: set[str] = set()
    for number in range(ROUNDS):
        with writers(url, [f"round{number}"], 1_000) as (process,):
            assert process.stdout is not None
            # Each round is killed elsewhere: after 1, 101, 201 … acknowledged writes.
            lines = [process.stdout.readline() for _ in range(1 + 100 * number)]
            process.send_signal(signal.SIGKILL)
            rest, _ = process.communicate()
        complete = [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        acknowledged |= {line.strip() for line in (*lines, *complete)}
        assert process.returncode == -signal.SIGKILL
        parts, integrity = stored(url)
        assert integrity == "ok"
        assert acknowledged <= parts.keys()
        assert all(found == {0, 1, 2} for found in parts.values())
    assert len(acknowledged) < ROUNDS * 1_000, "every round ended before it was killed"


def test_many_processes_write_to_one_file_at_once(tmp_path: Path) -> None:
    url, names = f"file:{tmp_path}/shared.db", [f"writer{n}" for n in range(WRITERS)]
    # The file does not exist yet: setting it up is part of the race.
    with writers(url, names, 20) as processes:
        said = [process.communicate(timeout=120) for process in processes]
        assert [process.returncode for process in processes] == [0] * WRITERS
    acknowledged = {line for out, _ in said for line in out.splitlines()}
    assert acknowledged == {f"{name}-{batch}" for name in names for batch in range(20)}
    parts, integrity = stored(url)
    assert integrity == "ok"
    assert parts.keys() == acknowledged | {f"{name}-first" for name in names}
    assert all(found == {0, 1, 2} for found in parts.values())

    async def metadata() -> object:
        async with LibSQLStore(id="reader", url=url) as store:
            thread = await store.memory.get_thread_by_id("t")
            return thread and thread.metadata

    assert asyncio.run(metadata()) == {f"{name}-{n}": n for name in names for n in range(10)}


def test_a_process_sees_what_another_acknowledged(tmp_path: Path) -> None:
    url = f"file:{tmp_path}/seen.db"

    async def watch() -> None:
        async with LibSQLStore(id="reader", url=url, busy_timeout=60.0) as store:
            await store.memory.save_thread(Thread(id="t", resource_id="r"))
            with writers(url, ["other"], 50) as (process,):
                assert process.stdout is not None
                for _ in range(50):
                    line = await asyncio.to_thread(process.stdout.readline)
                    ids = [f"{line.strip()}-{part}" for part in range(3)]
                    found = await store.memory.list_messages_by_id(ids)
                    assert [message.id for message in found] == ids
                await asyncio.to_thread(process.communicate)
                assert process.returncode == 0

    asyncio.run(watch())
