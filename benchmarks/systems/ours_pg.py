"""This project's `PostgresStore`."""

from __future__ import annotations

from mastra_pg import PostgresStore
from systems.ours import WRITES, Ours
from systems.server import url_in
from systems.tables_pg import fill


class OursPG(Ours):
    """As it comes."""

    package = "mastra-pg"
    settings = "defaults; listings with `with_total=False`"

    async def seed(self) -> None:
        await fill(url_in(self.folder), self.messages, self.sizes, self.threads)

    def connect(self) -> PostgresStore:
        return PostgresStore(id="bench", connection_string=url_in(self.folder))


class OursPGWithTotal(OursPG):
    """The listings with their total, which is a count of all that match."""

    settings = "defaults, `with_total=True`"
    with_total = True
    absent = WRITES
