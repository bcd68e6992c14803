"""What the tests of vector stores work with: instances, new indexes, and operations made visible."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import Callable, Generator
from typing import Any, Final
from uuid import uuid4

import pytest

from mastra_conformance.lab import Facts, Settings, version_of
from mastra_core.errors import MastraError
from mastra_core.vector import MastraVector
from mastra_core.vector.schema import METRICS, Metric

# What an adapter implements: every request that it sends is sent by one of these.
OPERATIONS: Final = (
    "_find_index",
    "_create_index",
    "_list_indexes",
    "_count",
    "_delete_index",
    "_upsert",
    "_query",
    "_update",
    "_delete",
)


class VectorSite:
    """The vector store under test, for a whole module: its factory, and what was learned."""

    def __init__(
        self, factory: Callable[[], MastraVector], settings: Settings, *, url: str | None = None
    ) -> None:
        self.factory = factory
        self.settings = settings
        self.url: str | None = url or getattr(factory, "url", None)
        self.facts = Facts()

    def make(self) -> MastraVector:
        """A new, independent instance on the database that all of them share."""
        store = self.factory()
        if not isinstance(store, MastraVector):
            raise pytest.UsageError(
                "vector_factory must return a synchronous callable that makes a MastraVector, "
                f"not {type(store).__name__}"
            )
        if not self.facts.adapter:
            package = type(store).__module__.partition(".")[0]
            self.facts.adapter = f"{package}.{type(store).__name__}"
            self.facts.version = version_of(package)
            self.facts.metrics = sorted(store.metrics)
            self.facts.operators = sorted(store.operators)
            self.facts.exact = store.exact
        return store


class VectorLab:
    """What one test works with; its instances are closed and its indexes deleted behind it."""

    def __init__(self, site: VectorSite) -> None:
        self.site = site
        self.settings = site.settings
        self.not_run_because = ""
        self._opened: list[MastraVector] = []
        self._named: list[str] = []
        self.store = self.open()

    def open(self) -> MastraVector:
        """Another instance on the same database, independent of the others."""
        store = self.site.make()
        self._opened.append(store)
        return store

    def name(self) -> str:
        """A name for an index that nobody else has; the index is deleted behind the test."""
        name = index_name(self.store)
        self._named.append(name)
        return name

    async def index(self, dimension: int = 3, metric: Metric | None = None) -> str:
        """A new, empty index; of cosine, where nothing is said and the store has it."""
        name = self.name()
        chosen = metric or some_metric(self.store)
        await self.store.create_index(name, dimension=dimension, metric=chosen)
        return name

    async def close(self) -> None:
        """Delete the indexes and close the instances."""
        cleaner = self.open()
        for name in self._named:
            with contextlib.suppress(MastraError):
                await cleaner.delete_index(name)
        for store in self._opened:
            await store.close()

    def measured(self, what: str, value: float) -> None:
        """Keep a number for the report."""
        self.site.facts.measured[what] = round(value, 4)


def index_name(store: MastraVector) -> str:
    """A name that nobody else has, of a form that the store takes."""
    stem = uuid4().hex[:20]
    for name in (f"suite_{stem}", f"suite-{stem}", f"suite{stem}", f"Suite{stem}"):
        if re.fullmatch(store.index_names, name):
            return name
    raise AssertionError(f"none of the suite's names matches index_names, {store.index_names}")


def some_metric(store: MastraVector) -> Metric:
    """The first metric that the store has."""
    return next(metric for metric in METRICS if metric in store.metrics)


@contextlib.contextmanager
def nothing_sent(store: MastraVector) -> Generator[None, None, None]:
    """Within it every operation of the adapter is a failure: what is refused must be so before."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("this was to be refused before anything is sent")

    for name in OPERATIONS:
        setattr(store, name, refuse)
    try:
        yield
    finally:
        for name in OPERATIONS:
            delattr(store, name)


def overlapping(store: MastraVector) -> MastraVector:
    """The store, with other tasks let in before and behind every operation, as a network does."""

    def around(operation: Callable[..., Any]) -> Callable[..., Any]:
        async def run(*given: Any) -> Any:
            for _ in range(random.randrange(3)):
                await asyncio.sleep(0)
            done = await operation(*given)
            for _ in range(random.randrange(3)):
                await asyncio.sleep(0)
            return done

        return run

    for name in OPERATIONS:
        setattr(store, name, around(getattr(store, name)))
    return store
