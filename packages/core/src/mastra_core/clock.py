"""Time and ids: UTC with millisecond precision, instants that never repeat, ids that sort by time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID, uuid5

import msgspec

from mastra_core.errors import CorruptDataError, InvalidArgumentError

MILLISECOND = timedelta(milliseconds=1)
NAMESPACE = UUID("6d617374-7261-5000-8000-000000000000")

_encode = msgspec.json.Encoder().encode
_WITH_FRACTION = 29
_decode = msgspec.json.Decoder(list[datetime]).decode
# A text of ``iso`` in quotes, and the comma behind it.
_QUOTED = 27
_lock = threading.Lock()
_last = datetime(1970, 1, 1, tzinfo=UTC)
_last_stamp = _last
_AHEAD = timedelta(seconds=1)
_last_id = 0
_VERSION_BITS = 0xF << 76 | 3 << 62
_VERSION_7 = 7 << 76 | 2 << 62


def milliseconds(at: datetime) -> datetime:
    """The same moment in UTC, cut to milliseconds; a naive datetime is an ``InvalidArgumentError``."""
    if at.tzinfo is None:
        raise InvalidArgumentError(
            f"{at.isoformat()} has no time zone; give an aware datetime, e.g. datetime.now(UTC)"
        )
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    beyond = at.microsecond % 1000
    return at.replace(microsecond=at.microsecond - beyond) if beyond else at


def iso(at: datetime) -> str:
    """``2026-01-02T03:04:05.678Z``: 24 characters that sort as time does, of a time in UTC."""
    # Five times faster than ``isoformat``: in quotes, with six digits of the second or none.
    text = _encode(at).decode()
    return text[1:24] + "Z" if len(text) == _WITH_FRACTION else text[1:20] + ".000Z"


def from_iso(text: str | None) -> datetime | None:
    """The moment of a stored text; one without a zone is UTC, as the databases that drop it mean."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        # An update by the original leaves the time as JSON, in quotes.
        return _from_quoted(text)
    return milliseconds(at if at.tzinfo is not None else at.replace(tzinfo=UTC))


def from_isos(texts: Sequence[str | None]) -> Sequence[datetime | None]:
    """The moments of many stored texts; quick where all are as ``iso`` writes them."""
    try:
        joined = '"' + '","'.join(cast("Sequence[str]", texts)) + '"'
        moments = _decode(f"[{joined}]")
    except (TypeError, msgspec.MsgspecError):
        return [from_iso(text) for text in texts]
    usual = len(joined) == _QUOTED * len(texts) - 1 and joined.count('Z"') == len(texts)
    return moments if usual and len(moments) == len(texts) else [from_iso(text) for text in texts]


def _from_quoted(text: object) -> datetime | None:
    plain = str(text).strip('"')
    if plain == str(text):
        raise CorruptDataError(f"a stored time is {text!r}, which is no ISO text")
    return from_iso(plain)


def now() -> datetime:
    """The current time in UTC, cut to milliseconds."""
    at = datetime.now(UTC)
    return at - timedelta(microseconds=at.microsecond % 1000)


def instant() -> datetime:
    """The current time, but later than every instant this process was given before.

    Messages made one after another get these, so that their order is never a tie.
    """
    global _last  # noqa: PLW0603 (the clock of the process is one value by nature)
    with _lock:
        _last = max(now(), _last + MILLISECOND)
        return _last


def stamp() -> datetime:
    """The current time for a row's change, where possible later than every stamp before.

    Stamps serve as versions, and an ``Advance`` makes sure of their order in the database; one that
    is later already saves it the work. They never run more than a second ahead of time.
    """
    global _last_stamp  # noqa: PLW0603 (as above)
    at = now()
    with _lock:
        later = max(at, _last_stamp + MILLISECOND)
        _last_stamp = at if later - at > _AHEAD else later
        return _last_stamp


def uuid7() -> str:
    """A new UUID of version 7; each one of this process sorts behind those before it."""
    global _last_id  # noqa: PLW0603 (as above)
    random = int.from_bytes(os.urandom(10), "big")
    value = (time.time_ns() // 1_000_000 << 80 | random) & ~_VERSION_BITS | _VERSION_7
    with _lock:
        _last_id = value = max(value, _last_id + 1)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def derived_id(*parts: str | int) -> str:
    """The one UUID (of version 5) of these parts: for rows of which there must be only one."""
    return str(uuid5(NAMESPACE, "\0".join([str(part) for part in parts])))
