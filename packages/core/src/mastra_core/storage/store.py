"""``MastraStorage``: the domains of one application, on one backend or composed of several."""

from __future__ import annotations

import asyncio
import copy
import os
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal, NotRequired, Self, TypedDict, TypeVar

from mastra_core.errors import (
    ConfigurationError,
    DomainNotConfigured,
    InvalidArgumentError,
    StorageError,
)
from mastra_core.storage.backend import Backend
from mastra_core.storage.domain import StorageDomain
from mastra_core.storage.domains.datasets import DatasetsStorage
from mastra_core.storage.domains.experiments import ExperimentsStorage
from mastra_core.storage.domains.memory import MemoryStorage
from mastra_core.storage.domains.observability import ObservabilityStorage
from mastra_core.storage.domains.scores import ScoresStorage
from mastra_core.storage.domains.workflows import WorkflowsStorage
from mastra_core.storage.inmemory import InMemoryBackend
from mastra_core.storage.layers.base import Layer, layered
from mastra_core.storage.loops import Once
from mastra_core.storage.retention import Bounds, Policies, Pruned, policies, prune

D = TypeVar("D", bound=StorageDomain)

DOMAINS: Final[Mapping[str, type[StorageDomain]]] = {
    domain.name: domain
    for domain in (
        MemoryStorage,
        WorkflowsStorage,
        ScoresStorage,
        ObservabilityStorage,
        DatasetsStorage,
        ExperimentsStorage,
    )
}


class MastraStorage:
    """The storage of an application: for each domain where it is kept.

    ``domains`` names a domain each, or ``None`` or ``False`` to switch it off; what is not named
    comes from ``default``. Tables are created by the first use, unless ``disable_init`` (or the
    environment's ``MASTRA_DISABLE_STORAGE_INIT=true``) leaves that to an explicit ``init()``.
    ``retention`` says for each domain and table how long rows are kept; ``prune()`` applies it.

    As a context manager it closes what it is made of; using it again opens it again. What a caller
    opened and handed over (a client, a pool) is never closed.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        default: MastraStorage | None = None,
        domains: Mapping[str, StorageDomain | Literal[False] | None] | None = None,
        disable_init: bool = False,
        retention: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        if not isinstance(id, str) or not id.strip():
            raise ConfigurationError(f"{type(self).__name__}: id must be provided and not empty")
        if default is None and not domains:
            raise ConfigurationError(
                f"{type(self).__name__} {id!r} needs a default storage or at least one domain"
            )
        self.id = id
        self.default = default
        self._domains = _composed(id, default, domains or {})
        environment = os.environ.get("MASTRA_DISABLE_STORAGE_INIT", "").lower()
        self.disable_init = disable_init or environment == "true"
        self._init = Once()
        self._retention: dict[str, Policies] = {
            name: policies(self._domain(name, DOMAINS[_known(name)]), given)
            for name, given in (retention or {}).items()
        }
        if self.disable_init:
            for domain in self._domains.values():
                domain.backend.leave_setup()

    @property
    def memory(self) -> MemoryStorage:
        """Threads, messages and resources."""
        return self._domain("memory", MemoryStorage)

    @property
    def workflows(self) -> WorkflowsStorage:
        """Snapshots of workflow runs."""
        return self._domain("workflows", WorkflowsStorage)

    @property
    def scores(self) -> ScoresStorage:
        """What scorers judged."""
        return self._domain("scores", ScoresStorage)

    @property
    def observability(self) -> ObservabilityStorage:
        """Spans and traces."""
        return self._domain("observability", ObservabilityStorage)

    @property
    def datasets(self) -> DatasetsStorage:
        """Versioned items to evaluate against."""
        return self._domain("datasets", DatasetsStorage)

    @property
    def experiments(self) -> ExperimentsStorage:
        """Runs over datasets, and their results."""
        return self._domain("experiments", ExperimentsStorage)

    def get_store(self, name: str) -> StorageDomain | None:
        """The domain of this name, or ``None`` if this storage has none; never raises."""
        return self._domains.get(name)

    def _domain(self, name: str, kind: type[D]) -> D:
        domain = self._domains.get(name)
        if isinstance(domain, kind):
            return domain
        raise DomainNotConfigured(
            f"storage {self.id!r} has no {name} domain; give one in domains={{{name!r}: …}} or as "
            "part of a default storage"
        )

    def with_layers(self, *layers: Layer) -> Self:
        """The same storage with layers around its backends, the first nearest to the caller.

        This one stays as it is, and both are on the same connections: closing either closes them.
        """
        other = copy.copy(self)
        around = {id(d.backend): layered(d.backend, layers) for d in self._domains.values()}
        domains = {name: d.over(around[id(d.backend)]) for name, d in self._domains.items()}
        vars(other).update(_domains=domains, _init=Once())
        return other

    async def init(self) -> None:
        """Create what is missing of all domains' tables.

        Domains do not wait for each other: every one that can be set up is, and the error names
        each that could not.
        """
        await self._init.run(self._set_up)

    async def _set_up(self) -> None:
        names = list(self._domains)
        outcomes = await asyncio.gather(
            *(self._domains[name].init() for name in names), return_exceptions=True
        )
        failed = {n: o for n, o in zip(names, outcomes, strict=True) if isinstance(o, Exception)}
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
                raise outcome
        if failed:
            if len(set(map(str, failed.values()))) == 1 and len(failed) == len(names):
                raise next(iter(failed.values()))
            details = "; ".join(f"{name}: {error}" for name, error in failed.items())
            raise StorageError(f"storage {self.id!r} could not be set up: {details}")

    async def prune(
        self,
        *,
        max_batches: int | None = None,
        max_rows: int | None = None,
        pause: float = 0.0,
    ) -> list[Pruned]:
        """Delete what ``retention`` says is too old; what was deleted of each table.

        ``max_batches`` and ``max_rows`` bound the call, ``pause`` is seconds between batches. A
        bounded, cancelled or killed call is continued by the next one.
        """
        for bound in (max_batches, max_rows):
            if bound is not None and bound < 0:
                raise InvalidArgumentError(f"a bound of prune must be >= 0, not {bound}")
        bounds = Bounds(max_batches, max_rows, pause)
        return [
            await prune(self._domains[name], key, policy, bounds)
            for name, tables in self._retention.items()
            for key, policy in tables.items()
        ]

    async def close(self) -> None:
        """Close every domain's backend once; safe to call twice."""
        self._init.done = False
        backends = {id(d.backend): d.backend for d in self._domains.values()}
        outcomes = await asyncio.gather(
            *(backend.close() for backend in backends.values()), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def __aenter__(self) -> Self:
        if not self.disable_init:
            await self.init()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, domains={sorted(self._domains)})"


