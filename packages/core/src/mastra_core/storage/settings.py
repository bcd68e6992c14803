"""The options of adapters, as callers and URLs give them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote, urlsplit

from mastra_core.errors import ConfigurationError

# Where a server of one's own is, which has no certificate.
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def server_or_folder(
    url: object, what: str, *, scheme: str, port: int, secrets: str
) -> tuple[str, str | None]:
    """The address of a server that a URL names, or the folder: ``scheme:///path``.

    With the scheme of its own, ``what`` is asked by HTTPS except on this machine; ``port`` is the usual
    one. ``secrets`` names the options that are given in place of a user and password.
    """
    if not isinstance(url, str) or not url.strip():
        raise ConfigurationError(f"url must be the address of a {what} server")
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ConfigurationError(f"a {what} URL has no user and password; give {secrets}")
    if parts.scheme == scheme and not parts.netloc and parts.path not in ("", "/"):
        return "", unquote(parts.path)
    if parts.scheme not in (scheme, "http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"{what} has no {parts.scheme!r} URLs like this; use https://host:{port}"
        )
    spoken = parts.scheme
    if spoken == scheme:
        spoken = "http" if parts.hostname in LOOPBACK else "https"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{spoken}://{host}:{parts.port or port}{parts.path.rstrip('/')}", None


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
