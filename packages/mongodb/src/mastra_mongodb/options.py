"""What a store is made of, checked: the options, and what a URL says besides the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict
from urllib.parse import unquote, urlsplit

from mastra_core.errors import ConfigurationError

if TYPE_CHECKING:
    from mastra_mongodb.client import Client

SCHEMES = ("mongodb", "mongodb+srv")
# What MongoDB allows in no name of a database, on any system.
FORBIDDEN = '/\\. "$*<>:|?\0'


class MongoDBVectorOptions(TypedDict, total=False):
    """Where the data is.

    Either ``url`` (``mongodb://…`` or ``mongodb+srv://…``, with every option of the driver) or a
    ``client``, which is never closed. ``db_name`` may be left out where the URL names a database.
    """

    url: str | None
    db_name: str | None
    client: Client | None


class MongoDBOptions(MongoDBVectorOptions, total=False):
    """Where the data is, and how it is written.

    ``retry_seconds`` is how long a write is tried again, or waits, while others change the same rows (10).
    ``skip_default_indexes`` leaves all indexes to you but those that keep keys unique.
    """

    retry_seconds: float
    skip_default_indexes: bool


def hosts_and_database(url: object) -> tuple[str, str | None]:
    """The servers of a URL and the database that it names, if it names one."""
    if not isinstance(url, str) or not url.strip():
        raise ConfigurationError("give url='mongodb://…', or an AsyncMongoClient as client")
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ConfigurationError(
            f"MongoDB has no {parts.scheme!r} URLs; use mongodb:// or mongodb+srv://"
        )
    hosts = parts.netloc.rpartition("@")[2]
    if not hosts:
        raise ConfigurationError(
            f"{parts.scheme}:// needs a host, as in {parts.scheme}://db.example"
        )
    return hosts, unquote(parts.path.lstrip("/")) or None


def database(name: object) -> str:
    """The name of a database, if it can be one."""
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(
            "db_name must be given (or named by the URL, as in mongodb://db.example/mastra)"
        )
    if len(name.encode()) > 63 or set(name) & set(FORBIDDEN):
        raise ConfigurationError(
            f"{name!r} cannot be the name of a database: at most 63 bytes, without {FORBIDDEN[:-1]}"
        )
    return name
