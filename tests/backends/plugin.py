"""Fixtures: one running server for the whole session, for each entry of the table.

Where a server cannot run its tests are skipped with the reason; with ``MASTRA_REQUIRE_BACKENDS=1``
(as in CI) they fail, unless there is no such server for this Python at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from backends import Address, UnavailableError, npm, start
from backends.address import NoSuchServerError


def _missing(name: str, reason: UnavailableError) -> NoReturn:
    exists = not isinstance(reason, NoSuchServerError)
    if exists and os.environ.get("MASTRA_REQUIRE_BACKENDS") == "1":
        pytest.fail(f"{name} is required here, but {reason}")
    pytest.skip(f"{name} cannot run: {reason}")


def _running(name: str) -> Callable[[pytest.TempPathFactory], Iterator[Address]]:
    """The fixture of a server of the table, whose name it has too."""

    @pytest.fixture(scope="session", name=name.replace("-", "_"))
    def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
        server = start(name, tmp_path_factory.mktemp(name))
        try:
            address = server.__enter__()
        except UnavailableError as reason:
            _missing(name, reason)
        try:
            yield address
        finally:
            server.__exit__(None, None, None)

    return running


# libSQL's server, open to everybody on this machine.
sqld = _running("sqld")
# libSQL's server with tokens: its ``extra`` has those that may only read and that are wrong.
sqld_jwt = _running("sqld-jwt")
# PostgreSQL with pgvector; its user may create databases.
postgres = _running("postgres")
# DynamoDB: an emulator, whose ``extra`` has its address, or the table that is named.
dynamodb = _running("dynamodb")
# The REST API of Upstash; its ``extra`` has a token that may only read.
upstash = _running("upstash")
# A Redis server by its own protocol.
redis = _running("redis")
# Upstash Vector with cosines; searches see at once what was stored.
upstash_vector = _running("upstash-vector")
# Upstash Vector with distances; searches see later what was stored.
upstash_vector_euclidean = _running("upstash-vector-euclidean")
# A MongoDB replica set: with transactions.
mongodb = _running("mongodb")
# A MongoDB server that is no replica set: without transactions.
mongodb_standalone = _running("mongodb-standalone")
# Another server of MongoDB's protocol, without transactions.
mongoeco = _running("mongoeco")
# The REST API of Qdrant over the local mode of its client, or the server that is named.
qdrant = _running("qdrant")
# Chroma's own server, with a folder of its own.
chroma = _running("chroma")
# A double of Pinecone's API, as its ``extra`` says, or the service itself by ``PINECONE_API_KEY``.
pinecone = _running("pinecone")
# Cloudflare D1 in workerd, behind its REST API; ``extra`` has a token that may only read.
d1 = _running("d1")
# The Worker that mastra-cloudflare ships, in workerd.
durable_objects = _running("durable-objects")
# SQL Server's protocol and SQL, translated for PostgreSQL; its ``extra`` has what is beneath.
mssql = _running("mssql")
# ClickHouse by its HTTP interface; the URL names a user who may create databases.
clickhouse = _running("clickhouse")
# Convex's test runtime with our functions; each path of its URL is a deployment of its own.
convex = _running("convex")


@pytest.fixture(scope="session")
def npm_packages() -> Path:
    """The folder of the packages from npm, TypeScript among them."""
    try:
        return npm.install()
    except UnavailableError as reason:
        _missing("npm", reason)
