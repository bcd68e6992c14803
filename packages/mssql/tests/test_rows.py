"""Rows: text that ends in blanks, what columns and indexes cannot hold, and more than one request takes."""

from __future__ import annotations

import pytest

from mastra_conformance.records import thread
from mastra_conformance.rows import at, row
from mastra_core import Message, Thread
from mastra_core.errors import ConflictError, LimitExceededError
from mastra_core.storage.schema import Put, Query, Update, Where
from mastra_core.storage.tables import MESSAGES, SPANS, THREADS, WORKFLOW_SNAPSHOT
from mastra_mssql.columns import MARK

pytestmark = pytest.mark.asyncio
CONTENT = {"format": 2, "parts": [{"type": "text", "text": "hello"}]}


async def test_ids_that_end_in_blanks_are_stored_so_that_the_server_tells_them_apart(factory):
    async with factory() as store:
        for name in ("a", "a ", "a  "):
            await store.memory.save_thread(thread("r ", id=name, title=f"title of {name!r}"))
        backend = store.backend
        rows = await backend.fetch(
            backend.dialect.select(THREADS, Query(order=(("id", "asc"),), columns=("id",)))
        )
        assert sorted(value for (value,) in rows) == sorted(["a", f"a {MARK}", f"a  {MARK}"])
        for name in ("a", "a ", "a  "):
            assert (await store.memory.get_thread_by_id(name)).title == f"title of {name!r}"
        assert (await store.memory.list_threads(resource_id="r ")).total == 3
        assert (await store.memory.list_threads(resource_id="r")).total == 0
        pinned = Query(where=(Where("id", "in", ("a ", "b ")),), columns=("id", "resourceId"))
        assert await backend.find(THREADS, pinned) == [("a ", "r ")]


async def test_text_without_an_index_may_be_of_any_length_and_ends_as_it_was_given(factory):
    async with factory() as store:
        title = "long " * 2000
        await store.memory.save_thread(thread("r", id="t", title=title))
        assert (await store.memory.get_thread_by_id("t")).title == title
        exact = [Where("title", "eq", text) for text in (title, title.rstrip(), f"{title} ")]
        found = [await store.backend.count(THREADS, (where,)) for where in exact]
        assert found == [1, 0, 0]
        listed = Where("title", "in", (title.rstrip(), "x"))
        assert await store.backend.count(THREADS, (listed,)) == 0


async def test_what_is_longer_than_its_column_is_refused_before_anything_is_sent(factory, sent):
    async with factory() as store:
        before = set(sent)
        given = row(SPANS, traceId="t", spanId="s", userId="u" * 101, name="n", spanType="x")
        with pytest.raises(LimitExceededError, match=r"userId of mastra_ai_spans has 101 .* 100"):
            await store.backend.write(
                Put(THREADS, [row(THREADS, id="a", resourceId="r", title="")]), Put(SPANS, [given])
            )
        update = Update(THREADS, (Where("id", "eq", "a"),), {"resourceId": "r" * 401})
        with pytest.raises(LimitExceededError, match=r"resourceId .* 401 .* 400"):
            await store.backend.write(update)
        assert set(sent) == before
        assert await store.backend.count(THREADS) == 0
        # (A character beyond U+FFFF is two, as the server counts.)
        fits = row(SPANS, traceId="t", spanId="s", userId="😀" * 50, name="n", spanType="x")
        assert await store.backend.write(Put(SPANS, [fits])) == [1]
        short = Where("userId", "in", ("😀" * 50 + "x", "u" * 101))
        assert await store.backend.count(SPANS, (short,)) == 0


async def test_what_an_index_cannot_hold_is_refused_before_anything_is_sent(factory):
    async with factory() as store:
        names = {"workflow_name": "w" * 255, "run_id": "r" * 255, "snapshot": "{}"}
        large = row(WORKFLOW_SNAPSHOT, **names, resourceId="x" * 400)
        with pytest.raises(LimitExceededError, match=r"have 1,828 bytes together; .* 1,700"):
            await store.backend.write(Put(WORKFLOW_SNAPSHOT, [large]))
        fits = row(WORKFLOW_SNAPSHOT, **names, resourceId="x" * 300)
        assert await store.backend.write(Put(WORKFLOW_SNAPSHOT, [fits])) == [1]


async def test_a_list_is_one_parameter_however_long_it_is(factory):
    async with factory() as store:
        await store.memory.save_thread(Thread(id="t", resource_id="r"))
        given = [
            Message(id=f"m{i}", thread_id="t", resource_id="r", role="user", content=CONTENT)
            for i in range(3000)
        ]
        await store.memory.save_messages(given)
        found = await store.memory.list_messages_by_id([m.id for m in given])
        assert len(found) == 3000
        assert await store.memory.delete_messages([m.id for m in given[1:]]) is None
        assert (await store.memory.list_messages("t")).total == 1


async def test_more_than_one_request_takes_is_one_transaction_all_the_same(factory):
    async with factory() as store:
        rows = [row(MESSAGES, id=f"m{i}", thread_id="t", role="a", content="") for i in range(900)]
        await store.backend.write(Put(MESSAGES, rows))
        updates = [
            Update(
                MESSAGES,
                (Where("id", "eq", f"m{i}"), Where("role", "eq", "a")),
                {"content": str(i)},
                expect=1,
            )
            for i in range(900)
        ]
        refused = [*updates, Update(MESSAGES, (Where("id", "eq", "x"),), {"role": "b"}, expect=1)]
        with pytest.raises(ConflictError) as caught:
            await store.backend.write(*refused)
        assert caught.value.change == 900
        unchanged = (Where("content", "eq", ""),)
        assert await store.backend.count(MESSAGES, unchanged) == 900
        assert await store.backend.write(*updates) == [1] * 900
        assert await store.backend.count(MESSAGES, unchanged) == 0


async def test_numbers_beyond_doubles_are_compared_exactly(factory):
    async with factory() as store:
        contents = [f'{{"k":{2**53 + i}}}' for i in range(3)]
        rows = [
            row(MESSAGES, id=str(i), thread_id="t", content=text) for i, text in enumerate(contents)
        ]
        await store.backend.write(Put(MESSAGES, rows))
        for i in range(3):
            where = (Where("content", "eq", 2**53 + i, ("k",)),)
            query = Query(where=where, columns=("id",))
            assert await store.backend.find(MESSAGES, query) == [(str(i),)]
        small = (Where("content", "eq", 2**53 - 1, ("k",)),)
        assert await store.backend.count(MESSAGES, small) == 0


async def test_keys_of_json_are_data_whatever_is_in_them(factory):
    async with factory() as store:
        keys = ('"', "\\", "a.b", "$", "[0]", "k ", "'", "")
        for i, key in enumerate(keys):
            given = thread("r", id=str(i), metadata={key: "v"})
            await store.memory.save_thread(given)
        for i, key in enumerate(keys):
            query = Query(where=(Where("metadata", "eq", "v", (key,)),), columns=("id",))
            assert await store.backend.find(THREADS, query) == [(str(i),)]


async def test_an_absent_time_sorts_as_the_greatest(factory):
    async with factory() as store:
        ends = {"a": None, "b": at(2), "c": at(1), "d": None}
        rows = [
            row(SPANS, traceId="t", spanId=k, name="", spanType="", endedAt=v)
            for k, v in ends.items()
        ]
        await store.backend.write(Put(SPANS, rows))
        for way, wanted in (("asc", "cbad"), ("desc", "dabc")):
            query = Query(order=(("endedAt", way),), columns=("spanId",))
            found = await store.backend.find(SPANS, query)
            assert "".join(str(value) for (value,) in found) == wanted
