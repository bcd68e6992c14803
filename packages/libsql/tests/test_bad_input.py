"""Bad input: each mistake has an error that says what to do, and leaves nothing written."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from mastra_core import open_storage
from mastra_core.errors import (
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    CorruptDataError,
    InvalidArgumentError,
    MastraError,
    NotFoundError,
    SchemaError,
    StorageError,
    UnavailableError,
)
from mastra_core.records import Message, Thread
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_core.storage.sql import Statement
from mastra_libsql import LibSQLStore

pytestmark = pytest.mark.asyncio

NOBODY = 65534
NAIVE = datetime(2026, 1, 2)  # noqa: DTZ001 (which is the mistake)
UNREACHABLE = r"http://127\.0\.0\.1:9.*could not write mastra_threads"
NEWER = r"made by a newer version: it requires branch.*upgrade"
AT = datetime(2026, 1, 2, tzinfo=UTC)
THREAD = Thread(id="t", resource_id="r", title="stored", created_at=AT, updated_at=AT)
CONTENT = {"format": 2, "parts": [{"type": "text", "text": "hello"}]}
MESSAGE = Message(id="m", thread_id="t", resource_id="r", role="user", content=CONTENT)


def parts(*values: Any) -> dict[str, Any]:
    return {"format": 2, "parts": list(values)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bad.db"


@pytest_asyncio.fixture
async def store(path: Path) -> AsyncIterator[LibSQLStore]:
    async with LibSQLStore(id="bad", url=f"file:{path}") as opened:
        await opened.memory.save_thread(THREAD)
        await opened.memory.save_thread(Thread(id="other", resource_id="somebody else"))
        yield opened


async def content(store: LibSQLStore) -> list[list[Any]]:
    """All rows of the memory domain: what a refused call must not have changed."""
    return [
        [*await store.backend._fetch(Statement(f"SELECT * FROM {table.name} ORDER BY 1"))]
        for table in MemoryStorage.tables
    ]


# Addresses and options: refused when the store is made, before anything is opened.


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "a storage URL must be a non-empty string"),
        ("mastra.db", "a storage URL needs a scheme: file:./mastra.db for a file"),
        ("gopher://host/x", "no storage adapter for 'gopher' URLs; known schemes: .*file.*libsql"),
    ],
)
async def test_a_url_that_no_adapter_takes(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        open_storage(url)


@pytest.mark.parametrize(
    ("url", "options", "says"),
    [
        ("", {}, "url must be file:path, :memory:, or a server's address"),
        (None, {}, "url must be file:path, :memory:, or a server's address"),
        ("mastra.db", {}, "libSQL has no 'mastra.db' URLs; use file:path"),
        ("postgresql://host/db", {}, "libSQL has no 'postgresql' URLs; use file:path"),
        ("file:", {}, "a file URL names a file, as in file:./mastra.db"),
        ("file:{folder}", {}, r"is a directory; name a file in it, as file:.*/mastra\.db"),
        ("file:{folder}/no/m.db", {}, "the folder .*/no does not exist; create it first"),
        ("libsql://", {}, "libsql:// needs a host, as in libsql://name.example"),
        ("file:{folder}/m.db", {"auth_token": "x"}, "auth_token is for servers; a file is"),
        ("http://127.0.0.1:9", {"encryption_key": "x"}, "encryption_key is for files"),
        ("file:{folder}/m.db", {"synchronous": "fast"}, "synchronous must be NORMAL, FULL, EXTRA"),
    ],
)
async def test_an_address_that_cannot_be(
    url: str | None, options: dict[str, Any], says: str, tmp_path: Path
) -> None:
    address: Any = url.format(folder=tmp_path) if url else url
    with pytest.raises(ConfigurationError, match=says):
        LibSQLStore(id="bad", url=address, **options)
    assert list(tmp_path.iterdir()) == []


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with LibSQLStore(id="bad", url="http://127.0.0.1:9", disable_init=True) as store:
        with pytest.raises(UnavailableError, match=UNREACHABLE):
            await store.memory.save_thread(THREAD)


# Files.


async def opened(url: str, **options: Any) -> None:
    store = LibSQLStore(id="bad", url=url, **options)
    try:
        await store.memory.save_thread(Thread(id="new", resource_id="r"))
    finally:
        await store.close()


async def test_a_file_that_is_no_database_stays_as_it_is(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(
        AuthenticationError, match="it is no libSQL database, or its encryption_key"
    ):
        await opened(f"file:{path}")
    assert path.read_bytes() == b"Dear diary, " * 1000


async def test_a_wrong_encryption_key_changes_nothing(path: Path) -> None:
    await opened(f"file:{path}", encryption_key="right")
    before = path.read_bytes()
    for key in ("wrong", None):
        with pytest.raises(AuthenticationError, match="its encryption_key differs"):
            await opened(f"file:{path}", encryption_key=key)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["overwritten", "cut off"])
async def test_a_damaged_file_is_reported_as_such(damage: str, path: Path) -> None:
    await opened(f"file:{path}")
    whole = path.read_bytes()
    rest = b"\x5a" * (len(whole) - 4096) if damage == "overwritten" else b""
    path.write_bytes(whole[:4096] + rest)
    with pytest.raises(CorruptDataError, match="the file is damaged; restore it from a backup"):
        await opened(f"file:{path}")


@contextmanager
def as_nobody() -> Iterator[Path]:
    """A folder that everybody can reach, and in it the rights of an ordinary user."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        folder.chmod(0o777)
        shutil.rmtree(folder)


