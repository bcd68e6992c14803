"""Finding adapters: installed packages announce themselves by an entry point, and are loaded late.

An adapter's package has the entry point ``[project.entry-points.mastra] name = "module"``; the
module implements the hook ``mastra_adapter`` with ``@hookimpl`` and imports no driver.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pluggy

from mastra_core.errors import ConfigurationError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from mastra_core.storage.store import MastraStorage

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
    "d1": "mastra-cloudflare-d1",
    "durable-objects": "mastra-cloudflare",
    "convex": "mastra-convex",
    "dynamodb": "mastra-dynamodb",
    "lance": "mastra-lance",
    "mssql": "mastra-mssql",
    "clickhouse": "mastra-clickhouse",
}

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """What a package announces: its name, the URL schemes it takes, and how to connect.

    ``connect(url, **options)`` imports the driver and makes the store; ``drivers`` names the
    modules that nothing before it may import.
    """

    name: str
    schemes: tuple[str, ...]
    connect: Callable[..., MastraStorage]
    drivers: tuple[str, ...] = ()


class _Hooks:
    @hookspec
    def mastra_adapter(self) -> Adapter:  # type: ignore[empty-body]
        """Describe the adapter of this package."""


class Installed(msgspec.Struct, frozen=True):
    """All adapters by scheme, with the distributions that brought them, and what did not load."""

    adapters: Mapping[str, tuple[tuple[Adapter, str], ...]]
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
    found: dict[str, list[tuple[Adapter, str]]] = {}
    for point in entry_points(group=GROUP):
        distribution = point.dist.name if point.dist is not None else point.value
        try:
            adapter = _announced(manager, point)
        except Exception as error:  # noqa: BLE001 (whatever a foreign package raises)
            broken[distribution] = f"{type(error).__name__}: {error}"
            continue
        for scheme in adapter.schemes:
            found.setdefault(scheme, []).append((adapter, distribution))
    return Installed({scheme: tuple(brought) for scheme, brought in found.items()}, broken)


def _announced(manager: pluggy.PluginManager, point: EntryPoint) -> Adapter:
    plugin = point.load()
    manager.register(plugin, point.name)
    manager.check_pending()
    answers = manager.subset_hook_caller(
        "mastra_adapter", [p for p in manager.get_plugins() if p is not plugin]
    )()
    if len(answers) != 1 or not isinstance(answers[0], Adapter):
        raise ConfigurationError(f"{point.value} does not implement mastra_adapter() -> Adapter")
    return answers[0]


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
    candidates = installed().adapters.get(scheme, ())
    if len({distribution for _, distribution in candidates}) > 1:
        names = ", ".join(sorted({distribution for _, distribution in candidates}))
        raise ConfigurationError(f"several adapters take {scheme!r} URLs: {names}; uninstall one")
    if not candidates:
        raise ConfigurationError(_missing(scheme))
    return candidates[0][0].connect(url, **options)


def _missing(scheme: str) -> str:
    broken = installed().broken
    hint = f" (pip install {PACKAGES[scheme]})" if scheme in PACKAGES else ""
    if not hint:
        known = sorted({*PACKAGES, *installed().adapters})
        hint = f"; known schemes: {', '.join(known)}"
    failed = "".join(
        f"; {name} is installed but failed to load: {why}" for name, why in broken.items()
    )
    return f"no storage adapter for {scheme!r} URLs{hint}{failed}"
