"""The options of adapters, as callers and URLs give them."""

from __future__ import annotations

from collections.abc import Iterable

from mastra_core.errors import ConfigurationError


def only_known(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse options that are none; ``what`` has them: a database, or a kind of URL.

    ``**options`` typed by a ``TypedDict`` are checked by nobody at run time.
    """
    unknown = sorted(set(given).difference(known))
    if unknown:
        raise ConfigurationError(f"{what} has no option {', '.join(unknown)}")
