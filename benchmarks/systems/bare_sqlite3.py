"""The standard library's `sqlite3`, for orientation: another engine build and another driver."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from systems.bare import INSERT, Bare

if TYPE_CHECKING:
    from collections.abc import Sequence


class BareSQLite3(Bare):
    """It caches statements, which `libsql` does not."""

    package = ""
    settings = "WAL, synchronous NORMAL; 100 rows by executemany"

    def connect(self) -> Any:
        return sqlite3.connect(self.folder / "mastra.db", isolation_level=None)

    def insert(self, rows: Sequence[tuple[str, ...]]) -> None:
        self.connection.executemany(INSERT, rows)


class BareSQLite3Full(BareSQLite3):
    """The same with a disk sync at every commit."""

    settings = "WAL, synchronous FULL; 100 rows by executemany"
    synchronous = "FULL"
