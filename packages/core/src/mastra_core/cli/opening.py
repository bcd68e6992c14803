"""Stores as the command line opens them: by URL, never making one that is only to be read."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from mastra_core.cli.redaction import secrets, shown
from mastra_core.errors import ConfigurationError
from mastra_core.plugins import open_storage, scheme_of
from mastra_core.storage.examination import backends
from mastra_core.storage.store import MastraStorage


def url_of(given: str) -> str:
    """The URL that was given, or that is in the variable NAME where ``env:NAME`` was."""
    scheme, _, name = given.partition(":")
    if scheme == "env":
        found = os.environ.get(name, "")
        if not found:
            raise ConfigurationError(f"there is no URL in the environment's {name!r}")
        given = found
    secrets.learn(given)
    return given


@asynccontextmanager
async def opened(
    given: str, *, make: bool = False, set_up: bool = False
) -> AsyncGenerator[MastraStorage, None]:
    """The store of a URL, closed at the end.

    Without ``make`` a file must be there: a mistyped name is an error, not an empty store. Without
    either, no table or index is made in databases that can be read without.
    """
    url = url_of(given)
    if scheme_of(url) == "file" and not make:
        path = _path(url)
        if path.name != ":memory:" and not path.exists():
            raise ConfigurationError(f"there is no file {path}")
    storage = open_storage(url)
    try:
        if not (make or set_up):
            for backend, _ in backends(storage):
                backend.auto_setup = await backend.lacking() is None
        yield storage
    finally:
        await storage.close()


def _path(url: str) -> Path:
    rest = url.partition(":")[2].partition("?")[0]
    return Path(re.sub(r"^//(?=/)", "", rest)).expanduser()


def identity(given: str) -> str:
    """What tells a store from others, without its secrets: for naming what is kept of a copy.

    Parameters belong to it: a prefix of tables, a region or an address may stand in them.
    """
    url = url_of(given)
    if scheme_of(url) == "file":
        return f"file:{_path(url).resolve()}"
    place = shown(url)
    return place if "://" in place else f"{Path.cwd()} {place}"


def same_store(first: str, second: str) -> bool:
    """Whether two URLs are of the same store, so far as they say."""
    ours, theirs = url_of(first), url_of(second)
    if scheme_of(ours) == scheme_of(theirs) == "file":
        return _path(ours).resolve() == _path(theirs).resolve()
    return ours == theirs
