"""Deployments with our functions, for the contract that every adapter passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mastra_convex import ConvexStore, ConvexVector

if TYPE_CHECKING:
    from backends import Address


class Factory:
    """Makes independent stores on one deployment, in this process and in others."""

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        self._url = url
        self.options = dict(options)

    def __call__(self) -> ConvexStore:
        # The test runtime takes long for a write of thousands of rows.
        return ConvexStore(id="conformance", deployment_url=self._url, timeout=120, **self.options)

    def empty(self) -> Factory:
        """The same on an empty deployment."""
        return Factory(
            f"{self._url.rpartition('/d/')[0] or self._url}/d/{uuid4().hex}", self.options
        )


@pytest.fixture(scope="session")
def conformance_share(request: pytest.FixtureRequest) -> float:
    """A part of the sizes: the test runtime checks every value of a write; all of them for a report."""
    return 1.0 if request.config.getoption("--conformance-report") else 0.05


@pytest.fixture(scope="session")
def storage_factory(convex: Address) -> Factory:
    """Stores on one deployment."""
    return Factory(convex.url, convex.options)


class VectorFactory:
    """Makes independent vector stores on one deployment."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self._url = url
        self._options = dict(options)

    def __call__(self) -> ConvexVector:
        return ConvexVector(id="conformance", deployment_url=self._url, **self._options)


@pytest.fixture(scope="session")
def vector_factory(convex: Address) -> VectorFactory:
    """Vector stores on one deployment."""
    return VectorFactory(convex.url, convex.options)
