"""Where a server is, and why there may be none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class UnavailableError(Exception):
    """A server cannot run here; the text says what is missing."""


class NoSuchServerError(UnavailableError):
    """Nobody has made this server for this Python, which is no fault where servers are required."""


class Address(NamedTuple):
    """A running server: ``open_storage(url, **options)`` connects to it.

    ``extra`` is what only this server has, such as a token that may only read.
    """

    url: str
    options: Mapping[str, str] = {}
    extra: Mapping[str, str] = {}
