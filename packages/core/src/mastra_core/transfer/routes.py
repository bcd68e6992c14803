"""Which tables there are to move, and between which backends."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mastra_core.errors import ConfigurationError
from mastra_core.storage.backend import Backend
from mastra_core.storage.domain import StorageDomain
from mastra_core.storage.schema import Table
from mastra_core.storage.store import DOMAINS, MastraStorage


class Route(msgspec.Struct, frozen=True):
    """A table, and where it comes from and goes to."""

    domain: str
    table: Table
    source: Backend
    target: Backend


def chosen(storage: MastraStorage, domains: Sequence[str] = ()) -> list[StorageDomain]:
    """The named domains of a store, or all that it has; one that is not there is an error."""
    names = domains or [name for name in DOMAINS if storage.get_store(name) is not None]
    found: list[StorageDomain] = []
    for name in names:
        if name not in DOMAINS:
            raise ConfigurationError(f"there is no domain {name!r}; known: {', '.join(DOMAINS)}")
        domain = storage.get_store(name)
        if domain is None:
            raise ConfigurationError(
                f"storage {storage.id!r} has no {name} domain; name the domains that there are"
            )
        found.append(domain)
    return found


def routes(
    source: MastraStorage, target: MastraStorage, domains: Sequence[str] = ()
) -> list[Route]:
    """The tables of the named domains, or of all of the source, which the target must have, too."""
    ours = chosen(source, domains)
    theirs = chosen(target, [domain.name for domain in ours])
    return [
        Route(one.name, table, one.backend, other.backend)
        for one, other in zip(ours, theirs, strict=True)
        for table in one.own()
    ]
