"""Cloudflare D1 by its REST API: the only module that imports the driver."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final, TypedDict, Unpack

import httpx
import msgspec

from mastra_core.errors import ConfigurationError
from mastra_core.storage.http import Endpoint, RefusedError
from mastra_core.storage.settings import only_known
from mastra_core.storage.sqlite_http import Result, SqliteHttpBackend

API: Final = "https://api.cloudflare.com/client/v4"
ID: Final = re.compile(r"[A-Za-z0-9-]+")
# What D1 answers where a statement waited in its queue in vain: it was never begun.
QUEUED: Final = re.compile(rb"D1 DB is overloaded|[Tt]oo many requests queued")


class D1Options(TypedDict, total=False):
    """How a database is reached.

    ``table_prefix`` begins the name of each table (letters, digits and underscores). ``timeout`` is
    how many seconds one request may take (30), ``patience`` how long requests are repeated that
    Cloudflare refused or that failed, where that is safe (10). A ``client`` (``httpx.AsyncClient``)
    is used instead of one of our own, and never closed. ``base_url`` is Cloudflare's API, or
    something that stands in front of it.
    """

    table_prefix: str
    timeout: float
    patience: float
    client: httpx.AsyncClient | None
    base_url: str


class _Meta(msgspec.Struct):
    changes: int = 0


class _Executed(msgspec.Struct):
    """What one statement gave: rows as objects, whose keys are in the order of the columns."""

    results: list[dict[str, Any]] = []
    meta: _Meta = msgspec.field(default_factory=_Meta)


class _Complaint(msgspec.Struct):
    message: str = ""
    code: int = 0


class _Answer(msgspec.Struct):
    success: bool = False
    result: list[_Executed] | None = None
    errors: list[_Complaint] = []


_DECODER = msgspec.json.Decoder(_Answer)


class D1Backend(SqliteHttpBackend):
    """One D1 database: a request is a batch of statements, which D1 applies whole or not at all."""

    name: ClassVar[str] = "Cloudflare D1"

    def __init__(
        self, *, account_id: str, database_id: str, api_token: str, **options: Unpack[D1Options]
    ) -> None:
        _check(account_id, database_id, api_token, options)
        self.database_id = database_id
        base = options.get("base_url", API).rstrip("/")
        endpoint = Endpoint(
            f"{base}/accounts/{account_id}/d1/database/{database_id}/query",
            headers={"authorization": f"Bearer {api_token}"},
            timeout=options.get("timeout", 30.0),
            patience=options.get("patience", 10.0),
            client=options.get("client"),
            undone=_never_begun,
        )
        super().__init__(endpoint, options.get("table_prefix", ""))

    def __repr__(self) -> str:
        return f"D1Backend(database_id={self.database_id!r})"

    def _results(self, content: bytes) -> list[Result]:
        answer = _DECODER.decode(content)
        if not answer.success:
            raise RefusedError(200, self._complaint(content))
        executed = answer.result or []
        return [([tuple(row.values()) for row in e.results], e.meta.changes) for e in executed]

    def _complaint(self, content: bytes) -> str:
        try:
            errors = _DECODER.decode(content).errors
        except msgspec.MsgspecError:
            return super()._complaint(content)
        return "; ".join([f"{error.message} (code {error.code})" for error in errors])


def _never_begun(answer: httpx.Response) -> bool:
    return not answer.is_success and QUEUED.search(answer.content) is not None


def _check(account_id: str, database_id: str, api_token: str, options: Mapping[str, Any]) -> None:
    for name, value in (("account_id", account_id), ("database_id", database_id)):
        if not isinstance(value, str) or not ID.fullmatch(value):
            raise ConfigurationError(f"{name} must be the id that Cloudflare shows, not {value!r}")
    if not isinstance(api_token, str) or not api_token.strip() or not api_token.isascii():
        raise ConfigurationError(
            "api_token must be a token of Cloudflare with D1's permissions; beside a d1:// URL the variable "
            "CLOUDFLARE_API_TOKEN gives it"
        )
    only_known("Cloudflare D1", options, D1Options.__annotations__)
