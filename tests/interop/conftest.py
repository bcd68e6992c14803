"""One database file with the original's store and ours on it, for every test in this folder."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from mastra_libsql import LibSQLStore, LibSQLVector

from .original import Original, OriginalStore, UnavailableOriginalError, install


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Original]:
    """The original in its process; where it cannot run the tests are skipped, or fail in CI."""
    try:
        node = install()
    except UnavailableOriginalError as reason:
        if os.environ.get("MASTRA_REQUIRE_BACKENDS") == "1":
            pytest.fail(f"the original cannot run: {reason}")
        pytest.skip(f"the original cannot run: {reason}")
    with Original(node, tmp_path_factory.mktemp("original") / "complaints.txt") as running:
        yield running


@pytest.fixture(scope="session", params=["original", "ours"])
def made_by(
    request: pytest.FixtureRequest,
    original: Original,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """An empty database that one side made and the other then set up as well, to be copied."""
    path = tmp_path_factory.mktemp("made") / f"{request.param}.db"

    async def make() -> None:
        theirs = original.store(path)
        if request.param == "original":
            await theirs.init()
        async with LibSQLStore(id="ours", url=f"file:{path}") as ours:
            await ours.init()
        if request.param == "ours":
            await theirs.init()
        await theirs.close()

    asyncio.run(make())
    # A copy is of one file, and both sides leave what they wrote last in a log beside it.
    with closing(sqlite3.connect(path)) as connection:
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert not busy
    return path


@pytest.fixture
def path(made_by: Path, tmp_path: Path) -> Path:
    """The file that both sides use in a test."""
    return Path(shutil.copy(made_by, tmp_path / "shared.db"))


@pytest_asyncio.fixture
async def theirs(original: Original, path: Path) -> AsyncIterator[OriginalStore]:
    """The original's store on the file."""
    store = original.store(path)
    yield store
    await store.close()


@pytest_asyncio.fixture
async def ours(path: Path) -> AsyncIterator[LibSQLStore]:
    """Our store on the file."""
    async with LibSQLStore(id="ours", url=f"file:{path}") as store:
        yield store


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A file that neither side has set up."""
    return tmp_path / "empty.db"


@pytest_asyncio.fixture
async def alone(original: Original, empty: Path) -> AsyncIterator[OriginalStore]:
    """The original's stores on the empty file."""
    store = original.store(empty)
    yield store
    await store.close()


@pytest_asyncio.fixture
async def vectors(empty: Path) -> AsyncIterator[LibSQLVector]:
    """Our vectors on the same file."""
    async with LibSQLVector(id="ours", url=f"file:{empty}") as store:
        yield store
