"""Where a database is and how it is opened: options, checked before anything is done with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypedDict, cast

import msgspec

from mastra_core.errors import ConfigurationError
from mastra_core.storage.settings import only_known

OBJECT_STORES: Final = ("s3", "s3+ddb", "gs", "az")
SCHEMES: Final = ("lance",)
SHORTEST: Final = timedelta(seconds=10)


class LanceOptions(TypedDict, total=False):
    """How a database is opened.

    ``client`` is an ``AsyncConnection`` of lancedb, which is used as it is and never closed, in
    place of a ``uri``. ``storage_options`` are for object stores: credentials, region, endpoint, as
    lancedb takes them. ``timeout`` is how many seconds a write waits for other writers (30).
    ``optimize_every`` is after how many commits of a table it is optimized in the background (50;
    0: never). ``keep_versions`` is for how long versions of a table stay that are the latest no more
    (5 minutes, at least 10 seconds): what reads longer than that from one version fails.
    """

    client: Any
    storage_options: Mapping[str, str] | None
    timeout: float
    optimize_every: int
    keep_versions: timedelta


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a database, checked; ``folder`` is ``None`` in an object store."""

    uri: str
    folder: Path | None
    client: Any = None
    storage_options: Mapping[str, str] | None = None
    timeout: float = 30.0
    optimize_every: int = 50
    keep_versions: timedelta = timedelta(minutes=5)

    def __repr__(self) -> str:
        return f"Settings({self.uri!r})"


def checked(uri: str | Path | None, given: Mapping[str, Any]) -> Settings:
    """The options as given; what is unknown or makes no sense is a ``ConfigurationError``."""
    only_known("LanceDB", given, LanceOptions.__annotations__)
    client = given.get("client")
    if (uri is None) is (client is None):
        raise ConfigurationError("LanceDB needs a uri or a client: one of them")
    if client is not None:
        if given.get("storage_options") is not None:
            raise ConfigurationError("storage_options are the client's, which has them already")
        uri = cast("str", client.uri)
    place, folder = _place(uri)
    values = {name: value for name, value in given.items() if value is not None}
    for name, kind in (("timeout", (int, float)), ("optimize_every", int)):
        value = values.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, kind) or value < 0:
            raise ConfigurationError(f"LanceDB: {name} must be a number >= 0, not {value!r}")
    kept = values.get("keep_versions", SHORTEST)
    if not isinstance(kept, timedelta) or kept < SHORTEST:
        raise ConfigurationError(
            f"LanceDB: keep_versions must be a timedelta of 10 seconds or more, not {kept!r}"
        )
    return Settings(uri=place, folder=folder, **values)


def _place(uri: object) -> tuple[str, Path | None]:
    """The address as lancedb takes it, and the folder where it is one."""
    if isinstance(uri, Path):
        return _folder(uri.expanduser())
    if not isinstance(uri, str) or not uri.strip():
        raise ConfigurationError("uri must be a folder, as ./agents.lancedb, or an object store's")
    text = re.sub(r"^lance:(//(?=/))?", "", uri)
    scheme, found, _ = text.partition("://")
    if found and scheme.lower() in OBJECT_STORES:
        return text, None
    if found and scheme.lower() == "file":
        text = text.removeprefix("file://")
    elif found or not text:
        raise ConfigurationError(
            f"LanceDB is a folder or in an object store ({', '.join(OBJECT_STORES)}), not {scheme!r}; "
            "its cloud service (db://) is not supported"
        )
    return _folder(Path(text).expanduser())


def _folder(path: Path) -> tuple[str, Path]:
    if path.is_file():
        raise ConfigurationError(f"{path} is a file; a LanceDB database is a folder")
    return str(path), path
