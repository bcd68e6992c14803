"""Finding adapters: installed packages announce themselves by an entry point, and are loaded late.

An adapter's package has the entry point ``[project.entry-points.mastra] name = "module"``; the
module implements the hook ``mastra_adapter``, ``mastra_vector_adapter`` or both with ``@hookimpl``, and
imports no driver.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import pluggy

from mastra_core.errors import ConfigurationError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from mastra_core.storage.store import MastraStorage
    from mastra_core.vector.base import MastraVector

GROUP: Final = "mastra"
# What to install for a scheme that no installed adapter takes.
PACKAGES: Final[Mapping[str, str]] = {
    "file": "mastra-libsql",
    ":memory:": "mastra-libsql",
    "libsql": "mastra-libsql",
    "http": "mastra-libsql",
    "https": "mastra-libsql",
    "ws": "mastra-libsql",
    "wss": "mastra-libsql",
    "postgres": "mastra-pg",
    "postgresql": "mastra-pg",
    "mongodb": "mastra-mongodb",
    "mongodb+srv": "mastra-mongodb",
    "upstash": "mastra-upstash",
    "redis": "mastra-upstash",
    "rediss": "mastra-upstash",
    "d1": "mastra-cloudflare-d1",
    "cloudflare-do": "mastra-cloudflare",
    "convex": "mastra-convex",
    "dynamodb": "mastra-dynamodb",
    "lance": "mastra-lance",
    "mssql": "mastra-mssql",
    "clickhouse": "mastra-clickhouse",
}

VECTOR_PACKAGES: Final[Mapping[str, str]] = {
    **{scheme: PACKAGES[scheme] for scheme in ("file", ":memory:", "libsql", "http", "https")},
    **{scheme: PACKAGES[scheme] for scheme in ("ws", "wss", "postgres", "postgresql", "mongodb")},
    **{scheme: PACKAGES[scheme] for scheme in ("mongodb+srv", "upstash", "convex", "lance")},
    "pinecone": "mastra-pinecone",
    "chroma": "mastra-chroma",
    "qdrant": "mastra-qdrant",
}
A = TypeVar("A")

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """What a package announces: its name, the URL schemes it takes, and how to connect.

    ``connect(url, **options)`` imports the driver and makes the store; ``drivers`` names the
    modules that nothing before it may import. ``backend`` names the class that declares capabilities and
    limits, as ``"mastra_x.backend:XBackend"``, for who wants to know them without a database.
    """

    name: str
    schemes: tuple[str, ...]
    connect: Callable[..., MastraStorage]
    drivers: tuple[str, ...] = ()
    backend: str = ""


class VectorAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """The same for a vector store; a package may announce an adapter, a vector store, or both.

    ``store`` names its class, which declares operators and metrics.
    """

    name: str
    schemes: tuple[str, ...]
    connect: Callable[..., MastraVector]
    drivers: tuple[str, ...] = ()
    store: str = ""


class _Hooks:
    @hookspec
    def mastra_adapter(self) -> Adapter:  # type: ignore[empty-body]
        """Describe the storage adapter of this package."""

    @hookspec
    def mastra_vector_adapter(self) -> VectorAdapter:  # type: ignore[empty-body]
        """Describe the vector store of this package."""


class Installed(msgspec.Struct, frozen=True):
    """All adapters by scheme, with the distributions that brought them, and what did not load."""

    adapters: Mapping[str, tuple[tuple[Adapter, str], ...]]
    vectors: Mapping[str, tuple[tuple[VectorAdapter, str], ...]]
    broken: Mapping[str, str]


def entry_points(group: str) -> Iterable[EntryPoint]:
    """The entry points of a group; what reads them takes a quarter of this package's import."""
    from importlib import metadata  # noqa: PLC0415

    return metadata.entry_points(group=group)


