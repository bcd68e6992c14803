"""One LanceDB database: its connection, its turns and its upkeep, for rows and for vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mastra_core.errors import (
    AuthenticationError,
    CorruptDataError,
    StorageError,
    UnavailableError,
)
from mastra_lance.commits import Commits
from mastra_lance.driver import lancedb
from mastra_lance.lease import LeaseLedger
from mastra_lance.ledger import FileLedger, Ledger
from mastra_lance.options import Settings
from mastra_lance.reading import Handles
from mastra_lance.upkeep import Upkeep

# The driver raises the errors of Python, so that only the text tells what happened.
MESSAGES: Final[Sequence[tuple[str, type[StorageError], str]]] = (
    (r"Table '.*' was not found", StorageError, "the tables are not there; call init()"),
    (r"[Cc]onflict", UnavailableError, "another program wrote at the same time; try again"),
    (
        r"\b40[13]\b|InvalidAccessKey|SignatureDoesNotMatch|[Cc]redential|[Ff]orbidden|[Uu]nauthori",
        AuthenticationError,
        "check storage_options",
    ),
    (r"No space left|os error 28", UnavailableError, "the disk is full; nothing was written"),
    (
        r"[Pp]ermission denied|[Rr]ead-only|os error (13|30)",
        StorageError,
        "the folder cannot be written to",
    ),
    (
        r"[Nn]ot found|No such file",
        UnavailableError,
        "what is read was removed meanwhile; try again",
    ),
    (r"magic|[Cc]orrupt|EOF|protobuf", CorruptDataError, "its files are damaged; restore a backup"),
    (
        r"[Tt]imed? ?out|[Cc]onnect|dns",
        UnavailableError,
        "the object store did not answer; try again",
    ),
)


class Database:
    """One database: its connection, which is made when it is used, and its lock and journal."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._connection: Any = settings.client
        self.ledger: Ledger = (
            LeaseLedger(self.connection, settings.timeout)
            if settings.folder is None
            else FileLedger(settings.folder, settings.timeout)
        )
        self.handles = Handles(self.connection, self.ledger, wander=settings.client is not None)
        self.commits = Commits(self.ledger, self.handles)
        self.upkeep = Upkeep(
            self.commits,
            self.handles,
            every=settings.optimize_every,
            keep=settings.keep_versions,
        )

    async def connection(self) -> Any:
        """The connection; it belongs to no event loop."""
        if self._connection is None:
            options = dict(self.settings.storage_options or {})
            self._connection = await lancedb.connect_async(
                self.settings.uri, storage_options=options or None
            )
        return self._connection

    async def opened(self, name: str) -> Any:
        """A handle of a table, or ``None`` where there is no such table."""
        connection = await self.connection()
        try:
            return await connection.open_table(name)
        except ValueError as error:
            if "was not found" in str(error):
                return None
            raise

    async def created(self, name: str, schema: Any) -> Any:
        """A handle of a table, which is created if it is not there; only for who has the turn."""
        handle = await self.opened(name)
        if handle is None:
            handle = await (await self.connection()).create_table(name, schema=schema)
        return handle

    async def close(self) -> None:
        """Close the connection, unless it is the caller's, once what runs in the background ended."""
        await self.upkeep.settled()
        if self.settings.client is None and self._connection is not None:
            self._connection.close()
            self._connection = None
