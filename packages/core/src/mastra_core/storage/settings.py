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


def check_secret(secret: str, what: str) -> None:
    """Refuse what no header of HTTP can carry; ``what`` it is, a token or a key, is told, it is not."""
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ConfigurationError(f"the {what} has characters that no {what} has; is it all of it?")
