"""Tables and rows as the original writes them: read, changed and searched by ours."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import lancedb
import pyarrow as pa
import pytest

from mastra_core.errors import ConflictError, SchemaError
from mastra_lance import LanceStore, LanceVector

from .rows import message, raw, thread

pytestmark = pytest.mark.asyncio

THREADS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("resourceId", pa.string(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("metadata", pa.string()),
        pa.field("createdAt", pa.float64(), nullable=False),
        pa.field("updatedAt", pa.float64(), nullable=False),
    ]
)
SCORES = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("score", pa.float32())])


async def test_the_tables_are_those_of_the_original(tmp_path: Path) -> None:
    """Names, columns, types and what may be absent."""
    async with LanceStore(tmp_path):
        schema = await (await raw(tmp_path, "mastra_threads")).schema()
        assert schema.remove_metadata() == THREADS
        messages = await (await raw(tmp_path, "mastra_messages")).schema()
        assert messages.names[:4] == ["id", "thread_id", "content", "role"]
        assert messages.field("createdAt").type == pa.float64()


async def test_rows_of_the_original_are_read_and_changed(tmp_path: Path) -> None:
    """Times are numbers of milliseconds, metadata JSON or an empty text."""
    connection = await lancedb.connect_async(str(tmp_path))
    table = await connection.create_table("mastra_threads", schema=THREADS)
    row = {"id": "t", "resourceId": "r", "title": "x", "createdAt": 1.7e12, "updatedAt": 1.7e12}
    await table.add([{**row, "metadata": '{"a":1}'}, {**row, "id": "u", "metadata": ""}])
    async with LanceStore(tmp_path) as store:
        found = await store.memory.get_thread_by_id("t")
        assert found is not None
        assert found.created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
        assert found.metadata == {"a": 1}
        changed = await store.memory.update_thread("u", metadata={"b": 2})
        assert changed.metadata == {"b": 2}
    stored = (await (await raw(tmp_path, "mastra_threads")).query().to_arrow()).to_pylist()
    assert {one["id"]: one["metadata"] for one in stored} == {"t": '{"a":1}', "u": '{"b":2}'}
    assert {one["createdAt"] for one in stored} == {1.7e12}


async def test_columns_that_are_lacking_are_added_and_unknown_ones_kept(tmp_path: Path) -> None:
    """Rows of an older version, and of a newer one."""
    connection = await lancedb.connect_async(str(tmp_path))
    schema = THREADS.remove(3).append(pa.field("newer", pa.string()))
    table = await connection.create_table("mastra_threads", schema=schema)
    row = {"id": "t", "resourceId": "r", "title": "x", "createdAt": 1.7e12, "updatedAt": 1.7e12}
    await table.add([{**row, "newer": "kept"}])
    async with LanceStore(tmp_path) as store:
        await store.memory.update_thread("t", metadata={"a": 1})
        await store.memory.save_thread(thread())
        await store.memory.save_messages([message(1)])
    (stored,) = (await (await raw(tmp_path, "mastra_threads")).query().to_arrow()).to_pylist()
    assert stored["newer"] == "kept"
    assert stored["title"] == "before"


async def test_a_column_that_cannot_hold_its_values_is_told_of(tmp_path: Path) -> None:
    """Before anything is written."""
    connection = await lancedb.connect_async(str(tmp_path))
    fields = [f if f.name != "createdAt" else pa.field("createdAt", pa.string()) for f in THREADS]
    await connection.create_table("mastra_threads", schema=pa.schema(fields))
    with pytest.raises(SchemaError, match=r"mastra_threads\.createdAt is stored as string"):
        await LanceStore(tmp_path).memory.save_thread(thread())


async def test_vectors_of_the_original_are_searched(tmp_path: Path) -> None:
    """Its metadata are spread over columns, whose names are paths with underscores."""
    connection = await lancedb.connect_async(str(tmp_path))
    kind = pa.list_(pa.float32(), 2)
    rows = [
        {"id": "a", "vector": [1.0, 0.0], "metadata_topic": "tea", "metadata_by_year": 2024.0},
        {"id": "b", "vector": [0.0, 1.0], "metadata_topic": "tea", "metadata_by_year": 2025.0},
        {"id": "c", "vector": [1.0, 0.1], "metadata_topic": None, "metadata_by_year": None},
    ]
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("vector", kind),
            ("metadata_topic", pa.string()),
            ("metadata_by_year", pa.float64()),
        ]
    )
    await connection.create_table("plants", pa.Table.from_pylist(rows, schema=schema))
    async with LanceVector(tmp_path) as vectors:
        assert await vectors.list_indexes() == ["plants"]
        asked = {"topic": "tea", "by.year": {"$gt": 2024}}
        found = await vectors.query("plants", query_vector=[1.0, 0.0], filter=asked)
        assert [(m.id, m.score, m.metadata) for m in found] == [
            ("b", 0.0, {"topic": "tea", "by": {"year": 2025.0}})
        ]
        await vectors.upsert("plants", ids=["d"], vectors=[[1, 1]], metadata=[{"topic": "soil"}])
        assert [m.id for m in await vectors.query("plants", query_vector=[1, 0])] == list("acdb")
        stats = await vectors.describe_index("plants")
        assert (stats.count, stats.dimension) == (4, 2)
    left = (await (await raw(tmp_path, "plants")).query().to_arrow()).to_pylist()
    assert {r["id"]: r["metadata_topic"] for r in left} == {
        "a": "tea",
        "b": "tea",
        "c": None,
        "d": None,
    }


async def test_a_table_that_is_no_index_is_not_taken_for_one(tmp_path: Path) -> None:
    """Rows and vectors may share a folder."""
    connection = await lancedb.connect_async(str(tmp_path))
    await connection.create_table("notes", pa.table({"id": ["x"]}))
    async with LanceStore(tmp_path) as store, LanceVector(tmp_path) as vectors:
        await store.memory.save_thread(thread())
        assert await vectors.list_indexes() == []
        with pytest.raises(ConflictError, match="no index of vectors"):
            await vectors.create_index("notes", dimension=2)
        await vectors.create_index("plants", dimension=2)
        assert await vectors.list_indexes() == ["plants"]
