"""What the tests work with: instances of the adapter, fresh ids, wrappers, and what was measured."""

from __future__ import annotations

import base64
import contextlib
import copy
import pickle
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Generic, NoReturn, TypeVar
from uuid import uuid4

import msgspec
import pytest

from mastra_core.errors import MastraError
from mastra_core.plugins import open_storage
from mastra_core.storage.backend import Backend, Capability
from mastra_core.storage.domain import StorageDomain
from mastra_core.storage.store import DOMAINS, MastraStorage

B = TypeVar("B", bound=Backend)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of a run: rows of the budgets, rounds of races, seconds of the model, the seed."""

    rows: int = 100_000
    rounds: int = 25
    seconds: float = 20.0
    seed: int = 0

    def part(self, share: float) -> Settings:
        """So much of these sizes; of each at least what shows anything at all."""
        if not 0 < share <= 1:
            raise pytest.UsageError(
                f"the share of the sizes of a run must be above 0 and at most 1, not {share}"
            )
        return msgspec.structs.replace(
            self,
            rows=max(min(self.rows, 5000), int(self.rows * share)),
            rounds=max(min(self.rounds, 2), int(self.rounds * share)),
            seconds=max(min(self.seconds, 1.0), self.seconds * share),
        )


class Facts(msgspec.Struct, kw_only=True):
    """What a run learns about an adapter, for the report.

    Storage has a backend, a server, capabilities and domains; a vector store has the others.
    """

    adapter: str = ""
    version: str = ""
    backend: str = ""
    server: str = ""
    capabilities: list[str] = []
    domains: list[str] = []
    metrics: list[str] = []
    operators: list[str] = []
    exact: bool | None = None
    measured: dict[str, float] = {}


class Site:
    """The adapter under test, for a whole run: its factory, the sizes, and what was learned."""

    def __init__(
        self,
        factory: Callable[[], MastraStorage],
        settings: Settings,
        *,
        url: str | None = None,
        empty_url: str | None = None,
    ) -> None:
        self.factory = factory
        self.settings = settings
        self.url: str | None = url or getattr(factory, "url", None)
        self.empty: Callable[[], Callable[[], MastraStorage]] | None = (
            getattr(factory, "empty", None) if empty_url is None else lambda: _by_url(empty_url)
        )
        self.costs_differ: str = getattr(factory, "costs_differ", "")
        self.facts = Facts()
        self.met = False

    def make(self) -> MastraStorage:
        """A new, independent instance on the database that all of them share."""
        store = self.factory()
        if not isinstance(store, MastraStorage):
            raise pytest.UsageError(
                "storage_factory must return a synchronous callable that makes a MastraStorage, "
                f"not {type(store).__name__}"
            )
        if not self.facts.adapter:
            self._describe(store)
        return store

    def _describe(self, store: MastraStorage) -> None:
        package = type(store).__module__.partition(".")[0]
        domains = [domain for name in DOMAINS if (domain := store.get_store(name)) is not None]
        self.facts.adapter = f"{package}.{type(store).__name__}"
        self.facts.version = version_of(package)
        self.facts.domains = [domain.name for domain in domains]
        if domains:
            self.facts.backend = type(domains[0].backend).__name__
            self.facts.capabilities = sorted(c.name for c in domains[0].backend.capabilities)

    def elsewhere(self) -> dict[str, str] | None:
        """How another process makes an instance: a URL, or the pickled factory, if any."""
        if self.url is not None:
            return {"url": self.url}
        try:
            return {"factory": base64.b64encode(pickle.dumps(self.factory)).decode()}
        except (pickle.PicklingError, AttributeError, TypeError):
            return None


class Lab:
    """What one test works with; all instances that it opened are closed behind it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.settings = site.settings
        self.not_run_because = ""
        self._opened: list[MastraStorage] = []
        self.store = self.open()

    def open(self) -> MastraStorage:
        """Another instance on the same database, independent of the others."""
        store = self.site.make()
        self._opened.append(store)
        return store

    def empty(self) -> Callable[[], MastraStorage]:
        """A factory on a new, empty database; without a way to make one the test is not run."""
        made = self.site.empty
        if made is None:
            self.not_run(
                "no way to make an empty database: give the factory an attribute empty, or give "
                "--storage-empty with a URL in which {} stands for a new name"
            )
        return made()

    async def meet(self) -> None:
        """Ask the database once what it is, for the report."""
        facts = self.site.facts
        if not self.site.met:
            self.site.met = True
            with contextlib.suppress(MastraError, AssertionError):
                facts.server = await self.backend.server()

    async def close(self) -> None:
        """Close every instance that the test opened."""
        for store in self._opened:
            await store.close()

    @property
    def backend(self) -> Backend:
        """The backend of the test's first instance."""
        return backend_of(self.store)

    def declares(self, *capabilities: Capability) -> bool:
        """Whether the backend declares all of these."""
        return self.backend.capabilities.issuperset(capabilities)

    def not_run(self, reason: str) -> NoReturn:
        """Say that the adapter gives no way to run this test; the report has it as not run."""
        self.not_run_because = reason
        pytest.skip(reason)

    def measured(self, what: str, value: float) -> None:
        """Keep a number for the report."""
        self.site.facts.measured[what] = round(value, 4)


class Over(MastraStorage, Generic[B]):
    """An instance again, with its domains over wrappers around its backends."""

    def __init__(self, store: MastraStorage, wrap: Callable[[Backend], B]) -> None:
        wrappers: dict[int, B] = {}
        domains: dict[str, StorageDomain] = {}
        for name in DOMAINS:
            domain = store.get_store(name)
            if domain is None:
                continue
            inner = domain.backend
            if id(inner) not in wrappers:
                wrappers[id(inner)] = wrap(inner)
            domains[name] = copy.copy(domain)
            domains[name].backend = wrappers[id(inner)]
        super().__init__(id="wrapped", domains=domains)
        self.wrapper = next(iter(wrappers.values()))


def backend_of(store: MastraStorage) -> Backend:
    """The backend of the memory domain, else of the first domain that the instance has."""
    for name in DOMAINS:
        domain = store.get_store(name)
        if domain is not None:
            return domain.backend
    raise AssertionError(f"{store!r} has no domain at all")


def fresh(kind: str = "id") -> str:
    """An id that nobody else has: what keeps tests apart on a shared database."""
    return f"{kind}-{uuid4().hex}"


def _by_url(template: str) -> Callable[[], MastraStorage]:
    url = template.replace("{}", uuid4().hex)

    def factory() -> MastraStorage:
        return open_storage(url)

    factory.url = url  # type: ignore[attr-defined]
    return factory


def version_of(package: str) -> str:
    """The version of the distribution that has this package, if one has it."""
    try:
        return version(packages_distributions().get(package, [package])[0])
    except PackageNotFoundError:
        return ""
