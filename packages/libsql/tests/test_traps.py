"""What the libSQL engine and its driver get wrong by themselves, and we therefore must not."""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
import pytest_asyncio

from mastra_core.errors import (
    AuthenticationError,
    ConflictError,
    InvalidArgumentError,
    MastraError,
    StorageError,
    UnavailableError,
)
from mastra_core.records import Message, Thread
from mastra_core.storage.schema import Column, Put, Query, Table, Where
from mastra_core.storage.sql import Statement
from mastra_libsql import LibSQLStore

pytestmark = pytest.mark.asyncio

SECRET = "hunter2-secret"
# A neighbour that takes the processor must not fail the test; a stalled loop takes seconds.
STALL_SECONDS = 0.3
NUMBERS = Table(
    "trap_numbers",
    (Column("id", "text", nullable=False), Column("n", "bigint")),
    key=("id",),
)
EDGES = [0, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]


def message(number: int, thread_id: str = "t", size: int = 20) -> Message:
    parts = [{"type": "text", "text": f"{number} " + "x" * size}]
    content = {"format": 2, "parts": parts}
    return Message(
        id=f"{thread_id}-{number}",
        thread_id=thread_id,
        resource_id="r",
        role="user",
        content=content,
    )


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file:{tmp_path}/traps.db"


@pytest_asyncio.fixture
async def store(url: str) -> AsyncIterator[LibSQLStore]:
    async with LibSQLStore(id="traps", url=url) as opened:
        await opened.memory.save_thread(Thread(id="t", resource_id="r"))
        yield opened


class Ticker:
    """A task that wants to run all the time: how often it could, and how long at most it could not."""

    turns = 0
    longest = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._tick())
        await asyncio.sleep(0)
        return self

    async def _tick(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            self.turns += 1
            self.longest = max(self.longest, time.perf_counter() - last)
            last = time.perf_counter()

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)
        self._task.cancel()


@contextmanager
def locked(path: str) -> Iterator[Any]:
    """The file as another writer holds it; not by ``sqlite3``, whose locks one process shares."""
    other = importlib.import_module("libsql").connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield other
    finally:
        if other.in_transaction:
            other.execute("ROLLBACK")
        other.close()


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in one write"])
async def test_integers_stay_integers_of_64_bits(store: LibSQLStore, *, together: bool) -> None:
    # The driver binds an int beyond 31 bits as a float, which rounds beyond 53.
    await store.backend.setup((NUMBERS,))
    rows = [(f"{i:02}", n) for i, n in enumerate(EDGES)]
    for put in [rows] if together else [[row] for row in rows]:
        await store.backend.write(Put(NUMBERS, put))
    assert await store.backend.find(NUMBERS, Query()) == rows
    kinds = await store.backend._fetch(Statement("SELECT DISTINCT typeof(n) FROM trap_numbers"))
    assert [tuple(kind) for kind in kinds] == [("integer",)]
    for row in rows:
        where = (Where("n", "eq", row[1]),)
        assert await store.backend.find(NUMBERS, Query(where=where)) == [row]


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
async def test_an_integer_beyond_64_bits_is_refused(store: LibSQLStore, number: int) -> None:
    await store.backend.setup((NUMBERS,))
    with pytest.raises(InvalidArgumentError, match=f"{number} needs more than 64 bits"):
        await store.backend.write(Put(NUMBERS, [("a", number)]))
    assert await store.backend.count(NUMBERS) == 0


async def test_big_integers_in_metadata_are_exact_and_can_be_filtered_by(
    store: LibSQLStore,
) -> None:
    for n in (2**53, 2**53 + 1):
        await store.memory.save_thread(Thread(id=str(n), resource_id="r", metadata={"n": n}))
    page = await store.memory.list_threads(metadata={"n": 2**53 + 1})
    assert [thread.metadata for thread in page.threads] == [{"n": 2**53 + 1}]


async def test_text_is_not_cut_at_a_nul(store: LibSQLStore) -> None:
    # The driver reads text up to the first NUL, so none is ever written.
    await store.memory.save_thread(
        Thread(id="nul", resource_id="r", title="é\0z", metadata={"k\0": "a\0b", "deep": ["\0c"]})
    )
    thread = await store.memory.get_thread_by_id("nul")
    assert thread is not None
    assert thread.title == "éz"
    assert thread.metadata == {"k": "ab", "deep": ["c"]}


