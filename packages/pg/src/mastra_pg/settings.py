"""How a database is reached: options checked, without a driver, and never shown with a password."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypedDict

import msgspec

from mastra_core.errors import ConfigurationError
from mastra_core.storage.settings import only_known

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SCHEMES: Final = ("postgresql", "postgres")


class PostgresOptions(TypedDict, total=False):
    """Where the database is and how it is used.

    Either ``connection_string`` (a URL, or ``host=… dbname=…``), or ``host``, ``port``, ``user``,
    ``password`` and ``database`` (what is not given is libpq's default), or ``pool``, an
    ``AsyncConnectionPool`` of the caller's, which is used as it is and never closed.

    ``schema_name`` (``"public"``) is where the tables are. ``ssl`` is ``True`` (required),
    ``False``, or a mode such as ``"verify-full"``. ``min_size`` and ``max_size`` (0 and 10) bound
    the pool that all stores of the same settings share. ``statement_timeout`` (30) is how many
    seconds one statement may take, ``pool_timeout`` (10) how long a call waits for a connection,
    ``connect_timeout`` (5) how long connecting may take. ``prepared_statements=False`` is for
    poolers that give each transaction another session. ``default_indexes=False`` leaves out those
    indexes of the original that nothing here reads.
    """

    connection_string: str
    host: str
    port: int
    user: str
    password: str
    database: str
    pool: AsyncConnectionPool[Any]
    schema_name: str
    ssl: bool | str
    min_size: int
    max_size: int
    statement_timeout: float
    pool_timeout: float
    connect_timeout: float
    prepared_statements: bool
    default_indexes: bool


PARTS: Final = {
    "host": "host",
    "port": "port",
    "user": "user",
    "password": "password",
    "database": "dbname",
}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What stores share a pool by; two that are equal use the same connections."""

    target: tuple[tuple[str, str], ...] = ()
    place: str = ""
    min_size: int = 0
    max_size: int = 10
    statement_timeout: float = 30.0
    pool_timeout: float = 10.0
    connect_timeout: float = 5.0
    prepared: bool = True

    def __repr__(self) -> str:
        return f"Settings({self.place!r})"


def settings(given: PostgresOptions) -> Settings:
    """The checked settings of some options; what is wrong is a ``ConfigurationError``."""
    only_known("PostgreSQL", given, PostgresOptions.__annotations__)
    sizes = (given.get("min_size", 0), given.get("max_size", 10))
    if not all(isinstance(size, int) for size in sizes) or not 0 <= sizes[0] <= sizes[1] >= 1:
        raise ConfigurationError(f"the pool needs 0 <= min_size <= max_size >= 1, not {sizes}")
    common: dict[str, Any] = {
        "min_size": sizes[0],
        "max_size": sizes[1],
        "statement_timeout": _seconds(given, "statement_timeout", 30.0),
        "pool_timeout": _seconds(given, "pool_timeout", 10.0),
        "connect_timeout": _seconds(given, "connect_timeout", 5.0),
        "prepared": given.get("prepared_statements", True),
    }
    if "pool" in given:
        _refuse(given, "pool", {"connection_string", *PARTS, "ssl", "min_size", "max_size"})
        return Settings(place="a pool of the caller's", **common)
    target = _target(given)
    return Settings(target=tuple(sorted(target.items())), place=_place(target), **common)


def schema_name(given: PostgresOptions) -> str:
    """The schema of the tables; only a plain identifier, since it becomes part of statements."""
    name = given.get("schema_name", "public")
    if not isinstance(name, str) or re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", name) is None:
        raise ConfigurationError(
            f"schema_name {name!r} must be 1 to 63 letters, digits and _, not beginning with a digit"
        )
    return name


def _seconds(given: PostgresOptions, name: str, default: float) -> float:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise ConfigurationError(f"{name} must be a positive number of seconds, not {value!r}")
    return float(value)


def _refuse(given: PostgresOptions, instead: str, names: set[str]) -> None:
    both = sorted(names & set(given))
    if both:
        raise ConfigurationError(f"give either {instead} or {', '.join(both)}")


def _target(given: PostgresOptions) -> dict[str, str]:
    """The parameters of libpq."""
    text = given.get("connection_string")
    if text is None:
        if not PARTS.keys() & given.keys():
            raise ConfigurationError(
                "PostgreSQL needs a connection_string (postgresql://user:password@host/database), "
                "or host, user, password and database, or a pool"
            )
        target = {PARTS[name]: str(value) for name, value in given.items() if name in PARTS}
    else:
        _refuse(given, "connection_string", set(PARTS))
        target = _parsed(text)
    if not re.fullmatch(r"[0-9,]*", target.get("port", "")):
        raise ConfigurationError("the port of the server must be a number")
    mode = given.get("ssl")
    if isinstance(mode, bool):
        mode = "require" if mode else "disable"
    if mode is not None:
        if mode not in SSL_MODES:
            raise ConfigurationError(f"ssl must be True, False or one of {', '.join(SSL_MODES)}")
        target["sslmode"] = mode
    return target


def _parsed(text: object) -> dict[str, str]:
    from psycopg import Error  # noqa: PLC0415 (only a string needs the driver to be understood)
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    if not isinstance(text, str) or not text.strip():
        raise ConfigurationError("connection_string must be postgresql://user:password@host/name")
    scheme, separator, _ = text.partition("://")
    if separator and scheme not in SCHEMES:
        raise ConfigurationError(f"PostgreSQL has no {scheme!r} URLs; use postgresql://")
    try:
        found = conninfo_to_dict(text)
    except Error:
        # The driver's text may quote what was given, with the password in it.
        raise ConfigurationError(
            "connection_string cannot be understood; it should be "
            "postgresql://user:password@host:5432/database?sslmode=require, with %XX for special "
            "characters of the password, and only parameters that libpq knows"
        ) from None
    return {name: str(value) for name, value in found.items() if value is not None}


def _place(target: dict[str, str]) -> str:
    host, port = target.get("host", ""), target.get("port", "")
    return f"{host}{':' + port if port else ''}/{target.get('dbname', '')}"
