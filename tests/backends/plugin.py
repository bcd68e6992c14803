"""Fixtures: one running server for the whole session, for each entry of the table.

Where a server cannot run its tests are skipped with the reason; with ``MASTRA_REQUIRE_BACKENDS=1``
(as in CI) they fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from backends import Address, UnavailableError, start


def _running(name: str, folders: pytest.TempPathFactory) -> Iterator[Address]:
    running = start(name, folders.mktemp(name))
    try:
        address = running.__enter__()
    except UnavailableError as reason:
        if os.environ.get("MASTRA_REQUIRE_BACKENDS") == "1":
            pytest.fail(f"{name} is required here, but {reason}")
        pytest.skip(f"{name} cannot run: {reason}")
    try:
        yield address
    finally:
        running.__exit__(None, None, None)


@pytest.fixture(scope="session")
def sqld(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """libSQL's server, open to everybody on this machine."""
    yield from _running("sqld", tmp_path_factory)


@pytest.fixture(scope="session")
def sqld_jwt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """libSQL's server with tokens: its ``extra`` has those that may only read and that are wrong."""
    yield from _running("sqld-jwt", tmp_path_factory)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """PostgreSQL with pgvector; its user may create databases."""
    yield from _running("postgres", tmp_path_factory)


@pytest.fixture(scope="session")
def dynamodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """DynamoDB: an emulator, whose ``extra`` has its address, or the table that is named."""
    yield from _running("dynamodb", tmp_path_factory)


@pytest.fixture(scope="session")
def upstash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """The REST API of Upstash; its ``extra`` has a token that may only read."""
    yield from _running("upstash", tmp_path_factory)


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A Redis server by its own protocol."""
    yield from _running("redis", tmp_path_factory)


@pytest.fixture(scope="session")
def upstash_vector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """Upstash Vector with cosines; searches see at once what was stored."""
    yield from _running("upstash-vector", tmp_path_factory)


@pytest.fixture(scope="session")
def upstash_vector_euclidean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """Upstash Vector with distances; searches see later what was stored."""
    yield from _running("upstash-vector-euclidean", tmp_path_factory)


@pytest.fixture(scope="session")
def mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A MongoDB replica set: with transactions."""
    yield from _running("mongodb", tmp_path_factory)


@pytest.fixture(scope="session")
def mongodb_standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A MongoDB server that is no replica set: without transactions."""
    yield from _running("mongodb-standalone", tmp_path_factory)


@pytest.fixture(scope="session")
def mongoeco(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """Another server of MongoDB's protocol, without transactions."""
    yield from _running("mongoeco", tmp_path_factory)
