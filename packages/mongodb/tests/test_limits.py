"""Documents have 16 MB: what does not fit is an error before anything is written."""

from __future__ import annotations

import json

import pytest

from mastra_core import Thread
from mastra_core.errors import LimitExceededError
from mastra_core.storage.schema import Put, Update, Where
from mastra_core.storage.tables import MESSAGES, RESOURCES, THREADS

from .rows import AT, message, rows_of, thread

pytestmark = pytest.mark.asyncio
MB = 1024 * 1024


async def test_one_value_that_is_too_long_is_refused_by_name(anywhere):
    async with anywhere() as s:
        with pytest.raises(LimitExceededError, match="content of mastra_messages has"):
            await s.backend.write(
                Put(THREADS, [thread("t")]),
                Put(MESSAGES, [message("m", "t"), message("n", "t", content="x" * 16 * MB)]),
            )
        assert await rows_of(s, THREADS) == await rows_of(s, MESSAGES) == []


async def test_columns_that_are_too_long_together_are_refused(anywhere):
    """Nothing was sent: there is no collection's row of the changes before it either."""
    async with anywhere() as s:
        text = "x" * 9 * MB
        row = ("r", text, json.dumps({"k": text}), AT, AT)
        with pytest.raises(LimitExceededError, match="a row of mastra_resources has"):
            await s.backend.write(Put(THREADS, [thread("t")]), Put(RESOURCES, [row]))
        assert await rows_of(s, THREADS) == await rows_of(s, RESOURCES) == []


async def test_json_that_is_longer_in_bson_is_measured_as_it_is_sent(anywhere):
    """A list of small numbers has two bytes a number in JSON, and twelve in BSON."""
    async with anywhere() as s:
        numbers = "[" + "1," * 1_700_000 + "1]"
        assert len(numbers) < 4 * MB
        with pytest.raises(LimitExceededError, match="a row of mastra_threads has"):
            await s.backend.write(
                Put(THREADS, [thread("a"), thread("t", metadata=f'{{"k":{numbers}}}')])
            )
        where = (Where("id", "eq", "a"),)
        with pytest.raises(LimitExceededError, match="a row of mastra_threads has"):
            await s.backend.write(Update(THREADS, where, {"metadata": f'{{"k":{numbers}}}'}))
        assert await rows_of(s, THREADS) == []


async def test_a_document_that_an_update_would_make_too_long_stays_as_it_was(replica_set):
    """Only the server knows the stored half of it."""
    async with replica_set() as s:
        await s.memory.save_thread(Thread(id="t", resource_id="r", title="x" * 10 * MB))
        before = await s.memory.get_thread_by_id("t")
        with pytest.raises(LimitExceededError, match="16 MB"):
            await s.memory.update_thread("t", metadata={"k": "y" * 10 * MB})
        assert await s.memory.get_thread_by_id("t") == before


async def test_large_documents_come_whole_in_as_many_batches_as_they_need(replica_set):
    async with replica_set() as s:
        sizes = {f"m{n}": 6 * MB + n for n in range(4)}
        for name, size in sizes.items():
            await s.backend.write(Put(MESSAGES, [message(name, "t", content="x" * size)]))
        found = await rows_of(s, MESSAGES)
        assert {row[0]: len(row[2]) for row in found} == sizes
