"""The two drivers, mssql-python and pyodbc: how each connects, and what happened when it fails."""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Sequence
from typing import Any, Final

from mastra_core.errors import (
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    InvalidArgumentError,
    LimitExceededError,
    SchemaError,
    StorageError,
    UnavailableError,
)
from mastra_core.storage.sql import Statement
from mastra_mssql.settings import Settings, connection_string

MODULES: Final = {"mssql-python": "mssql_python", "pyodbc": "pyodbc"}
# What a server undid for the sake of others: a deadlock, conflicts of snapshots, a lock held long.
UNDONE: Final = frozenset({1205, 3960, 3961, 3962, 1222})
# What those get who make the same table, index, column or schema at the same time.
MADE_TWICE: Final = frozenset({1205, 1913, 2705, 2714, 2759})

Meaning = tuple[type[StorageError], str]
# Errors that a batch gives as data, by the server's number.
NUMBERS: Final[dict[int, Meaning]] = {
    **dict.fromkeys((2627, 2601), (ConflictError, "a row with this key is stored")),
    **dict.fromkeys(
        UNDONE, (UnavailableError, "others changed the same rows for too long; try again")
    ),
    **dict.fromkeys(
        (2628, 8152), (LimitExceededError, "a text is longer than its column; nothing was written")
    ),
    **dict.fromkeys(
        (1946, 511), (LimitExceededError, "a row is larger than it may be; nothing was written")
    ),
    **dict.fromkeys((208, 207, 4902), (SchemaError, "the tables are not there; call init()")),
    **dict.fromkeys(
        (229, 230, 262, 297, 300, 2760), (StorageError, "the user lacks the right; grant it")
    ),
    **dict.fromkeys(
        (1105, 9002, 701, 802), (UnavailableError, "the server has no room left; try again later")
    ),
    **dict.fromkeys((3906, 3908), (StorageError, "the database can only be read")),
    **dict.fromkeys(
        (245, 241, 242, 8114, 8115, 232, 220),
        (InvalidArgumentError, "SQL Server does not take a value; nothing was written"),
    ),
}
# The same for what is raised, by the state (pyodbc's) or the driver's words for it (mssql-python's).
_BROKEN: Final = (
    r"\b(08\w{3}|HY010|IMC06)\b|[Cc]ommunication link|TCP Provider|[Cc]lient unable to establish"
    r"|Connection (not open|is closed|in use|failure)|[Cc]onnection .*broken|Server rejected"
)
STATES: Final[Sequence[tuple[str, type[StorageError], str]]] = (
    (
        r"\b28000\b|Invalid authorization|Login failed",
        AuthenticationError,
        "check user and password",
    ),
    (
        r"\b(40001|40003)\b|Serialization failure|Statement completion unknown",
        UnavailableError,
        "others changed the same rows for too long; try again",
    ),
    (
        r"\b(HYT00|HYT01|HY008)\b|[Tt]imeout expired|Operation cancell?ed|[Tt]imed out",
        UnavailableError,
        "it took longer than statement_timeout; nothing was written",
    ),
    (
        _BROKEN,
        UnavailableError,
        "the server cannot be reached, or the connection broke; try again",
    ),
    (
        r"\b(42S02|42S22)\b|(table or view|Column) not found|Invalid object name",
        SchemaError,
        "the tables are not there; call init()",
    ),
    (r"\b(3D000)\b|Cannot open database", StorageError, "there is no such database; create it"),
    (
        r"\b(22\w{3})\b|String data, right truncation|Numeric value out of range",
        InvalidArgumentError,
        "SQL Server does not take a value; nothing was written",
    ),
)


class ServerError(Exception):
    """An error that undid a batch, as the batch gives it: its number, text and statement."""

    def __init__(self, number: int, text: str, statement: Statement) -> None:
        super().__init__(text)
        self.number = number
        self.statement = statement


_loading = threading.Lock()


def load(name: str) -> Any:
    """The module of a driver."""
    try:
        # The first import of mssql-python looks for its libraries, which two must not do at once.
        with _loading:
            return importlib.import_module(MODULES[name])
    except ImportError as error:
        extra = "mastra-mssql[pyodbc]" if name == "pyodbc" else "mastra-mssql"
        raise ConfigurationError(
            f"the driver {name} cannot be loaded ({error}); pip install '{extra}', and the "
            "system's libltdl7 and libgssapi-krb5-2"
        ) from error


def connect(settings: Settings) -> Any:
    """A new connection, which commits by itself."""
    driver, text = load(settings.driver), connection_string(settings)
    login, bound = (
        max(1, round(settings.connect_timeout)),
        max(1, round(settings.statement_timeout)),
    )
    if settings.driver == "pyodbc":
        driver.pooling = False
    # (What both take here is the time for connecting, in seconds.)
    connection = driver.connect(text, autocommit=True, timeout=login)
    connection.timeout = bound
    return connection


def raised_by_a_driver(error: BaseException) -> bool:
    """Whether an error is one of a driver's."""
    return type(error).__module__.partition(".")[0] in MODULES.values()


def undone(error: BaseException) -> bool:
    """Whether the server undid it for the sake of others, so that it may be done again."""
    if isinstance(error, ServerError):
        return error.number in UNDONE
    pattern = r"\b40001\b|Serialization failure|Snapshot isolation transaction aborted"
    return raised_by_a_driver(error) and re.search(pattern, str(error)) is not None


def broken(error: BaseException) -> bool:
    """Whether the connection broke, so that what only reads may be done again on another."""
    return raised_by_a_driver(error) and re.search(_BROKEN, str(error)) is not None


def made_twice(error: BaseException) -> bool:
    """Whether somebody else made the same at the same time."""
    words = (
        r"\b(42S01|42S11|42S21|40001)\b|already (exists|an object|has)|must be unique"
        "|Serialization failure"
    )
    return raised_by_a_driver(error) and re.search(words, str(error)) is not None


def said(error: BaseException) -> str:
    """What a driver or the server said, without the driver's own prefixes."""
    text = str(error.args[-1]) if error.args else str(error)
    text = re.sub(r"Driver Error: |DDBC Error: |\[[\w .-]+\](?=\[|[A-Z])", "", text)
    return text.strip() or type(error).__name__
