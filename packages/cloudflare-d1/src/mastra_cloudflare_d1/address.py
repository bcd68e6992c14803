"""The URL of a D1 database: d1://ACCOUNT_ID/DATABASE_ID, with options behind a question mark."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from mastra_core.errors import ConfigurationError
from mastra_core.storage.settings import only_known

# Cloudflare's own programs read the token from this variable.
TOKEN: Final = "CLOUDFLARE_API_TOKEN"  # noqa: S105 (a name)
OPTIONS: Final = frozenset({"base_url", "table_prefix"})


def parts_of(url: str) -> dict[str, str]:
    """The options of a store that a URL names; the token is the environment's unless given."""
    parts = urlsplit(url)
    account, database = parts.netloc, parts.path.strip("/")
    if not account or not database or "@" in account or "/" in database:
        raise ConfigurationError("a D1 database is named by d1://ACCOUNT_ID/DATABASE_ID")
    query = dict(parse_qsl(parts.query))
    only_known("a d1:// URL", query, OPTIONS)
    found = {"account_id": account, "database_id": database, **query}
    if TOKEN in os.environ:
        found["api_token"] = os.environ[TOKEN]
    return found
