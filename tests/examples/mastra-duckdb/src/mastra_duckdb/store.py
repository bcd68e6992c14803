"""What users of DuckDB import."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mastra_core.errors import ConfigurationError
from mastra_core.storage.store import BackendStore
from mastra_duckdb.backend import DuckDBBackend


class DuckDBStore(BackendStore):
    """All domains in one file: ``url`` is ``duckdb:./mastra.duckdb`` or ``duckdb:///var/lib/…``.

    ``busy_timeout`` is how many seconds a call waits for other processes that have the file.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 (the original's name)
        url: str,
        busy_timeout: float = 30.0,
        disable_init: bool = False,
        retention: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        path = Path(re.sub(r"^duckdb:(//(?=/))?", "", url)).absolute()
        if not url.startswith("duckdb:") or not path.parent.is_dir() or path.is_dir():
            raise ConfigurationError(
                f"{url!r} names no file in a folder that exists, as duckdb:./mastra.duckdb does"
            )
        backend = DuckDBBackend(str(path), busy_timeout)
        super().__init__(backend, id=id, disable_init=disable_init, retention=retention)