def become_nobody() -> None:
    # Root may write to every file: the rights of a file show only to others.
    if os.geteuid() == 0:
        os.seteuid(NOBODY)


@pytest.mark.parametrize(
    ("file_mode", "folder_mode", "kind", "says"),
    [
        (0o444, 0o777, StorageError, "the file or its folder cannot be written to"),
        (0o444, 0o555, StorageError, "the file or its folder cannot be written to"),
        (0o666, 0o555, StorageError, "the file or its folder cannot be written to"),
        (0o000, 0o777, UnavailableError, "the file could not be opened"),
    ],
)
async def test_a_file_without_the_right_to_write(
    file_mode: int, folder_mode: int, kind: type[MastraError], says: str
) -> None:
    with as_nobody() as folder:
        path = folder / "read-only.db"
        await opened(f"file:{path}")
        before = path.read_bytes()
        path.chmod(file_mode)
        folder.chmod(folder_mode)
        become_nobody()
        with pytest.raises(kind, match=says) as caught:
            await opened(f"file:{path}")
        assert type(caught.value) is kind
        if os.getuid() == 0:
            os.seteuid(0)
        path.chmod(0o666)
        assert path.read_bytes() == before


async def test_a_file_that_can_only_be_read_is_read() -> None:
    with as_nobody() as folder:
        path = folder / "read-only.db"
        await opened(f"file:{path}")
        path.chmod(0o444)
        become_nobody()
        store = LibSQLStore(id="bad", url=f"file:{path}")
        assert await store.memory.get_thread_by_id("new") is not None
        await store.close()


def batch(number: int) -> list[Message]:
    big = parts({"type": "text", "text": "x" * 2_000})
    return [
        msgspec.structs.replace(MESSAGE, id=f"{number}-{part}", content=big) for part in range(5)
    ]


async def fill_up(store: LibSQLStore) -> list[str]:
    """Save until nothing more fits; the ids of what was acknowledged."""
    acknowledged: list[str] = []

    async def save() -> None:
        for number in range(2_000):
            acknowledged.extend(m.id for m in await store.memory.save_messages(batch(number)))

    with pytest.raises(UnavailableError, match="the disk is full; nothing was written"):
        await save()
    return acknowledged


async def test_a_full_database_keeps_what_it_acknowledged(store: LibSQLStore) -> None:
    await store.backend._fetch(Statement("PRAGMA max_page_count = 200"))
    acknowledged = await fill_up(store)
    assert acknowledged
    page = await store.memory.list_messages("t", per_page=False)
    assert sorted(message.id for message in page.messages) == sorted(acknowledged)
    await store.memory.delete_messages(acknowledged[:100])
    await store.memory.save_messages([MESSAGE])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk needs the right to mount one: {error}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


async def test_a_full_disk_keeps_what_was_acknowledged(small_disk: Path) -> None:
    async with LibSQLStore(id="bad", url=f"file:{small_disk}/full.db") as store:
        await store.memory.save_thread(THREAD)
        acknowledged = await fill_up(store)
        assert acknowledged
        page = await store.memory.list_messages("t", per_page=False)
        assert sorted(message.id for message in page.messages) == sorted(acknowledged)
    async with LibSQLStore(id="bad", url=f"file:{small_disk}/full.db") as again:
        assert (await again.memory.list_messages("t", per_page=1)).total == len(acknowledged)


async def test_a_table_of_a_newer_version_is_refused_before_anything_is_written(
    path: Path, store: LibSQLStore
) -> None:
    await store.backend._execute(
        [
            Statement("ALTER TABLE mastra_threads RENAME TO old"),
            Statement(
                "CREATE TABLE mastra_threads (id TEXT PRIMARY KEY, resourceId TEXT, title TEXT, "
                "metadata TEXT, createdAt TEXT, updatedAt TEXT, branch TEXT NOT NULL)"
            ),
        ]
    )
    with pytest.raises(SchemaError, match=NEWER):
        await opened(f"file:{path}")
    assert await store.backend._fetch(Statement("SELECT * FROM mastra_threads")) == []


# Calls: nothing is sent, or nothing is kept.


def saving(**fields: Any) -> Callable[[MemoryStorage], Awaitable[object]]:
    """Save a good message together with the same one changed."""
    bad = msgspec.structs.replace(MESSAGE, id="bad", created_at=AT)
    return lambda memory: memory.save_messages([MESSAGE, msgspec.structs.replace(bad, **fields)])


def thread(**fields: Any) -> Callable[[MemoryStorage], Awaitable[object]]:
    """Save the stored thread changed."""
    return lambda memory: memory.save_thread(msgspec.structs.replace(THREAD, **fields))


def circle() -> dict[str, Any]:
    content = parts()
    content["parts"].append(content)
    return content


