"""How a database is reached: options checked, without a driver, and never shown with a password."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypedDict
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from mastra_core.errors import ConfigurationError
from mastra_core.storage.settings import only_known

SCHEMES: Final = ("mssql", "sqlserver")
DRIVERS: Final = ("mssql-python", "pyodbc")


class MSSQLOptions(TypedDict, total=False):
    """Where the database is and how it is used.

    Either ``connection_string`` (``mssql://user:password@host:1433/database``, or
    ``Server=…;Database=…;User Id=…;Password=…``), or ``server``, ``port``, ``database``, ``user``
    and ``password``, or ``connection``, one of the caller's, which is used by one call at a time
    and never closed.

    ``schema_name`` (``"dbo"``) is where the tables are. ``driver`` is ``"mssql-python"`` or
    ``"pyodbc"``; ``odbc_driver`` is the name or file of the ODBC driver that pyodbc loads.
    ``encrypt`` (``True``) and ``trust_server_certificate`` (``False``) are for ``server``.
    ``max_size`` (10) is how many connections are opened at most. ``statement_timeout`` (30) is how
    many seconds a call may take, ``pool_timeout`` (10) how long it waits for a connection,
    ``connect_timeout`` (5) how long connecting may take. ``default_indexes=False`` leaves out the
    original's own indexes, which nothing here reads.
    """

    connection_string: str
    server: str
    port: int
    database: str
    user: str
    password: str
    encrypt: bool
    trust_server_certificate: bool
    connection: Any
    schema_name: str
    driver: str
    odbc_driver: str
    max_size: int
    statement_timeout: float
    pool_timeout: float
    connect_timeout: float
    default_indexes: bool


PARTS: Final = (
    "server",
    "port",
    "database",
    "user",
    "password",
    "encrypt",
    "trust_server_certificate",
)
# The words of ADO.NET and of URLs, as ODBC spells them.
NAMES: Final[Mapping[str, str]] = {
    "server": "SERVER",
    "datasource": "SERVER",
    "address": "SERVER",
    "addr": "SERVER",
    "networkaddress": "SERVER",
    "database": "DATABASE",
    "initialcatalog": "DATABASE",
    "uid": "UID",
    "user": "UID",
    "userid": "UID",
    "username": "UID",
    "pwd": "PWD",
    "password": "PWD",
    "encrypt": "Encrypt",
    "trustservercertificate": "TrustServerCertificate",
    "authentication": "Authentication",
    "trustedconnection": "Trusted_Connection",
    "integratedsecurity": "Trusted_Connection",
    "multisubnetfailover": "MultiSubnetFailover",
    "applicationintent": "ApplicationIntent",
    "hostnameincertificate": "HostNameInCertificate",
    "servercertificate": "ServerCertificate",
    "packetsize": "PacketSize",
    "connectretrycount": "ConnectRetryCount",
    "connectretryinterval": "ConnectRetryInterval",
    "keepalive": "KeepAlive",
    "keepaliveinterval": "KeepAliveInterval",
    "ipaddresspreference": "IpAddressPreference",
    "serverspn": "ServerSPN",
}
# What the store says itself, or has another option for.
IGNORED: Final = frozenset(
    {"driver", "app", "applicationname", "connectiontimeout", "connecttimeout"}
)
_BOOLEANS: Final = {"true": "yes", "false": "no", "sspi": "yes"}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What stores share connections by; two that are equal use the same ones."""

    target: tuple[tuple[str, str], ...] = ()
    place: str = ""
    driver: str = DRIVERS[0]
    odbc_driver: str = "ODBC Driver 18 for SQL Server"
    max_size: int = 10
    statement_timeout: float = 30.0
    pool_timeout: float = 10.0
    connect_timeout: float = 5.0

    def __repr__(self) -> str:
        return f"Settings({self.place!r})"


def settings(given: MSSQLOptions) -> Settings:
    """The checked settings of some options; what is wrong is a ``ConfigurationError``."""
    only_known("SQL Server", given, MSSQLOptions.__annotations__)
    size, driver = given.get("max_size", 10), given.get("driver", DRIVERS[0])
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ConfigurationError(f"max_size must be at least 1, not {size!r}")
    if driver not in DRIVERS:
        raise ConfigurationError(f"driver must be {' or '.join(DRIVERS)}, not {driver!r}")
    common: dict[str, Any] = {
        "driver": driver,
        "max_size": size,
        "statement_timeout": _seconds(given, "statement_timeout", 30.0),
        "pool_timeout": _seconds(given, "pool_timeout", 10.0),
        "connect_timeout": _seconds(given, "connect_timeout", 5.0),
    }
    if "odbc_driver" in given:
        common["odbc_driver"] = given["odbc_driver"]
    if "connection" in given:
        _refuse(given, "connection", {"connection_string", *PARTS, "max_size", "driver"})
        common["max_size"] = 1
        return Settings(place="a connection of the caller's", **common)
    target = _target(given)
    place = f"{target['SERVER']}/{target.get('DATABASE', '')}"
    return Settings(target=tuple(sorted(target.items())), place=place, **common)


