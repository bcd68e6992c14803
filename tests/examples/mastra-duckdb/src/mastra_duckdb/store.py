"""What users of DuckDB import."""

import re
from pathlib import Path
from typing import Unpack

from mastra_core.errors import ConfigurationError
from mastra_core.storage.store import BackendStore, StoreOptions
from mastra_duckdb.backend import DuckDBBackend


class DuckDBStore(BackendStore):
    """All domains in one file: ``url`` is ``duckdb:./mastra.duckdb`` or ``duckdb:///var/lib/…``.

    ``busy_timeout`` is how many seconds a call waits for other processes that have the file.
    """

    def __init__(
        self, *, url: str, busy_timeout: float = 30.0, **options: Unpack[StoreOptions]
    ) -> None:
        path = Path(re.sub(r"^duckdb:(//(?=/))?", "", url)).resolve()
        if not url.startswith("duckdb:") or not path.parent.is_dir() or path.is_dir():
            raise ConfigurationError(f"{url!r} is no duckdb:./name.duckdb in a folder that exists")
        super().__init__(DuckDBBackend(str(path), busy_timeout), **options)
