"""A SQL database whose driver blocks: its calls are made in threads of their own, a few at most."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from typing import Any, ClassVar, TypeVar

from mastra_core.storage.sql import Dialect, Statement
from mastra_core.storage.sqlbackend import SqlBackend

T = TypeVar("T")


class BlockingBackend(SqlBackend):
    """A SQL database by a driver in the manner of PEP 249, which lets go of the interpreter.

    An adapter gives ``_connection``: a connection for one operation, with ``execute``, ``commit``
    and ``rollback``, on which no transaction is open. It is asked for in a thread, and may wait for
    it there. A call that is cancelled while its statements run leaves them to their end, whole.
    """

    threads: ClassVar[int] = 1

    def __init__(self, dialect: Dialect | None = None) -> None:
        super().__init__(dialect)
        self._pool = ThreadPoolExecutor(self.threads, f"mastra-{self.name}")

    @abstractmethod
    def _connection(self) -> AbstractContextManager[Any]: ...

    def _begin(self, connection: Any) -> None:
        """Begin a transaction, where the driver does not do so by itself."""
        connection.execute("BEGIN")

    def _affected(self, cursor: Any) -> int:
        """How many rows the statement of a cursor affected."""
        return int(cursor.rowcount)

    async def _fetch(self, statement: Statement) -> Sequence[Any]:
        return await self._in_thread(lambda connection: _read(connection, statement))

    async def _fetch_many(self, statements: Sequence[Statement]) -> list[Sequence[Any]]:
        return await self._in_thread(lambda connection: [_read(connection, s) for s in statements])

    async def _execute(self, statements: Sequence[Statement]) -> list[int]:
        return await self._in_thread(lambda connection: self._transact(connection, statements))

    async def _in_thread(self, do: Callable[[Any], T]) -> T:
        """What ``do`` makes of a connection, in one of the threads."""

        def run() -> T:
            with self._connection() as connection:
                return do(connection)

        return await asyncio.get_running_loop().run_in_executor(self._pool, run)

    def _transact(self, connection: Any, statements: Sequence[Statement]) -> list[int]:
        counts: list[int] = []
        self._begin(connection)
        try:
            for statement in statements:
                cursor = connection.execute(statement.sql, statement.params)
                counts.append(self._affected(cursor))
                self.check(statement, counts[-1])
            connection.commit()
        except BaseException:
            # A transaction that could not be committed may be gone; what failed first is told.
            with suppress(Exception):
                connection.rollback()
            raise
        return counts


def _read(connection: Any, statement: Statement) -> Sequence[Any]:
    rows: Sequence[Any] = connection.execute(statement.sql, statement.params).fetchall()
    return rows
