"""One database with the original's store and ours on it, for every test in this folder."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from backends import Address

from mastra_core.storage.store import BackendStore
from mastra_libsql import LibSQLVector

from .databases import File, Postgres, Shared, new_postgres
from .original import Original, OriginalStore, UnavailableOriginalError, install

DATABASES = ("libsql", "postgresql")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark of tests that hold on some databases only."""
    config.addinivalue_line("markers", "only(*databases): the databases that the test is for")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses a database on every one that it is for."""
    if "database" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("only")
        wanted = mark.args if mark else DATABASES
        metafunc.parametrize("database", wanted, indirect=True, scope="session")


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


@pytest.fixture(scope="session")
def database(request: pytest.FixtureRequest) -> str:
    """Which database it is; every test runs on each, unless it is marked with those it is for."""
    return request.param


@pytest.fixture(scope="session", params=["original", "ours"])
def made(
    request: pytest.FixtureRequest,
    database: str,
    original: Original,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shared]:
    """An empty database that one side made and the other then set up as well."""
    with _new(database, request, tmp_path_factory) as shared:
        asyncio.run(_set_up(shared, original.store(shared.url), first=request.param))
        yield shared


@contextmanager
def _new(
    database: str, request: pytest.FixtureRequest, folders: pytest.TempPathFactory
) -> Iterator[Shared]:
    if database == "libsql":
        yield File(folders.mktemp("made") / "made.db")
    else:
        with new_postgres(request.getfixturevalue("postgres").url) as shared:
            yield shared


async def _set_up(shared: Shared, theirs: OriginalStore, *, first: str) -> None:
    if first == "original":
        await theirs.init()
    async with shared.ours() as ours:
        await ours.init()
    if first == "ours":
        await theirs.init()
    await theirs.close()


@pytest.fixture
def shared(made: Shared, tmp_path: Path) -> Shared:
    """The database that both sides use in a test."""
    return made.copied(tmp_path)


@pytest.fixture
def path(shared: Shared) -> Path:
    """The file of the test, where it is one."""
    assert isinstance(shared, File)
    return shared.path


@pytest_asyncio.fixture
async def theirs(original: Original, shared: Shared) -> AsyncIterator[OriginalStore]:
    """The original's store on the database."""
    store = original.store(shared.url)
    yield store
    await store.close()


@pytest_asyncio.fixture
async def ours(shared: Shared) -> AsyncIterator[BackendStore]:
    """Our store on the database."""
    async with shared.ours() as store:
        yield store


@pytest.fixture
def new_database(postgres: Address) -> Iterator[Postgres]:
    """A database of PostgreSQL that neither side has set up."""
    with new_postgres(postgres.url) as shared:
        yield shared


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
