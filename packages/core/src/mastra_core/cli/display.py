"""What the command line prints: tables, trees and JSON, without secrets and without control characters."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mastra_core.clock import iso, milliseconds

LONGEST: Final = 100


def console() -> Console:
    """Where results go: as wide as the terminal, or as wide as it takes where there is none."""
    out = Console(highlight=False, emoji=False, markup=False)
    if not out.is_terminal:
        out = Console(highlight=False, emoji=False, markup=False, width=200)
    return out


def errors() -> Console:
    """Where messages and progress go."""
    return Console(stderr=True, highlight=False, emoji=False, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document with the names of the original, for other programs."""
    text = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2)
    sys.stdout.write(text.decode() + "\n")


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: str = ""
) -> None:
    """A table; columns that ``right`` names, separated by spaces, are numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        number = column in right.split()
        table.add_column(
            column, justify="right" if number else "left", overflow="fold", no_wrap=number
        )
    for row in rows:
        table.add_row(*[Text(cell(value)) for value in row])
    console().print(table)


def cell(value: object) -> str:
    """A value as one short line."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return iso(milliseconds(value))[:-5].replace("T", " ")
    if isinstance(value, int):
        return f"{value:,}"
    return line(str(value))


def line(text: str, most: int = LONGEST) -> str:
    """The beginning of a text on one line; what moves a terminal's cursor is left out."""
    kept = "".join([c if c.isprintable() else " " for c in text[: most * 4]])
    kept = " ".join(kept.split())
    return kept if len(kept) <= most else f"{kept[: most - 1]}…"


def duration(spent: timedelta | None) -> str:
    """A span of time as people say it."""
    if spent is None:
        return "running"
    seconds = spent.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"
