"""The bare `libsql` driver, which our adapter stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import libsql

from systems.bare import Bare
from systems.tables import MESSAGE_COLUMNS, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

# The driver prepares every statement anew and is slow to bind, so that one parameter with all rows
# takes half the time of `executemany`, and two thirds of one VALUES with 700 parameters.
INSERT_MANY = (
    f"INSERT INTO mastra_messages ({MESSAGE_COLUMNS}) SELECT value->>0, value->>1, value->>2, "
    "value->>3, value->>4, value->>5, value->>6 FROM json_each(?)"
)


class BareLibSQL(Bare):
    """Synchronous calls in the event loop's thread: the driver holds the interpreter anyway."""

    package = "libsql"
    settings = "WAL, synchronous NORMAL; 100 rows as one JSON parameter"

    def connect(self) -> Any:
        return libsql.connect(str(self.folder / "mastra.db"), isolation_level=None)

    def insert(self, rows: Sequence[tuple[str, ...]]) -> None:
        self.execute(INSERT_MANY, (encode(rows).decode(),))


class BareLibSQLFull(BareLibSQL):
    """The same with a disk sync at every commit."""

    settings = "WAL, synchronous FULL; 100 rows as one JSON parameter"
    synchronous = "FULL"
