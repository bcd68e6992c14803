"""D1 as tests use it: in Cloudflare's own runtime, with tables of their own for each factory."""

from __future__ import annotations

from uuid import uuid4

import pytest

from mastra_cloudflare_d1 import D1Store
from mastra_cloudflare_d1.address import parts_of


def options_of(address) -> dict[str, str]:
    """What a store needs to know of a server."""
    return {**parts_of(address.url), **address.options}


class Factory:
    """Makes independent stores on tables with one prefix, in this process and in others."""

    def __init__(self, options) -> None:
        self.options = options
        self.prefix = f"t{uuid4().hex[:12]}_"

    def __call__(self, **options) -> D1Store:
        given = {**self.options, "table_prefix": self.prefix, **options}
        return D1Store(id="conformance", **given)

    def empty(self) -> Factory:
        """The same with another prefix."""
        return Factory(self.options)


@pytest.fixture(scope="session")
def conformance_share(request: pytest.FixtureRequest) -> float:
    """A part of the sizes, since each call is a request of HTTP; all of them for a report."""
    return 1.0 if request.config.getoption("--conformance-report") else 0.05


@pytest.fixture(scope="session")
def storage_factory(d1):
    """Stores on tables of this run."""
    return Factory(options_of(d1))


@pytest.fixture
def factory(d1):
    """Stores on tables of this test."""
    return Factory(options_of(d1))
