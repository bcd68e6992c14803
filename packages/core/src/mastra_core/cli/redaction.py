"""Keeping secrets out of what is printed: those of URLs, wherever they turn up."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

HIDDEN: Final = "***"
# Names of parameters whose values nobody should see.
_SECRET = re.compile(r"(?i)token|secret|passw|pwd|key|auth|credential|signature|sslpassword")
# What stands before the host (a quote may be in a password), and values of such parameters, in any text.
_USER = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/?#]*@")
_PARAMETER = re.compile(
    r"(?i)([?&;\s'\"]|^)([\w.-]*(?:token|secret|passw|pwd|key|auth|credential|signature)[\w.-]*)"
    r"=(?!=)(?:'[^']*'|\"[^\"]*\"|[^\s&;'\")]+)"
)
# A shorter secret would be found in half of all words; its URL is hidden all the same.
SHORTEST: Final = 4


def shown(url: str) -> str:
    """A URL as it may be printed: with neither user nor password nor secret parameters."""
    hidden = _USER.sub(rf"\1{HIDDEN}@", url)
    return _PARAMETER.sub(rf"\1\2={HIDDEN}", hidden)


class Secrets:
    """The secrets that were given, and texts without them."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def learn(self, url: str) -> None:
        """Remember the secrets of a URL: its user and password, and the values of secret parameters."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return
        user, _, password = parts.netloc.rpartition("@")[0].partition(":")
        # A user alone may be a token; beside a password it is a name.
        found = {password, unquote(password)} if password else {user, unquote(user)}
        for pair in re.split(r"[&;]", parts.query):
            name, _, value = pair.partition("=")
            if _SECRET.search(name):
                found |= {value, unquote(value), unquote_plus(value)}
        found |= {value for name, value in parse_qsl(parts.query) if _SECRET.search(name)}
        self._known |= {secret for secret in found if len(secret) >= SHORTEST}

    def hide(self, text: str) -> str:
        """The text without secrets that are known, or that stand in any URL."""
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return shown(text)


secrets: Final = Secrets()