Call = Callable[[MemoryStorage], Awaitable[object]]
REFUSED: dict[str, tuple[Call, type[MastraError], str]] = {
    "an empty id": (thread(id=""), InvalidArgumentError, "id must be a non-empty string"),
    "an id of 1 MB": (thread(id="x" * 2**20), InvalidArgumentError, "id has 1,048,576 characters"),
    "an id that is a number": (thread(id=7), InvalidArgumentError, "id must be.*not int"),
    "an id with a NUL": (thread(id="a\0"), InvalidArgumentError, "id contains a NUL"),
    "an id with half a pair": (thread(id="a\ud800"), InvalidArgumentError, "id contains a NUL or"),
    "an empty message id": (saving(id=""), InvalidArgumentError, "id must be a non-empty string"),
    "a message id of 1 MB": (saving(id="x" * 2**20), InvalidArgumentError, "id has 1,048,576"),
    "a message without a thread": (saving(thread_id=None), InvalidArgumentError, "thread_id"),
    "a message of an empty thread": (saving(thread_id=""), InvalidArgumentError, "thread_id of a"),
    "a message without a resource": (saving(resource_id=None), InvalidArgumentError, "resource_id"),
    "a message without a role": (saving(role=""), InvalidArgumentError, "role of a message"),
    "a message of an unknown thread": (
        saving(thread_id="nowhere"),
        NotFoundError,
        "Thread 'nowhere' not found for resource 'r'; create it with save_thread",
    ),
    "a message into another's thread": (
        saving(thread_id="other"),
        NotFoundError,
        "Thread 'other' not found for resource 'r'",
    ),
    "another's thread": (
        thread(resource_id="thief"),
        ConflictError,
        "Thread 't' belongs to another resource; it was not changed",
    ),
    "an update of another's thread": (
        lambda memory: memory.update_thread("other", title="mine", resource_id="r"),
        NotFoundError,
        "Thread 'other' not found for resource 'r'",
    ),
    "content that is text": (saving(content="hi"), InvalidArgumentError, "content of a message"),
    "content without parts": (saving(content={}), InvalidArgumentError, "without a list of parts"),
    "content that is no JSON": (
        saving(content=parts(object())),
        InvalidArgumentError,
        "content of a message cannot be stored as JSON",
    ),
    "content with a function": (
        saving(content=parts(len)),
        InvalidArgumentError,
        "content of a message cannot be stored as JSON",
    ),
    "content with itself": (
        saving(content=circle()),
        InvalidArgumentError,
        "content of a message cannot be stored as JSON",
    ),
    "metadata that is no JSON": (
        thread(metadata={"a": {1: {2, 3}, "b": object()}}),
        InvalidArgumentError,
        "metadata cannot be stored as JSON",
    ),
    "a title that is no text": (thread(title=7), InvalidArgumentError, "title must be text"),
    "a naive time of a thread": (
        thread(created_at=NAIVE),
        InvalidArgumentError,
        "has no time zone; give an aware datetime",
    ),
    "a naive time of a message": (
        saving(created_at=NAIVE),
        InvalidArgumentError,
        "has no time zone; give an aware datetime",
    ),
    "a naive time in a filter": (
        lambda memory: memory.list_messages("t", date_range={"start": NAIVE}),
        InvalidArgumentError,
        "has no time zone",
    ),
    "a negative page": (
        lambda memory: memory.list_messages("t", page=-1),
        InvalidArgumentError,
        "page must be >= 0, not -1",
    ),
    "a negative page of threads": (
        lambda memory: memory.list_threads(page=-1),
        InvalidArgumentError,
        "page must be >= 0, not -1",
    ),
    "a negative size of pages": (
        lambda memory: memory.list_messages("t", per_page=-1),
        InvalidArgumentError,
        "per_page must be >= 0, or False for all rows, not -1",
    ),
    "a page that is far too far": (
        lambda memory: memory.list_messages("t", page=2**60),
        InvalidArgumentError,
        "page value too large",
    ),
    "an unknown order": (
        lambda memory: memory.list_threads(order_by={"field": "title; DROP TABLE mastra_threads"}),
        InvalidArgumentError,
        "Invalid orderBy field.*Allowed: createdAt, updatedAt",
    ),
    "a hostile metadata key": (
        lambda memory: memory.list_threads(metadata={"a') OR 1=1 --": 1}),
        InvalidArgumentError,
        "Invalid metadata key",
    ),
    "an unknown option": (
        lambda memory: memory.list_messages("t", include=[{"id": "m", "with_next": 1}]),
        InvalidArgumentError,
        "with_next",
    ),
    "no thread at all": (
        lambda memory: memory.list_messages([]),
        InvalidArgumentError,
        "threadId must be a non-empty string or array of non-empty strings",
    ),
}


@pytest.mark.parametrize(("call", "kind", "says"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_refused_call_says_why_and_writes_nothing(
    store: LibSQLStore, call: Call, kind: type[MastraError], says: str
) -> None:
    before = await content(store)
    with pytest.raises(kind, match=says) as caught:
        await call(store.memory)
    assert type(caught.value) is kind
    assert await content(store) == before
