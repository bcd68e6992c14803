"""This project's `LibSQLStore`."""

from __future__ import annotations

from typing import ClassVar

from mastra_libsql import LibSQLStore
from systems.ours import WRITES, Ours
from systems.tables import fill


class OursLibSQL(Ours):
    """As it comes, on a file."""

    package = "mastra-libsql"
    settings = "defaults: WAL, synchronous NORMAL; listings with `with_total=False`"
    synchronous: ClassVar[str] = "NORMAL"

    async def seed(self) -> None:
        await fill(self.folder / "mastra.db", self.messages)

    def connect(self) -> LibSQLStore:
        path = self.folder / "mastra.db"
        return LibSQLStore(id="bench", url=f"file:{path}", synchronous=self.synchronous)


class OursLibSQLFull(OursLibSQL):
    """The same with a disk sync at every commit."""

    settings = '`synchronous="FULL"`; listings with `with_total=False`'
    synchronous = "FULL"


class OursLibSQLWithTotal(OursLibSQL):
    """The listings with their total, which is a count of all that match."""

    settings = "defaults, `with_total=True`"
    with_total = True
    absent = WRITES
