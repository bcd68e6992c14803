"""agno's `PostgresDb`."""

from __future__ import annotations

from agno.db.postgres import PostgresDb
from sqlalchemy import create_engine

from systems.agno_sqlite import AgnoSQLite
from systems.server import sqlalchemy_url


class AgnoPG(AgnoSQLite):
    """The same work as on SQLite, through the driver of its documentation."""

    settings = "psycopg, defaults"

    def connect(self) -> PostgresDb:
        self.engine = create_engine(sqlalchemy_url(self.folder, "psycopg"))
        return PostgresDb(db_engine=self.engine)