async def test_half_a_surrogate_pair_becomes_a_replacement_character(store: LibSQLStore) -> None:
    await store.memory.save_thread(
        Thread(id="half", resource_id="r", title="a\ud83dz", metadata={"k": "\udc4d"})
    )
    thread = await store.memory.get_thread_by_id("half")
    assert thread is not None
    assert thread.title == "a\ufffdz"
    assert thread.metadata == {"k": "\ufffd"}


async def test_json_in_sqlites_binary_form_is_read(store: LibSQLStore) -> None:
    await store.memory.save_thread(Thread(id="binary", resource_id="r"))
    await store.backend._execute(
        [
            Statement(
                "UPDATE mastra_threads SET metadata = jsonb(?) WHERE id = 'binary'", ['{"a":1}']
            )
        ]
    )
    thread = await store.memory.get_thread_by_id("binary")
    assert thread is not None
    assert thread.metadata == {"a": 1}
    assert [t.id for t in (await store.memory.list_threads(metadata={"a": 1})).threads] == [
        "binary"
    ]


@pytest.mark.parametrize(
    ("sql", "said", "kind", "text"),
    [
        ("SELEC 1", "syntax error", StorageError, "syntax error"),
        ("SELECT * FROM missing", "no such table", StorageError, "call init()"),
        (
            "INSERT INTO mastra_threads SELECT * FROM mastra_threads",
            "UNIQUE constraint",
            ConflictError,
            "is stored",
        ),
        ("INSERT INTO mastra_threads (id) VALUES ('x')", "NOT NULL", StorageError, "NOT NULL"),
    ],
)
async def test_the_drivers_one_error_becomes_the_right_one(
    store: LibSQLStore, sql: str, said: str, kind: type[MastraError], text: str
) -> None:
    with pytest.raises(ValueError, match=said) as driver:
        await store.backend._execute([Statement(sql)])
    translated = store.backend._translate(driver.value, "try")
    assert type(translated) is kind
    assert text in str(translated)


async def test_a_long_read_does_not_stall_the_loop(store: LibSQLStore) -> None:
    # The engine holds the interpreter during a call and never waits, so long work must be cut.
    for start in range(0, 10_000, 1_000):
        await store.memory.save_messages([message(start + i, size=300) for i in range(1_000)])
    async with Ticker() as ticker:
        count = sum([1 async for _ in store.memory.iter_messages("t")])
    assert count == 10_000
    assert ticker.turns >= count / store.backend.limits.page_rows
    assert ticker.longest < STALL_SECONDS


async def test_a_locked_file_does_not_stall_the_loop(store: LibSQLStore, url: str) -> None:
    async with Ticker() as ticker:
        with locked(url.removeprefix("file:")) as other:
            saving = asyncio.create_task(store.memory.save_messages([message(1)]))
            done, _ = await asyncio.wait([saving], timeout=2 * STALL_SECONDS)
            assert not done
            assert (await store.memory.list_messages("t")).total == 0
            other.execute("COMMIT")
            await saving
    assert (await store.memory.list_messages("t")).total == 1
    assert ticker.longest < STALL_SECONDS


async def test_a_file_locked_for_too_long_is_unavailable_and_nothing_is_written(
    store: LibSQLStore, url: str
) -> None:
    async with LibSQLStore(id="impatient", url=url, busy_timeout=0.1) as impatient:
        with (
            locked(url.removeprefix("file:")),
            pytest.raises(UnavailableError, match="other writers held it for too long"),
        ):
            await impatient.memory.save_messages([message(1)])
        assert (await store.memory.list_messages("t")).total == 0
        await impatient.memory.save_messages([message(1)])
    assert (await store.memory.list_messages("t")).total == 1


async def test_a_cancelled_write_leaves_nothing_behind(store: LibSQLStore, url: str) -> None:
    with locked(url.removeprefix("file:")):
        saving = asyncio.create_task(store.memory.save_messages([message(1), message(2)]))
        await asyncio.wait([saving], timeout=0.05)
        saving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saving
    assert (await store.memory.list_messages("t")).total == 0
    await store.memory.save_messages([message(3)])
    assert (await store.memory.list_messages("t")).total == 1


async def test_a_private_memory_belongs_to_one_store() -> None:
    async with (
        LibSQLStore(id="a", url=":memory:") as a,
        LibSQLStore(id="b", url="file::memory:") as b,
    ):
        await a.memory.save_thread(Thread(id="t", resource_id="r"))
        await a.scores.list_scores_by_run_id("run")
        assert await a.memory.get_thread_by_id("t") is not None
        assert await b.memory.get_thread_by_id("t") is None