def schema_name(given: MSSQLOptions) -> str:
    """The schema of the tables; only a plain identifier, since it becomes part of statements."""
    name = given.get("schema_name", "dbo")
    if not isinstance(name, str) or re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", name) is None:
        raise ConfigurationError(
            f"schema_name {name!r} must be 1 to 63 letters, digits and _, not beginning with a digit"
        )
    return name


def connection_string(settings: Settings) -> str:
    """What the driver connects with; every value is quoted, whatever is in it."""
    parts = dict(settings.target)
    if settings.driver == "pyodbc":
        parts = {"DRIVER": settings.odbc_driver, **parts, "APP": "mastra"}
    return ";".join([f"{name}={_quoted(value)}" for name, value in parts.items()])


def _quoted(value: str) -> str:
    plain = re.fullmatch(r"[A-Za-z0-9_.,:\\/-]*", value) is not None
    return value if plain else "{" + value.replace("}", "}}") + "}"


def _seconds(given: MSSQLOptions, name: str, default: float) -> float:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise ConfigurationError(f"{name} must be a positive number of seconds, not {value!r}")
    return float(value)


def _refuse(given: MSSQLOptions, instead: str, names: set[str]) -> None:
    both = sorted(names & set(given))
    if both:
        raise ConfigurationError(f"give either {instead} or {', '.join(both)}")


def _target(given: MSSQLOptions) -> dict[str, str]:
    """The keywords of ODBC."""
    text = given.get("connection_string")
    if text is not None:
        _refuse(given, "connection_string", set(PARTS))
        return _parsed(text)
    if "server" not in given:
        raise ConfigurationError(
            "SQL Server needs a connection_string (mssql://user:password@host:1433/database), or "
            "server, database, user and password, or a connection"
        )
    return _completed(
        {
            "SERVER": _address(given["server"], given.get("port")),
            "DATABASE": given.get("database", ""),
            "UID": given.get("user", ""),
            "PWD": given.get("password", ""),
            "Encrypt": "yes" if given.get("encrypt", True) else "no",
            "TrustServerCertificate": "yes" if given.get("trust_server_certificate") else "no",
        }
    )


def _address(host: str, port: object) -> str:
    if port is not None and (isinstance(port, bool) or not isinstance(port, int)):
        raise ConfigurationError("the port of the server must be a number")
    return f"{host},{port}" if port else host


def _completed(target: dict[str, str]) -> dict[str, str]:
    found = {name: str(value) for name, value in target.items() if value not in {"", None}}
    if "SERVER" not in found:
        raise ConfigurationError("the connection string names no server")
    return found


def _parsed(text: object) -> dict[str, str]:
    if not isinstance(text, str) or not text.strip():
        raise ConfigurationError("connection_string must be mssql://user:password@host/database")
    scheme, separator, _ = text.partition("://")
    if separator and "=" not in scheme:
        if scheme not in SCHEMES:
            raise ConfigurationError(f"SQL Server has no {scheme!r} URLs; use mssql://")
        return _from_url(text)
    target: dict[str, str] = {}
    for name, value in _pairs(text):
        _add(target, name, value)
    return _completed(target)


def _from_url(text: str) -> dict[str, str]:
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError:
        raise ConfigurationError("the port of the server must be a number") from None
    target = {
        "SERVER": _address(parts.hostname or "", port) if parts.hostname else "",
        "DATABASE": unquote(parts.path.removeprefix("/")),
        "UID": unquote(parts.username or ""),
        "PWD": unquote(parts.password or ""),
    }
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        _add(target, name, value)
    return _completed(target)


def _add(target: dict[str, str], name: str, value: str) -> None:
    word = re.sub(r"[ _]", "", name).lower()
    if word in IGNORED:
        return
    known = NAMES.get(word)
    if known is None:
        raise ConfigurationError(f"a connection string of SQL Server has no {name.strip()!r}")
    plain = value if known in {"SERVER", "DATABASE", "UID", "PWD"} else value.lower()
    value = value.removeprefix("tcp:") if known == "SERVER" else value
    target[known] = _BOOLEANS.get(plain, value)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """The keywords and values of ``name=value;name={va;lue}``."""
    at = 0
    while text[at:].strip(" ;"):
        found = re.compile(
            r"[\s;]*([^=;]+)=\s*(?:\{((?:[^}]|\}\})*)\}|([^;{][^;]*|))\s*(?:;|$)"
        ).match(text, at)
        if found is None:
            # What cannot be understood may have the password in it.
            raise ConfigurationError(
                "connection_string cannot be understood; it should be "
                "Server=host,1433;Database=…;User Id=…;Password={…};Encrypt=true"
            )
        braced, plain = found[2], found[3]
        value = braced.replace("}}", "}") if braced is not None else plain.strip()
        yield found[1], _unquoted(value) if braced is None else value
        at = found.end()


def _unquoted(value: str) -> str:
    """A value of ADO.NET, which may be in quotes."""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1].replace(value[0] * 2, value[0])
    return value
