"""What is told of a copy, an export or an import while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec


class Progress(msgspec.Struct, frozen=True):
    """How far one table is: ``rows`` of about ``total`` rows copied, or verified."""

    table: str
    rows: int
    total: int
    verifying: bool = False


Tell: TypeAlias = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Tell nobody."""