class StoreOptions(TypedDict):
    """What every adapter's store class takes beside the options of its database.

    ``disable_init`` leaves the creation of tables to an explicit ``init()``; ``retention`` says how
    long rows are kept.
    """

    id: str
    disable_init: NotRequired[bool]
    retention: NotRequired[Mapping[str, Mapping[str, Any]] | None]


class BackendStore(MastraStorage):
    """All domains on one backend: what an adapter's store class extends.

    ``backend`` is the adapter's own, also where domains have layers around it.
    """

    domain_types: ClassVar[Mapping[str, type[StorageDomain]]] = DOMAINS

    def __init__(
        self,
        backend: Backend,
        *,
        id: str,  # noqa: A002 (the original's name)
        disable_init: bool = False,
        retention: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.backend = backend
        domains = {name: kind(backend) for name, kind in self.domain_types.items()}
        super().__init__(id=id, domains=domains, disable_init=disable_init, retention=retention)


class InMemoryStore(BackendStore):
    """All domains in this process's memory: for tests and trials; gone when the process ends."""

    def __init__(
        self,
        *,
        id: str = "in-memory",  # noqa: A002 (the original's name)
        retention: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(InMemoryBackend(), id=id, retention=retention)


def _known(name: str) -> str:
    if name not in DOMAINS:
        raise ConfigurationError(f"there is no domain {name!r}; known: {', '.join(DOMAINS)}")
    return name


def _composed(
    store_id: str,
    default: MastraStorage | None,
    domains: Mapping[str, StorageDomain | Literal[False] | None],
) -> dict[str, StorageDomain]:
    """The domains that are switched on; a domain under the wrong name is refused."""
    found: dict[str, StorageDomain] = {}
    if default is not None:
        found = {n: d for n in DOMAINS if (d := default.get_store(n)) is not None}
    for name, domain in domains.items():
        kind = DOMAINS[_known(name)]
        if domain is None or domain is False:
            found.pop(name, None)
        elif isinstance(domain, kind):
            found[name] = domain
        else:
            raise ConfigurationError(
                f"storage {store_id!r}: domains[{name!r}] must be a {kind.__name__}, "
                f"not {type(domain).__name__}"
            )
    return found
