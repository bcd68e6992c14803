"""A DuckDB file: the only module that imports the driver."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar
from weakref import WeakSet, WeakValueDictionary

import duckdb

from mastra_core.errors import ConflictError, CorruptDataError, StorageError, UnavailableError
from mastra_core.storage.loops import pauses
from mastra_core.storage.schema import Table, Where
from mastra_core.storage.sql import Statement
from mastra_core.storage.sqlbackend import SqlBackend
from mastra_duckdb.dialect import DuckDBDialect, DuckDBSchema

T = TypeVar("T")
# Seconds: of our turn while another process waits, and then of leaving the file alone, which is
# longer than the longest pause of those who wait.
TURN: Final = 0.2
ALONE: Final = 0.06


class File:
    """A file as this process has it: one connection, since the file is locked by one process.

    Who cannot have it leaves a note (``….wanted``) beside it; who has it gives it up by and by.
    """

    def __init__(self, path: str) -> None:
        self.path, self.wanted = path, Path(f"{path}.wanted")
        self.users: WeakSet[DuckDBBackend] = WeakSet()
        self.thread = ThreadPoolExecutor(1, "duckdb")
        self.lock = threading.Lock()
        self.connection: duckdb.DuckDBPyConnection | None = None

    def run(self, do: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        with self.lock:
            if self.connection is None:
                self.connection = duckdb.connect(self.path, config={"threads": 1})
                self.wanted.unlink(missing_ok=True)
                threading.Thread(target=self.give_way, args=(self.connection,), daemon=True).start()
            return do(self.connection)

    def give_way(self, mine: duckdb.DuckDBPyConnection) -> None:
        while self.connection is mine:
            time.sleep(TURN)
            if self.wanted.exists():
                self.close(mine)

    def close(self, mine: duckdb.DuckDBPyConnection | None) -> None:
        with self.lock:
            if mine is not None and self.connection is mine:
                self.connection = None
                mine.close()
                time.sleep(ALONE if self.wanted.exists() else 0)


FILES: WeakValueDictionary[str, File] = WeakValueDictionary()


class DuckDBBackend(SqlBackend):
    """All tables in one file; the engine runs in a thread, which lets the event loop go on."""

    name = "DuckDB"
    schema = DuckDBSchema
    texts = (
        (r"Duplicate key|duplicate key", ConflictError, "a row with this key is stored"),
        (r"not set lock", UnavailableError, "another process has the file; try again"),
        (r"not a valid DuckDB|[Cc]orrupt", CorruptDataError, "it is no DuckDB file, or damaged"),
        (r"read-only|Permission", StorageError, "the file or its folder cannot be written to"),
        (r"^IO Error", UnavailableError, "look at the disk and the file, and try again"),
        (r"^(Catalog|Binder) Error", StorageError, "the tables are not there; call init()"),
    )

    def __init__(self, path: str, busy_timeout: float) -> None:
        super().__init__(DuckDBDialect())
        self.place, self.busy_timeout = path, busy_timeout
        self.file = FILES.setdefault(path, File(path))

    def __repr__(self) -> str:
        return f"DuckDBBackend({self.place!r})"

    async def _fetch(self, statement: Statement) -> Sequence[Any]:
        return await self._run(lambda c: c.execute(statement.sql, statement.params).fetchall())

    async def _execute(self, statements: Sequence[Statement]) -> list[int]:
        return await self._run(lambda c: self._transact(c, statements))

    def _transact(
        self, connection: duckdb.DuckDBPyConnection, statements: Sequence[Statement]
    ) -> list[int]:
        counts: list[int] = []
        connection.begin()
        try:
            for statement in statements:
                answer = connection.execute(statement.sql, statement.params).fetchone()
                counts.append(answer[0] if answer else 0)
                self.check(statement, counts[-1])
            connection.commit()
        except BaseException:
            with contextlib.suppress(duckdb.Error):  # one that failed to commit is gone already
                connection.rollback()
            raise
        return counts

    async def _run(self, do: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Do it in the file's thread, once no other process has the file."""
        self.file.users.add(self)
        loop, waits = asyncio.get_running_loop(), pauses(self.busy_timeout)
        while True:
            try:
                return await loop.run_in_executor(self.file.thread, self.file.run, do)
            except duckdb.IOException as error:
                if "not set lock" not in str(error) or await anext(waits, self) is self:
                    raise
                self.file.wanted.touch()

    def _pushes(self, table: Table, where: Where) -> bool:
        plain = where.op in {"eq", "ne"} and isinstance(where.value, str | bool | None)
        return plain if where.path else where.op not in {"has_all", "has_any", "icontains"}

    async def _close(self) -> None:
        self.file.users.discard(self)
        if not self.file.users:
            await asyncio.to_thread(self.file.close, self.file.connection)
