"""How an index of Upstash Vector is reached: options, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypedDict
from urllib.parse import parse_qsl, urlsplit

import msgspec

from mastra_core.errors import ConfigurationError
from mastra_core.storage.settings import only_known
from mastra_upstash.commands import place_of, rest_address
from mastra_upstash.vector_service import VectorService, check_client

FUNCTIONS: Final = {"COSINE": "cosine", "EUCLIDEAN": "euclidean"}


class UpstashVectorOptions(TypedDict, total=False):
    """How the service is reached, and what may be waited for.

    ``token`` is that of the REST API. ``metric`` is that of the index of Upstash Vector, ``cosine`` or
    ``euclidean``. ``client`` is an ``httpx.AsyncClient`` to send requests with; it is never closed
    here. ``timeout`` is how many seconds one request may take (30), ``settle`` how many a change
    waits until searches see it (5). ``scan`` is how many vectors an index may have for a search to
    look at all of them, where the service may have left something out (10,000).
    """

    token: str | None
    metric: Literal["cosine", "euclidean"]
    client: Any
    timeout: float
    settle: float
    scan: int


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options that are no secret."""

    metric: Literal["cosine", "euclidean"] = "cosine"
    timeout: float = 30.0
    settle: float = 5.0
    scan: int = 10_000

    def check(self, function: str, place: str) -> None:
        """Refuse an index that measures otherwise than we were told."""
        if FUNCTIONS.get(function) == self.metric:
            return
        advice = (
            f"give metric={FUNCTIONS[function]!r}"
            if function in FUNCTIONS
            else "make one with COSINE, which is the same for vectors of length 1"
        )
        raise ConfigurationError(
            f"the index of Upstash Vector at {place} measures {function}, not {self.metric}; {advice}"
        )


def connected(url: str, options: UpstashVectorOptions) -> tuple[Settings, VectorService, str]:
    """The settings, the service, and where it is; nothing is sent."""
    if not isinstance(url, str) or not url.strip():
        raise ConfigurationError("url must be the address of the REST API of Upstash Vector")
    address, inside = rest_address(url)
    settings = _settings(url, options)
    token = options.get("token") or inside
    if not isinstance(token, str) or not token:
        raise ConfigurationError("token is required: Upstash Vector asks everybody for one")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError("the token has characters that no token has; is it all of it?")
    client = check_client(options.get("client"))
    service = VectorService(address, token, client=client, timeout=settings.timeout)
    return settings, service, place_of(url)


def _settings(url: str, options: Mapping[str, Any]) -> Settings:
    only_known("Upstash Vector", options, UpstashVectorOptions.__annotations__)
    inside = dict(parse_qsl(urlsplit(url).query))
    given = {key: value for key, value in options.items() if key not in {"client", "token"}}
    if "metric" in inside:
        given.setdefault("metric", inside["metric"])
    try:
        settings = msgspec.convert(given, Settings)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"an option of Upstash Vector is wrong: {error}") from error
    if settings.timeout <= 0 or settings.settle < 0 or settings.scan < 0:
        raise ConfigurationError("timeout must be positive, settle and scan not negative")
    return settings
