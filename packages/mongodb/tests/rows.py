"""Rows for tests of what is below the domains."""

from __future__ import annotations

from datetime import UTC, datetime

from mastra_core.storage.schema import Query

AT = datetime(2024, 3, 1, 12, tzinfo=UTC)


def thread(id_: str, *, title: str = "", metadata: str | None = None):
    return (id_, "resource", title, metadata, AT, AT)


def message(id_: str, thread_id: str, *, content: str = "{}"):
    return (id_, thread_id, content, "user", "v2", AT, "resource")


def resource(id_: str):
    return (id_, None, None, AT, AT)


async def rows_of(store, table):
    """All rows of a table, by key."""
    return await store.backend.find(table, Query(order=(("id", "asc"),)))
