"""Which times a server can keep: all that Python knows, or on older ones those from 1900 to 2299."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from mastra_core.errors import InvalidArgumentError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
# A time that older servers make another one of, as they read it and as it is.
PROBE: Final = "toUnixTimestamp64Milli(toDateTime64('0001-01-02 00:00:00.000', 3, 'UTC'))"
PROBED: Final = -62_135_510_400_000


class Times:
    """The times that one server keeps; until it was asked, those that every one does."""

    def __init__(self) -> None:
        self.earliest = datetime(1900, 1, 1, tzinfo=UTC)
        self.latest = datetime(2299, 12, 31, tzinfo=UTC)

    def probed(self, answer: int) -> None:
        """Take in what the server made of the probe."""
        if answer == PROBED:
            self.earliest = datetime.min.replace(tzinfo=UTC)
            self.latest = datetime.max.replace(tzinfo=UTC)

    def kept(self, at: datetime) -> datetime:
        """The time, if the server can keep it; otherwise it is refused."""
        if not self.earliest <= at <= self.latest:
            raise InvalidArgumentError(
                f"this server keeps times from {self.earliest.year} to {self.latest.year}, not "
                f"{at.isoformat()}"
            )
        return at

    def milliseconds(self, at: datetime) -> int:
        """Milliseconds since 1970."""
        return (self.kept(at) - EPOCH) // MILLISECOND
