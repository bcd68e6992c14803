"""D1 as tests use it: in Cloudflare's own runtime, with tables of their own for each factory."""

from __future__ import annotations

from uuid import uuid4

import pytest

from mastra_cloudflare_d1 import D1Store
from mastra_cloudflare_d1.address import parts_of


class Factory:
    """Makes independent stores on tables with one prefix, in this process and in others."""

    def __init__(self, address) -> None:
        self.address = address
        self.options = {**parts_of(address.url), **address.options}
        self.prefix = f"t{uuid4().hex[:12]}_"

    def __call__(self, **options) -> D1Store:
        given = {**self.options, "table_prefix": self.prefix, **options}
        return D1Store(id="conformance", **given)

    def empty(self) -> Factory:
        """The same with another prefix."""
        return Factory(self.address)


@pytest.fixture(scope="session")
def storage_factory(d1):
    """Stores on tables of this run."""
    return Factory(d1)


@pytest.fixture
def factory(d1):
    """Stores on tables of this test."""
    return Factory(d1)
