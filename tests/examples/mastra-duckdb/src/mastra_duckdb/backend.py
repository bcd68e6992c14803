"""A DuckDB file: the only module that imports the driver."""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import duckdb

from mastra_core.errors import ConflictError, CorruptDataError, StorageError, UnavailableError
from mastra_core.storage.blocking import BlockingBackend
from mastra_core.storage.schema import Table, Where
from mastra_duckdb.dialect import DuckDBDialect, DuckDBSchema

# Seconds: how long we have the file, and then leave it to others, who look for it more often.
TURN, GAP, POLL = 0.1, 0.005, (0.001, 0.004)


class File:
    """A file as this process has it, which locks it: attached for a turn, then let go."""

    def __init__(self, path: str) -> None:
        self.path, self.lock = path, threading.Lock()
        self.engine: Any = None
        self.attached = False

    def attach(self, until: float) -> None:
        # An engine takes 50 ms to make and is kept; to attach a file takes a few.
        self.engine = self.engine or duckdb.connect(config={"threads": 1})
        quoted = self.path.replace("'", "''")
        while not self.attached:
            try:
                self.engine.execute(f"ATTACH '{quoted}' AS file; USE file")
                self.attached = True
                threading.Timer(TURN, self.let_go).start()
            except duckdb.IOException as error:
                if "not set lock" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(random.uniform(*POLL))

    def let_go(self) -> None:
        with self.lock:
            if self.attached:
                self.engine.execute("USE memory; DETACH file")
                self.attached = False
                time.sleep(GAP)


FILES: Final[dict[str, File]] = {}


class DuckDBBackend(BlockingBackend):
    """All tables in one file, which several processes have in turn."""

    name = "DuckDB"
    schema = DuckDBSchema
    texts = (
        (r"Duplicate key|duplicate key", ConflictError, "a row with this key is stored"),
        (r"not set lock", UnavailableError, "another process has the file for too long; try again"),
        (r"not a valid DuckDB|[Cc]orrupt", CorruptDataError, "it is no DuckDB file, or damaged"),
        (r"^IO Error", UnavailableError, "look at the file, its folder and the disk"),
        (r"^Catalog Error", StorageError, "the tables are not there; call init()"),
    )

    def __init__(self, path: str, busy_timeout: float) -> None:
        super().__init__(DuckDBDialect())
        self.place, self.busy_timeout = path, busy_timeout
        self.file = FILES.setdefault(path, File(path))

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Any]:
        with self.file.lock:
            self.file.attach(time.monotonic() + self.busy_timeout)
            yield self.file.engine

    def _affected(self, cursor: Any) -> int:
        return int((cursor.fetchone() or (0,))[0])

    def _pushes(self, table: Table, where: Where) -> bool:
        plain = where.op in {"eq", "ne"} and isinstance(where.value, str | bool | None)
        return plain if where.path else where.op not in {"has_all", "has_any", "icontains"}

    async def _close(self) -> None:
        await asyncio.to_thread(self.file.let_go)
