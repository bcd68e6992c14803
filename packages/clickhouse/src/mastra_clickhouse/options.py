"""How a server is reached: options checked, without a driver, and never shown with a password."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypedDict
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from mastra_core.errors import ConfigurationError, InvalidArgumentError
from mastra_core.storage.paging import options as as_struct
from mastra_core.storage.settings import only_known

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
PREFIX: Final = re.compile(r"[A-Za-z0-9_]{0,40}")
# As the original names them, and what a server calls itself.
SCHEMES: Final = {"http": False, "https": True, "clickhouse": False, "clickhouses": True}
PORTS: Final = {False: 8123, True: 8443}
FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}


class Replication(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """Tables that a cluster keeps on several servers.

    With ``cluster`` every definition is sent to all of its servers (``ON CLUSTER``). The path and
    the replica's name may have the server's macros in them, as the defaults have.
    """

    cluster: str = ""
    zookeeper_path: str = "/clickhouse/tables/{shard}/{database}/{table}"
    replica_name: str = "{replica}"


class Connection(TypedDict, total=False):
    """Where the server is and how it is used.

    Either ``url`` (``https://host:8443``, ``clickhouse://user:password@host/database``) with
    ``username``, ``password`` and ``database``, or ``client``, an ``AsyncClient`` of
    ``clickhouse-connect``, which is used as it is and never closed (a client belongs to one event
    loop). ``table_prefix`` comes before the names of all tables. ``replication`` makes replicated
    tables. ``timeout`` is how many seconds one request may take (30). ``create_database`` allows to
    create a database that is not there.
    """

    url: str
    username: str
    password: str
    database: str
    client: Any
    table_prefix: str
    replication: Replication | Mapping[str, Any] | None
    timeout: float
    create_database: bool


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a store, checked; see ``Connection``."""

    host: str = ""
    port: int = 8123
    secure: bool = False
    username: str = "default"
    password: str = ""
    database: str = "default"
    client: Any = None
    prefix: str = ""
    replication: Replication | None = None
    timeout: float = 30.0
    create_database: bool = False

    @property
    def place(self) -> str:
        """Where the tables are, as it may be shown to anybody."""
        if self.client is not None:
            return "a client of the caller's"
        return f"{self.host}:{self.port}/{self.database}"

    def __repr__(self) -> str:
        return f"Options({self.place!r})"


def checked(given: Connection) -> Options:
    """The options as given; what is unknown or makes no sense is a ``ConfigurationError``."""
    only_known("ClickHouse", given, Connection.__annotations__)
    timeout = given.get("timeout", 30.0)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0:
        raise ConfigurationError(f"timeout must be a positive number of seconds, not {timeout!r}")
    prefix = given.get("table_prefix", "")
    if not isinstance(prefix, str) or PREFIX.fullmatch(prefix) is None:
        raise ConfigurationError(
            f"table_prefix {prefix!r} must be at most 40 letters, digits and underscores"
        )
    common: dict[str, Any] = {
        "prefix": prefix,
        "timeout": float(timeout),
        "replication": _replication(given.get("replication")),
        "create_database": bool(given.get("create_database", False)),
    }
    client = given.get("client")
    if client is not None:
        both = sorted({"url", "username", "password", "database"} & set(given))
        if both:
            raise ConfigurationError(f"give either client or {', '.join(both)}")
        return Options(client=client, **common)
    return Options(**{**common, **_place(given)})


def _place(given: Connection) -> dict[str, Any]:
    url = given.get("url")
    if not isinstance(url, str) or not url:
        raise ConfigurationError("ClickHouse needs a url, as https://host:8443, or a client")
    found = from_url(url)
    for name in ("username", "password", "database"):
        value: Any = given.get(name)
        if value is not None:
            if not isinstance(value, str):
                raise ConfigurationError(f"{name} must be text, not {type(value).__name__}")
            found[name] = value
    if NAME.fullmatch(found.get("database", "default")) is None:
        raise ConfigurationError(
            f"database {found['database']!r} must be 1 to 63 letters, digits and underscores, not "
            "beginning with a digit"
        )
    return found


def from_url(url: str) -> dict[str, Any]:
    """The options in a URL; its password is in no error."""
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError("the url of ClickHouse is none; write https://host:8443") from None
    if scheme not in SCHEMES or not host:
        raise ConfigurationError(
            f"a url of ClickHouse begins with {', '.join(SCHEMES)} and has a host, unlike {scheme}:"
        )
    found: dict[str, Any] = {"host": host, "secure": SCHEMES[scheme]}
    for option, value in parse_qsl(parts.query, keep_blank_values=True):
        if option not in {"secure", "create_database"} or value.lower() not in FLAGS:
            raise ConfigurationError(
                f"a url of ClickHouse takes secure and create_database, true or false; not {option}"
            )
        found[option] = FLAGS[value.lower()]
    found["port"] = PORTS[found["secure"]] if port is None else port
    if parts.username:
        found["username"] = unquote(parts.username)
    if parts.password:
        found["password"] = unquote(parts.password)
    if parts.path.strip("/"):
        found["database"] = unquote(parts.path.strip("/"))
    return found


def _replication(given: Any) -> Replication | None:
    if given is None:
        return None
    try:
        found: Replication = as_struct(Replication, given, "replication")
    except InvalidArgumentError as error:
        raise ConfigurationError(f"ClickHouse: {error}") from None
    for name in ("cluster", "zookeeper_path", "replica_name"):
        value = getattr(found, name)
        if not all(32 <= ord(sign) < 127 for sign in value) or (name != "cluster" and not value):
            raise ConfigurationError(f"replication: {name} cannot be {value!r}")
    return found
