"""The URL of a Worker's object: cloudflare-do://HOST/NAMESPACE, with options behind a question mark."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from mastra_core.errors import ConfigurationError
from mastra_core.storage.settings import only_known

TOKEN: Final = "MASTRA_TOKEN"  # noqa: S105 (a name)
OPTIONS: Final = frozenset({"tls", "table_prefix"})


def parts_of(url: str) -> dict[str, str]:
    """The options of a store that a URL names; the token is the environment's unless given."""
    parts = urlsplit(url)
    host, namespace = parts.netloc, unquote(parts.path.strip("/"))
    if not host or "@" in host:
        raise ConfigurationError("an object is named by cloudflare-do://HOST/NAMESPACE")
    query = dict(parse_qsl(parts.query))
    only_known("a cloudflare-do:// URL", query, OPTIONS)
    scheme = "http" if query.pop("tls", "1") == "0" else "https"
    found = {"url": f"{scheme}://{host}", **query}
    if namespace:
        found["namespace"] = namespace
    if TOKEN in os.environ:
        found["token"] = os.environ[TOKEN]
    return found
