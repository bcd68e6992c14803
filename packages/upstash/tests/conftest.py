"""Upstash's REST API and Redis itself, for the contract that every adapter passes."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import pytest_asyncio

from mastra_upstash import UpstashStore, UpstashVector

from .wire import Wire

if TYPE_CHECKING:
    from backends import Address


class Factory:
    """Makes independent stores on one database, in this process and in others."""

    def __init__(self, url: str, options: Mapping[str, str], prefix: str) -> None:
        self._url = url
        self._options = dict(options)
        self._prefix = prefix

    def __call__(self) -> UpstashStore:
        return UpstashStore(
            id="conformance", url=self._url, key_prefix=self._prefix, **self._options
        )

    def empty(self) -> Factory:
        """The same on an empty database: nothing has these keys."""
        return Factory(self._url, self._options, f"{uuid4().hex}:")


def factory(address: Address) -> Factory:
    """Stores on a part of a server that is this run's own."""
    return Factory(address.url, address.options, f"{uuid4().hex}:")


@pytest.fixture(scope="session")
def conformance_share(request: pytest.FixtureRequest) -> float:
    """A tenth of the sizes, since each call is a request of HTTP; all of them for a report."""
    return 1.0 if request.config.getoption("--conformance-report") else 0.1


@pytest.fixture(scope="session")
def storage_factory(upstash: Address) -> Factory:
    """Stores over the REST API."""
    return factory(upstash)


@pytest.fixture(scope="session")
def redis_factory(redis: Address) -> Factory:
    """Stores over the protocol of Redis."""
    return factory(redis)


@pytest_asyncio.fixture
async def raw(tmp_path: Path) -> AsyncIterator[Any]:
    """A client of Redis on an empty database of its own, whose ``url`` it has."""
    # (Processes of the suite import this module for its factory, without the servers.)
    from backends.redis_server import direct

    with direct(tmp_path) as address:
        client = importlib.import_module("redis.asyncio").Redis.from_url(
            address.url, decode_responses=True
        )
        client.url = address.url
        yield client
        await client.aclose()


@pytest_asyncio.fixture
async def wire(upstash: Address) -> AsyncIterator[Wire]:
    """What passes between a store at ``wire.url`` and the REST API."""
    async with Wire(upstash.url) as opened:
        yield opened


@pytest_asyncio.fixture
async def store(wire: Wire, upstash: Address) -> AsyncIterator[UpstashStore]:
    """A store on the wire, with keys of its own, set up."""
    prefix = f"{uuid4().hex}:"
    async with UpstashStore(
        id="wired", url=wire.url, key_prefix=prefix, **upstash.options
    ) as opened:
        wire.requests.clear()
        yield opened


class VectorFactory:
    """Makes independent vector stores on one index of Upstash Vector."""

    def __init__(self, address: Address) -> None:
        host = address.url.partition("://")[2]
        plain = "&tls=0" if address.url.startswith("http:") else ""
        metric = address.options.get("metric", "cosine")
        self.url = f"upstash://:{address.options['token']}@{host}?metric={metric}{plain}"

    def __call__(self) -> UpstashVector:
        store = UpstashVector(id="conformance", url=self.url)
        # All who create the same index are on this machine, and need not be waited for that long.
        store.claim_seconds = 0.03
        return store


@pytest.fixture(scope="session")
def vector_factory(upstash_vector: Address) -> VectorFactory:
    """Vector stores on an index with cosines."""
    return VectorFactory(upstash_vector)