async def test_a_closed_store_opens_again_by_use(store: LibSQLStore) -> None:
    await store.memory.save_messages([message(1)])
    await store.close()
    await store.close()
    assert (await store.memory.list_messages("t")).total == 1


async def test_a_closed_private_memory_is_empty_and_usable() -> None:
    store = LibSQLStore(id="a", url=":memory:")
    await store.memory.save_thread(Thread(id="t", resource_id="r"))
    await store.close()
    assert await store.memory.get_thread_by_id("t") is None
    await store.memory.save_thread(Thread(id="t", resource_id="r"))
    await store.close()


@pytest.mark.parametrize("kind", ["file", "memory"])
async def test_one_store_serves_several_loops_in_turn(kind: str, tmp_path: Path) -> None:
    store = LibSQLStore(id="s", url=":memory:" if kind == "memory" else f"file:{tmp_path}/s.db")

    async def use(number: int) -> int | None:
        await store.memory.save_thread(Thread(id=str(number), resource_id="r"))
        return (await store.memory.list_threads()).total

    def in_loops_of_its_own() -> list[int | None]:
        return [asyncio.run(use(number)) for number in range(5)]

    assert await asyncio.to_thread(in_loops_of_its_own) == [1, 2, 3, 4, 5]
    await store.close()


async def test_one_store_serves_loops_in_several_threads(url: str) -> None:
    store = LibSQLStore(id="s", url=url)
    await store.memory.save_thread(Thread(id="t", resource_id="r"))

    async def save(worker: int) -> None:
        numbers = range(worker * 100, worker * 100 + 25)
        await asyncio.gather(*(store.memory.save_messages([message(n)]) for n in numbers))

    threads = [threading.Thread(target=lambda w=w: asyncio.run(save(w))) for w in range(8)]
    for thread in threads:
        thread.start()
    await asyncio.to_thread(lambda: [thread.join() for thread in threads])
    assert (await store.memory.list_messages("t", per_page=1)).total == 200
    await store.close()


async def test_an_encrypted_file_shows_nothing_and_opens_only_by_its_key(tmp_path: Path) -> None:
    url, marker = f"file:{tmp_path}/secret.db", "a very remarkable title"
    async with LibSQLStore(id="s", url=url, encryption_key=SECRET) as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r", title=marker))
        for file in tmp_path.iterdir():
            assert marker.encode() not in file.read_bytes()
            assert b"SQLite format" not in file.read_bytes()
    for key in (None, "another key"):
        wrong = LibSQLStore(id="s", url=url, encryption_key=key)
        with pytest.raises(AuthenticationError, match="its encryption_key differs"):
            await wrong.memory.get_thread_by_id("t")
        await wrong.close()
    async with LibSQLStore(id="s", url=url, encryption_key=SECRET) as store:
        thread = await store.memory.get_thread_by_id("t")
        assert thread is not None
        assert thread.title == marker


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("file:{folder}/s.db", {"encryption_key": SECRET}),
        ("http://127.0.0.1:9/", {"auth_token": SECRET}),
        ("http://127.0.0.1:9/?authToken=" + SECRET, {}),
        ("libsql://127.0.0.1:9/?tls=0&authToken=" + SECRET, {}),
        (f"http://user:{SECRET}@127.0.0.1:9/", {}),
        (f"ws://user:{SECRET}@127.0.0.1:9/?authToken={SECRET}", {}),
        ("postgresql://user:" + SECRET + "@host/db", {}),
    ],
)
async def test_a_secret_is_never_shown(
    url: str,
    options: dict[str, str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[object] = []
    try:
        store = LibSQLStore(id="s", url=url.format(folder=tmp_path), busy_timeout=1.0, **options)
        shown += [store, store.backend, store.memory, vars(store.memory)]
        try:
            await store.memory.save_thread(Thread(id="t", resource_id="r"))
        finally:
            await store.close()
    except MastraError as error:
        while error is not None:
            shown.append(error)
            error = error.__cause__
    said = capfd.readouterr()
    text = "\n".join([*map(repr, shown), *map(str, shown), caplog.text, said.out, said.err])
    assert SECRET not in text


async def test_the_errors_of_a_wrong_key_do_not_show_it(tmp_path: Path) -> None:
    async with LibSQLStore(id="s", url=f"file:{tmp_path}/s.db"):
        pass
    store = LibSQLStore(id="s", url=f"file:{tmp_path}/s.db", encryption_key=SECRET)
    with pytest.raises(AuthenticationError) as caught:
        await store.init()
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"
    await store.close()
