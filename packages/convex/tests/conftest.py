"""Deployments with our functions, for the contract that every adapter passes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest
from convex.values import convex_to_json, json_to_convex

from mastra_convex import ConvexStore, ConvexVector

if TYPE_CHECKING:
    from backends import Address


# Writes documents of a table, and gives back all of them.
Documents = Callable[..., Awaitable[list[dict[str, Any]]]]


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


@pytest.fixture
def url(convex: Address) -> str:
    """A deployment of this test."""
    return f"{convex.url}/d/{uuid4().hex}"


@pytest.fixture
def documents(convex: Address, url: str) -> Documents:
    """Writes documents as they are, and gives back all of a table without Convex's own fields."""

    async def call(table: str, *written: dict[str, Any]) -> list[dict[str, Any]]:
        headers = {"authorization": f"Convex {convex.options['admin_auth_token']}"}
        async with httpx.AsyncClient(headers=headers, timeout=30) as client:

            async def ask(kind: str, **arguments: Any) -> Any:
                body = {
                    "path": f"documents:{'insert' if kind == 'mutation' else 'list'}",
                    "format": "convex_encoded_json",
                    "args": convex_to_json(arguments),
                }
                answer = (await client.post(f"{url}/api/{kind}", json=body)).json()
                assert answer["status"] == "success", answer
                return json_to_convex(answer["value"])

            if written:
                numbers = [{k: _number(v) for k, v in one.items()} for one in written]
                await ask("mutation", table=table, documents=numbers)
            found = await ask("query", table=table)
        return [{k: v for k, v in one.items() if not k.startswith("_")} for one in found]

    return call


def _number(value: Any) -> Any:
    # An int of Python is an int64 of Convex, and the framework writes numbers.
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
