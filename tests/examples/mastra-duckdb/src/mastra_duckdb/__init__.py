"""Mastra storage in a DuckDB file; importing this package imports no driver."""

from typing import Any

from mastra_core.plugins import Adapter, hookimpl


def _connect(url: str, **options: Any) -> Any:
    from mastra_duckdb.store import DuckDBStore  # the driver comes with it

    return DuckDBStore(url=url, id=options.pop("id", "duckdb"), **options)


@hookimpl
def mastra_adapter() -> Adapter:
    """The adapter for ``duckdb:`` URLs."""
    return Adapter(name="duckdb", schemes=("duckdb",), connect=_connect, drivers=("duckdb",))