@functools.cache
def installed() -> Installed:
    """The adapters of all installed packages; one that fails to import does not stop the others."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(_Hooks)
    broken: dict[str, str] = {}
    adapters: dict[str, list[tuple[Adapter, str]]] = {}
    vectors: dict[str, list[tuple[VectorAdapter, str]]] = {}
    for point in entry_points(group=GROUP):
        distribution = point.dist.name if point.dist is not None else point.value
        try:
            announced = _announced(manager, point)
        except Exception as error:  # noqa: BLE001 (whatever a foreign package raises)
            broken[distribution] = f"{type(error).__name__}: {error}"
            continue
        for one in announced:
            for scheme in one.schemes:
                if isinstance(one, Adapter):
                    adapters.setdefault(scheme, []).append((one, distribution))
                else:
                    vectors.setdefault(scheme, []).append((one, distribution))
    return Installed(
        {scheme: tuple(brought) for scheme, brought in adapters.items()},
        {scheme: tuple(brought) for scheme, brought in vectors.items()},
        broken,
    )


def _announced(manager: pluggy.PluginManager, point: EntryPoint) -> list[Adapter | VectorAdapter]:
    """What the package of an entry point brings: an adapter, a vector store, or both."""
    plugin = point.load()
    manager.register(plugin, point.name)
    manager.check_pending()
    others = [other for other in manager.get_plugins() if other is not plugin]
    announced: list[Adapter | VectorAdapter] = []
    for hook, kind in (("mastra_adapter", Adapter), ("mastra_vector_adapter", VectorAdapter)):
        answers = manager.subset_hook_caller(hook, others)()
        if not all(isinstance(answer, kind) for answer in answers):
            raise ConfigurationError(f"{point.value}: {hook}() must return a {kind.__name__}")
        announced += answers
    if not announced:
        raise ConfigurationError(
            f"{point.value} implements neither mastra_adapter() -> Adapter nor "
            "mastra_vector_adapter() -> VectorAdapter"
        )
    return announced


def scheme_of(url: str) -> str:
    """The scheme of a storage URL; ``:memory:`` is its own."""
    if not isinstance(url, str) or not url:
        raise ConfigurationError("a storage URL must be a non-empty string, as file:./mastra.db")
    if url == ":memory:":
        return url
    scheme, colon, _ = url.partition(":")
    if not colon:
        raise ConfigurationError(
            "a storage URL needs a scheme: file:./mastra.db for a file, postgresql://… for a server"
        )
    return scheme.lower()


def open_storage(url: str, **options: Any) -> MastraStorage:
    """A store for the URL, made by whichever installed adapter takes its scheme.

    ``options`` are those of the adapter's store class. Nothing is connected yet. ``memory:`` is
    the store in this process's memory.
    """
    scheme = scheme_of(url)
    if scheme == "memory":
        from mastra_core.storage.store import InMemoryStore  # noqa: PLC0415 (loaded when needed)

        return InMemoryStore(**options)
    return _chosen(installed().adapters, scheme, PACKAGES, "storage").connect(url, **options)


def open_vector(url: str, **options: Any) -> MastraVector:
    """A vector store for the URL, made by whichever installed adapter takes its scheme.

    ``options`` are those of the adapter's class. Nothing is connected yet. ``memory:`` is the one
    in this process's memory.
    """
    scheme = scheme_of(url)
    if scheme == "memory":
        from mastra_core.vector.inmemory import InMemoryVector  # noqa: PLC0415 (loaded when needed)

        return InMemoryVector(**options)
    return _chosen(installed().vectors, scheme, VECTOR_PACKAGES, "vector store").connect(
        url, **options
    )


def _chosen(
    found: Mapping[str, tuple[tuple[A, str], ...]],
    scheme: str,
    packages: Mapping[str, str],
    what: str,
) -> A:
    """The one adapter for a scheme; several, or none, are an error that says what to do."""
    candidates = found.get(scheme, ())
    names = sorted({distribution for _, distribution in candidates})
    if len(names) > 1:
        raise ConfigurationError(
            f"several {what} adapters take {scheme!r} URLs: {', '.join(names)}; uninstall one"
        )
    if candidates:
        return candidates[0][0]
    hint = f" (pip install {packages[scheme]})" if scheme in packages else ""
    if not hint:
        hint = f"; known schemes: {', '.join(sorted({*packages, *found}))}"
    failed = "".join(
        f"; {name} is installed but failed to load: {why}"
        for name, why in installed().broken.items()
    )
    raise ConfigurationError(f"no {what} adapter for {scheme!r} URLs{hint}{failed}")
