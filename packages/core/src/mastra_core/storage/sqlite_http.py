"""SQLite behind HTTP and JSON (Cloudflare's D1 and Durable Objects): what is common to both.

Numbers pass through JavaScript, where all are doubles, and what is bound as one is stored as REAL:
integers therefore travel as text, in both directions.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import httpx
import msgspec

from mastra_core.errors import (
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    LimitExceededError,
    StorageError,
    UnavailableError,
)
from mastra_core.storage.backend import Limits
from mastra_core.storage.http import Endpoint, RefusedError, unsent
from mastra_core.storage.schema import Column, ColumnType, Put, Table, Value
from mastra_core.storage.sql import Decoder, Dialect, Statement
from mastra_core.storage.sqlbackend import BatchBackend

Result = tuple[Sequence[Any], int]
VALUE_BYTES: Final = 2_000_000
PREFIX: Final = re.compile(r"[A-Za-z0-9_]*")
MAYBE: Final = "it is not known whether it was done; try again"
MESSAGES: Final[Sequence[tuple[str, type[StorageError], str]]] = (
    (r"(UNIQUE|PRIMARY KEY) constraint failed", ConflictError, "a row with this key is stored"),
    (r"TOOBIG|too big|HTTP 413", LimitExceededError, "a value or row is larger than 2 MB"),
    (r"too many SQL variables", LimitExceededError, "ask for less with one call"),
    (r"HTTP 40[13]\b", AuthenticationError, "check the token and what it may do"),
    (r"HTTP 404\b", StorageError, "check the address and the ids"),
    (r"HTTP 429\b|overloaded", UnavailableError, "too many requests; nothing was done, try again"),
    (r"HTTP 5\d\d\b|NETWORK|[Tt]ime(d )?out", UnavailableError, MAYBE),
    (r"no such (table|column)", StorageError, "the tables are not there; call init()"),
)


def _plain(value: Value) -> bool:
    """Whether SQLite reads a number exactly from its text; far from one it loses the last bit."""
    return not isinstance(value, float) or not value or 1e-5 < abs(value) < 1e15


def _integers(values: Sequence[Any]) -> Sequence[Any]:
    return [None if value is None else int(value) for value in values]


class JsonDialect(Dialect):
    """SQLite's SQL where values travel as JSON, with the column types of the original's D1."""

    types: ClassVar[Mapping[ColumnType, str]] = {
        **Dialect.types,
        "timestamp": "TIMESTAMP",
        "float": "FLOAT",
    }
    decoders: ClassVar[Mapping[ColumnType, Decoder]] = {
        **Dialect.decoders,
        "integer": _integers,
        "bigint": _integers,
    }
    bound_bytes: ClassVar[int | None] = VALUE_BYTES
    # SQLite behind HTTP does not tell its version.
    version: ClassVar[str] = "SELECT 'SQLite'"

    def bound(self, params: list[Any], value: Any) -> str:
        """Bind text, or a double; absent ones need not travel."""
        if value is None:
            return "NULL"
        if isinstance(value, int):
            params.append(str(int(value)))
            return "CAST(? AS INTEGER)"
        params.append(value)
        return "?"

    def put(self, put: Put, position: int) -> list[Statement]:
        """The statements of a Put; a number that SQLite would read from text a little off is bound."""
        floats = [i for i, kind in enumerate(put.table.types) if kind == "float"]
        if len(put.rows) > 1 and not all(_plain(row[i]) for row in put.rows for i in floats):
            return [s for half in put.halves() for s in self.put(half, position)]
        return super().put(put, position)

    def bind(self, params: list[Any], value: Value, kind: ColumnType = "text") -> str:
        """Bind a value of the waist; integers of any size are exact."""
        if isinstance(value, bool):
            value = int(value)
        return super().bind(params, value, kind)

    def term(self, table: Table, column: Column) -> str:
        """One column of the select list; integers come as text."""
        name = super().term(table, column)
        return f"CAST({name} AS TEXT)" if column.type in {"integer", "bigint"} else name


class SqliteHttpBackend(BatchBackend):
    """What both have: one request an operation, limits, errors, and repetition where it is safe.

    An adapter gives ``endpoint``, and ``_results``: what an answer says of each statement.
    """

    limits: ClassVar[Limits] = Limits(
        value_bytes=VALUE_BYTES,
        row_bytes=VALUE_BYTES,
        parameters=100,
        statement_bytes=100_000,
    )
    texts = MESSAGES

    def __init__(self, endpoint: Endpoint, prefix: str = "") -> None:
        # It stands in statements as it is.
        if not PREFIX.fullmatch(prefix):
            raise ConfigurationError("table_prefix may have letters, digits and underscores only")
        super().__init__(JsonDialect(prefix))
        self.endpoint = endpoint
        self.place = httpx.URL(endpoint.url).host

    @abstractmethod
    def _results(self, content: bytes) -> list[Result]: ...

    def _complaint(self, content: bytes) -> str:
        """What an answer says that is no success."""
        return content.decode(errors="replace")

    async def _batch(self, statements: Sequence[Statement]) -> list[Result]:
        self._check_statements(statements)
        sent = [{"sql": s.sql, "params": s.params} for s in statements]
        reads = all(s.sql.startswith("SELECT ") for s in statements)
        answer = await self.endpoint.post(msgspec.json.encode({"batch": sent}), repeatable=reads)
        if not answer.is_success:
            raise RefusedError(answer.status_code, self._complaint(answer.content)[:1000])
        results = self._results(answer.content)
        if len(results) != len(statements):
            raise RefusedError(502, f"{len(results)} results of {len(statements)} statements")
        return results

    def _translate(self, error: Exception, doing: str) -> Exception:
        if isinstance(error, httpx.TransportError):
            return UnavailableError(
                f"{self!r} could not {doing}: {type(error).__name__} ({error}); "
                + ("it was not reached" if unsent(error) else MAYBE)
            )
        if isinstance(error, msgspec.MsgspecError):
            return UnavailableError(f"{self!r} could not {doing}: the answer is none ({error})")
        return super()._translate(error, doing)

    async def _close(self) -> None:
        await self.endpoint.close()
