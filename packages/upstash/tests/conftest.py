"""Upstash's REST API and Redis itself, for the contract that every adapter passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from mastra_upstash import UpstashStore

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
def storage_factory(upstash: Address) -> Factory:
    """Stores over the REST API."""
    return factory(upstash)


@pytest.fixture(scope="session")
def redis_factory(redis: Address) -> Factory:
    """Stores over the protocol of Redis."""
    return factory(redis)
