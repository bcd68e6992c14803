"""Durable Objects as tests use them: the shipped Worker in Cloudflare's own runtime."""

from __future__ import annotations

from uuid import uuid4

import pytest

from mastra_cloudflare import CloudflareDOStore
from mastra_cloudflare.address import parts_of


def options_of(address) -> dict[str, str]:
    """What a store needs to know of a server."""
    return {**parts_of(address.url), **address.options}


class Factory:
    """Makes independent stores on one object, in this process and in others."""

    def __init__(self, options) -> None:
        self.options = options
        self.namespace = f"object-{uuid4().hex}"

    def __call__(self, **options) -> CloudflareDOStore:
        given = {**self.options, "namespace": self.namespace, **options}
        return CloudflareDOStore(id="conformance", **given)

    def empty(self) -> Factory:
        """The same on another object."""
        return Factory(self.options)


@pytest.fixture(scope="session")
def conformance_share(request: pytest.FixtureRequest) -> float:
    """A part of the sizes, since each call is a request of HTTP; all of them for a report."""
    return 1.0 if request.config.getoption("--conformance-report") else 0.05


@pytest.fixture(scope="session")
def storage_factory(durable_objects):
    """Stores on an object of this run."""
    return Factory(options_of(durable_objects))


@pytest.fixture
def factory(durable_objects):
    """Stores on an object of this test."""
    return Factory(options_of(durable_objects))
